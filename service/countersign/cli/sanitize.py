"""`countersign sanitize`: what the service would show, on this machine and without it.

Nothing is sent anywhere. Tags are made for one run and match no card or record.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final, TypeAlias

import typer

from countersign.canonical import StrictJsonError, parse_value
from countersign.cli.operator import ConfigOption
from countersign.config import Config, config_path, load
from countersign.errors import InvalidRequestError
from countersign.model import JsonObject, JsonValue
from countersign.recognizers import Pool
from countersign.sanitize import Sanitizer
from countersign.sanitize.recognized import Recognized

app = typer.Typer()

MAX_BYTES: Final = 1 << 20
"""Of one value or text."""


@app.command()
def sanitize(
    file: Annotated[
        Path | None, typer.Argument(help="One JSON value, such as a context; default: stdin.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="It is plain text.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One JSON value a line; one result a line.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which rule hit where, never what.")
    ] = False,
    config: ConfigOption = None,
) -> int:
    """Mask personal data and secrets; print what is left and a report as JSON."""
    if text and jsonl:
        raise InvalidRequestError("--text, --jsonl", "give one of them")
    with asyncio.Runner() as loop, contextlib.ExitStack() as stack:
        run = _Run(*_sanitizer(config, loop, stack), explain=explain)
        if file is None:
            return run.of(sys.stdin.buffer, text=text, jsonl=jsonl)
        return run.of(stack.enter_context(file.open("rb")), text=text, jsonl=jsonl)


Ask: TypeAlias = Callable[[list[str]], Recognized | None]
"""Asks the recognizers beside the rules, if there are any."""


def _sanitizer(
    config: Path | None, loop: asyncio.Runner, stack: contextlib.ExitStack
) -> tuple[Sanitizer, Ask]:
    """As the settings have it, where there are settings."""
    path = config_path(config)
    settings = load(path) if config or path.exists() else Config()
    section, beside = settings.sanitizer, settings.recognizers()
    pool: Pool | None = None
    if beside:
        pool = loop.run(Pool.start(beside))
        stack.callback(lambda: loop.run(pool.stop()))
    sanitizer = Sanitizer(
        internal_domains=section.internal_domains,
        max_preview_bytes=section.max_preview_bytes,
        custom=settings.custom_rules(),
        recognizers=pool.recognizers if pool else None,
    )
    return sanitizer, lambda texts: loop.run(pool.recognize(texts)) if pool else None


class _Run:
    """One run, with tags of its own."""

    def __init__(self, sanitizer: Sanitizer, ask: Ask, *, explain: bool) -> None:
        self._sanitizer = sanitizer
        self._ask = ask
        self._explain = explain
        self._tag_key = secrets.token_bytes(32)

    def of(self, source: BinaryIO, *, text: bool, jsonl: bool) -> int:
        if jsonl:
            return self._lines(source)
        data = source.read(MAX_BYTES + 1)
        value: JsonValue = _text(data) if text else self._json(data, "the input")
        print(json.dumps(self._result(value), indent=2, ensure_ascii=False))
        return 0

    def _lines(self, source: BinaryIO) -> int:
        """Each line by itself; one that cannot be read does not end the run."""
        code = 0
        for number, line in _numbered(source):
            try:
                result = self._result(self._json(line, f"line {number}"))
            except InvalidRequestError as error:
                result, code = {"error": error.message, "line": number}, 1
            print(json.dumps(result, ensure_ascii=False), flush=True)
        return code

    def _json(self, data: bytes, what: str) -> JsonValue:
        _bound(data, what)
        try:
            return parse_value(data)
        except StrictJsonError as error:
            where = self._sanitizer.pointer(error.pointer) or "it"
            raise InvalidRequestError(
                what, f"is not strict JSON: {where} {error.problem}"
            ) from None

    def _result(self, value: JsonValue) -> JsonObject:
        found = self._ask(self._sanitizer.asks_of(value))
        scrubbed = self._sanitizer.scrub(value, tag_key=self._tag_key, recognized=found)
        result: JsonObject = {
            "clean": scrubbed.value,
            "report": scrubbed.report,
            "complete": scrubbed.complete,
        }
        if self._explain:
            result["finds"] = [
                dataclasses.asdict(find) for find in self._sanitizer.finds(value, found)
            ]
        return result


def _numbered(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank; of one that is too long only as much as shows that."""
    number = 0
    while line := source.readline(MAX_BYTES + 2):
        number += 1
        rest = line
        while rest and not rest.endswith(b"\n") and len(line) > MAX_BYTES:
            rest = source.readline(MAX_BYTES)  # dropped: never kept, never parsed
        if line.strip():
            yield number, line


def _text(data: bytes) -> str:
    _bound(data, "the input")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequestError("the input", "is not UTF-8") from None


def _bound(data: bytes, what: str) -> None:
    if len(data) > MAX_BYTES:
        raise InvalidRequestError(what, f"is over {MAX_BYTES} bytes")
