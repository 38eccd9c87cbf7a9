"""BatchCheck: many Checks at once, each answered as though it came alone.

Policy is asked about all of them in one query; every one has its own record,
request id, limits and commitment, and its own answer or error. What others of the
batch may come to counts against a limit as everything on its way does (`in_flight`),
in the order of the items. Never spends.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar

from countersign.errors import InvalidRequestError, RequestError
from countersign.flow import keeping, shadowing
from countersign.flow.answer import Answer
from countersign.flow.asking import Begun, CheckAsk, begin
from countersign.flow.check import command
from countersign.flow.in_flight import Flight
from countersign.flow.judge import Judgement, Verdict, judgement
from countersign.flow.parts import Parts
from countersign.flow.question import Question, question
from countersign.flow.request import Named
from countersign.model import Caller

T = TypeVar("T")
Outcome: TypeAlias = Answer | RequestError

MAX_ITEMS: Final = 50
AT_A_TIME: Final = 4
"""Items worked on before others than this batch have their turn."""


@dataclasses.dataclass(slots=True, kw_only=True)
class _Item:
    """One Check of the batch: its outcome, or how far it has come."""

    ask: CheckAsk
    outcome: Outcome | None = None
    begun: Begun | None = None
    question: Question | None = None
    verdict: Verdict | None = None
    judgement: Judgement | None = None
    command: Named[Answer] | None = None


def require_size(count: int) -> None:
    """Raises `InvalidRequestError` for a batch of none or too many."""
    if not 1 <= count <= MAX_ITEMS:
        raise InvalidRequestError("items", f"must be 1 to {MAX_ITEMS}; {count} were given")


async def check_many(
    parts: Parts, caller: Caller, asks: Sequence[CheckAsk | RequestError], *, deadline_s: float
) -> Sequence[Outcome]:
    """Answer each Check, in their order, or say why no decision could be made about it.

    An ask that could not be read stands as its error. Raises `InvalidRequestError`
    when there are none or too many.
    """
    require_size(len(asks))
    clock = asyncio.get_running_loop().time
    deadline = clock() + deadline_s
    batch = _Batch(parts, caller)
    items = [_Item(ask=ask) for ask in asks if isinstance(ask, CheckAsk)]
    await batch.each(batch.begin, items)
    with contextlib.ExitStack() as flights:
        begun = [item for item in items if item.begun]
        flying = [(item, flights.enter_context(batch.flight(item))) for item in begun]
        await batch.each(batch.question, flying)
        await batch.ask_policy([i for i in begun if i.question], deadline_s=deadline - clock())
        await batch.each(batch.decide, [item for item in begun if item.question])
        # At once, in their order: they share the commit.
        await asyncio.gather(*(batch.apply(item) for item in begun if item.command))
    await asyncio.gather(*(batch.keep(item, deadline_s=deadline - clock()) for item in items))
    answered = iter(items)
    return [_outcome(next(answered)) if isinstance(ask, CheckAsk) else ask for ask in asks]


def _outcome(item: _Item) -> Outcome:
    if item.outcome is None:
        raise ValueError("every item of a batch has an outcome")
    return item.outcome


@contextlib.contextmanager
def _caught(item: _Item) -> Iterator[None]:
    """A block whose `RequestError` is the outcome of its item, and of no other."""
    try:
        yield
    except RequestError as error:
        item.outcome = error


class _Batch:
    """The steps of one batch. Whatever an item cannot do is its own outcome."""

    def __init__(self, parts: Parts, caller: Caller) -> None:
        self._parts = parts
        self._caller = caller

    async def each(self, step: Callable[[T], Awaitable[None]], items: Sequence[T]) -> None:
        """One after the other, and others than this batch in between."""
        for start in range(0, len(items), AT_A_TIME):
            few = items[start : start + AT_A_TIME]
            if self._parts.recognizer:  # which is waited for
                await asyncio.gather(*map(step, few))
                continue
            for item in few:
                await step(item)
            await asyncio.sleep(0)

    def flight(self, item: _Item) -> contextlib.AbstractContextManager[Flight]:
        caller = self._caller
        return self._parts.in_flight.begin(caller.tenant, caller.id, item.ask.context.action)

    async def begin(self, item: _Item) -> None:
        with _caught(item):
            begun = await begin(self._parts, self._caller, item.ask)
            if isinstance(begun, Answer):
                item.outcome = begun
            else:
                item.begun = begun

    async def question(self, flying: tuple[_Item, Flight]) -> None:
        item, flight = flying
        ask, begun = item.ask, item.begun
        if begun is None:
            return
        with _caught(item):
            item.question = await question(
                self._parts,
                self._caller,
                ask.context,
                begun.context_bytes,
                evidence=ask.evidence,
                made_by=ask.made_by,
                flight=flight,
            )

    async def ask_policy(self, items: Sequence[_Item], *, deadline_s: float) -> None:
        """One query for all that policy is to be asked about."""
        asking = [(i, i.question.query()) for i in items if i.question and not i.question.refusal]
        answers = await self._parts.policy.decide_many(
            [query for _, query in asking],
            deadline_s=min(deadline_s, self._parts.limits.policy_deadline_s),
        )
        for (item, query), said in zip(asking, answers.each, strict=True):
            item.verdict = Verdict(query=query, said=said, revision=answers.revision)

    async def decide(self, item: _Item) -> None:
        if item.question is None or item.begun is None:
            return
        with _caught(item):
            judged = await judgement(self._parts, item.question, item.verdict)
            item.judgement = judged
            item.command = await command(self._parts, self._caller, item.begun, judged)

    async def apply(self, item: _Item) -> None:
        if item.command is None:
            return
        with _caught(item):
            item.outcome = answer = await self._parts.store.apply(item.command)
            shadowing.offer(self._parts, item.judgement, answer)

    async def keep(self, item: _Item, *, deadline_s: float) -> None:
        if not isinstance(item.outcome, Answer):
            return
        with _caught(item):
            item.outcome = await keeping.kept(
                self._parts, self._caller.tenant, item.outcome, deadline_s=deadline_s
            )
