"""What fuzzing makes of bytes: text of the pieces that rules and lexers look for, and JSON.

Bytes that mean nothing reach few branches; so a piece is what opens, closes or
announces something: quotes, brackets, comments, escapes, encodings, names of
secrets. Used by all of `fuzz_main`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, TypeVar

T = TypeVar("T")

PIECES: Final = (
    *r"""a A z 0 7 _ - . , : ; = + * / \ | & # ! ? $ % @ ~ ^ < > ( ) [ ] { } ' " `
    a. .a a= =a a: -- --a= --password= -p -u: /* */ /*! $$ $a$ q'[ ]' ''' <<E <<<
    ${A} $( `a` && || 2>&1 E'\' N' \' \" \\ \n \u0040 \u{40} \x40 \100 %40 %25 %2541 %u0040
    &#64; &#x40; &amp; &amp;amp; =41 aGVsbG8gdGhlcmU= YUBiLmNvbQ== 4111 4111-1111- 123-45-6789
    +49 (555) 555-0100 0171 10.0.0.1 ::1 2001:db8: fe80:: a@b.co @b.co user:pw@ https:// //u:p@h/
    DE89 3704 0044 AKIA ghp_ xoxb- sk_live_ eyJhbGciOiJ. -----BEGIN -----END PRIVATE KEY-----
    password= password: token=' "token": Authorization: Bearer Basic passwd API_KEY= select
    FROM where and or between insert into values union as with t1 id 'x', 0x41 1e9 6a616e65
    mysql psql docker login curl echo base64 sudo env vault kv export git commit sha256: Ada Kim
    van der McDonald O'Neil Jean-Luc customer called Grace born on street phone call name: email:
    ORSXG5A= value: data: half kind: Secret >- &x *x !t --- [a] {"a": "b", null true 1.5 -1 NaN
    """.split(),
    *(" ", "\n", "\t", "\r\n", "  ", "\n  ", "\n- ", ": ", " #", " = ", '"""', "=\r\n"),
    *("\u00e9", "\u0301", "\u200b", "\uff21", "\ufdfa", "\u202e", "\U000e0041", "\u0430", "\u4e2d"),
    *("\x00", "\x1b", "\u2028", "SELECT ", "mysql ", "docker ", "k3j9x0q2m4v8b7n1z5c6"),
    *("{n}", "a{n}", "-x{n}", "{n}@b.co"),
)
"""`{n}` stands for a number that is another each time."""
KEYS: Final = tuple(
    """a name email password value columns rows sql command url query headers token amount roles
    first_name patientName env argv body note phone iban key Statement manifest""".split()
)


def repeated(pieces: str, count: int) -> str:
    """The pieces so many times over, each time with another number."""
    if "{n}" not in pieces:
        return pieces * count
    return "".join(pieces.replace("{n}", str(number)) for number in range(count))


class Draw:
    """Reads what a fuzzer made as choices; at the end everything is the first choice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """The next byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def number(self) -> int:
        """Four bytes."""
        return int.from_bytes(bytes(self.byte() for _ in range(4)), "big")

    def pick(self, of: Sequence[T]) -> T:
        """One of these."""
        return of[self.byte() % len(of)]

    def rest(self) -> bytes:
        """All that is left."""
        left = self._data[self._at :]
        self._at = len(self._data)
        return left

    def text(self, most: int = 60) -> str:
        """Some pieces."""
        return "".join(self.pick(PIECES) for _ in range(self.byte() % (most + 1)))

    def long_text(self) -> str:
        """All that is left: each byte a piece, or as it stands."""
        as_it_is = self.byte() % 4 == 3
        left = self.rest()
        if as_it_is:
            return left.decode("utf-8", "replace")
        return "".join(PIECES[byte % len(PIECES)] for byte in left)

    def json(self, keys: Sequence[str] = KEYS, depth: int = 4) -> Any:
        """Any JSON value; keys are of these or text."""
        sort = self.byte() % (10 if depth else 6)
        if sort < 2:
            return self.text(20)
        if sort < 6:
            return (None, True, self.number() - 2**31, self.number() / 64, "")[self.byte() % 5]
        if sort == 9:  # in a string; only there half a character may stand
            return json.dumps(self.json(keys, depth - 1)).replace("half", r"\ud83d")
        if sort == 6:
            return [self.json(keys, depth - 1) for _ in range(self.byte() % 6)]
        return self.object(keys, depth)

    def object(self, keys: Sequence[str] = KEYS, depth: int = 4) -> dict[str, Any]:
        """A JSON object."""
        return {
            self.pick(keys) if self.byte() % 4 else self.text(4): self.json(keys, depth - 1)
            for _ in range(self.byte() % 7)
        }
