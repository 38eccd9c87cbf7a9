"""Which control asks for what, and what an evidence pack holds for it.

Pure. SOC 2 trust services criteria, and NIST SP 800-53 as FedRAMP asks for it. A
row says what bears on a control and what it does not show. Nobody is certified
by a table; whoever assesses decides whether it is enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

from countersign.audit.evidence import Evidence
from countersign.audit.result import Result
from countersign.audit.verdict import verdict
from countersign.errors import ConfigurationError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One control, or a few that ask for the same."""

    id: str
    asks: str
    figure: Callable[[Evidence, Result], str]
    """What was found, in a sentence."""
    files: str
    leaves: str = ""
    """What it leaves open."""


def _events(evidence: Evidence, _result: Result) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(evidence.kinds.items()))
    return f"{evidence.records} records by kind: {kinds or 'none'}"


def _whole(_evidence: Evidence, result: Result) -> str:
    locks = f"; locks: {result.locks.words()}" if result.locks else ""
    found = f"{result.size} records, {len(result.findings)} finding(s)"
    return f"{verdict(result).value}: {found}{locks}"


def _population(evidence: Evidence, result: Result) -> str:
    gaps = "without gaps" if evidence.gapless else "WITH GAPS"
    return (
        f"tree size {result.size}; the period has {evidence.records} records {gaps}; a sample of "
        f"{len(evidence.sample)} of {evidence.acts} acts"
    )


def _approvals(evidence: Evidence, _result: Result) -> str:
    votes = sum(evidence.assurances.values())
    how = ", ".join(f"{name} {count}" for name, count in sorted(evidence.assurances.items()))
    return f"{votes} votes ({how or 'none'}), each bound to a commitment and a preview hash"


def _refusals(evidence: Evidence, _result: Result) -> str:
    return (
        f"{evidence.refused.count} refused votes and changes, "
        f"{sum(evidence.unauthenticated.values())} unauthenticated calls, "
        f"{sum(evidence.refused_calls.values())} refused calls"
    )


def _changes(evidence: Evidence, _result: Result) -> str:
    named = [kind for kind in sorted(evidence.kinds) if kind.endswith(".changed")]
    counts = ", ".join(f"{kind} {evidence.kinds[kind]}" for kind in named) or "none"
    return f"{counts}; decisions under {len(evidence.revisions)} policy revision(s)"


def _exceptions(evidence: Evidence, _result: Result) -> str:
    found = len(evidence.reconciliation.found)
    return f"emergencies {evidence.kinds['break_glass']}; exceptions in claims, outcomes {found}"


def _silence(evidence: Evidence, _result: Result) -> str:
    return (
        f"{evidence.kinds['heartbeat']} heartbeats; the longest silence was "
        f"{evidence.longest_silence_s} s"
    )


def _span(evidence: Evidence, result: Result) -> str:
    first, last = ((row or {}).get("time") or "nothing" for row in (evidence.first, evidence.last))
    return f"{result.size} records; those of the period from {first} to {last}"


def _times(_evidence: Evidence, result: Result) -> str:
    return f"UTC in microseconds, never back; {len(result.witnesses)} witness(es) cosigned"


_NO_LOCKS: Final = "the bucket's own settings; its locks, where a copy was read"
_CLOCK: Final = "the service's own clock; only witnesses bracket it"

CONTROLS: Final[dict[str, tuple[Control, ...]]] = {
    "soc2": (
        Control(
            id="CC2.1, CC4.1, PI1",
            asks="information used in controls is complete and accurate",
            figure=_population,
            files="verification.json, population.json, sample/",
            leaves="actions that were never asked about",
        ),
        Control(
            id="CC6.1, CC6.3",
            asks="access is authorized, and duties are separated",
            figure=_approvals,
            files="report.html, sample/",
            leaves="whether policy asks the right people",
        ),
        Control(
            id="CC7.2, CC7.3",
            asks="anomalies are noticed and evaluated",
            figure=_exceptions,
            files="refused.jsonl, emergencies.jsonl, reconciliation.json",
        ),
        Control(
            id="CC8.1",
            asks="changes are authorized and recorded",
            figure=_changes,
            files="changes.jsonl",
            leaves="who reviewed the policy in its repository",
        ),
    ),
    "fedramp": (
        Control(
            id="AU-2, AU-12",
            asks="the events that matter are logged",
            figure=_events,
            files="population.json",
            leaves="actions that were never asked about",
        ),
        Control(
            id="AU-3, AU-3(1)",
            asks="a record says who did what, when, where, and how it ended",
            figure=_approvals,
            files="sample/; docs/auditing.md tells each field",
        ),
        Control(
            id="AU-4, AU-5",
            asks="a failure of logging is noticed",
            figure=_silence,
            files="population.json",
            leaves="spool and alerts of the running service",
        ),
        Control(
            id="AU-6, AU-7",
            asks="records are reviewed and can be reported on",
            figure=_refusals,
            files="refused.jsonl, emergencies.jsonl, reconciliation.json",
        ),
        Control(
            id="AU-8", asks="time stamps", figure=_times, files="verification.json", leaves=_CLOCK
        ),
        Control(
            id="AU-9, AU-9(3)",
            asks="records are protected, by cryptography too",
            figure=_whole,
            files="verification.json, trust.toml, checkpoint",
            leaves=_NO_LOCKS,
        ),
        Control(
            id="AU-10",
            asks="an approval cannot be denied by who gave it",
            figure=_approvals,
            files="sample/",
            leaves="how people's credentials are kept",
        ),
        Control(
            id="AU-11",
            asks="records are kept as long as they must be",
            figure=_span,
            files="population.json",
            leaves=_NO_LOCKS,
        ),
        Control(
            id="KSI-MLA-OSM, KSI-MLA-LET",
            asks="tamper-resistant logging and its event types, machine-readable",
            figure=_events,
            files="verification.json, population.json",
            leaves=_NO_LOCKS,
        ),
    ),
}


def chosen(names: Sequence[str]) -> list[tuple[str, Control]]:
    """The controls of those frameworks. Raises `ConfigurationError`."""
    unknown = [name for name in names if name not in CONTROLS]
    if unknown or not names:
        raise ConfigurationError(
            "audit.controls_unknown",
            "--controls: names a framework there is no table for",
            advice=f"Choose from: {', '.join(CONTROLS)}.",
        )
    return [(name, control) for name in dict.fromkeys(names) for control in CONTROLS[name]]
