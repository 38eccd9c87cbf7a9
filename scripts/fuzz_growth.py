"""Search for texts that cost the sanitizer more than in proportion to their length.

A text is a beginning, pieces again and again, and an end, in one of the places
where it is read by other rules. It is looked at in two lengths, one four times
the other; what costs much more than four times as much is looked at again, and
longer, before it is told. CPU of the thread is measured, the best of some looks,
so that what else runs does not matter. Called by `fuzz_main`.
"""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

from bench_sanitizer_measure import context
from fuzz_pieces import PIECES, repeated

from countersign.sanitize import Sanitizer

SHORT: Final = 3_500
TIMES: Final = 4
"""The next length is so many times the one before; the longest is below 64 KiB."""
STEEP: Final = 7.0
"""Linear is `TIMES`, square is `TIMES` times that; caches and bounds lie between."""
_NOISE_S: Final = 0.004
SLOW_S: Final = 0.5
"""No text of 64 KiB may cost so much, whatever its growth."""

Place = Callable[[str], dict[str, Any]]
PLACES: Final[dict[str, Place]] = {
    "a text": lambda text: {"note": text},
    "a statement": lambda text: {"sql": f"SELECT {text}"},
    "a statement's list": lambda text: {"sql": f"SELECT a FROM t WHERE b IN ({text})"},  # noqa: S608 - read, never run
    "a command": lambda text: {"command": f"mysql {text}"},
    "a command in a text": lambda text: {"note": f"docker login {text}"},
    "settings": lambda text: {"manifest": f"a: {text}\nb: c"},
    "deeper settings": lambda text: {"manifest": f"kind: Secret\ndata:\n  a: |\n    {text}\nb: c"},
    "a key": lambda text: {text: "value"},
    "a key of money": lambda text: {f"amount_{text}": 5},
    "words": lambda text: {"argv": text.split(" ")},
    "a list": lambda text: {"items": text.split(" ")},
    "keys": lambda text: dict.fromkeys(text.split(" "), "x"),
    "an address": lambda text: {"url": f"https://{text}"},
    "JSON in a string": lambda text: {"body": json.dumps({"in": text})},
    "JSON in JSON": lambda text: {"body": json.dumps({"in": json.dumps([text, {text: 1}])})},
    "names and values": lambda text: {
        "env": [{"name": word, "value": word} for word in text.split(" ")]
    },
    "roles": lambda text: {"roles": text.split(" ")},
    "statements": lambda text: {"sql": text.split(";")},
    "addresses": lambda text: {"url": text.split(" ")},
    "amounts": lambda text: {"amount": text.split(" ")},
    "rows": lambda text: {"columns": ["email", "note"], "rows": [text.split(" ")]},
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A text of any length."""

    place: str
    begins: str
    pieces: str
    ends: str

    def text(self, size: int) -> str:
        """The text, in about so many bytes."""
        count = max(1, size // len(self.pieces.encode("utf-8")))
        return self.begins + repeated(self.pieces, count) + self.ends

    def arguments(self, size: int) -> dict[str, Any]:
        """What holds the text, in about so many bytes of JSON: a word may need more than itself."""
        made = PLACES[self.place](self.text(size))
        took = len(json.dumps(made, ensure_ascii=False).encode("utf-8", "replace"))
        return made if took <= 2 * size else PLACES[self.place](self.text(size * size // took))

    def __str__(self) -> str:
        parts = (self.begins, self.pieces, self.ends)
        return f"{self.place}: {parts[0]!r} + {parts[1]!r} * n + {parts[2]!r}"


@dataclasses.dataclass(slots=True, kw_only=True)
class Seen:
    """What the search came to."""

    tried: int = 0
    worst_ratio: float = 0.0
    worst_shape: Shape | None = None
    slowest_s: float = 0.0
    slowest_shape: Shape | None = None
    found: dict[Shape, str] = dataclasses.field(default_factory=dict)


def search(seconds: float, seed: int) -> Seen:
    """Try shapes for so long."""
    rng = random.Random(seed)  # noqa: S311 - shapes, no secrets
    asked = Asked()
    seen = Seen()
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        seen.tried += 1
        look(asked, _shape(rng), seen)
    return seen


def _shape(rng: random.Random) -> Shape:
    def some(most: int, least: int = 0) -> str:
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(least, most)))

    return Shape(
        place=rng.choice(list(PLACES)),
        begins=some(2).replace("{n}", "1"),
        pieces=some(3, 1),
        ends=some(2).replace("{n}", "1"),
    )


class Asked:
    """One sanitizer, whose CPU is measured."""

    def __init__(self) -> None:
        self._sanitizer = Sanitizer()

    def seconds(self, shape: Shape, size: int, looks: int = 1) -> float:
        """The least that a look at a shape of this size costs."""
        return min(self._once(shape, size) for _ in range(looks))

    def _once(self, shape: Shape, size: int) -> float:
        text = shape.text(size)
        raw = context(shape.arguments(size), reason=text[:400])
        begun = time.thread_time()
        found = self._sanitizer.detect(raw, known=lambda _: False)
        self._sanitizer.preview(
            raw, found, profile="reviewer", policy_mask=(), must_show=(), tag_key=bytes(32)
        )
        if shape.place == "a text":
            self._sanitizer.text(text)
            self._sanitizer.pointer(f"/{text.replace('/', '~1')}")  # steps are few: 32 deep
        return time.thread_time() - begun


def look(asked: Asked, shape: Shape, seen: Seen) -> None:
    """Note how one shape grows; what looks steep is measured again and longer."""
    short, medium = asked.seconds(shape, SHORT), asked.seconds(shape, SHORT * TIMES)
    if medium > _NOISE_S and medium > STEEP * short:
        short = asked.seconds(shape, SHORT, looks=3)
        medium = asked.seconds(shape, SHORT * TIMES, looks=2)
    ratio = medium / max(short, _NOISE_S / TIMES)
    if ratio > seen.worst_ratio:
        seen.worst_ratio, seen.worst_shape = ratio, shape
    if medium <= _NOISE_S or (ratio <= STEEP and medium * TIMES <= SLOW_S / 2):
        return
    long = asked.seconds(shape, SHORT * TIMES * TIMES, looks=2)
    if long > seen.slowest_s:
        seen.slowest_s, seen.slowest_shape = long, shape
    # A bound that is met later than others makes one step steep, not two.
    if (ratio > STEEP and long / medium > STEEP) or long > SLOW_S:
        took = " ms, ".join(f"{each * 1000:.1f}" for each in (short, medium, long))
        seen.found[shape] = f"{took} ms"
