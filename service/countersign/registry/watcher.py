"""The directory in force, and how a change of its files takes effect.

Invariants kept: a new version takes effect whole or not at all (all files are
read and checked together, and an invalid version leaves the last good one in
force, visibly); no change takes effect before it is recorded (`on_change` is
awaited first, and tried again until it succeeds); a token that is removed from
its file stops working at the next poll. An edit made through `edit` is in force
when the call returns, and recorded with who made it. Built by `app`, read by the
edge and the flow through `current`.

Files are polled: it needs no platform's watcher, sees through every way to
replace a file, and is as fast as its interval. Nothing here waits for whoever
holds the registers while others want their turn to look.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from countersign.directory import Directory, diff
from countersign.errors import ConfigurationError, CountersignError, UnavailableError
from countersign.model import PersonId
from countersign.registry.edit import Judge
from countersign.registry.files import Source, parse

OnChange: TypeAlias = Callable[[Directory, Directory, PersonId | None], Awaitable[None]]
"""Told the old and the new directory, and who made the change, if it was an operator's edit."""
OnError: TypeAlias = Callable[[str | None], None]
T = TypeVar("T")
_Paths: TypeAlias = tuple[Path, Path, Path | None]
_Sources: TypeAlias = tuple[Source, Source, Source | None]
_Stamps: TypeAlias = tuple[tuple[int, ...], ...]

_log = logging.getLogger(__name__)
# A file changed twice within one tick of its file system's clock keeps its
# stamp, so a stamp proves nothing until it is older than any such tick.
_SETTLED_NS: Final = 2_000_000_000
_WRITING_S: Final = 0.05
"""What is still being written is not the same for so long."""
HELD_S: Final = 2.0
"""How long an operator's edit waits for another editor."""
_HELD_RETRY_S: Final = 0.05


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """What one edit found and what it made of it; whatever else changed is not its doing."""

    before: Directory
    after: Directory
    by: PersonId


