"""The gRPC server: listening, TLS, health, reflection and the way out."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as aio_health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from countersign.errors import ConfigurationError

SERVICES: Final = (
    "countersign.v1.Decisions",
    "countersign.v1.Activity",
    "countersign.v1.Reviews",
    "countersign.v1.Deliveries",
    "countersign.v1.Admin",
    "countersign.v1.Trust",
)
_MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.max_metadata_size", 16 * 1024),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Server certificate and, for mTLS, the authority that every client's must be from."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class EdgeServer:
    """One listening gRPC server."""

    def __init__(
        self, listen: str, tls: Tls | None, handlers: Sequence[grpc.GenericRpcHandler]
    ) -> None:
        """Bind. Raises `ConfigurationError` when that is unsafe or impossible."""
        if tls is None:
            require_loopback("server.listen", listen)
        self._health = aio_health.HealthServicer()
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers(tuple(handlers))
        add_HealthServicer_to_server(self._health, self._server)
        names = (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        try:
            if tls is None:
                self.port = self._server.add_insecure_port(listen)
            else:
                self.port = self._server.add_secure_port(listen, _credentials(tls))
        except RuntimeError:
            raise ConfigurationError(
                "server.listen",
                f"server.listen: cannot listen on {listen}",
                advice="Is another server running there? Choose another port.",
            ) from None

    async def start(self) -> None:
        """Serve, not yet healthy."""
        await self._server.start()

    async def set_healthy(self, *, healthy: bool) -> None:
        """What `grpc.health.v1` says of the server and each service."""
        state = (
            health_pb2.HealthCheckResponse.SERVING
            if healthy
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *SERVICES):
            await self._health.set(name, state)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, let running ones finish for `grace_s` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


def require_loopback(setting: str, listen: str) -> None:
    """Raise `ConfigurationError` unless an address is loopback: no TLS, no network."""
    host = listen.rpartition(":")[0].strip("[]")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise ConfigurationError(
            "server.tls_required",
            f"{setting}: {listen} is beyond loopback and there is no TLS",
            advice="Set server.tls_certificate and server.tls_key, or listen on 127.0.0.1.",
        )


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    try:
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        authority = tls.client_ca.read_bytes() if tls.client_ca else None
    except OSError as error:
        raise ConfigurationError(
            "server.tls_unreadable",
            f"server.tls_…: cannot read {error.filename}: {error.strerror}",
            advice="Give the service's user read permission, or correct the path.",
        ) from None
    return grpc.ssl_server_credentials(
        [pair], root_certificates=authority, require_client_auth=authority is not None
    )
