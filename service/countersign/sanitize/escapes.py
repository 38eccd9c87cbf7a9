"""Characters written as something else: percent, backslash, HTML, quoted-printable.

Each function looks through many texts joined by NUL and yields what is read in
the place of what. Time is linear, and nothing grows: no escape is shorter than
the character it stands for. Pure; used by `views` only.
"""

from __future__ import annotations

import binascii
import html.entities
from collections.abc import Callable, Iterator
from typing import Final

import re2

from countersign.sanitize.bounds import Allowance
from countersign.sanitize.offsets import Edit

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
ESCAPED: Final = (
    r"((?:%[0-9A-Fa-f]{2})+)"
    r"|((?:\\x[0-9A-Fa-f]{2})+)"
    r"|((?:[\\%]u[0-9A-Fa-f]{4})+)"
    r"|\\(?:u\{([0-9A-Fa-f]{1,6})\}|U([0-9A-Fa-f]{8}))"
    r"|((?:\\[0-3][0-7]{2})+)"
    r"|\\([nrt\"'/\\])"
    r"|&#(?:[xX]([0-9A-Fa-f]{1,6})|([0-9]{1,7}));?"
    r"|&([A-Za-z][A-Za-z0-9]{1,31};)"
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
    r"""`%40`, `\x40`, `@`, `\u{40}`, `\100`, `&#64;`, `&#x40;`, `&commat;`."""
    for match in _ESCAPED.finditer(data):
        allowance.spend()
        read = _READERS[match.lastindex](match.group(match.lastindex))
        if read is not None:
            yield Edit(match.start(), match.end(), read)


def quoted(data: bytes, allowance: Allowance) -> Iterator[Edit]:
    """Quoted-printable (RFC 2045) of ASCII, and its soft line breaks."""
    for match in _QUOTED.finditer(data):
        allowance.spend()
        run = match.group()
        read = b"" if run.isspace() or run[1:2].isspace() else _hex(run.replace(b"=", b""))
        yield Edit(match.start(), match.end(), read)


def _hex(digits: bytes) -> bytes:
    return _utf8(binascii.a2b_hex(digits))


def _utf8(data: bytes) -> bytes:
    """As UTF-8 without NUL; what is not UTF-8 is no text of anybody's."""
    if data.isascii() and b"\x00" not in data:
        return data
    return data.decode("utf-8", "replace").replace("\x00", "\x01").encode("utf-8")


def _percent(run: bytes) -> bytes:
    return _hex(run.replace(b"%", b""))


def _bytes(run: bytes) -> bytes:
    return _hex(run.replace(b"\\x", b""))


def _units(run: bytes) -> bytes:
    units = binascii.a2b_hex(run.replace(b"\\u", b"").replace(b"%u", b""))
    text = units.decode("utf-16-be", "replace")
    return text.replace("\x00", "\x01").encode("utf-8")


def _code(digits: bytes) -> bytes | None:
    return _char(int(digits, 16))


def _decimal(digits: bytes) -> bytes | None:
    return _char(int(digits))


def _char(code: int) -> bytes | None:
    if not 0 < code < 0x110000:
        return None
    return chr(code).encode("utf-8", "replace")


def _octal(run: bytes) -> bytes:
    return _utf8(bytes(int(code, 8) for code in run[1:].split(b"\\")))


def _simple(char: bytes) -> bytes:
    return _SIMPLE.get(char, char)


_READERS: Final[dict[int, Callable[[bytes], bytes | None]]] = {
    1: _percent,
    2: _bytes,
    3: _units,
    4: _code,
    5: _code,
    6: _octal,
    7: _simple,
    8: _code,
    9: _decimal,
    10: _ENTITIES.get,
}
