"""Decision tables: what a policy is to decide, in YAML, for people who do not write Rego.

A file `*_cases.yaml` beside the Rego holds one table; it never gets into a bundle.
Read strictly: what is misspelt is an error with its line, never a case that
quietly tests something else. Pure; called by `testing`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

from countersign.model import JsonObject, JsonValue
from countersign.policy import schema
from countersign.sanitize import Sanitizer
from countersign.workbench.plain import PLAIN_TIME, QuestionError, question, union
from countersign.workbench.strict_yaml import Document, Place, YamlError, read

SUFFIX: Final = "_cases.yaml"
_TABLE: Final = ("table", "time", "given", "cases")
_CASE: Final = ("name", "given", "expect")
_GIVEN: Final = ("context", "findings", "verified", "approval", "recent", "time")
_EXPECT: Final = ("effect", "reasons", "stages", "must_show", "mask", "requirement")
_EFFECTS: Final = ("allow", "deny", "needs_approval")
_OF_REQUIREMENT: Final = tuple(
    name
    for choice in schema.decision()["properties"]["requirement"]["anyOf"]
    for name in choice.get("properties", {})
    if name not in {"stages", "must_show"}
)


class TableError(ValueError):
    """What is wrong with a table, and where."""

    def __init__(self, file: PurePosixPath, line: int, problem: str) -> None:
        super().__init__(f"{file}:{line} {problem}")
        self.file = file
        self.line = line
        self.problem = problem


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What is expected of a decision; None where the table has no opinion."""

    effect: str
    reasons: frozenset[str] | None = None
    """Exactly these codes."""
    stages: Mapping[str, int] | None = None
    """Exactly these stages, with their quorum."""
    must_show: frozenset[str] | None = None
    """At least these."""
    mask: frozenset[str] | None = None
    """Exactly these."""
    requirement: Mapping[str, JsonValue] = dataclasses.field(default_factory=dict)
    """These terms, each as it is written."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of a table: a question and what is expected of its answer."""

    file: PurePosixPath
    line: int
    table: str
    name: str
    question: JsonObject = dataclasses.field(repr=False)
    expect: Expect

    @property
    def title(self) -> str:
        return f"{self.table}: {self.name}"


def cases(file: PurePosixPath, data: bytes, sanitizer: Sanitizer) -> list[Case]:
    """The cases of one table. Raises `TableError`."""
    try:
        document = read(data)
    except YamlError as error:
        raise TableError(file, error.line, error.problem) from None
    return _Table(file, document, sanitizer).cases()


