"""Test results as JUnit XML, which every CI system reads. Pure; called by the command line."""

from __future__ import annotations

import itertools
import re
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from countersign.workbench.testing import Outcome, Result, Tested

_UNWRITABLE: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml(tested: Tested) -> str:
    """One `testsuite` for each package of tests and each table."""
    ordered = sorted(tested.outcomes, key=lambda outcome: outcome.suite)
    suites = [
        _suite(name, list(outcomes))
        for name, outcomes in itertools.groupby(ordered, lambda outcome: outcome.suite)
    ]
    count = len(tested.outcomes)
    head = f'<testsuites name="policy" tests="{count}" failures="{tested.failed}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *suites, "</testsuites>", ""])


def _suite(name: str, outcomes: list[Outcome]) -> str:
    failed = sum(each.result is Result.FAIL for each in outcomes)
    skipped = sum(each.result is Result.SKIP for each in outcomes)
    head = (
        f'  <testsuite name={_quoted(name)} tests="{len(outcomes)}" failures="{failed}" '
        f'skipped="{skipped}">'
    )
    return "\n".join([head, *map(_case, outcomes), "  </testsuite>"])


def _case(outcome: Outcome) -> str:
    file, _, row = outcome.place.rpartition(":")
    head = (
        f"    <testcase name={_quoted(outcome.name)} classname={_quoted(outcome.suite)} "
        f'file={_quoted(file)} line={_quoted(row)} time="{outcome.duration_s:.6f}"'
    )
    if outcome.result is Result.PASS:
        return f"{head}/>"
    if outcome.result is Result.SKIP:
        return f"{head}><skipped/></testcase>"
    words = "\n".join((*outcome.detail, outcome.place))
    first = outcome.detail[0] if outcome.detail else "failed"
    failure = f"<failure message={_quoted(first)}>{escape(_plain(words))}</failure>"
    return f"{head}>{failure}</testcase>"


def _quoted(text: str) -> str:
    return quoteattr(_plain(text))


def _plain(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
