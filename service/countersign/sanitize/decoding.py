"""Runs of base64, base32, hex and quoted bytes, and what they say.

Each function looks through many texts joined by NUL (no run crosses one) and
tells where a run stands and what it decodes to, if that can be read: text in
UTF-8 or UTF-16, compressed or not, or a stretch of ASCII inside other bytes.
A search begins with runs that can be ASCII at all, which RE2 sees by their
letters: in base64 of ASCII most letters never stand at most places.

Invariants: time is linear; what is decoded is no longer than the run, except
what was compressed, whose length is bounded (longer: None).
Pure; used by `views` only.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import re2

from countersign.sanitize.bounds import Allowance

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False

MAX_INFLATED_BYTES: Final = 64 << 10
_LEAST_BASE64: Final = 16
_LEAST_BASE32: Final = 16

_GROUP: Final = r"[CDI-Za-f][ACD-HQS-Xgi-nwyz0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
"""Four letters of base64 that are three printable bytes of ASCII."""
BASE64: Final = rf"[A-Za-z0-9+/_-]{{{_LEAST_BASE64},}}={{0,2}}"
BASE64_OF_ASCII: Final = (
    rf"(?:{_GROUP}){{3,}}(?:[CDI-Za-f][ACD-HQS-Xgi-nwyz0-3][A-Za-z0-9+/_-]?)?={{0,2}}"
)
WRAPPED: Final = r"(?:[A-Za-z0-9+/_-]{4,}[ \t]*\r?\n[ \t>]*)+[A-Za-z0-9+/_-]{2,}={0,2}"
"""Base64 over several lines."""
BASE32: Final = rf"(?:[A-Z2-7]{{{_LEAST_BASE32},}}|[a-z2-7]{{{_LEAST_BASE32},}})={{0,6}}"


def _pairs(pair: str) -> str:
    """Nine or more: together, with a sign or comma between each two, or each after `0x`."""
    apart = (rf"\b{pair}(?:{gap}{pair}){{8,}}\b" for gap in ("[ :-]", ", ?"))
    return "|".join((f"(?:{pair}){{9,}}", *apart, rf"0[xX]{pair}(?:[ ,]{{1,2}}0[xX]{pair}){{8,}}"))


HEX: Final = _pairs("[0-9A-Fa-f]{2}")
HEX_OF_ASCII: Final = _pairs("[2-7][0-9A-Fa-f]")

_BASE64: Final = re2.compile(BASE64, _OPTIONS)
_BASE64_OF_ASCII: Final = re2.compile(BASE64_OF_ASCII, _OPTIONS)
_WRAPPED: Final = re2.compile(WRAPPED, _OPTIONS)
_BASE32: Final = re2.compile(BASE32, _OPTIONS)
_HEX: Final = re2.compile(HEX, _OPTIONS)
_HEX_OF_ASCII: Final = re2.compile(HEX_OF_ASCII, _OPTIONS)

_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")
_BLANKS: Final = b" \t\r\n>"
_PATH: Final = b"abcdefghijklmnopqrstuvwxyz/_-"
_TO_DIGITS: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz234567",
    b"0123456789abcdefghijklmnop0123456789abcdefghijklmnopqrstuv",
)
_DIGITS: Final = b"0123456789abcdefABCDEF"
_NOT_HEX: Final = bytes(set(range(256)) - set(_DIGITS))
_PRINTABLE: Final = bytes({9, 10, 13, *range(32, 127)})
_CONTROL: Final = bytes({*range(9), 11, 12, *range(14, 32), 127})
_COMPRESSED: Final = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""How gzip and zlib begin."""

Run = tuple[int, int, bytes | None]
"""Where it stands and what it says; None: more than is looked at."""


# --- runs --------------------------------------------------------------------


def base64(data: bytes, allowance: Allowance) -> Iterator[Run]:
    """Runs that are base64 from their first letter, standard or URL-safe, padded or not."""
    for match in _BASE64.finditer(data):
        allowance.spend()
        start, end = match.span()
        run = data[start:end]
        # Words, paths and hashes are most of what looks so.
        if run.translate(None, _PATH) and run.translate(None, _DIGITS):
            yield from _said(start, end, _base64(run))


