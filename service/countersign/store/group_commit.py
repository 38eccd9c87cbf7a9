"""One writer thread that commits many commands at once.

Keeps invariant 1 for every backend: a result leaves only after the COMMIT that
holds its record. While one COMMIT waits for the disk the next commands queue,
so a flush is paid once for all of them. A command that raises is undone alone.
A COMMIT that fails fails all of its commands, and every later one at once: the
process must end and find out at start what is durable.

A backend supplies the `Engine`; its store owns the `GroupCommit`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, cast

from countersign.errors import UnavailableError
from countersign.store.protocol import Change, Decision

T = TypeVar("T")
Tx = TypeVar("Tx")
Tx_co = TypeVar("Tx_co", covariant=True)

MAX_BATCH: Final = 512

Outcome: TypeAlias = tuple[T | None, BaseException | None]
"""What a command returned, or what it raised."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a batch did that others want to hear of, once it is committed."""

    changes: Sequence[Change]
    decided: Sequence[Decision]
    """Decisions that are new, not replaced."""


class Engine(Protocol[Tx_co]):
    """A backend's half, used by the writer thread alone.

    What any of these raises means that the engine cannot be trusted any more.
    """

    def begin(self) -> None:
        """Open the transaction of a batch."""

    def run(self, command: Callable[[Tx_co], T]) -> Outcome[T]:
        """The result of a command, or its error after its effects are undone."""

    def flush(self) -> Effects:
        """Write what was held back for the end of the batch."""

    def commit(self) -> None:
        """Return when the batch is durable."""

    def close(self) -> None:
        """Let go of everything; an open transaction is rolled back."""


_Item: TypeAlias = "tuple[Callable[[Any], Any], asyncio.Future[Outcome[Any]]]"


class GroupCommit(Generic[Tx]):
    """Queue, thread and delivery. Made and used on the event loop.

    `on_commit` and `on_failure` are called on the event loop. `reached` is told
    by the writer thread what has happened, for fault injection.
    """

    def __init__(
        self,
        engine: Engine[Tx],
        *,
        on_commit: Callable[[Effects], None],
        on_failure: Callable[[BaseException], None],
        reached: Callable[[str], None],
    ) -> None:
        self.failed = False
        self._engine = engine
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._reached = reached
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._ended = self._loop.create_future()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        # A daemon: what is not committed was promised to nobody.
        threading.Thread(target=self._serve, name="countersign-store", daemon=True).start()

    async def apply(self, command: Callable[[Tx], T]) -> T:
        """Run a command and return after COMMIT; see `Store.apply`.

        Cancelling the caller does not take the command back.
        """
        if self._closed:
            raise _unavailable()
        future: asyncio.Future[Outcome[T]] = self._loop.create_future()
        self._queue.put((command, future))
        result, error = await future
        if error is not None:
            raise error
        return cast("T", result)

    async def close(self) -> None:
        """Commit what is queued, then end the thread and the engine."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.shield(self._ended)

    # --- in the writer thread ---

    def _serve(self) -> None:
        while batch := self._take():
            if self.failed:
                self._loop.call_soon_threadsafe(self._refuse, batch)
                continue
            try:
                outcomes, effects = self._commit(batch)
            except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
                self.failed = True
                self._loop.call_soon_threadsafe(self._fail, batch, error)
            else:
                self._loop.call_soon_threadsafe(self._deliver, batch, outcomes, effects)
        self._engine.close()
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _take(self) -> list[_Item]:
        """Wait for a command and take what else is queued; empty means stop."""
        first = self._queue.get()
        if first is None:
            return []
        batch = [first]
        for _ in range(min(self._queue.qsize(), MAX_BATCH - 1)):
            item = self._queue.get()
            if item is None:
                self._queue.put(None)  # the last one ever: stop at the next turn
                break
            batch.append(item)
        return batch

    def _commit(self, batch: Sequence[_Item]) -> tuple[Sequence[Outcome[Any]], Effects]:
        engine, reached = self._engine, self._reached
        engine.begin()
        outcomes = [engine.run(command) for command, _ in batch]
        effects = engine.flush()
        reached("store.before_commit")
        engine.commit()
        reached("store.committed")
        for command, _ in batch:
            name = getattr(command, "name", None)
            if name is not None:
                reached(f"{name}.committed")
        return outcomes, effects

    # --- back on the event loop, once a batch ---

    def _deliver(
        self, batch: Sequence[_Item], outcomes: Sequence[Outcome[Any]], effects: Effects
    ) -> None:
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
        self._on_commit(effects)

    def _refuse(self, batch: Sequence[_Item]) -> None:
        for _, future in batch:
            if not future.done():
                future.set_result((None, _unavailable()))

    def _fail(self, batch: Sequence[_Item], error: BaseException) -> None:
        self._refuse(batch)
        self._on_failure(error)


def _unavailable() -> UnavailableError:
    return UnavailableError(
        "audit.unavailable",
        "the store cannot make a record durable",
        advice="Try again; the same request_id gets the same answer if it was committed.",
    )
