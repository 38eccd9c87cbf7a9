"""`policy explain`: which rules decided, and why, in words a reviewer can read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from countersign.audit.criteria import Criteria
from countersign.audit.reading import find_records
from countersign.audit.source import Source
from countersign.canonical import parse_object
from countersign.cli import output
from countersign.cli.audit.chosen import Given, LogOption, TenantOption
from countersign.cli.context_file import read_context
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.cli.policy import chosen
from countersign.errors import ConfigurationError
from countersign.model import JsonObject
from countersign.sanitize import Sanitizer
from countersign.workbench import explain as workbench
from countersign.workbench.explaining import Condition, Explanation, Held, Stopped
from countersign.workbench.impact.recorded import KINDS, Case, read
from countersign.workbench.merged import Term
from countersign.workbench.plain import question

app = typer.Typer()
_STOPPED = "Rules for this action that did not apply, and what did not hold:"
_OVERRULED = {
    "deny": ("needs", "allow"),
    "needs_approval": ("allow",),
    "allow": (),
}


@app.command()
@chosen.judged
def explain(
    subject: Annotated[
        str, typer.Argument(help="A context file, or the id of a decision or review in the log.")
    ] = "",
    policy: Annotated[Path, typer.Option(help="The policy: a directory of Rego.")] = Path("policy"),
    seq: Annotated[int | None, typer.Option(help="The number of a record instead.", min=0)] = None,
    at_claim: Annotated[
        bool, typer.Option("--at-claim", help="As at Claim, with a plain approval.")
    ] = False,
    log: LogOption = None,
    tenant: TenantOption = "default",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> int:
    """Explain a decision. A context stays on this machine. Exit code 0, or 2 for wrong usage."""
    if bool(subject) == (seq is not None):
        raise ConfigurationError(
            "policy.explain_what",
            "explain: give a context file, the id of a decision, or --seq",
            advice="Such as: countersign policy explain context.json",
        )
    settings = chosen.settings(config)
    files = chosen.policy_in(policy)
    sanitizer = chosen.sanitizer(settings)
    found: Case | None = None
    if seq is None and Path(subject).is_file():
        context = parse_object(read_context(Path(subject)).canonical_bytes)
        given: JsonObject = {"context": context, "approval": {} if at_claim else None}
        asked = question(given, sanitizer)
    elif seq is None and not subject.startswith(("dec_", "rev_")):
        raise ConfigurationError(
            "policy.explain_what",
            f"{subject}: there is no such file, and it is no id of a decision or review",
            advice="docs/reference/action-context.md shows a context file.",
        )
    else:
        source = Given(log=log, tenant=tenant, config=config).source()
        found = _record(source, subject, seq, sanitizer)
        asked = found.input
    told = workbench.explain(
        chosen.opa(settings), files, asked, unknown=_unknown(found) if found else ()
    )
    if as_json:
        output.as_json(
            {
                **workbench.as_json(told),
                "recorded": _as_json(found) if found else None,
            }
        )
    else:
        _Printed(policy, told).all(found)
    return 0


def _as_json(found: Case) -> dict[str, object]:
    return {"seq": found.seq, "revision": found.revision, "effect": found.recorded.effect}


def _unknown(found: Case) -> tuple[str, ...]:
    """Pointers into the question that are not what policy saw."""
    return tuple(f"/{'/'.join(map(str, each.path))}" for each in found.unknowns)


def _record(source: Source, subject: str, seq: int | None, sanitizer: Sanitizer) -> Case:
    objects = chosen.objects_of(source)
    last: Case | None = None
    for record in find_records(source, Criteria(subject=subject)):
        if (seq is None or record.get("seq") == seq) and record.get("kind") in KINDS:
            case = read(record, objects, sanitizer)
            last = case if isinstance(case, Case) else last
        if seq is not None and record.get("seq") == seq:
            break
    if last is None:
        what = f"record {seq}" if seq is not None else f"record about {subject}"
        raise ConfigurationError(
            "policy.no_such_record",
            f"the log has no {what} that says what policy was asked",
            advice="Only decisions and claims do; find them: countersign audit search --kind "
            "decision",
        )
    return last


@dataclasses.dataclass(frozen=True, slots=True)
class _Printed:
    """An explanation as text."""

    policy: Path
    told: Explanation

    def all(self, found: Case | None) -> None:
        told = self.told
        self._line(f"{told.action}: {told.effect} (policy {told.revision})")
        for code, message in told.reasons:
            self._line(f"  because {message} [{code}]")
        if told.nearest:
            self._line(f"  {told.nearest}")
        if found is not None:
            self._recorded(found)
        sections: list[tuple[str, Sequence[Any], Callable[[Any], None]]] = [
            ("Rules that applied:", told.held, self._held),
            (_STOPPED, told.stopped, self._stopped),
            ("How the requirement came about:", told.merged, self._term),
        ]
        for title, parts, tell in sections:
            if parts:
                print(f"\n{title}")
            for part in parts:
                tell(part)

    def _term(self, term: Term) -> None:
        self._line(f"  {term.name}: {term.value}")
        if term.because:
            self._line(f"      because of {', '.join(term.because)}")
        if term.weaker:
            self._line(f"      {', '.join(term.weaker)} would have asked for less")

    def _recorded(self, found: Case) -> None:
        then = found.recorded.effect
        self._line(f"  record {found.seq}: {then} by policy {found.revision}")
        if found.unknowns:
            shown = ", ".join(_unknown(found)[:10])
            self._line(f"  From a sanitized record: not known any more are {shown}.")
        if then != self.told.effect:
            print("  This is not what was decided then: another policy, or one of those fields.")

    def _held(self, held: Held) -> None:
        overruled = held.set in _OVERRULED.get(self.told.effect, ())
        title = f", {held.title}" if held.title else ""
        what = f"{held.code}: {held.message}" if held.code else held.package
        self._line(f"  {held.set:<7} {what}{' (overruled)' if overruled else ''}")
        self._line(f"          {chosen.shown(self.policy, held.place)}{title}")
        for condition in held.conditions:
            self._condition("holds", condition)

    def _stopped(self, stopped: Stopped) -> None:
        what = f"{stopped.code}: {stopped.message}" if stopped.code else stopped.package
        self._line(f"  {stopped.set:<7} {what}")
        self._line(f"          {chosen.shown(self.policy, stopped.place)}")
        if stopped.condition is not None:
            self._condition("fails", stopped.condition)

    def _condition(self, how: str, condition: Condition) -> None:
        self._line(f"          {how}   {condition.text}")
        for path, value in condition.looked_at:
            self._line(f"                    {path} is {value}")

    def _line(self, text: str) -> None:
        print(output.safe(text))
