"""One recorded decision under the candidate: what it says, or what it would need to know.

Never a guess. A decision without unknowns is evaluated. With unknowns, the
compile API may prove that none of them matters. Else values that could have
been there are tried: two that lead to different answers settle that it depends.
If none do, the trace of a full evaluation tells which unknowns were looked at;
only where there are none is the answer certain. Called by `replay`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from countersign.errors import ConfigurationError, PolicyError
from countersign.model import JsonObject, JsonValue
from countersign.workbench.impact.answers import Answer, Part, reaches_into, refused, said
from countersign.workbench.impact.candidate import Candidate, NoAnswerError
from countersign.workbench.impact.likeness import Alike, Rounded, key_of
from countersign.workbench.impact.recorded import Case
from countersign.workbench.impact.substitutes import Trials, marked, tried
from countersign.workbench.impact.terms import Marks
from countersign.workbench.impact.trace import Trace
from countersign.workbench.impact.unknowns import Sort, Unknown

_MAX_KEPT: Final = 20_000


class How(enum.StrEnum):
    """What settled it."""

    KNOWN = "nothing was unknown"
    COMPILED = "compiled"
    TRIED = "tried"
    TRACED = "traced"
    ALIKE = "like one before"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the candidate says; None where that depends on what `needs` names."""

    answer: Answer | None
    needs: tuple[str, ...] = ()
    """Pointers to masked places, or to `findings` that records bound only."""
    how: How


