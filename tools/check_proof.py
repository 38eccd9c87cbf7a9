#!/usr/bin/env python3
"""Checks that a record is in a log, with nothing but Python's standard library.

    python3 check_proof.py --key VKEY [--record FILE] PROOF [PROOF ...]

For whoever does not want to trust the log's own software: one file, no imports
of it, Python 3.9 or later, no network. It reads C2SP tlog-proofs as `countersign
audit prove` writes them and checks

  - the Ed25519 signature on the checkpoint (RFC 8032, verified strictly),
  - that the checkpoint is of the log that the key names,
  - the hashes from the record up to the signed root (RFC 9162, section 2.1.3.2),
  - that the record says of itself that it is that record of that log.

The record is the one in the proof (`--with-record`) or `--record`. VKEY is the
log's verifier key, or a file with it. Exit code 0 proven, 1 not, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import sys

# --- Ed25519 (RFC 8032, section 5.1) ---------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)

Point = tuple  # extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z
IDENTITY = (0, 1, 1, 0)


def add(p: Point, q: Point) -> Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, point: Point) -> Point:
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def negate(p: Point) -> Point:
    return (-p[0] % P, p[1], p[2], -p[3] % P)


def is_identity(p: Point) -> bool:
    return p[0] % P == 0 and (p[1] - p[2]) % P == 0


def decompress(data: bytes) -> Point | None:
    """The point of 32 bytes; None if they are no point in its one spelling."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if len(data) != 32 or y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * SQRT_M1 % P
    if (v * x * x - u) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def compress(p: Point) -> bytes:
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = decompress(_BASE_Y.to_bytes(32, "little"))


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is good: S below L, points canonical, no key of small order."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key = decompress(public)
    s = int.from_bytes(signature[32:], "little")
    if key is None or s >= L or is_identity(multiply(8, key)):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    # R is compared as bytes, so a second spelling of the same point is refused.
    return compress(add(multiply(s, BASE), multiply(k, negate(key)))) == signature[:32]


# --- the log's formats -----------------------------------------------------------------


class NotProven(Exception):
    """Why a proof proves nothing."""


def decode64(text: str, what: str) -> bytes:
    """Standard base64 in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotProven(f"{what} is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise NotProven(f"{what} is not base64 in its one spelling")
    return data


def parse_key(vkey: str) -> tuple[str, bytes, bytes]:
    """Name, key id and public key of a C2SP verifier key."""
    name, _, rest = vkey.strip().partition("+")
    key_id, _, text = rest.partition("+")
    data = decode64(text, "the key")
    if not name or re.search(r"\s", name) or len(data) != 33 or data[:1] != b"\x01":
        raise NotProven("the key is not <name>+<key id>+<base64 of 0x01 and 32 bytes>")
    expected = hashlib.sha256(name.encode("utf-8", "replace") + b"\n" + data).digest()[:4]
    if key_id != expected.hex():
        raise NotProven("the key id does not belong to this name and key")
    return name, expected, data[1:]


def decimal(text: str, what: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text, re.ASCII):
        raise NotProven(f"{what} is not a plain decimal number")
    return int(text)


def open_checkpoint(note: bytes, vkey: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a note that this key signed."""
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError:
        raise NotProven("the checkpoint is not UTF-8") from None
    if re.search("[\x00-\x09\x0b-\x1f]", whole):
        raise NotProven("the checkpoint holds control characters")
    text, blank, block = whole.rpartition("\n\n")
    if not blank or not block.endswith("\n"):
        raise NotProven("the checkpoint has no signatures")
    text += "\n"
    name, key_id, public = parse_key(vkey)
    require_signed(text, block[:-1].split("\n"), name, key_id, public)
    lines = text.split("\n")
    if len(lines) < 4 or not all(lines[:-1]):
        raise NotProven("the checkpoint has no origin, size and root")
    if lines[0] != name:
        raise NotProven("the checkpoint is of another log")
    root = decode64(lines[2], "the root")
    if len(root) != 32:
        raise NotProven("the root is not 32 bytes")
    return lines[0], decimal(lines[1], "the size"), root


