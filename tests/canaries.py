"""Values that must never be seen again, and the search for them in whatever is left.

A canary is a valid member of a sensitive type that stands nowhere else in the
world of its test, and knows the one place it was planted at. `Search` looks for
each of them in bytes as it stands and in the codes a program might write it in:
lower case, base64 wherever it begins, hex, and as part of an address.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_MIXED: Final = _LETTERS + _LETTERS.upper() + "0123456789"
_HEAD_BYTES: Final = 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One value, and where it was planted."""

    kind: str
    place: str
    value: str
    text: str
    """The value as it is written where no key says what it is."""
    pieces: tuple[str, ...]
    """What tells it on its own; each of them must not be seen."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Hit:
    """A canary that got out."""

    place: str
    kind: str
    form: str
    found_in: str


class Canaries:
    """Makes them, each once, and remembers all. The same ones in each run."""

    def __init__(self) -> None:
        self._random = random.Random("canaries")
        self.planted: list[Canary] = []
        self._made: set[str] = set()

    def plant(self, kind: str, place: str) -> Canary:
        """A new one of this kind, for this place."""
        value, *pieces = _MAKERS[kind](self._random)
        while value in self._made:
            value, *pieces = _MAKERS[kind](self._random)
        self._made.add(value)
        text = f"password={value}" if kind == "password" else value
        canary = Canary(
            kind=kind, place=place, value=value, text=text, pieces=tuple(pieces) or (value,)
        )
        self.planted.append(canary)
        return canary

    def each(self, place: str) -> Iterator[Canary]:
        """One of each kind that is known by itself in a text."""
        for kind in IN_TEXT:
            yield self.plant(kind, place)

    def text(self, place: str) -> str:
        """One of each kind in a sentence, and the place's own sentinel."""
        planted = ", ".join(canary.text for canary in self.each(place))
        return f"{sentinel(place)}: {planted}"


def sentinel(place: str) -> str:
    """Harmless words that belong to a place, to be seen wherever it is shown."""
    return f"kept beside {place}"


class Search:
    """Finds every form of every canary in one pass over the bytes."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._heads: dict[bytes, list[tuple[bytes, Canary, str]]] = defaultdict(list)
        for canary in canaries:
            for piece in canary.pieces:
                for name, form in forms(piece):
                    assert len(form) >= _HEAD_BYTES, f"too short to be looked for: {piece}"
                    self._heads[form[:_HEAD_BYTES]].append((form, canary, name))

    @property
    def forms(self) -> int:
        """How many byte strings it looks for."""
        return sum(map(len, self._heads.values()))

    def hits(self, found_in: str, data: bytes) -> Iterator[Hit]:
        heads = self._heads
        for at in range(len(data) - _HEAD_BYTES + 1):
            for form, canary, name in heads.get(data[at : at + _HEAD_BYTES], ()):
                if data.startswith(form, at):
                    yield Hit(place=canary.place, kind=canary.kind, form=name, found_in=found_in)


def forms(piece: str) -> Iterator[tuple[str, bytes]]:
    """What to look for, by name."""
    raw = piece.encode()
    yield "raw", raw
    yield "lower case", piece.lower().encode()
    yield "hex", raw.hex().encode()
    yield "hex in capitals", raw.hex().upper().encode()
    yield "URL-encoded", quote(piece, safe="").encode()
    yield "URL-encoded as a form", quote_plus(piece).encode()
    for before in range(3):
        # Only letters all of whose bits are the piece's own.
        data, begin = b"\0" * before + raw, math.ceil(before * 8 / 6)
        for name, code in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            yield f"{name} at {before}", code(data)[begin : len(data) * 8 // 6]


# --- one maker a kind: the value, then its pieces where they are not the whole ---


def _word(of: random.Random, length: int, letters: str = _LETTERS) -> str:
    return "".join(of.choices(letters, k=length))


def _digits(of: random.Random, length: int) -> str:
    return _word(of, length, "0123456789")


def _mail(of: random.Random) -> Iterator[str]:
    local = f"{_word(of, 6)}.{_word(of, 7)}"
    yield f"{local}@{_word(of, 8)}-kunde.de"
    yield local


def _phone(of: random.Random) -> Iterator[str]:
    number = f"{of.randrange(2, 10)}{_digits(of, 6)}"
    yield f"+49 171 {number}"
    yield f"171 {number}"
    yield f"49171{number}"


def _card(of: random.Random) -> Iterator[str]:
    body = f"4{_digits(of, 14)}"
    doubled = (int(digit) * (2 if at % 2 == 0 else 1) for at, digit in enumerate(body))
    digits = f"{body}{-sum(n - 9 if n > 9 else n for n in doubled) % 10}"
    yield " ".join(digits[at : at + 4] for at in range(0, 16, 4))
    yield " ".join(digits[at : at + 4] for at in range(0, 16, 4))
    yield digits


def _iban(of: random.Random) -> Iterator[str]:
    account = f"37040044{_digits(of, 10)}"
    check = 98 - int(f"{account}131400") % 97
    compact = f"DE{check:02}{account}"
    spaced = " ".join(compact[at : at + 4] for at in range(0, len(compact), 4))
    yield spaced
    yield spaced
    yield compact
    yield account


def _ssn(of: random.Random) -> Iterator[str]:
    yield f"{of.randrange(200, 600)}-{of.randrange(11, 99)}-{of.randrange(1111, 9999)}"


def _key(of: random.Random) -> Iterator[str]:
    yield f"sk_live_{_word(of, 24, _MIXED)}"


def _password(of: random.Random) -> Iterator[str]:
    yield f"{_word(of, 5)}{_digits(of, 3)}!{_word(of, 3, _LETTERS.upper())}"


def _jwt(of: random.Random) -> Iterator[str]:
    header = b'{"alg": "HS256", "typ": "JWT"}'
    payload = json.dumps({"sub": _word(of, 9), "iat": 1_790_000_000}).encode()
    parts = [
        base64.urlsafe_b64encode(part).decode().rstrip("=")
        for part in (header, payload, of.randbytes(32))
    ]
    yield ".".join(parts)
    yield from parts[1:]


def _address(of: random.Random) -> Iterator[str]:
    yield f"185.{of.randrange(100, 250)}.{of.randrange(100, 250)}.{of.randrange(100, 250)}"


def _name(of: random.Random) -> Iterator[str]:
    last = f"Kowal{_word(of, 6)}"
    yield f"Maria {last}"
    yield last


_MAKERS: Final[dict[str, Callable[[random.Random], Iterator[str]]]] = {
    "e-mail": _mail,
    "phone": _phone,
    "card": _card,
    "IBAN": _iban,
    "SSN": _ssn,
    "provider secret": _key,
    "password": _password,
    "JWT": _jwt,
    "IP address": _address,
    "name": _name,
}
IN_TEXT: Final = tuple(kind for kind in _MAKERS if kind != "name")
"""Kinds that are known without a key above them."""