class Judge:
    """Judges cases, as many at once as it is asked."""

    def __init__(
        self,
        candidate: Candidate,
        *,
        label: Callable[[str], str],
        parts: Collection[Part],
        traces_at_once: int,
    ) -> None:
        self._candidate = candidate
        self._label = label
        self._parts = frozenset(parts)
        self._trials = Trials(candidate.constants)
        self._kept: OrderedDict[bytes, asyncio.Future[Outcome]] = OrderedDict()
        self._alike = Alike()
        self._rounded = Rounded()
        self._tracing = asyncio.Semaphore(traces_at_once)
        self.settled: Counter[How] = Counter()

    async def judge(self, case: Case) -> Outcome:
        """What the candidate says of a case. Raises `ConfigurationError` when OPA is gone."""
        document, marks = marked(case.input, case.unknowns, case.names)
        key = key_of(document, case.unknowns)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            outcome = await asyncio.shield(kept)
            self.settled[How.ALIKE] += 1
            return outcome
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._kept[key] = future
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        try:
            outcome = await self._judged(case, document, marks)
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # whoever waits for it hears of it; so do we
            raise
        future.set_result(outcome)
        self.settled[outcome.how] += 1
        return outcome

    async def _judged(self, case: Case, document: JsonObject, marks: Marks) -> Outcome:
        value = await self._value(case, document)
        base = self._read(case, value)
        if not case.unknowns:
            return Outcome(answer=base, how=How.KNOWN)
        held = marks.held_in(_compared(value))
        if held:
            return _open([unknown.pointer for unknown in held], How.TRIED)
        alike = self._like(case, document)
        if alike is not None:
            return self._certain(case, base, How.ALIKE) if not alike else _open(alike, How.ALIKE)
        paths = [unknown.path for unknown in case.unknowns]
        proven = await asyncio.to_thread(self._candidate.compiler.proves, case.input, paths)
        matters = await self._tried(case, document, base, once=proven)
        if matters:
            return _open(matters, How.TRIED)
        if proven:
            return self._certain(case, base, How.COMPILED)
        return await self._traced(case, document, base)

    async def _answer(self, case: Case, document: JsonObject) -> Answer:
        return self._read(case, await self._value(case, document))

    def _read(self, case: Case, value: JsonValue | NoAnswerError) -> Answer:
        if isinstance(value, NoAnswerError):
            return refused(value.code)
        return said(value, case.context, self._label)

    async def _value(self, case: Case, document: JsonObject) -> JsonValue | NoAnswerError:
        try:
            return await self._candidate.answer(document)
        except NoAnswerError as error:
            return error
        except PolicyError as error:
            raise ConfigurationError(
                "impact.not_evaluated",
                f"the candidate did not answer on record {case.seq}: {error.message}",
                advice="Let `countersign policy test` run it, and see that it ends in time.",
            ) from None

    def _certain(self, case: Case, answer: Answer, how: How) -> Outcome:
        """The answer, unless its mask reaches into what is masked already."""
        if Part.MASK in self._parts:
            below = [each for each in case.unknowns if reaches_into(answer.mask, each)]
            if below:
                return _open([each.pointer for each in below], how)
        return Outcome(answer=answer, how=how)

    # --- values that could have been there ---

    async def _tried(
        self, case: Case, document: JsonObject, base: Answer, *, once: bool
    ) -> list[str]:
        """The unknowns of which some value leads to another answer than another value."""
        rounds = self._trials.of(case.unknowns, case.seq)[: 1 if once else None]
        if not rounds:
            return []
        first: Answer | None = None
        for values in rounds:
            answer = await self._answer(case, tried(document, case.unknowns, values))
            if first is None:
                first, before = answer, values
            elif answer.differences(first, self._parts):
                return await self._which(case, document, (before, first), values)
        # Marks are odd numbers and texts: only beside other texts do they tell something.
        plain = all(unknown.sort is not Sort.NUMBER for unknown in case.unknowns)
        if first is not None and plain and first.differences(base, self._parts):
            return [unknown.pointer for unknown in case.unknowns]
        return []

    async def _which(
        self,
        case: Case,
        document: JsonObject,
        before: tuple[dict[int, JsonValue], Answer],
        values: dict[int, JsonValue],
    ) -> list[str]:
        """Of values that changed the answer together, those that do so alone; or all."""
        found = []
        for index, value in values.items():
            mixed = {**before[0], index: value}
            answer = await self._answer(case, tried(document, case.unknowns, mixed))
            if answer.differences(before[1], self._parts):
                found.append(case.unknowns[index].pointer)
        return found or [case.unknowns[index].pointer for index in values]

    # --- what a full evaluation looks at ---

    def _like(self, case: Case, document: JsonObject) -> list[str] | None:
        """What an evaluation of before that went the same way looked at, if there was one."""
        alike = self._alike.find(document, case.unknowns)
        if alike is not None:
            return alike
        unknowns = (*case.unknowns, *self._rounded.of(case.input, case.action))
        rounded, _ = marked(case.input, unknowns, case.names)
        return self._alike.find(rounded, unknowns)

    async def _traced(self, case: Case, document: JsonObject, base: Answer) -> Outcome:
        async with self._tracing:
            needs = self._like(case, document)  # somebody may have traced one meanwhile
            if needs is None:
                needs = await self._needed(case, self._rounded.of(case.input, case.action))
            if needs is None:
                needs = await self._needed(case, [])
        if needs is None:
            needs = [unknown.pointer for unknown in case.unknowns]
        return _open(needs, How.TRACED) if needs else self._certain(case, base, How.TRACED)

    async def _needed(self, case: Case, rounded: Sequence[Unknown]) -> list[str] | None:
        """The unknowns a traced evaluation looked at; None where it has to be more exact."""
        unknowns = (*case.unknowns, *rounded)
        document, marks = marked(case.input, unknowns, case.names)
        trace = await asyncio.to_thread(self._followed, document, marks)
        if trace is None or (rounded and trace.input_replaced):
            return None
        needed = [marks.unknowns[index] for index in sorted(trace.needed)]
        closer = [unknown for unknown in needed if unknown.path[:1] == ("recent",)]
        for unknown in closer:
            self._rounded.missed(case.action, unknown.path)
        if closer:
            return None
        needs = list(dict.fromkeys(unknown.pointer for unknown in needed))
        if not trace.input_replaced:
            self._alike.keep(document, unknowns, trace.read, needs)
        return needs

    def _followed(self, document: JsonObject, marks: Marks) -> Trace | None:
        """One evaluation, gone through; in a thread."""
        events = self._candidate.trace(document)
        if events is None:
            return None
        trace = Trace(events, marks, document)
        trace.run()
        return trace


def _compared(value: JsonValue | NoAnswerError) -> JsonValue:
    """What of policy's value makes it another answer: all but the words of its reasons."""
    if isinstance(value, NoAnswerError) or not isinstance(value, dict):
        return None
    reasons = value.get("reasons")
    codes: list[JsonValue] = [
        {name: item for name, item in each.items() if name != "message"}
        for each in (reasons if isinstance(reasons, list) else [])
        if isinstance(each, dict)
    ]
    return {**value, "reasons": codes}


def _open(needs: Iterable[str], how: How) -> Outcome:
    return Outcome(answer=None, needs=tuple(dict.fromkeys(needs)), how=how)
