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
_TO: Final = "\u2013"
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
            yield page.named([page.name(name.replace("_", " "))], lines)


def _told(page: Page, name: str, value: Any, *, bold: bool) -> Iterator[list[Element]]:
    match name, value:
        case _, {"at_least": int(least), "bucket": str(bucket)}:
            yield _amount(page, least, bucket, bold=bold)
            yield from _rest(page, _but(value, "at_least", "bucket"))
        case "destination", {"internal": bool(), "domain": str()}:
            yield from _destination(page, dict(value), bold=bold)
        case "sql", {"verb": str(), "predicate": str(), "tables": list()}:
            yield from _statement(page, dict(value), bold=bold)
        case "shell", {"program": str(), "flags": list(), "reads": bool()}:
            yield from _command(page, dict(value), bold=bold)
        case "columns", {"total": int(total)}:
            told = page.sentence("said.columns", total, style={"bold": bold})
            yield [*told, *_classes(page, _but(value, "total"))]
        case _:
            yield _plain(page, value, bold=bold)


def _amount(page: Page, least: int, bucket: str, *, bold: bool) -> list[Element]:
    runs = [page.text(bucket.replace("-", _TO), bold=bold)]
    if least:
        runs += [run(Clean(" ")), *page.sentence("said.at_least", least, style={"subtle": True})]
    return runs


def _destination(page: Page, fact: dict[str, Any], *, bold: bool) -> Iterator[list[Element]]:
    internal, domain = fact.pop("internal"), fact.pop("domain")
    domains = fact.pop("domains", None)
    named = [str(each) for each in domains] if isinstance(domains, list) and domains else [domain]
    scheme = fact.pop("scheme", "")
    runs = page.texts(named, bold=bold)
    if scheme:
        runs += [run(Clean(" (")), page.text(str(scheme)), run(Clean(")"))]
    where = "said.inside" if internal else "said.outside"
    color = "Good" if internal else "Attention"
    yield [*runs, run(Clean(" · ")), page.say(where, color=color, bold=True)]
    yield from _rest(page, {name: each for name, each in fact.items() if each not in (0, 1)})


def _statement(page: Page, fact: dict[str, Any], *, bold: bool) -> Iterator[list[Element]]:
    verb, predicate, tables = fact.pop("verb"), fact.pop("predicate"), fact.pop("tables")
    runs = [page.text(verb.upper(), bold=True), run(Clean(" "))]
    yield runs + page.texts(map(str, tables), bold=bold)
    key = f"predicate.{predicate.replace(' ', '_')}"
    which = page.say(key) if page.words.has(key) else page.text(predicate)
    told = page.sentence("said.picked", which=which)
    limit = fact.pop("limit", None)
    if isinstance(limit, int):
        told += [run(Clean(" · ")), *page.sentence("said.limit", limit)]
    yield told
    for name, warning in (("all_columns", "said.all_columns"), ("calls", "said.calls")):
        if fact.pop(name, False):
            yield [page.say(warning, color="Warning", bold=True)]
    if fact.get("statements") == 1:
        del fact["statements"]
    yield from _rest(page, fact)


def _command(page: Page, fact: dict[str, Any], *, bold: bool) -> Iterator[list[Element]]:
    program, flags, reads = fact.pop("program"), fact.pop("flags"), fact.pop("reads")
    programs = fact.pop("programs", None)
    named = programs if isinstance(programs, list) and programs else [program]
    yield page.texts(map(str, named), bold=True)
    if flags:
        yield page.texts(map(str, flags), mono=True, bold=bold)
    yield [page.say("said.reads" if reads else "said.writes")]
    yield from _rest(page, fact)


def _classes(page: Page, classes: Mapping[str, Any]) -> list[Element]:
    runs: list[Element] = []
    for name, count in sorted(classes.items()):
        runs.append(run(Clean(", " if runs else ": ")))
        runs.append(page.text(f"{count} {name.replace('_', ' ')}"))
    return runs


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


def _but(fact: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fact.items() if name not in names}
