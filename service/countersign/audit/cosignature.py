"""Cosignatures: what a witness adds to a checkpoint it saw.

Pure. A witness signs only checkpoints that extend those it signed before, so a
log that shows different people different records does not get both cosigned.
Format: c2sp.org/tlog-cosignature, version 1 (Ed25519 with a time). Used by the
verifier, which demands the witnesses that the trust file names, by the witness
and by who asks it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from countersign.audit.note import Note, Signature, decode_base64, encode_base64
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WitnessSigner:
    """A witness's private key under its name."""

    name: str
    key: Ed25519PrivateKey

    @classmethod
    def parse(cls, skey: str) -> Self:
        """Read `PRIVATE+KEY+<name>+<key id>+<base64>` with algorithm 4."""
        parts = skey.strip("\n").split("+", 4)
        data = decode_base64(parts[-1])
        shaped = len(parts) == 5 and parts[:2] == ["PRIVATE", "KEY"]
        if not shaped or not _is_name(parts[2]) or data is None or data[:1] != _ALGORITHM:
            raise _bad_key("a witness's own key is PRIVATE+KEY+<name>+<key id>+<base64>")
        try:
            key = Ed25519PrivateKey.from_private_bytes(data[1:])
        except ValueError:
            raise _bad_key("the witness's own key is not 32 bytes of Ed25519") from None
        signer = cls(name=parts[2], key=key)
        if signer.public.key_id.hex() != parts[3]:
            raise _bad_key("the key id does not belong to this name and key")
        return signer

    @classmethod
    def generate(cls, name: str) -> Self:
        """A new key. Raises `LogError` when the name cannot be one."""
        if not _is_name(name):
            raise _bad_key("a key name is not empty and has no spaces and no plus")
        return cls(name=name, key=Ed25519PrivateKey.generate())

    @property
    def public(self) -> WitnessKey:
        """The public half under the same name."""
        return WitnessKey(name=self.name, key=self.key.public_key())

    def encode(self) -> str:
        """The secret in the form `parse` reads. Keep it secret."""
        seed = self.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        key_id = self.public.key_id.hex()
        return f"PRIVATE+KEY+{self.name}+{key_id}+{encode_base64(_ALGORITHM + seed)}"

    def cosign(self, note: Note, seconds: int) -> Signature:
        """Say that this note was seen at that time."""
        signed = self.key.sign(message(note, seconds))
        time = seconds.to_bytes(_TIME_BYTES, "big")
        return Signature(name=self.name, key_id=self.public.key_id, signature=time + signed)


def message(note: Note, seconds: int) -> bytes:
    """What a witness signs."""
    return f"cosignature/v1\ntime {seconds}\n{note.text}".encode()


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and name.isprintable() and not any(map(str.isspace, name))


def _bad_key(problem: str) -> LogError:
    return LogError(
        "log.key_invalid", problem, advice="Copy the key again, whole, from the witness itself."
    )


def _bad_signature() -> LogError:
    return LogError("log.signature_invalid", "a cosignature by a known witness is wrong")
