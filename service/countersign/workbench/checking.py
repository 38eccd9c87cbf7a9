"""`check`: everything that can be said of a policy without running a service.

Its form, its types against the input's schema, its settings against the library's
shapes, and the contract over generated questions. Each finding is one line with a
place. Called by the command line.
"""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import enum
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from countersign.errors import ConfigurationError, PolicyError
from countersign.policy import probing, schema
from countersign.policy.binary import FORBIDDEN_BUILTINS
from countersign.policy.bundle import build
from countersign.policy.child import OpaChild, OpaSettings
from countersign.policy.snapshot import DATA_FILES, Snapshot
from countersign.workbench.opa_command import Workplace, run, workplace

_SCHEMAS: Final = "schemas"
_OURS: Final = "countersign_input_schema.rego"
"""Applies the schema to every package below `countersign`, unless the policy does so itself."""
_ANNOTATION: Final = """# METADATA
# scope: subpackages
# schemas:
#   - input: schema.input
package countersign
"""
_SUBPACKAGES: Final = re.compile(rb"^# *scope: *subpackages *$", re.MULTILINE)
_ROOT: Final = re.compile(rb"^package countersign *$", re.MULTILINE)
_INVALID: Final = "data.countersign.settings.invalid"
_BELOW_APPROVAL: Final = "undefined ref: input.approval."
_UNDEFINED: Final = re.compile(r"undefined function ([\w.]+)")


class Group(enum.StrEnum):
    """What looked."""

    COMPILE = "compile"
    SETTINGS = "settings"
    FORM = "form"
    CONTRACT = "contract"
    REGAL = "regal"


