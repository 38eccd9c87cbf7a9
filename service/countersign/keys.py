"""Private keys on disk: Ed25519, PEM (PKCS #8), readable by their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from countersign.errors import ConfigurationError


def create_key(path: Path) -> None:
    """Make a new key at `path`, which must not exist."""
    data = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def read_key(setting: str, path: Path) -> Ed25519PrivateKey:
    """Read a key. Raises `ConfigurationError` naming the setting and the remedy."""
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            "keys.unreadable",
            f"{setting}: cannot read {path}: {error.strerror}",
            advice="`countersign init` makes keys; restore this one from its backup if it had one.",
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            "keys.permissions", f"{setting}: {path} is open to others", advice=f"chmod 600 {path}"
        )
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            "keys.invalid", f"{setting}: {path} is not an unencrypted Ed25519 key in PEM"
        )
    return key
