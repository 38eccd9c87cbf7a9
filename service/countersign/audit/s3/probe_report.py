"""A run of the kit as text, Markdown or JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from countersign.audit.s3.probe import Guarantee, Leftover, Report, Result, Verdict
from countersign.audit.s3.probe_judge import exit_code, moment, summary

_ENDINGS = {
    0: "Everything that Countersign relies on is held.",
    1: "NOT a store for Countersign: something it relies on is broken.",
    2: "Not everything that Countersign relies on could be judged.",
}


def text(report: Report) -> str:
    """For people: every probe, then what the store gives."""
    return "\n".join((*_probes(report), "", *_gives(report), "", ending(report), *_left(report)))


def ending(report: Report) -> str:
    """The outcome in a sentence."""
    said = _ENDINGS[exit_code(summary(report.results))]
    if report.mode == "GOVERNANCE":
        return f"{said} This was a rehearsal in GOVERNANCE: COMPLIANCE was not tried."
    return said


def _probes(report: Report) -> Iterator[str]:
    yield f"{report.target} (server: {report.server}, {report.date}, {report.mode})"
    for result in report.results:
        yield f"{result.verdict.value:<15} {result.name}: {result.why}"


def _gives(report: Report) -> Iterator[str]:
    for guarantee, verdict in summary(report.results).items():
        need = "relied on" if guarantee.relied_on else "good to have"
        yield f"{verdict.value:<15} {guarantee.value} ({need})"


def _left(report: Report) -> Iterator[str]:
    if report.leftovers:
        yield f"{len(report.leftovers)} scratch version(s) stay until {_until(report.leftovers)}:"
        yield from (f"  {left.key} {left.version}" for left in report.leftovers)


def _until(leftovers: Sequence[Leftover]) -> str:
    last = max(left.until for left in leftovers)
    return moment(last) if last else "somebody removes them"


def markdown(report: Report) -> str:
    """A table of the guarantees, and under it each probe that was not held."""
    lines = [f"**{report.server}**, {report.date}, {report.mode}: {ending(report)}", ""]
    lines += ["| Guarantee | | Probes | Verdict |", "|---|---|---|---|"]
    for guarantee, verdict in summary(report.results).items():
        lines.append(
            f"| {guarantee.value} | {'relied on' if guarantee.relied_on else ''} "
            f"| {_counts(report.results, guarantee)} | {_strong(verdict)} |"
        )
    failed = [each for each in report.results if each.verdict is not Verdict.HELD]
    lines += [""] if failed else []
    lines += [f"- {each.verdict.value}: `{each.name}`: {_cell(each.why)}" for each in failed]
    return "\n".join(lines)


def _counts(results: Sequence[Result], guarantee: Guarantee) -> str:
    counts = Counter(each.verdict for each in results if each.guarantee is guarantee)
    return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])


def _strong(verdict: Verdict) -> str:
    return f"**{verdict.value}**" if verdict is Verdict.BROKEN else verdict.value


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def plain(report: Report) -> dict[str, Any]:
    """For scripts."""
    verdicts = summary(report.results)
    return {
        "target": report.target,
        "server": report.server,
        "date": report.date,
        "mode": report.mode,
        "exit_code": exit_code(verdicts),
        "guarantees": [
            {
                "name": guarantee.name.lower(),
                "means": guarantee.value,
                "relied_on": guarantee.relied_on,
                "verdict": verdict.value,
            }
            for guarantee, verdict in verdicts.items()
        ],
        "powers": {
            power.name.lower(): {"verdict": judged.verdict.value, "why": judged.why}
            for power, judged in report.powers.items()
        },
        "probes": [
            {
                "name": each.name,
                "tries": each.tries,
                "guarantee": each.guarantee.name.lower(),
                "verdict": each.verdict.value,
                "why": each.why,
            }
            for each in report.results
        ],
        "leftovers": [
            {"key": each.key, "version": each.version, "until": moment(each.until)}
            for each in report.leftovers
        ],
    }