def base64_of_ascii(data: bytes, allowance: Allowance) -> Iterator[Run]:
    """Stretches of ASCII in base64, whatever stands before and after them."""
    for match in _BASE64_OF_ASCII.finditer(data):
        allowance.spend()
        start, end = match.span()
        yield from _said(start, end, _base64(data[start:end]))


def wrapped(data: bytes, allowance: Allowance) -> Iterator[Run]:
    """Base64 over several lines, as in MIME."""
    for match in _WRAPPED.finditer(data):
        allowance.spend()
        start, end = match.span()
        yield from _said(start, end, _base64(data[start:end].translate(None, _BLANKS)))


def _base64(run: bytes) -> bytes:
    run = run.translate(_TO_BASE64).rstrip(b"=")
    left = len(run) % 4
    if left == 1:  # one letter says nothing: it belongs to what follows
        return binascii.a2b_base64(run[:-1])
    return binascii.a2b_base64(run + b"=" * (4 - left) if left else run)


def base32(data: bytes, allowance: Allowance) -> Iterator[Run]:
    """RFC 4648 base32 in one case, padded or not."""
    for match in _BASE32.finditer(data):
        allowance.spend()
        start, end = match.span()
        run = data[start:end].rstrip(b"=")
        size = len(run) * 5 // 8
        number = int(run.translate(_TO_DIGITS), 32) >> (len(run) * 5 - size * 8)
        yield from _said(start, end, number.to_bytes(size, "big"))


def hexadecimal(data: bytes, allowance: Allowance) -> Iterator[Run]:
    """Bytes in hex, together or with signs between them; and stretches of ASCII in such."""
    for pattern in (_HEX, _HEX_OF_ASCII):
        for match in pattern.finditer(data):
            allowance.spend()
            start, end = match.span()
            run = data[start:end]
            if not run.isalnum() or b"x" in run or b"X" in run:
                run = run.replace(b"0x", b"").replace(b"0X", b"").translate(None, _NOT_HEX)
            yield from _said(start, end, binascii.a2b_hex(run))


def _said(start: int, end: int, decoded: bytes) -> Sequence[Run]:
    try:
        said = readable(decoded)
    except OverflowError:
        return ((start, end, None),)
    return ((start, end, said),) if said else ()


# --- what bytes say ----------------------------------------------------------


def is_printable(data: bytes) -> bool:
    """Whether these are ASCII, tabs and new lines."""
    return not data.translate(None, _PRINTABLE)


def readable(data: bytes) -> bytes | None:
    """The text that bytes hold, as UTF-8 without NUL; None: they hold none.

    Raises `OverflowError` for what was compressed and is too long to look at.
    """
    odd = len(data.translate(None, _PRINTABLE))
    if not odd:
        return data
    if data.startswith(_COMPRESSED):
        inflated = _inflated(data)
        if inflated is not None:
            return readable(inflated)
    text = _utf16(data) if b"\x00" in data else None
    if text is None:
        if (len(data) - len(data.translate(None, _CONTROL))) * 10 > len(data):
            return None
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            if odd * 10 > len(data):
                return None
            text = data.decode("latin-1")
    return text.replace("\x00", "\x01").encode("utf-8", "replace")


def _utf16(data: bytes) -> str | None:
    """UTF-16 of mostly ASCII, whose every other byte is NUL."""
    for encoding, zeros in (("utf-16-le", data[1::2]), ("utf-16-be", data[::2])):
        if zeros.count(0) * 5 > len(zeros) * 4:
            return data[: len(data) & ~1].decode(encoding, "replace")
    return None


def _inflated(data: bytes) -> bytes | None:
    """What was compressed, as far as it goes; None: nothing was."""
    inflater = zlib.decompressobj(32 + zlib.MAX_WBITS)
    try:
        found = inflater.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error:
        return None
    if inflater.unconsumed_tail:
        raise OverflowError
    return found
