"""Private keys in this process: Ed25519, PKCS #8.

A file is PEM and readable by its owner alone; a variable of the environment is PEM
or base64.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from countersign.errors import ConfigurationError
from countersign.signing import raw


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
    return _private(data, f"{setting}: {path} is not an unencrypted Ed25519 key in PEM")


def decode_key(setting: str, text: str) -> Ed25519PrivateKey:
    """A key from PEM or from the base64 of PKCS #8. Raises `ConfigurationError`."""
    problem = f"{setting}: the variable holds no Ed25519 key, in PEM or in base64 of PKCS #8"
    if "-----BEGIN" in text:
        return _private(text.replace("\\n", "\n").encode(), problem)
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise ConfigurationError("keys.invalid", problem) from None
    return _private(der, problem, load_der_private_key)


def rotate_key(setting: str, path: Path) -> Path:
    """Put a new key in the place of the one at `path`; returns where the old one is now.

    Whenever it stops, there is a key at `path`, and the old one is not lost. Raises
    `ConfigurationError` when there is no key there.
    """
    name = hashlib.sha256(raw(read_key(setting, path).public_key())).hexdigest()[:8]
    aside = path.with_name(f"{path.stem}.{name}.retired{path.suffix}")
    aside.unlink(missing_ok=True)  # the same key, of a rotation that was cut short
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    create_key(new)
    os.link(path, aside)
    new.replace(path)
    return aside


def _private(
    data: bytes, problem: str, load: Callable[..., object] = load_pem_private_key
) -> Ed25519PrivateKey:
    try:
        key = load(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            "keys.invalid",
            problem,
            advice="`openssl genpkey -algorithm ed25519` makes such a key.",
        )
    return key
