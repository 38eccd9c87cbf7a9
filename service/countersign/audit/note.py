"""C2SP signed notes and tlog checkpoints, signed with Ed25519.

Pure. A checkpoint is what everybody outside remembers of a log: its origin,
size and root hash, signed. Formats: c2sp.org/signed-note and
c2sp.org/tlog-checkpoint, so that tools nobody here wrote can check them.
Used by the publisher (signing), the prover and the verifier (opening).

Parsing is strict where it protects (control characters, non-canonical base64,
numbers with leading zeros) and open where the format asks for it: signatures
by unknown keys, such as witnesses, are carried and ignored.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import re
from collections.abc import Sequence
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
)

from countersign.audit.merkle import HASH_BYTES
from countersign.errors import LogError
from countersign.signing import SigningKey, raw, signature

MAX_NOTE_BYTES: Final = 65_536
MAX_SIGNATURES: Final = 100
MAX_LOG_SIZE: Final = 2**63 - 1

_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_SIGNATURE: Final = re.compile(r"\u2014 ([^ ]+) ([A-Za-z0-9+/]+={0,2})")
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_HEX_ID: Final = re.compile(r"[0-9a-f]{8}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line: who says so, which key, and the bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """As it stands in a note."""
        return f"\u2014 {self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A public key under a name: what an auditor is given once (the vkey)."""

    name: str
    key: Ed25519PublicKey

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read `<name>+<key id>+<base64>`, as Go's `sumdb/note` writes it."""
        parts = vkey.strip("\n").split("+", 2)
        if len(parts) != 3:
            raise _bad_key("a verifier key is <name>+<key id>+<base64>")
        name, key_id, material = parts
        verifier = cls(name=_name(name), key=_public(_material(material)))
        _check_key_id(key_id, verifier.key_id)
        return verifier

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || newline || 0x01 || public key)[:4]."""
        return _key_id(self.name, raw(self.key))

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(_ED25519 + raw(self.key))}"

    def knows(self, vkey: str) -> bool:
        """Whether this is the key, as a verifier key; see `logkeys.Keys`."""
        return vkey == str(self)

    def signer(self, note: Note, size: int) -> Verifier:  # noqa: ARG002 - good for any size
        """This key, if it signed the note. Raises `LogError`."""
        return note.verify(self)[0]

    def open(self, data: bytes) -> Checkpoint:
        """The checkpoint in a note that this key signed. Raises `LogError`."""
        return open_checkpoint(data, self)

    def accepts(self, text: str, signed: bytes) -> bool:
        """Whether this key made the signature over the text."""
        try:
            self.key.verify(signed, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Signer:
    """A private key under a name. For a log, the name is its origin."""

    name: str
    key: SigningKey

    @classmethod
    def parse(cls, skey: str) -> Self:
        """Read `PRIVATE+KEY+<name>+<key id>+<base64>`."""
        parts = skey.strip("\n").split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise _bad_key("a signer key is PRIVATE+KEY+<name>+<key id>+<base64>")
        signer = cls(
            name=_name(parts[2]), key=Ed25519PrivateKey.from_private_bytes(_material(parts[4]))
        )
        _check_key_id(parts[3], signer.verifier.key_id)
        return signer

    @property
    def verifier(self) -> Verifier:
        """The public half under the same name."""
        return Verifier(name=self.name, key=self.key.public_key())

    def encode(self) -> str:
        """The secret in the form `parse` reads. Keep it secret. `LogError` if it is elsewhere."""
        if not isinstance(self.key, Ed25519PrivateKey):
            raise _bad_key("the private key is not in this process")
        seed = self.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        key_id = self.verifier.key_id.hex()
        return f"PRIVATE+KEY+{self.name}+{key_id}+{encode_base64(_ED25519 + seed)}"

    def sign(self, text: str) -> Signature:
        """Sign a text. Ed25519 is deterministic: the same note, byte for byte.

        Blocks as long as the key does. Raises `SigningError`.
        """
        return Signature(
            name=_name(self.name),
            key_id=self.verifier.key_id,
            signature=signature(self.key, text.encode()),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text, ending in a newline, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse without judging any signature."""
        if len(data) > MAX_NOTE_BYTES:
            raise _bad_note("is larger than a note may be")
        try:
            whole = data.decode()
        except UnicodeDecodeError:
            raise _bad_note("is not UTF-8") from None
        if _CONTROL.search(whole):
            raise _bad_note("holds control characters")
        text, blank, block = whole.rpartition("\n\n")
        if not blank or not block.endswith("\n"):
            raise _bad_note("has no signature block after a blank line")
        lines = block[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise _bad_note("has too many signatures")
        return cls(text=text + "\n", signatures=tuple(map(_signature, lines)))

    def encode(self) -> bytes:
        """The note as bytes."""
        return f"{self.text}\n{''.join(item.line() for item in self.signatures)}".encode()

    def with_signature(self, signer: Signer) -> Note:
        """The note with one more signature; an older one by the same key goes."""
        new = signer.sign(self.text)
        kept = [s for s in self.signatures if (s.name, s.key_id) != (new.name, new.key_id)]
        return Note(text=self.text, signatures=(*kept, new))

    def verify(self, *known: Verifier) -> tuple[Verifier, ...]:
        """The known keys that signed, in the order of the signatures.

        Raises `LogError` when none did, or when a signature that claims to be
        by a known key is not.
        """
        keys = {(verifier.name, verifier.key_id): verifier for verifier in known}
        found: list[Verifier] = []
        for line in self.signatures:
            verifier = keys.get((line.name, line.key_id))
            if verifier is None:
                continue
            if not verifier.accepts(self.text, line.signature):
                raise _bad_signature("a signature by a known key does not fit the note")
            if verifier not in found:
                found.append(verifier)
        if not found:
            names = {verifier.name for verifier in known}
            strangers = sorted({s.key_id.hex() for s in self.signatures if s.name in names})
            claims = f", but by unknown {', '.join(strangers)} in its name" if strangers else ""
            raise _bad_signature(f"the note is not signed by a known key{claims}")
        return tuple(found)


def sign(text: str, signers: Sequence[Signer]) -> Note:
    """A note over a text that ends in a newline."""
    if not text.endswith("\n") or _CONTROL.search(text):
        raise _bad_note("must end in a newline and hold no control characters")
    return Note(text=text, signatures=tuple(signer.sign(text) for signer in signers))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The head of a log: `size` leaves with this root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a checkpoint note."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "" or not all(lines):
            raise _bad_checkpoint("needs an origin, a size and a root, each a line")
        origin, size, root, *extensions = lines
        if not _DECIMAL.fullmatch(size) or int(size) > MAX_LOG_SIZE:
            raise _bad_checkpoint("has a size that is not a plain decimal number")
        digest = decode_base64(root)
        if digest is None or len(digest) != HASH_BYTES:
            raise _bad_checkpoint("has a root that is not 32 bytes of base64")
        return cls(origin=origin, size=int(size), root=digest, extensions=tuple(extensions))

    def text(self) -> str:
        """The note text."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def open_checkpoint(data: bytes, verifier: Verifier) -> Checkpoint:
    """The checkpoint in a note that this log's key signed, or `LogError`.

    The origin must be the key's name: a checkpoint of another log with the
    same key is not one of this log.
    """
    note = Note.parse(data)
    note.verify(verifier)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != verifier.name:
        raise _bad_checkpoint("is of another log: its origin is not the name of the key")
    return checkpoint


def encode_base64(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes | None:
    """Standard base64 in its one canonical spelling, else None."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if encode_base64(data) == text else None


def _signature(line: str) -> Signature:
    match = _SIGNATURE.fullmatch(line)
    data = decode_base64(match[2]) if match else None
    if match is None or data is None or len(data) < 5:
        raise _bad_note("has a malformed signature line")
    if not _is_name(match[1]):
        raise _bad_note("has a signature with an invalid key name")
    return Signature(name=match[1], key_id=data[:4], signature=data[4:])


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _check_key_id(given: str, actual: bytes) -> None:
    if not _HEX_ID.fullmatch(given) or bytes.fromhex(given) != actual:
        raise _bad_key("the key id does not belong to this name and key")


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(map(str.isspace, name))


def _name(name: str) -> str:
    if not _is_name(name) or _CONTROL.search(name):
        raise _bad_key("a key name is not empty and has no spaces and no plus")
    return name


def _material(text: str) -> bytes:
    data = decode_base64(text)
    if data is None or data[:1] != _ED25519 or len(data) != _KEY_BYTES + 1:
        raise _bad_key("the key is not base64 of 0x01 and 32 bytes of Ed25519")
    return data[1:]


def _public(raw: bytes) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise _bad_key("the key is not a point of Ed25519") from error


def _bad_key(problem: str) -> LogError:
    return LogError(
        "log.key_invalid", problem, advice="Copy the key again, whole, from where it was made."
    )


def _bad_note(problem: str) -> LogError:
    return LogError("log.note_invalid", f"the note {problem}")


def _bad_checkpoint(problem: str) -> LogError:
    return LogError("log.checkpoint_invalid", f"the checkpoint {problem}")


def _bad_signature(problem: str) -> LogError:
    return LogError(
        "log.signature_invalid",
        problem,
        advice="Check that the verifier key is the one this log was set up with, and that the "
        "trust file lists the keys that were retired.",
    )