def require_signed(text: str, lines: list[str], name: str, key_id: bytes, public: bytes) -> None:
    """The key must have signed, and every line that claims to be by it must be good."""
    signed = False
    for line in lines:
        match = re.fullmatch("\u2014 ([^ ]+) ([A-Za-z0-9+/]+={0,2})", line)
        if match is None:
            raise NotProven("a signature line of the checkpoint is malformed")
        signature = decode64(match[2], "a signature")
        if match[1] == name and signature[:4] == key_id:
            if not ed25519_verifies(public, text.encode(), signature[4:]):
                raise NotProven("the signature of the checkpoint is wrong")
            signed = True
    if not signed:
        raise NotProven("the checkpoint is not signed by this key")


def parse_proof(data: bytes) -> tuple[bytes | None, int, list[bytes], bytes]:
    """Record if it is there, index, path and checkpoint of a C2SP tlog-proof."""
    head, blank, note = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise NotProven("the proof is not ASCII before its checkpoint") from None
    if not blank or lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise NotProven("this is not a C2SP tlog-proof")
    record = None
    if lines and lines[0].startswith("extra "):
        record = decode64(lines.pop(0)[6:], "the record")
    if not lines or not lines[0].startswith("index "):
        raise NotProven("the proof has no index")
    index = decimal(lines.pop(0)[6:], "the index")
    path = [decode64(line, "a hash") for line in lines]
    if any(len(item) != 32 for item in path):
        raise NotProven("a hash is not 32 bytes")
    return record, index, path, note


def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to (RFC 9162, section 2.1.3.2)."""
    if index >= size:
        raise NotProven("the index is not in a tree of that size")
    fn, sn, node = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            raise NotProven("the path is too long")
        if fn & 1 or fn == sn:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise NotProven("the path is too short")
    return node


def check(proof: bytes, vkey: str, record: bytes | None = None) -> tuple[str, int, int, bytes]:
    """Origin, size, index and record bytes that a proof proves; raises `NotProven`."""
    inside, index, path, note = parse_proof(proof)
    record = inside if record is None else record
    if record is None:
        raise NotProven("the proof holds no record: give --record")
    origin, size, root = open_checkpoint(note, vkey)
    leaf = hashlib.sha256(b"\x00" + record).digest()
    if root_of(leaf, index, size, path) != root:
        raise NotProven("the record does not lead to the signed root")
    try:
        body = json.loads(record)
    except (ValueError, RecursionError):
        raise NotProven("what is logged there is not a record") from None
    if not isinstance(body, dict) or (body.get("seq"), body.get("log_id")) != (index, origin):
        raise NotProven("the record names another place or log")
    return origin, size, index, record


# --- the command -----------------------------------------------------------------------


def read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(16 * 1024 * 1024)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check that records are in a log.")
    parser.add_argument("--key", required=True, help="the log's verifier key, or a file with it")
    parser.add_argument("--record", help="a file with the record's bytes, for one proof")
    parser.add_argument("proof", nargs="+")
    given = parser.parse_args()
    if given.record and len(given.proof) > 1:
        parser.error("--record goes with one proof")
    bad = 0
    try:
        key = read(given.key).decode("ascii", "replace") if os.path.isfile(given.key) else given.key
        record = read(given.record) if given.record else None
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    if record is not None and record.endswith(b"\n"):
        record = record[:-1]  # as a line of a segment; a record itself holds no newline
    for path in given.proof:
        try:
            origin, size, index, found = check(read(path), key, record)
        except OSError as error:
            print(f"NOT PROVEN {path!a}: {error.strerror}")
            bad += 1
        except NotProven as error:
            print(f"NOT PROVEN {path!a}: {error}")
            bad += 1
        else:
            digest = hashlib.sha256(found).hexdigest()
            print(f"PROVEN {path!a}: record {index} of {size} in {origin}, SHA-256 {digest}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
