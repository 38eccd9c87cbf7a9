"""Cosignatures: what a witness adds to a checkpoint it saw.

Pure. A witness signs only checkpoints that extend those it signed before, so a
log that shows different people different records does not get both cosigned.
Format: c2sp.org/tlog-cosignature, version 1 (Ed25519 with a time). Used by the
verifier, which demands the witnesses that the trust file names.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countersign.audit.note import Note, decode_base64, encode_base64
from countersign.errors import LogError

_ALGORITHM: Final = b"\x04"
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    """A witness's public key under its name."""

    name: str
    key: Ed25519PublicKey

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read `<name>+<key id>+<base64>` with algorithm 4."""
        name, _, rest = vkey.partition("+")
        key_id, _, text = rest.partition("+")
        data = decode_base64(text)
        if not name or any(map(str.isspace, name)) or data is None or data[:1] != _ALGORITHM:
            raise _bad_key("a witness key is <name>+<key id>+<base64 of 0x04 and 32 bytes>")
        try:
            witness = cls(name=name, key=Ed25519PublicKey.from_public_bytes(data[1:]))
        except ValueError:
            raise _bad_key("the witness key is not 32 bytes of Ed25519") from None
        if witness.key_id.hex() != key_id:
            raise _bad_key("the key id does not belong to this name and key")
        return witness

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || newline || 0x04 || public key)[:4]."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._material()).digest()[:4]

    def _material(self) -> bytes:
        return _ALGORITHM + self.key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(self._material())}"

    def cosigned_s(self, note: Note) -> int | None:
        """When the witness says it saw this note, in seconds; None if it does not.

        Raises `LogError` when a line that claims to be its cosignature is not.
        """
        for line in note.signatures:
            if (line.name, line.key_id) != (self.name, self.key_id):
                continue
            if len(line.signature) != _TIME_BYTES + _SIGNATURE_BYTES:
                raise _bad_signature()
            seconds = int.from_bytes(line.signature[:_TIME_BYTES], "big")
            try:
                self.key.verify(line.signature[_TIME_BYTES:], message(note, seconds))
            except InvalidSignature:
                raise _bad_signature() from None
            return seconds
        return None


def message(note: Note, seconds: int) -> bytes:
    """What a witness signs."""
    return f"cosignature/v1\ntime {seconds}\n{note.text}".encode()


def _bad_key(problem: str) -> LogError:
    return LogError(
        "log.key_invalid", problem, advice="Copy the key again, whole, from the witness itself."
    )


def _bad_signature() -> LogError:
    return LogError("log.signature_invalid", "a cosignature by a known witness is wrong")
