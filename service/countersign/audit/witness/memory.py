"""What a witness remembers: for each log, the largest checkpoint it has cosigned.

    <origin's SHA-256>/checkpoint          the cosigned note, replaced as the log grows
    <origin's SHA-256>/fork/<SHA-256>      what the log signed beside it: two histories
    <origin's SHA-256>/unproven/<SHA-256>  what was not shown to extend it
    witness/key                            whose memory this is

All of it is worth as much as the witness's key: with an older memory, the
witness would cosign a second history. So it is durable before a cosignature
leaves, one process at a time has it, and a damaged one is not used.
"""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path
from typing import IO, Final

from countersign.audit.cosignature import WitnessKey
from countersign.audit.local import LocalSink
from countersign.audit.note import Checkpoint, Note
from countersign.audit.plan import POINTER, File, Keep
from countersign.audit.witness.rules import Doubt
from countersign.errors import ConfigurationError, LogError

_OWN: Final = "witness"
_MAX_REFUSED: Final = 100
"""Of one log and kind. What proves a fork, nobody but the log can make."""


class Memory:
    """One witness's directory."""

    def __init__(self, root: Path, witness: WitnessKey) -> None:
        """Take the directory. Raises `ConfigurationError` when it cannot be used."""
        self._root = root
        self._sink = LocalSink(root)
        self._witness = witness
        self._lock = self._taken()
        key = File(name="key", data=f"{witness}\n".encode(), keep=Keep.LOCKED)
        try:
            self._sink.write(_OWN, (key,))
        except LogError as error:
            self.close()
            if error.code != "log.conflict":
                raise
            raise _invalid(f"{root}: it is the memory of another witness key") from None

    def _taken(self) -> IO[bytes]:
        own = self._root / _OWN
        try:
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (own / "lock").open("wb")
        except OSError as error:
            raise _invalid(f"{self._root}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise _invalid(f"{self._root}: another witness works with it") from None
        return lock

    def close(self) -> None:
        """Let another process have the directory."""
        self._lock.close()

    def newest(self, origin: str) -> Note | None:
        """The largest cosigned checkpoint of a log. Raises `ConfigurationError`."""
        data = self._sink.read(folder(origin), POINTER)
        if data is None:
            return None
        try:
            note = Note.parse(data)
            good = Checkpoint.parse(note.text).origin == origin and self.time_s(note) is not None
        except LogError:
            good = False
        if not good:
            where = self._root / folder(origin) / POINTER
            raise _invalid(f"{where}: it is not what this witness has written")
        return note

    def time_s(self, note: Note) -> int | None:
        """When this witness cosigned it."""
        return self._witness.cosigned_s(note)

    def keep(self, origin: str, note: Note) -> None:
        """Remember a cosigned checkpoint; durable on return."""
        file = File(name=POINTER, data=note.encode(), keep=Keep.POINTER)
        self._sink.write(folder(origin), (file,))

    def keep_refused(self, origin: str, doubt: Doubt, note: Note) -> str:
        """Keep what a log signed and was not cosigned, as evidence; returns where, or ""."""
        name = f"{doubt.value}/{hashlib.sha256(note.text.encode()).hexdigest()}"
        kept = self._sink.names(folder(origin), f"{doubt.value}/")
        if name not in kept:
            if len(kept) >= _MAX_REFUSED:
                return ""
            file = File(name=name, data=note.encode(), keep=Keep.LOCKED)
            self._sink.write(folder(origin), (file,))
        return f"{folder(origin)}/{name}"


def folder(origin: str) -> str:
    """The directory of a log, whatever its origin is written with."""
    return hashlib.sha256(origin.encode()).hexdigest()


def _invalid(problem: str) -> ConfigurationError:
    return ConfigurationError(
        "witness.state_invalid",
        f"--state: {problem}",
        advice="Name the directory that belongs to this key. If it is lost, make a new key under "
        "a new name: a witness that has forgotten would cosign a second history.",
    )