class Registry:
    """The registers, the last good snapshot of them, and what is wrong now.

    A `DirectorySource`.
    """

    def __init__(
        self,
        callers_path: Path,
        people_path: Path,
        channels_path: Path | None = None,
        *,
        on_change: OnChange | None = None,
        on_error: OnError | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load all files. Raises `ConfigurationError` when they are not right.

        The channels' file may be missing. `on_change(old, new, by)` is awaited
        before a changed snapshot becomes current; when it raises, the old one
        stays and the change is tried again. `on_error` is told each new `error`,
        and None when it is over. `clock` never goes back.
        """
        self._paths = (callers_path, people_path, channels_path)
        self._on_change = on_change
        self._on_error = on_error
        self._clock = clock
        self._turn = asyncio.Lock()
        self._edits: set[asyncio.Future[Any]] = set()
        self._begun: set[asyncio.Future[Any] | None] = set()
        self._error: str | None = None
        self._edit_made: _Edit | None = None
        """What was made of the files and nobody has recorded yet."""
        stamps, sources = _read(self._paths)
        self._current = self._recorded = parse(*sources)
        self._applied = _digest(sources)
        self._stamps = stamps
        """Of the version last judged to the end; None: look again."""
        self._confirmed_s = clock()

    @property
    def current(self) -> Directory:
        """The snapshot in force. Take it once a request."""
        return self._current

    @property
    def error(self) -> str | None:
        """Why the files are not in force as they are now; None when they are."""
        return self._error

    def age_s(self) -> float:
        """Seconds since the files were last seen to say what is in force."""
        return self._clock() - self._confirmed_s

    async def watch(self, interval_s: float) -> None:
        """Poll for ever, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.poll()

    async def poll(self) -> bool:
        """Look whether the files changed. True when a change took effect."""
        async with self._turn:
            looked_s = self._clock()
            stamps = await asyncio.to_thread(_stamps, self._paths)
            if stamps is not None and stamps == self._stamps:
                if self._error is None:
                    self._confirmed_s = looked_s
                return False
            return await self._attempt(unasked=True)

    async def reload(self) -> bool:
        """Read the files whatever their stamps say, as an operator's SIGHUP asks.

        True when a change took effect; `error` says why one did not.
        """
        async with self._turn:
            return await self._attempt()

    async def edit(self, change: Callable[[Judge], T], by: PersonId, judge: Judge) -> T:
        """Let an operator change the files: recorded as theirs and in force on return.

        `change` runs in a thread, while nothing else is taken over, and asks the
        judge it is given; it raises when it changed nothing. Raises
        `UnavailableError` when the files are not in force as they are, before or
        after. A change that could not be recorded stays in the files, and takes
        effect, as theirs, once it can be.
        """
        turn = asyncio.ensure_future(self._turn_for_edit(change, by, judge))
        self._edits.add(turn)
        turn.add_done_callback(self._edits.discard)
        try:
            return await asyncio.shield(turn)
        except asyncio.CancelledError:
            if turn not in self._begun:
                turn.cancel()
            raise

    async def _turn_for_edit(self, change: Callable[[Judge], T], by: PersonId, judge: Judge) -> T:
        """Begin once nobody else edits. Others have their turns while this one waits.

        Not cancelled once begun: one who hangs up must not leave a change unrecorded.
        """
        me = asyncio.current_task()
        clock = asyncio.get_running_loop().time
        until_s = clock() + HELD_S
        while True:
            async with self._turn:
                self._begun.add(me)
                try:
                    return await self._edit(change, by, judge)
                except ConfigurationError as error:
                    if error.code != "directory.held" or clock() >= until_s:
                        raise
                finally:
                    self._begun.discard(me)
            await asyncio.sleep(_HELD_RETRY_S)

    async def _edit(self, change: Callable[[Judge], T], by: PersonId, judge: Judge) -> T:
        await self._attempt()  # what others changed before is not theirs
        if self._error is not None:
            raise UnavailableError(
                "admin.registers_invalid",
                "the registers on the server are not in force as they are now; nothing was changed",
                advice="The server's log says why; whoever runs it can correct that.",
            )
        made: _Edit | None = None

        def judged(before: Directory, after: Directory) -> None:
            nonlocal made
            judge(before, after)
            made = _Edit(before=before, after=after, by=by)

        result = await asyncio.to_thread(change, judged)
        self._edit_made = made
        await self._attempt()
        if self._error is not None:
            raise UnavailableError(
                "admin.not_in_force",
                "the change was written and is not in force: it could not be recorded",
                advice="It takes effect once it can be recorded. Look what is registered "
                "before you try again; a token that was not shown is replaced by rotating.",
            )
        return result

    async def _attempt(self, *, unasked: bool = False) -> bool:
        """Read, check, record, apply: each only after the one before.

        Unasked, nobody says that the files are whole. An editor that writes in place
        empties a file before it fills it again, and to take that over would be to
        register nobody: so a change must still be the same a moment later.
        """
        self._stamps = None
        looked_s = self._clock()
        try:
            stamps, sources = await asyncio.to_thread(_read, self._paths)
            digest = _digest(sources)
            found: Directory | ConfigurationError = self._current
            if unasked and digest != self._applied:
                await asyncio.sleep(_WRITING_S)
                _, again = await asyncio.to_thread(_read, self._paths)
                if _digest(again) != digest:
                    return False
            if digest != self._applied:
                found = await asyncio.to_thread(_judge, sources)
            if isinstance(found, ConfigurationError):
                self._stamps = stamps
                self._report(str(found))
                return False
            changed = await self._record(found)
        except CountersignError as error:
            self._report(str(error))
            return False
        except Exception as error:  # noqa: BLE001 - a dead watcher would keep revoked tokens alive
            self._report(f"{type(error).__name__} while taking over a change", fault=error)
            return False
        self._current, self._applied, self._stamps = found, digest, stamps
        self._confirmed_s = looked_s
        self._report(None)
        return changed

    async def _record(self, new: Directory) -> bool:
        """Have every change recorded before it takes effect; whether there is one.

        An operator's edit is told apart from what was changed by hand before or after it.
        """
        edit = self._edit_made
        steps: list[tuple[Directory, PersonId | None]] = [(new, None)]
        if edit is not None:
            steps = [(edit.before, None), (edit.after, edit.by), (new, None)]
        changed = False
        for step, by in steps:
            changed |= await self._record_one(step, by)
            if edit is not None and step is edit.after:
                self._edit_made = None
        return changed

    async def _record_one(self, new: Directory, by: PersonId | None) -> bool:
        if new is self._recorded:
            return False
        changes = await asyncio.to_thread(diff, self._recorded, new)
        if not changes:
            return False
        if self._on_change is not None:
            await self._on_change(self._recorded, new, by)
        self._recorded = new
        _log.info("the registers changed in %d tenants", len(changes))
        return True

    def _report(self, error: str | None, *, fault: Exception | None = None) -> None:
        """Tell a new state of the files once."""
        if error == self._error:
            return
        self._error = error
        if error is not None:
            _log.error("the registers in force stay as they were: %s", error, exc_info=fault)
        if self._on_error is not None:
            self._on_error(error)


def _stamps(paths: _Paths) -> _Stamps | None:
    """What changes whenever a file does; None when that cannot be relied on."""
    try:
        found = [_stat(path, optional=path is paths[-1]) for path in paths]
    except OSError:
        return None
    newest = max(max(stamp[:2]) for stamp in found)
    if time.time_ns() - newest < _SETTLED_NS:
        return None
    return tuple(found)


def _stat(path: Path | None, *, optional: bool) -> tuple[int, ...]:
    """One file's stamp, modification times first."""
    if path is None or (optional and not path.exists()):
        return (0, 0)
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _read(paths: _Paths) -> tuple[_Stamps | None, _Sources]:
    """All files. Stamps are taken first: what changes meanwhile differs later."""
    stamps = _stamps(paths)
    callers, people, channels = paths
    if channels is not None and not channels.exists():
        channels = None
    return stamps, (
        Source.read(callers),
        Source.read(people),
        None if channels is None else Source.read(channels),
    )


def _digest(sources: _Sources) -> bytes:
    digests = (hashlib.sha256(source.data if source else b"").digest() for source in sources)
    return hashlib.sha256(b"".join(digests)).digest()


def _judge(sources: _Sources) -> Directory | ConfigurationError:
    """What the files say, or what is wrong with them."""
    try:
        return parse(*sources)
    except ConfigurationError as error:
        return error