class _Table:
    """Reads one document."""

    def __init__(self, file: PurePosixPath, document: Document, sanitizer: Sanitizer) -> None:
        self._file = file
        self._document = document
        self._sanitizer = sanitizer

    def cases(self) -> list[Case]:
        table = self._object((), self._document.value, _TABLE, needed=("table", "cases"))
        title = self._text(("table",), table["table"])
        shared = self._object(("given",), table.get("given", {}), _GIVEN)
        listed = table["cases"]
        if not isinstance(listed, list) or not listed:
            raise self._wrong(("cases",), "cases: must be a list with at least one case")
        time = self._time(("time",), table["time"]) if "time" in table else PLAIN_TIME
        return self._distinct(
            [self._case(("cases", i), each, title, shared, time) for i, each in enumerate(listed)]
        )

    def _distinct(self, found: list[Case]) -> list[Case]:
        names: set[str] = set()
        for case in found:
            if case.name in names:
                raise TableError(self._file, case.line, f"two cases have the name {case.name!r}")
            names.add(case.name)
        return found

    def _case(
        self, place: Place, value: JsonValue, title: str, shared: JsonObject, time: str
    ) -> Case:
        case = self._object(place, value, _CASE, needed=("name", "expect"))
        own = self._object((*place, "given"), case.get("given", {}), _GIVEN)
        for at, each in ((("given",), shared), ((*place, "given"), own)):
            if "time" in each:
                each["time"] = self._time((*at, "time"), each["time"])
        given: JsonValue = union({"time": time, **shared}, own)
        assert isinstance(given, dict)  # noqa: S101 - both were objects
        try:
            asked = question(given, self._sanitizer)
        except QuestionError as error:
            raise self._misgiven(place, error) from None
        return Case(
            file=self._file,
            line=self._document.line(place),
            table=title,
            name=self._text((*place, "name"), case["name"]),
            question=asked,
            expect=self._expect((*place, "expect"), case["expect"]),
        )

    def _misgiven(self, place: Place, error: QuestionError) -> TableError:
        """In the case if it says so itself, else in what all cases share."""
        own, shared = (*place, "given", *error.place), ("given", *error.place)
        at = own if own in self._document.lines or shared not in self._document.lines else shared
        return self._wrong(at, f"given.{error}")

    def _expect(self, place: Place, value: JsonValue) -> Expect:
        found = self._object(place, value, _EXPECT, needed=("effect",))
        effect = found["effect"]
        if effect not in _EFFECTS:
            at = (*place, "effect")
            raise self._wrong(at, f"expect.effect: must be one of {', '.join(_EFFECTS)}")
        terms = (*place, "requirement")
        requirement = self._object(terms, found.get("requirement", {}), _OF_REQUIREMENT)
        if effect != "needs_approval" and (found.keys() & {"stages", "must_show", "requirement"}):
            raise self._wrong(
                place,
                "expect: stages, must_show and requirement belong to the effect needs_approval",
            )
        return Expect(
            effect=str(effect),
            reasons=self._texts((*place, "reasons"), found.get("reasons")),
            stages=self._stages((*place, "stages"), found.get("stages")),
            must_show=self._texts((*place, "must_show"), found.get("must_show")),
            mask=self._texts((*place, "mask"), found.get("mask")),
            requirement=requirement,
        )

    def _stages(self, place: Place, value: JsonValue) -> Mapping[str, int] | None:
        if value is None:
            return None
        if not isinstance(value, dict) or not all(
            isinstance(quorum, int) and not isinstance(quorum, bool) for quorum in value.values()
        ):
            raise self._wrong(place, "expect.stages: must be an object of stage names to quorums")
        return {name: int(str(quorum)) for name, quorum in value.items()}

    def _texts(self, place: Place, value: JsonValue) -> frozenset[str] | None:
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(place, f"expect.{place[-1]}: must be a list of texts")
        return frozenset(map(str, value))

    def _object(
        self,
        place: Place,
        value: JsonValue,
        known: tuple[str, ...],
        *,
        needed: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        what = _words(place)
        if not isinstance(value, dict):
            raise self._wrong(place, f"{what}: must have the keys {', '.join(known)}")
        for name in value:
            if name not in known:
                raise self._wrong(
                    (*place, name), f"{what}: unknown key {name}; there are {', '.join(known)}"
                )
        for name in needed:
            if name not in value:
                raise self._wrong(place, f"{what}: {name} must be given")
        return dict(value)

    def _text(self, place: Place, value: JsonValue) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(place, f"{place[-1]}: must be a text")
        return value

    def _time(self, place: Place, value: JsonValue) -> str:
        """In the form that the service gives it, with six fractional digits."""
        try:
            moment = datetime.fromisoformat(self._text(place, value))
        except ValueError:
            moment = datetime.min  # noqa: DTZ901 - refused below: it has no zone
        if moment.tzinfo is None:
            raise self._wrong(place, "time: must be RFC 3339, such as 2026-11-25T12:00:00Z")
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _wrong(self, place: Place, problem: str) -> TableError:
        return TableError(self._file, self._document.line(place), problem)


def _words(place: Place) -> str:
    names = [str(step) for step in place if isinstance(step, str) and step != "cases"]
    return ".".join(names) or ("the table" if not place else "the case")
