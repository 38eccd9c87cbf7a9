"""Goes through a log once and has each decision judged.

Streams: as many decisions are in memory as are judged at once, or as many as a
sample holds. Results come in the order of the log. Called by the command line.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from typing import Final

from countersign.model import JsonObject
from countersign.sanitize import Sanitizer
from countersign.workbench.impact.answers import Part
from countersign.workbench.impact.judging import Judge, Outcome
from countersign.workbench.impact.recorded import Case, ReadObject, Unreplayed, cases
from countersign.workbench.impact.summary import Judged, Summary, judged

_AT_ONCE: Final = 32


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which decisions to replay."""

    action: str = ""
    """May end in `*`."""
    since: str = ""
    until: str = ""
    """Times as records say them; the last one does not count any more."""
    limit: int = 0
    """A random sample of so many; 0: all."""
    seed: int = 0

    def fits(self, case: Case) -> bool:
        """Whether a case is one of those."""
        wanted = self.action
        like = (
            case.action.startswith(wanted[:-1])
            if wanted.endswith("*")
            else (not wanted or case.action == wanted)
        )
        early = bool(self.since) and case.time < self.since
        return like and not early and not (self.until and case.time >= self.until)


def chosen(
    records: Iterable[JsonObject],
    read_object: ReadObject,
    sanitizer: Sanitizer,
    choice: Choice,
    summary: Summary,
) -> Iterator[Case]:
    """The cases to judge, in order; whatever is left out is counted."""
    sample: list[Case] = []
    chance, seen = random.Random(choice.seed), 0  # noqa: S311 - a sample, no secret
    for found in cases(records, read_object, sanitizer):
        if isinstance(found, Unreplayed):
            summary.left_out[found] += 1
        elif choice.fits(found):
            seen += 1
            if not choice.limit:
                yield found
            elif len(sample) < choice.limit:
                sample.append(found)
            elif (place := chance.randrange(seen)) < choice.limit:
                sample[place] = found
    summary.not_sampled = seen - len(sample) if choice.limit else 0
    yield from sorted(sample, key=lambda case: case.seq)


async def replay(
    wanted: Iterable[Case],
    judge: Judge,
    parts: Collection[Part],
    summary: Summary,
    *,
    progress: Callable[[int], None] | None = None,
) -> AsyncIterator[Judged]:
    """Judge each case; what was judged is counted and given on."""
    running: deque[tuple[Case, asyncio.Task[Outcome]]] = deque()
    source = iter(wanted)
    try:
        while True:
            while len(running) < _AT_ONCE and (case := next(source, None)) is not None:
                running.append((case, asyncio.create_task(judge.judge(case))))
            if not running:
                return
            case, task = running.popleft()
            one = judged(case, await task, parts)
            summary.add(one)
            if progress:
                progress(summary.replayed)
            yield one
    finally:
        for _, task in running:
            task.cancel()
        await asyncio.gather(*(task for _, task in running), return_exceptions=True)
