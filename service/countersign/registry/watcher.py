"""The directory in force, and how a change of its files takes effect.

Invariants kept: a new version takes effect whole or not at all (both files are
read and checked together, and an invalid version leaves the last good one in
force, visibly); no change takes effect before it is recorded (`on_change` is
awaited first, and tried again until it succeeds); a token that is removed from
its file stops working at the next poll. Built by `app`, read by the edge and
the flow through `current`.

Files are polled: it needs no platform's watcher, sees through every way to
replace a file, and is as fast as its interval.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

from countersign.directory import Directory, diff
from countersign.errors import ConfigurationError, CountersignError
from countersign.registry.files import Source, parse

OnChange: TypeAlias = Callable[[Directory, Directory], Awaitable[None]]
OnError: TypeAlias = Callable[[str | None], None]
_Paths: TypeAlias = tuple[Path, Path]
_Sources: TypeAlias = tuple[Source, Source]
_Stamps: TypeAlias = tuple[tuple[int, ...], ...]

_log = logging.getLogger(__name__)
# A file changed twice within one tick of its file system's clock keeps its
# stamp, so a stamp proves nothing until it is older than any such tick.
_SETTLED_NS: Final = 2_000_000_000


class Registry:
    """Two files, the last good snapshot of them, and what is wrong now."""

    def __init__(
        self,
        callers_path: Path,
        people_path: Path,
        *,
        on_change: OnChange | None = None,
        on_error: OnError | None = None,
    ) -> None:
        """Load both files. Raises `ConfigurationError` when they are not right.

        `on_change(old, new)` is awaited before a changed snapshot becomes
        current; when it raises, the old one stays and the change is tried
        again. `on_error` is told each new `error`, and None when it is over.
        """
        self._paths = (callers_path, people_path)
        self._on_change = on_change
        self._on_error = on_error
        self._turn = asyncio.Lock()
        self._error: str | None = None
        stamps, sources = _read(self._paths)
        self._current = parse(*sources)
        self._applied = _digest(sources)
        self._stamps = stamps
        """Of the version last judged to the end; None: look again."""

    @property
    def current(self) -> Directory:
        """The snapshot in force. Take it once a request."""
        return self._current

    @property
    def error(self) -> str | None:
        """Why the files are not in force as they are now; None when they are."""
        return self._error

    async def watch(self, interval_s: float) -> None:
        """Poll for ever, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.poll()

    async def poll(self) -> bool:
        """Look whether the files changed. True when a change took effect."""
        async with self._turn:
            stamps = await asyncio.to_thread(_stamps, self._paths)
            if stamps is not None and stamps == self._stamps:
                return False
            return await self._attempt()

    async def reload(self) -> bool:
        """Read the files whatever their stamps say, as an operator's SIGHUP asks.

        True when a change took effect; `error` says why one did not.
        """
        async with self._turn:
            return await self._attempt()

    async def _attempt(self) -> bool:
        """Read, check, record, apply: each only after the one before."""
        self._stamps = None
        try:
            stamps, sources = await asyncio.to_thread(_read, self._paths)
            digest = _digest(sources)
            found: Directory | ConfigurationError = self._current
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
        self._report(None)
        return changed

    async def _record(self, new: Directory) -> bool:
        """Have a change recorded before it takes effect; whether there is one."""
        changes = await asyncio.to_thread(diff, self._current, new)
        if not changes:
            return False
        if self._on_change is not None:
            await self._on_change(self._current, new)
        _log.info("callers and people changed in %d tenants", len(changes))
        return True

    def _report(self, error: str | None, *, fault: Exception | None = None) -> None:
        """Tell a new state of the files once."""
        if error == self._error:
            return
        self._error = error
        if error is not None:
            _log.error("callers and people stay as they were: %s", error, exc_info=fault)
        if self._on_error is not None:
            self._on_error(error)


def _stamps(paths: _Paths) -> _Stamps | None:
    """What changes whenever a file does; None when that cannot be relied on."""
    try:
        found = [path.stat() for path in paths]
    except OSError:
        return None
    newest = max(max(stat.st_mtime_ns, stat.st_ctime_ns) for stat in found)
    if time.time_ns() - newest < _SETTLED_NS:
        return None
    return tuple((s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino) for s in found)


def _read(paths: _Paths) -> tuple[_Stamps | None, _Sources]:
    """Both files. Stamps are taken first: what changes meanwhile differs later."""
    stamps = _stamps(paths)
    callers, people = map(Source.read, paths)
    return stamps, (callers, people)


def _digest(sources: _Sources) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(s.data).digest() for s in sources)).digest()


def _judge(sources: _Sources) -> Directory | ConfigurationError:
    """What the files say, or what is wrong with them."""
    try:
        return parse(*sources)
    except ConfigurationError as error:
        return error
