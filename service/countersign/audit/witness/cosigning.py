"""Following what is published: each new checkpoint is shown to every witness.

After publication and beside it: nobody waits for a witness. Each has a task of its
own, so that a slow one costs the others nothing. One that does not answer is asked again
at the next checkpoint, for that one. One that has more of a log, or other records, stops
that log: nothing more of it is published until somebody has looked. What comes back is kept
as evidence under `witnessed/`, and added to the note that the `checkpoint` pointer holds.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from countersign.audit.blocking import blocking
from countersign.audit.note import Checkpoint, Note, Signature
from countersign.audit.plan import File, Keep, witnessed_name
from countersign.audit.sink import Sink
from countersign.audit.witness.asking import CONTRADICTED, Asking
from countersign.errors import CountersignError, LogError
from countersign.model import TenantId

log = logging.getLogger(__name__)

_LAST_S: Final = 5.0
"""How long stopping waits for the last cosignatures."""


class Published(Protocol):
    """The part of the publisher that is needed."""

    def checkpoint(self, tenant: TenantId) -> bytes | None: ...

    async def add_signature(self, tenant: TenantId, text: str, line: Signature) -> None: ...

    def freeze(self, tenant: TenantId, error: LogError) -> None: ...


class Cosigning:
    """The tasks that ask, one for each witness."""

    def __init__(
        self,
        witnesses: Sequence[Asking],
        *,
        published: Published,
        sink: Sink,
        on_answer: Callable[[str, str], None],
        last_s: float = _LAST_S,
    ) -> None:
        """`on_answer` is told the witness's name and `cosigned` or the code of what is wrong."""
        self._published = published
        self._sink = sink
        self._last_s = last_s
        self._followers = [_Follower(each, self._cosign, on_answer) for each in witnesses]

    def start(self) -> None:
        """Begin to ask."""
        for each in self._followers:
            each.start()

    def notify(self, tenant: TenantId) -> None:
        """Say that a tenant's log has a new checkpoint. Never blocks."""
        for each in self._followers:
            each.notify(tenant)

    async def close(self) -> None:
        """Show the last checkpoints, within bounds, and stop."""
        tasks = [task for each in self._followers for task in each.ending()]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._last_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _cosign(self, witness: Asking, tenant: TenantId) -> str:
        """Have a log's newest checkpoint cosigned, unless it is; returns the outcome."""
        data = self._published.checkpoint(tenant)
        if data is None:
            return ""
        note = Note.parse(data)
        head = Checkpoint.parse(note.text)
        name = witnessed_name(head.size, witness.key.key_id)
        if not head.size or any(line.key_id == witness.key.key_id for line in note.signatures):
            return ""
        line = await self._kept(head, name, witness)
        if line is None:
            read = functools.partial(self._sink.read, head.origin)
            try:
                line = await witness.cosign(note, read)
            except LogError as error:
                if error.code in CONTRADICTED:
                    self._published.freeze(tenant, error)
                raise
            cosigned = Note(text=note.text, signatures=(*_by_log(note, head), line))
            file = File(name=name, data=cosigned.encode(), keep=Keep.LOCKED)
            await blocking(self._sink.write, head.origin, (file,))
        await self._published.add_signature(tenant, note.text, line)
        return "cosigned"

    async def _kept(self, head: Checkpoint, name: str, witness: Asking) -> Signature | None:
        """A cosignature that a process before this one got and kept."""
        data = await blocking(self._sink.read, head.origin, name)
        if data is None:
            return None
        note = Note.parse(data)
        if note.text != head.text() or witness.key.cosigned_s(note) is None:
            raise LogError(
                "log.conflict",
                f"{name}: holds something else than this checkpoint",
                advice="The log was tampered with; run `verify` on it.",
            )
        return next(line for line in note.signatures if line.key_id == witness.key.key_id)


def _by_log(note: Note, head: Checkpoint) -> tuple[Signature, ...]:
    return tuple(line for line in note.signatures if line.name == head.origin)


class _Follower:
    """One witness, and the logs whose newest checkpoint it was not shown."""

    def __init__(
        self,
        witness: Asking,
        cosign: Callable[[Asking, TenantId], Awaitable[str]],
        on_answer: Callable[[str, str], None],
    ) -> None:
        self._witness = witness
        self._cosign = cosign
        self._on_answer = on_answer
        self._waiting: set[TenantId] = set()
        self._woken = asyncio.Event()
        self._closing = False
        self._said: dict[TenantId, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"witness {self._witness.name}")

    def notify(self, tenant: TenantId) -> None:
        self._waiting.add(tenant)
        self._woken.set()

    def ending(self) -> list[asyncio.Task[None]]:
        """The task, which ends after what waits now."""
        self._closing = True
        self._woken.set()
        return [self._task] if self._task is not None else []

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            await self._woken.wait()
            self._woken.clear()
            waiting, self._waiting = sorted(self._waiting), set()
            for tenant in waiting:
                await self._show(tenant)

    async def _show(self, tenant: TenantId) -> None:
        try:
            outcome = await self._cosign(self._witness, tenant)
        except CountersignError as error:
            outcome = error.code
            self._tell(tenant, error)
        except Exception as error:  # noqa: BLE001 - one that goes wrong must not be the last
            outcome = "error"
            log.error("log %s: not cosigned: %s", tenant, type(error).__name__)
        else:
            if outcome and self._said.pop(tenant, ""):
                log.info("log %s: the witness %s cosigns again", tenant, self._witness.name)
        if outcome:
            self._on_answer(self._witness.name, outcome)

    def _tell(self, tenant: TenantId, error: CountersignError) -> None:
        """Once, until it changes; that history is contradicted, each time."""
        if error.code in CONTRADICTED:
            log.critical("log %s: %s", tenant, error)
        elif self._said.get(tenant) != error.code:
            log.warning("log %s: not cosigned: %s", tenant, error)
        self._said[tenant] = error.code
