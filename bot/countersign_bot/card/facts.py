"""What was computed from the raw request, in words. Pure.

The facts that the service is known to compute have sentences; any other, or one
of another shape, is told by its names and values, so that none is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from countersign_bot.card.page import Page, line, run
from countersign_bot.card.text import Clean
from countersign_bot.card.view import Element

_ORDER: Final = ("destination", "rows", "amount", "bytes", "columns", "sql", "shell", "grants")
_QUIET: Final = frozenset({("columns_unread", 0)})
_MAX_DEPTH: Final = 6


def rows(page: Page, facts: Mapping[str, Any], demanded: Any) -> Iterator[Element]:
    """A row a fact. `demanded` says by name whether policy wants it seen."""
    known = [name for name in _ORDER if name in facts]
    for name in [*known, *sorted(facts.keys() - set(_ORDER))]:
        value = facts[name]
        if isinstance(value, int) and (name, value) in _QUIET:
            continue
        bold = bool(demanded(name))
        lines = [line(*runs) for runs in _told(page, name, value, bold=bold)]
        if page.words.has(f"fact.{name}"):
            yield page.row(f"fact.{name}", *lines, demanded=bold)
        else:
            yield page.named([page.text(name.replace("_", " "), subtle=True)], lines)


def _told(page: Page, name: str, value: Any, *, bold: bool) -> Iterator[list[Element]]:
    match name, value:
        case _, {"at_least": int(least), "bucket": str(bucket), **more}:
            yield _amount(page, least, bucket, bold=bold)
            yield from _rest(page, more)
        case "destination", {"internal": bool(internal), "domain": str(domain), **more}:
            yield from _destination(page, internal, domain, more, bold=bold)
        case "sql", {"verb": str(verb), "predicate": str(predicate), "tables": list(tables), **more}:
            yield from _statement(page, verb, predicate, tables, more, bold=bold)
        case "shell", {"program": str(program), "flags": list(flags), "reads": bool(reads), **more}:
            yield from _command(page, program, flags, more, reads=reads, bold=bold)
        case "columns", {"total": int(total), **classes}:
            yield page.sentence("said.columns", total, style={"bold": bold})
            yield from _rest(page, classes)
        case _:
            yield _plain(page, value, bold=bold)


def _amount(page: Page, least: int, bucket: str, *, bold: bool) -> list[Element]:
    runs = [page.text(bucket.replace("-", "–"), bold=bold)]
    if least:
        runs += [run(Clean(" ")), *page.sentence("said.at_least", least, style={"subtle": True})]
    return runs


def _destination(
    page: Page, internal: bool, domain: str, more: dict[str, Any], *, bold: bool
) -> Iterator[list[Element]]:
    domains = more.pop("domains", None)
    named = [str(each) for each in domains] if isinstance(domains, list) and domains else [domain]
    where = "said.inside" if internal else "said.outside"
    color = "Good" if internal else "Attention"
    scheme = more.pop("scheme", "")
    runs = page.texts(named, bold=bold)
    if scheme:
        runs += [run(Clean(" (")), page.text(str(scheme)), run(Clean(")"))]
    yield [*runs, run(Clean(" · ")), page.say(where, color=color, bold=True)]
    yield from _rest(page, {name: each for name, each in more.items() if each not in (0, 1)})


def _statement(
    page: Page,
    verb: str,
    predicate: str,
    tables: list[Any],
    more: dict[str, Any],
    *,
    bold: bool,
) -> Iterator[list[Element]]:
    runs = [page.text(verb.upper(), bold=True), run(Clean(" "))]
    yield runs + page.texts(map(str, tables), bold=bold)
    known = page.words.has(f"predicate.{_key(predicate)}")
    which = page.say(f"predicate.{_key(predicate)}") if known else page.text(predicate)
    told = page.sentence("said.picked", which=which)
    limit = more.pop("limit", None)
    if isinstance(limit, int):
        told += [run(Clean(" · ")), *page.sentence("said.limit", limit)]
    yield told
    for name, key in (("all_columns", "said.all_columns"), ("calls", "said.calls")):
        if more.pop(name, False):
            yield [page.say(key, color="Warning", bold=True)]
    if more.get("statements") == 1:
        del more["statements"]
    yield from _rest(page, more)


def _command(
    page: Page,
    program: str,
    flags: list[Any],
    more: dict[str, Any],
    *,
    reads: bool,
    bold: bool,
) -> Iterator[list[Element]]:
    programs = more.pop("programs", [program])
    yield page.texts(map(str, programs if isinstance(programs, list) else [program]), bold=True)
    if flags:
        yield page.texts(map(str, flags), mono=True, bold=bold)
    yield [page.say("said.reads" if reads else "said.writes")]
    yield from _rest(page, more)


def _rest(page: Page, more: Mapping[str, Any]) -> Iterator[list[Element]]:
    for name, value in sorted(more.items()):
        yield [page.text(f"{name.replace('_', ' ')}: ", subtle=True), *_plain(page, value)]


def _plain(page: Page, value: Any, *, bold: bool = False, depth: int = 0) -> list[Element]:
    """Any value in one line of words."""
    if isinstance(value, bool):
        return [page.say("said.yes" if value else "said.no", bold=bold)]
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        runs: list[Element] = []
        for name, item in sorted(value.items()):
            between = ", " if runs else ""
            runs.append(page.text(f"{between}{name.replace('_', ' ')} ", subtle=True))
            runs += _plain(page, item, bold=bold, depth=depth + 1)
        return runs or [page.say("said.nothing")]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return page.texts(value, bold=bold) if value else [page.say("said.nothing")]
    return [page.text(str(value), bold=bold)]


def _key(words: str) -> str:
    return words.replace(" ", "_")
