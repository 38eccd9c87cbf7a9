"""What the sanitizer costs: an ordinary context, hostile ones, a large one, a cold start.

CPU of the thread, not wall time; hostile inputs are the worst of a list that
holds one for each way known of making a scanner slow. Used by
`bench_sanitizer_main`.
"""

from __future__ import annotations

import base64
import dataclasses
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import bench_contexts
from bench_sanitizer_measure import context

from countersign.edge.decode import Decoder
from countersign.model import ActionContext
from countersign.sanitize import Sanitizer

KIB: Final = 1024
_START: Final = """
import time; begun = time.perf_counter()
from countersign.sanitize import Sanitizer
Sanitizer().text("a call to +49 30 1234567")
print(time.perf_counter() - begun)
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Everything in milliseconds of CPU, the start in wall time."""

    document_bytes: int
    p50_ms: float
    p95_ms: float
    best_ms: float
    record_p50_ms: float
    hostile_ms: dict[str, float]
    """The best of a few looks at 64 KiB of each kind."""
    megabyte_ms: float
    start_ms: float


def speed(*, rounds: int, looks: int) -> Speed:
    """Measure; `rounds` of the ordinary context, `looks` at each large one."""
    sanitizer = Sanitizer()
    message = bench_contexts.document()
    decoder = Decoder(max_context_bytes=65_536, mask_pointer=sanitizer.pointer)
    ordinary = decoder.context(message)
    took, recorded = _many(sanitizer, ordinary, rounds)
    hostile = {
        name: min(_once(sanitizer, context(arguments)) for _ in range(looks))
        for name, arguments in hostile_contexts(64 * KIB)
    }
    large = context(dict(_rows(KIB * KIB)))
    return Speed(
        document_bytes=message.ByteSize(),
        p50_ms=took[len(took) // 2],
        p95_ms=took[len(took) * 95 // 100],
        best_ms=took[0],
        record_p50_ms=recorded[len(recorded) // 2],
        hostile_ms=hostile,
        megabyte_ms=min(_once(sanitizer, large) for _ in range(looks)),
        start_ms=min(_start() for _ in range(looks)),
    )


def _many(sanitizer: Sanitizer, raw: ActionContext, rounds: int) -> tuple[list[float], list[float]]:
    took, recorded = [], []
    _once(sanitizer, raw)
    gc.collect()
    for _ in range(rounds):
        begun = time.thread_time()
        found = sanitizer.detect(raw, known=_nobody)
        looked = time.thread_time()
        _preview(sanitizer, raw, found)
        shown = time.thread_time()
        sanitizer.clean(raw, found, policy_mask=(), tag_key=bytes(32))
        took.append((shown - begun) * 1000)
        recorded.append((looked - begun + time.thread_time() - shown) * 1000)
    return sorted(took), sorted(recorded)


def _once(sanitizer: Sanitizer, raw: ActionContext) -> float:
    begun = time.thread_time()
    _preview(sanitizer, raw, sanitizer.detect(raw, known=_nobody))
    return (time.thread_time() - begun) * 1000


def _preview(sanitizer: Sanitizer, raw: ActionContext, found: Any) -> None:
    sanitizer.preview(
        raw, found, profile="reviewer", policy_mask=(), must_show=("/resource",), tag_key=bytes(32)
    )


def _nobody(_: str) -> bool:
    return False


def _start() -> float:
    command = [sys.executable, "-c", _START]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return float(done.stdout) * 1000


def hostile_contexts(size: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """One of about that many bytes for each way of making a scanner slow."""

    def text(piece: str) -> dict[str, Any]:
        return {"note": piece * (size // len(piece.encode()))}

    yield "dots before an address", text("a.a.a.a.") | {"tail": "@example.com"}
    yield "many addresses", text("jane@example.com ")
    yield "at signs", text("@")
    yield "digits", text("4")
    yield "digits in groups", text("4111 ")
    yield "card numbers", text("4111111111111111 ")
    yield "plus signs and digits", text("+1")
    yield "IBAN beginnings", text("DE89 ")
    yield "colons as in an address", text("2001:db8:")
    yield "assignments", text("password=x ")
    yield "quotes after an assignment", text("token='")
    yield "private key beginnings", text("-----BEGIN PRIVATE KEY-----")
    yield "web token beginnings", text("eyJhbGciOiJ.")
    yield "base64", {"note": base64.b64encode(b"user@example.com; " * (size // 24)).decode()}
    yield "base64 in short runs", text("amFuZUBleGFtcGxlLmNvbQ== ")
    yield "hex", text("6a616e65406578616d706c652e636f6d")
    yield "percent signs", text("%2541")
    yield "entities", text("&#106;")
    yield "escapes", text("\\u0040")
    yield "full-width", text("\uff21\uff20")
    yield "zero-width", text("4\u200b1")
    yield "compatibility forms that grow", text("\ufdfa")
    yield "capitalised words", text("Ada Kim ")
    yield "SQL, literals", {"sql": "SELECT 1 WHERE a IN (" + "'x'," * (size // 4) + "'y')"}
    yield "SQL, brackets", {"sql": "SELECT " + "(" * (size - 16)}
    yield "SQL, comments", {"sql": "SELECT 1 " + "/* */ -- \n" * (size // 10)}
    yield "shell, quotes", {"command": "echo " + "'\"" * (size // 2)}
    yield "shell, pipes", {"command": "ls |" * (size // 4)}
    yield "JSON in JSON", {"body": _nested(size)}
    yield "many keys", {f"k{number}": "v" for number in range(size // 14)}
    yield "keys with data", {f"u{number}@example.com": 1 for number in range(size // 26)}
    yield "deep", _deep(size)
    yield "many numbers", {"n": [4111111111111111 + number for number in range(size // 17)]}
    yield "URLs with credentials", text("https://u:p@h.test/ ")
    yield "destinations", {"url": [f"https://h{n}.example/" for n in range(size // 25)]}


def _nested(size: int) -> str:
    text = json.dumps({"mail": "jane@example.com"})
    while len(text) * 2 < size:
        text = json.dumps({"in": text})
    return text


def _deep(size: int) -> dict[str, Any]:
    value: dict[str, Any] = {"text": "x" * (size - 300)}
    for _ in range(28):
        value = {"a": value}
    return value


def _rows(size: int) -> Iterator[tuple[str, Any]]:
    """Rows of 4 KiB, as an export might carry them."""
    for number in range(size // (4 * KIB)):
        line = f"Retry {number} piles up after a time-out; the limit is what it was. "
        note = line * (4 * KIB // len(line))
        yield f"row_{number}", {"id": number, "mail": f"p{number}@example.com", "note": note}
