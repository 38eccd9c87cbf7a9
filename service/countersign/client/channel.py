"""From a credential to a gRPC channel.

The raw context and the token go over this channel, so plaintext exists only
for this very machine (a loopback address or a unix socket) and nothing asks for
it anywhere else. Used by the lines alone.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from countersign.credentials import Credential
from countersign.errors import ConfigurationError

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
_OPTIONS: Final = (
    # Retries are ours alone: gRPC's own would hide a lost reply from us.
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Notices within a minute that the other side is gone without a word.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
_PLAINTEXT_OPTIONS: Final = (*_OPTIONS, ("grpc.enable_http_proxy", 0))


def is_this_machine(endpoint: str) -> bool:
    """A unix socket, `localhost` or a loopback address: nobody else can listen."""
    if endpoint.startswith("unix:"):
        return True
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_channel(credential: Credential) -> grpc.Channel:
    """A channel for blocking calls. Raises `ConfigurationError`."""
    secret = _tls(credential)
    if secret is None:
        return grpc.insecure_channel(credential.endpoint, options=_PLAINTEXT_OPTIONS)
    return grpc.secure_channel(credential.endpoint, secret, options=_OPTIONS)


def open_aio_channel(credential: Credential) -> grpc.aio.Channel:
    """A channel for the running event loop. Raises `ConfigurationError`."""
    secret = _tls(credential)
    if secret is None:
        return grpc.aio.insecure_channel(credential.endpoint, options=_PLAINTEXT_OPTIONS)
    return grpc.aio.secure_channel(credential.endpoint, secret, options=_OPTIONS)


def _tls(credential: Credential) -> grpc.ChannelCredentials | None:
    """TLS for everything but this machine; there too when certificates are named."""
    if credential.ca_file is None and credential.cert_file is None:
        if is_this_machine(credential.endpoint):
            return None
        return grpc.ssl_channel_credentials()
    return grpc.ssl_channel_credentials(
        root_certificates=_read("ca_file", credential.ca_file),
        private_key=_read("key_file", credential.key_file),
        certificate_chain=_read("cert_file", credential.cert_file),
    )


def _read(field: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            "credential.unreadable",
            f"{field} {path} cannot be read: {error.strerror}",
            advice="Name a PEM file that this user may read.",
        ) from error
