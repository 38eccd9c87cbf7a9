"""Opening a commitment: whether a context is the one that a record is about.

Pure. A record holds `SHA-256("countersign/context/v1" || salt || canonical
{context, tenant})` and never the salt. Whoever is shown the context and the
salt can make the hash again; nobody else can guess what was asked for. Called
by the command line.
"""

from __future__ import annotations

import re
from typing import Final

from countersign import canonical
from countersign.errors import ConfigurationError
from countersign.model import JsonObject

_SALT: Final = re.compile(rb"[0-9a-fA-F]{64}")


def opens(record: JsonObject, context_bytes: bytes, salt: bytes) -> bool | None:
    """Whether the canonical context is the record's; None if it commits to none."""
    committed, tenant = record.get("commitment"), record.get("tenant")
    if not isinstance(committed, str) or not isinstance(tenant, str):
        return None
    bound = canonical.bound_bytes(tenant, context_bytes)
    return canonical.commitment(bound, salt).hex() == committed


def salt_of(text: bytes) -> bytes:
    """The salt in hex, or in a review that `check --save` kept. Raises `ConfigurationError`."""
    text = text.strip()
    if text.startswith(b"{"):
        try:
            saved = canonical.parse_object(text).get("salt")
        except canonical.StrictJsonError:
            saved = None
        text = saved.encode() if isinstance(saved, str) else b""
    if not _SALT.fullmatch(text):
        raise ConfigurationError(
            "audit.salt_invalid",
            f"--salt: must be {canonical.SALT_BYTES} bytes in hex",
            advice="The caller has it: in the answer to Check, in the file of `check --save`, and "
            "in the permit.",
        )
    return bytes.fromhex(text.decode())