TITLES: Final = {
    Group.COMPILE: "opa check --strict, with the schema of the input and our capabilities",
    Group.SETTINGS: "the settings, held against the library's shapes and the packs' defaults",
    Group.FORM: "opa fmt",
    Group.CONTRACT: "the contract, over generated questions",
    Group.REGAL: "regal lint",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    group: Group
    place: str
    """`pay.rego:41`, below the policy's directory; empty where it is the whole policy."""
    message: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was looked at, and what was found."""

    revision: str
    findings: tuple[Finding, ...]
    questions: int
    """How many were asked; 0 when the policy does not compile."""
    regal: bool


def check(
    opa: Path, policy: Snapshot, settings: probing.ProbeSettings, *, regal: Path | None
) -> Checked:
    """Check a policy. Raises `ConfigurationError` when a tool cannot be run. Blocking."""
    with workplace(opa, policy.files) as place:
        found = [*_compiled(place, policy), *_formed(place), *_set(place, policy)]
        if regal is not None:
            found += _linted(place, regal)
    compiles = not any(finding.group is Group.COMPILE for finding in found)
    if compiles:
        found += _kept(opa.absolute(), policy, settings)
    return Checked(
        revision=policy.revision,
        findings=tuple(sorted(dict.fromkeys(found), key=_order)),
        questions=settings.questions if compiles else 0,
        regal=regal is not None,
    )


def _order(finding: Finding) -> tuple[int, str, int, str]:
    file, _, row = finding.place.partition(":")
    at = int(row) if row.isdigit() else 0
    return (list(Group).index(finding.group), file, at, finding.message)


# --- types -------------------------------------------------------------------


def _compiled(place: Workplace, policy: Snapshot) -> Iterator[Finding]:
    if not any(_SUBPACKAGES.search(c) and _ROOT.search(c) for c in policy.files.values()):
        (place.source / _OURS).write_text(_ANNOTATION, "utf-8")
    asked = schema.question()
    found = list(_typed(place, asked))
    # OPA takes whatever may be null for anything, so what is misspelt there is looked
    # for apart, as though an approval were always there.
    fields = asked["properties"]
    approval = next(each for each in fields["approval"]["anyOf"] if "properties" in each)
    claim = {**asked, "properties": {**fields, "approval": approval}}
    found += [f for f in _typed(place, claim) if _BELOW_APPROVAL in f.message]
    (place.source / _OURS).unlink(missing_ok=True)
    return iter(found)


def _typed(place: Workplace, asked: dict[str, Any]) -> Iterator[Finding]:
    schemas = place.path / _SCHEMAS
    schemas.mkdir(exist_ok=True)
    (schemas / "input.json").write_text(json.dumps(asked), "utf-8")
    arguments = ["--strict", "--format", "json", "--schema", str(schemas), "--bundle", "."]
    done = place.run("check", *place.allowed, *arguments)
    errors = (done.json() or {}).get("errors") or ()
    for error in errors:
        location = error.get("location") or {}
        yield Finding(
            group=Group.COMPILE,
            place=_place(location.get("file"), location.get("row")),
            message=_explained(error),
        )
    if done.code != 0 and not errors:
        yield Finding(group=Group.COMPILE, place="", message=_first_line(done.stderr))


def _place(file: object, row: object) -> str:
    name = str(file or "").removeprefix("./")
    return f"{name}:{row}" if name and row else name


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "failed")


def _explained(error: dict[str, Any]) -> str:
    """OPA's words, and what they mean here."""
    message = str(error.get("message", "")).strip()
    details = error.get("details") or {}
    missing = _UNDEFINED.match(message)
    if missing and missing[1] in FORBIDDEN_BUILTINS:
        return (
            f"{missing[1]} may not be called: a decision has no network, no clock and no chance "
            "(the time is input.time)"
        )
    if message.startswith("undefined ref: input") and isinstance(details.get("oneOf"), list):
        return f"{message}; {_meant(_misspelt(details), details['oneOf'])}"
    return message


def _misspelt(details: dict[str, Any]) -> str:
    """The step of the reference that is not there."""
    steps = details.get("ref") or []
    at = details.get("pos", -1)
    return str(steps[at].get("value")) if isinstance(at, int) and -1 <= at < len(steps) else ""


def _meant(typed: str, known: Sequence[object]) -> str:
    names = [str(name) for name in known]
    near = difflib.get_close_matches(typed, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there is {', '.join(names)}" if names else "there is nothing below it"


# --- settings ----------------------------------------------------------------


def _set(place: Workplace, policy: Snapshot) -> Iterator[Finding]:
    """What the library itself calls malformed: it would deny whatever rests on it."""
    arguments = ["--bundle", ".", "--format", "json", _INVALID]
    told = place.run("eval", *place.allowed, *arguments).json() or {}
    for result in told.get("result") or ():
        for setting in result["expressions"][0]["value"]:
            yield Finding(
                group=Group.SETTINGS,
                place=_holder(policy, str(setting)),
                message=f"{setting} is malformed, missing or no setting that anything knows; "
                "docs/reference/policy-settings.md has its form",
            )


def _holder(policy: Snapshot, setting: str) -> str:
    """The data file nearest to a setting, of those that may hold it."""
    steps = ["settings", *setting.split(".")]
    for depth in range(len(steps), -1, -1):
        for name in DATA_FILES:
            path = PurePosixPath(*steps[:depth], name)
            if path in policy.files:
                return str(path)
    return ""


# --- form --------------------------------------------------------------------


def _formed(place: Workplace) -> Iterator[Finding]:
    for name in filter(None, place.run("fmt", "--list", ".").stdout.splitlines()):
        done = place.run("fmt", name)
        if done.code == 0:
            yield Finding(
                group=Group.FORM,
                place=_place(name, _first_difference(place.source / name, done.stdout)),
                message="is not written as `opa fmt --write` writes it",
            )


def _first_difference(path: Path, wanted: str) -> int:
    lines, others = path.read_text("utf-8", "replace").splitlines(), wanted.splitlines()
    for row, (line, other) in enumerate(zip(lines, others, strict=False), start=1):
        if line != other:
            return row
    return min(len(lines), len(others)) + (len(lines) != len(others))


def _linted(place: Workplace, regal: Path) -> Iterator[Finding]:
    """What Regal says, as far as it can be read: it is never required."""
    done = run([str(regal), "lint", "--format", "json", "."], cwd=place.source)
    told = done.json()
    if not isinstance(told, dict):
        words = _first_line(done.stderr or done.stdout)
        yield Finding(group=Group.REGAL, place="", message=f"cannot be read: {words}")
        return
    for violation in told.get("violations") or ():
        location = violation.get("location") or {}
        yield Finding(
            group=Group.REGAL,
            place=_place(location.get("file"), location.get("row")),
            message=f"{violation.get('description', '')} [{violation.get('title', '')}]",
        )


# --- the contract ------------------------------------------------------------


def _kept(opa: Path, policy: Snapshot, settings: probing.ProbeSettings) -> Iterator[Finding]:
    try:
        found = asyncio.run(_tried(opa, policy, settings))
    except (ConfigurationError, PolicyError) as error:
        yield Finding(group=Group.CONTRACT, place="", message=error.message)
        return
    for breach in found:
        yield Finding(group=Group.CONTRACT, place=breach.place, message=breach.words)


async def _tried(
    opa: Path, policy: Snapshot, settings: probing.ProbeSettings
) -> list[probing.Breach]:
    bundle = await asyncio.to_thread(build, opa, policy)
    child = await OpaChild.start(opa, bundle, OpaSettings())
    try:
        return await probing.breaches(child.client, opa, policy.compiled(), settings)
    finally:
        await child.stop()
