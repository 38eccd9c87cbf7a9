"""What a decision table expects, held against what policy answered. Pure; called by `testing`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from countersign.errors import PolicyError
from countersign.policy.contract import decode
from countersign.workbench.tables import Expect


def differences(expect: Expect, answer: object) -> list[str]:
    """In what the answer of the entry point is not what was expected; each in a line."""
    try:
        _ = decode(answer, "")
    except PolicyError as error:
        return [f"the contract is broken: {line}" for line in error.detail.splitlines()]
    assert isinstance(answer, dict)  # noqa: S101 - or it would have been a breach
    if answer["effect"] != expect.effect:
        return [f"effect: expected {expect.effect}, got {answer['effect']} ({_because(answer)})"]
    return list(_in_detail(expect, answer))


def _because(answer: dict[str, Any]) -> str:
    reasons = answer.get("reasons") or []
    return "; ".join(f"{each['code']}: {each['message']}" for each in reasons) or "no reason given"


def _in_detail(expect: Expect, answer: dict[str, Any]) -> Iterator[str]:
    requirement = answer.get("requirement") or {}
    if expect.reasons is not None:
        codes = {reason["code"] for reason in answer.get("reasons", [])}
        yield from _sets("reasons", expect.reasons, codes)
    if expect.stages is not None:
        stages = {each["name"]: each.get("quorum", 1) for each in requirement.get("stages", [])}
        yield from _sets("stages", expect.stages, stages)
        for name in sorted(expect.stages.keys() & stages.keys()):
            if expect.stages[name] != stages[name]:
                yield (f"stages: {name} has quorum {stages[name]}, expected {expect.stages[name]}")
    if expect.must_show is not None:
        for pointer in sorted(expect.must_show - set(requirement.get("must_show", []))):
            yield f"must_show: {pointer} need not be shown"
    if expect.mask is not None:
        yield from _sets("mask", expect.mask, set(answer.get("mask", [])))
    for term, wanted in expect.requirement.items():
        if requirement.get(term) != wanted:
            yield (
                f"requirement.{term}: expected {_json(wanted)}, got {_json(requirement.get(term))}"
            )


def _sets(what: str, expected: Iterable[str], got: Iterable[str]) -> Iterator[str]:
    missing, more = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
    if missing:
        yield f"{what}: missing {', '.join(missing)}"
    if more:
        yield f"{what}: unexpected {', '.join(more)}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
