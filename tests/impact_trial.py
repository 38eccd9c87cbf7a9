"""One edit of a policy, judged by impact analysis and by brute force."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from countersign.model import JsonObject
from countersign.policy.snapshot import Snapshot
from countersign.sanitize import Sanitizer
from countersign.workbench.impact.answers import EVERY_PART, Answer, refused, said
from countersign.workbench.impact.candidate import Candidate, NoAnswerError, serving
from countersign.workbench.impact.judging import Judge
from countersign.workbench.impact.recorded import Case, read
from countersign.workbench.impact.summary import Verdict, judged
from impact_brute import Draws, Score
from impact_edits import EDITS, Files
from impact_world import Decided, Past

DRAWS = 200
SANITIZER = Sanitizer()


def edited(files: Files, name: str) -> Snapshot:
    """The policy after one edit."""
    return Snapshot(
        files=EDITS[name](files),
        revision=f"edit-{name.replace(' ', '-')}",
        version="1",
        origin=name,
    )


async def tried(opa: Path, files: Files, name: str, past: Past, *, count: int, seed: str) -> Score:
    """So many decisions of the past under an edited policy."""
    chosen = random.Random(f"{seed}/{name}").sample(past.decided, min(count, len(past.decided)))
    snapshot, score = edited(files, name), Score()
    draws = Draws([each.raw for each in past.decided], dict(snapshot.files), f"{seed}/{name}")
    async with serving(opa, snapshot) as candidate:
        judge = Judge(candidate, label=SANITIZER.label, parts=EVERY_PART, traces_at_once=2)
        for each in chosen:
            case = read(each.record, past.objects.get, SANITIZER)
            if isinstance(case, Case):
                await _held(candidate, judge, case, each, draws, score, name)
    return score


async def _held(
    candidate: Candidate,
    judge: Judge,
    case: Case,
    decided: Decided,
    draws: Draws,
    score: Score,
    name: str,
) -> None:
    """One decision, held against the raw input and against what was drawn."""
    one = judged(case, await judge.judge(case), EVERY_PART)
    true = await _answer(candidate, decided.raw)
    draws.about(case)
    drawn = [draws.document(case, decided.raw) for _ in range(DRAWS if case.unknowns else 0)]
    others = await _distinct(candidate, drawn)
    varies = any(other.differences(true, EVERY_PART) for other in others)
    score.decisions += 1
    where = f"{name}: record {case.seq} {case.action}: {one.verdict} by {one.outcome.how}"
    if one.verdict is Verdict.DEPENDS:
        score.depends += 1
        if not varies:
            score.needless.append(f"{where} on {one.outcome.needs}")
        return
    score.same += one.verdict is Verdict.SAME
    score.changed += one.verdict is Verdict.CHANGED
    if varies or true.differences(case.recorded, EVERY_PART) != one.parts:
        score.wrong.append(where)
    answer = one.outcome.answer
    if answer is None or answer.differences(true, EVERY_PART):
        score.wrong.append(f"{where}, and raw says another thing")


async def _distinct(candidate: Candidate, documents: Sequence[JsonObject]) -> list[Answer]:
    found: list[Answer] = []
    for first in range(0, len(documents), 16):
        batch = documents[first : first + 16]
        found += await asyncio.gather(*(_answer(candidate, document) for document in batch))
    return found


async def _answer(candidate: Candidate, document: JsonObject) -> Answer:
    """What the candidate says of a whole raw input."""
    try:
        value = await candidate.answer(document)
    except NoAnswerError as error:
        return refused(error.code)
    context = document["context"]
    assert isinstance(context, dict)
    return said(value, context, SANITIZER.label)
