"""Characters written as something else: percent, backslash, HTML, quoted-printable.

Each function looks through many texts joined by NUL and yields what is read in
the place of what. Time is linear, and nothing grows: no escape is shorter than
the character it stands for. Pure; used by `views` only.
"""

from __future__ import annotations

import binascii
import html.entities
from collections.abc import Iterator
from typing import Final

import re2

from countersign.sanitize.bounds import Allowance
from countersign.sanitize.offsets import Edit

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
ESCAPED: Final = (
    r"(?:%[0-9A-Fa-f]{2})+"
    r"|(?:\\x[0-9A-Fa-f]{2})+"
    r"|(?:\\u[0-9A-Fa-f]{4})+"
    r"|(?:%u[0-9A-Fa-f]{4})+"
    r"|(?:\\[0-3][0-7]{2})+"
    r"|\\u\{[0-9A-Fa-f]{1,6}\}"
    r"|\\U[0-9A-Fa-f]{8}"
    r"|\\[nrt\"'/\\]"
    r"|&#[0-9]{1,7};?"
    r"|&#[xX][0-9A-Fa-f]{1,6};?"
    r"|&[A-Za-z][A-Za-z0-9]{1,31};"
)
QUOTED: Final = r"(?:=[2-7][0-9A-F])+|=[ \t]*\r?\n"
_ESCAPED: Final = re2.compile(ESCAPED, _OPTIONS)
_QUOTED: Final = re2.compile(QUOTED, _OPTIONS)
_SIMPLE: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ENTITIES: Final = {
    name.encode("ascii"): char.encode("utf-8")
    for name, char in html.entities.html5.items()
    if name.endswith(";")
}


def escaped(data: bytes, allowance: Allowance) -> Iterator[Edit]:
    r"""`%40`, `\x40`, `\u{40}`, `\100`, `&#64;`, `&#x40;`, `&commat;` and more."""
    spans = [match.span() for match in _ESCAPED.finditer(data)]
    allowance.spend(len(spans))
    for start, end in spans:
        read = _read(data[start:end])
        if read is not None:
            yield start, end, read


def quoted(data: bytes, allowance: Allowance) -> Iterator[Edit]:
    """Quoted-printable (RFC 2045) of ASCII, and its soft line breaks."""
    spans = [match.span() for match in _QUOTED.finditer(data)]
    allowance.spend(len(spans))
    for start, end in spans:
        run = data[start:end]
        read = b"" if run.isspace() or run[1:2].isspace() else _hex(run.replace(b"=", b""))
        yield start, end, read


def _read(run: bytes) -> bytes | None:
    """What a run of one sort of escapes says; None: nothing after all."""
    sort = run[1:2]
    if run[0] == 0x25:
        return _units(run) if sort == b"u" else _hex(run.replace(b"%", b""))
    if run.startswith(b"&#"):
        digits = run[2:].rstrip(b";")
        return _char(int(digits[1:], 16) if digits[0] in b"xX" else int(digits))
    if run.startswith(b"&"):
        return _ENTITIES.get(run[1:])
    if sort == b"x":
        return _hex(run.replace(b"\\x", b""))
    if run.startswith(b"\\u{") or sort == b"U":
        return _char(int(run[2:].strip(b"{}"), 16))
    if sort == b"u":
        return _units(run)
    if sort.isdigit():
        return _utf8(bytes(int(code, 8) for code in run[1:].split(b"\\")))
    return _SIMPLE.get(sort, sort)


def _hex(digits: bytes) -> bytes:
    return _utf8(binascii.a2b_hex(digits))


def _utf8(data: bytes) -> bytes:
    """As UTF-8 without NUL; what is not UTF-8 is no text of anybody's."""
    if data.isascii() and b"\x00" not in data:
        return data
    return data.decode("utf-8", "replace").replace("\x00", "\x01").encode("utf-8")


def _units(run: bytes) -> bytes:
    """UTF-16, a surrogate pair as two escapes."""
    units = binascii.a2b_hex(run.replace(run[:2], b""))
    text = units.decode("utf-16-be", "replace")
    return text.replace("\x00", "\x01").encode("utf-8")


def _char(code: int) -> bytes | None:
    if not 0 < code < 0x110000:
        return None
    return chr(code).encode("utf-8", "replace")
