"""The recognizers beside the rules, as the service asks them.

One child works on one question at a time; the others wait, each no longer than
the deadline. Invariant 2: whoever got no whole answer in time is told so, and
masks what it asked about. A child that is late, ends or answers nonsense is
replaced; until the new one is ready everybody is told at once. Called by the
flow through `sanitize.recognized.Recognizer`, made by `app`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from countersign.errors import ConfigurationError
from countersign.recognizers.child import Child, GoneError
from countersign.recognizers.entities import kinds_of
from countersign.sanitize.kinds import Kind
from countersign.sanitize.recognized import Recognized, Recognizers
from countersign.sanitize.survey import Span

log = logging.getLogger(__name__)

OK: Final = "ok"
LATE: Final = "late"
DOWN: Final = "down"
"""What came of a question, for metrics."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Which recognizers there are and how long they may take."""

    file: Path
    """Presidio's analyzer configuration."""
    entities: tuple[str, ...]
    """What they are asked to find, by Presidio's names."""
    every_text: bool = False
    deadline_s: float = 0.5
    own_kinds: Mapping[str, Kind] = dataclasses.field(default_factory=dict)
    """Entities of the operator's own rules, by name."""
    start_timeout_s: float = 60.0
    restart_delay_s: float = 0.05
    """Doubled with each failure up to the longest one."""
    max_restart_delay_s: float = 10.0


class _Question:
    """Texts somebody waits to hear about."""

    __slots__ = ("answer", "texts")

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.answer: asyncio.Future[Recognized | None] = asyncio.get_running_loop().create_future()

    def tell(self, answer: Recognized | None) -> None:
        if not self.answer.done():  # nobody waits any more
            self.answer.set_result(answer)


class Pool:
    """Keeps a child that answers. Made by `start` only; `stop` ends it."""

    def __init__(self, settings: Settings, child: Child, on_asked: Callable[[str], None]) -> None:
        self._settings = settings
        self._child: Child | None = child
        self._kinds = kinds_of(settings.entities, settings.own_kinds)
        self._on_asked = on_asked
        self._questions: asyncio.Queue[_Question] = asyncio.Queue()
        self.recognizers = Recognizers(
            id=child.id + ("/all" if settings.every_text else "/prose"),
            kinds=tuple(dict.fromkeys(self._kinds.values())),
            every_text=settings.every_text,
        )
        self._task = asyncio.create_task(self._work(), name="recognizers")

    @classmethod
    async def start(
        cls, settings: Settings, *, on_asked: Callable[[str], None] = lambda _outcome: None
    ) -> Self:
        """Load everything. Raises `ConfigurationError` that says what is wrong.

        `on_asked` is told what came of each question: `ok`, `late` or `down`.
        """
        return cls(settings, await _child(settings), on_asked)

    @property
    def ready(self) -> bool:
        """Whether there is a child that can answer."""
        return self._child is not None and not self._task.done()

    @property
    def pid(self) -> int | None:
        """The process that answers now."""
        return self._child.pid if self._child else None

    async def recognize(self, texts: Sequence[str]) -> Recognized | None:
        """What stands in each text; None when there is no whole answer in time."""
        if not texts:
            return {}
        answer = None
        outcome = DOWN
        if self._child is not None:
            question = _Question(texts)
            self._questions.put_nowait(question)
            try:
                async with asyncio.timeout(self._settings.deadline_s):
                    answer = await question.answer
                outcome = OK if answer is not None else DOWN
            except TimeoutError:
                outcome = LATE
        self._on_asked(outcome)
        return answer

    async def stop(self) -> None:
        """End the child; whoever still waits is told that there is no answer."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        child, self._child = self._child, None
        self._tell_all_waiting()
        if child:
            await child.stop()

    # --- one question after the other ---

    async def _work(self) -> None:
        while True:
            question = await self._questions.get()
            if question.answer.done() or self._child is None:
                question.tell(None)
                continue
            try:
                async with asyncio.timeout(self._settings.deadline_s):
                    question.tell(
                        self._checked(question.texts, await self._child.ask(question.texts))
                    )
            except (TimeoutError, GoneError) as error:
                why = "is late" if isinstance(error, TimeoutError) else str(error)
                log.warning("Presidio %s and is started anew; what it was asked is masked", why)
                await self._replace(question)

    def _checked(
        self, texts: Sequence[str], found: Sequence[Sequence[tuple[int, int, str]] | None]
    ) -> Recognized:
        """As spans, without texts nobody could look at; an answer without sense is none."""
        answer: dict[str, list[Span]] = {}
        for text, finds in zip(texts, found, strict=True):
            if finds is None:
                continue
            size = len(text.encode("utf-8", "replace"))
            answer[text] = spans = []
            for start, end, entity in finds:
                kind = self._kinds.get(entity)
                if kind is None or not 0 <= start < end <= size:
                    raise GoneError("answered something else")
                spans.append(Span(start, end, kind, f"presidio.{entity}"))
        return answer

    async def _replace(self, question: _Question) -> None:
        child, self._child = self._child, None
        question.tell(None)
        self._tell_all_waiting()
        if child:
            await child.stop()
        delay_s = self._settings.restart_delay_s
        while self._child is None:
            try:
                self._child = await self._same_as_before()
            except ConfigurationError as error:
                log.error("%s", error)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, self._settings.max_restart_delay_s)

    async def _same_as_before(self) -> Child:
        """A new child; one with other rules than the old one has is not taken."""
        child = await _child(self._settings)
        if not self.recognizers.id.startswith(child.id):
            await child.stop()
            raise ConfigurationError(
                "presidio.not_started",
                "Presidio: the file or a model changed since the start",
                advice="Start the service anew, so that the change is recorded.",
            )
        return child

    def _tell_all_waiting(self) -> None:
        while not self._questions.empty():
            self._questions.get_nowait().tell(None)


async def _child(settings: Settings) -> Child:
    return await Child.start(settings.file, settings.entities, timeout_s=settings.start_timeout_s)
