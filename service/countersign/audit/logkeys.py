"""The keys of one log over time: which of them may have signed a checkpoint of which size.

Pure. A log outlives its keys. Each retired key is good up to the size at which it was
retired and no further, and the one after it only from there on: whoever gets hold of a
key that was retired cannot go on with the log, or say of its beginning what another key
said. A key that is not listed here is a stranger, whatever records say of it: who
trusts the log wrote the list (`trust`), or it is the service's own. Used by all that
open checkpoints: the verifier, the prover, witnesses, and the service at its start.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Protocol

from countersign.audit.note import Checkpoint, Note, Verifier, open_checkpoint
from countersign.errors import LogError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """A key that signs no more."""

    verifier: Verifier
    until: int
    """The size of the last checkpoint it may have signed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogKeys:
    """The key that signs now, and those before it, the oldest first."""

    current: Verifier
    retired: tuple[Retired, ...] = ()

    def __post_init__(self) -> None:
        """Raises `LogError` when these are not one log's keys, in order."""
        known = {each.verifier.key_id for each in self.retired} | {self.current.key_id}
        if len(known) != len(self.retired) + 1:
            raise _bad("one key is named twice; a retired key does not come back")
        if any(each.verifier.name != self.name for each in self.retired):
            raise _bad("a retired key is of another log: it has another name")
        if any(one.until > next_.until for one, next_ in itertools.pairwise(self.retired)):
            raise _bad("the retired keys are not in order, the oldest first")

    @property
    def name(self) -> str:
        """The log's origin."""
        return self.current.name

    def __str__(self) -> str:
        return str(self.current)

    def knows(self, vkey: str) -> bool:
        """Whether this is one of the log's keys, as a verifier key."""
        return vkey in {str(self.current), *(str(each.verifier) for each in self.retired)}

    def signer(self, note: Note, size: int) -> Verifier:
        """The key that signed this checkpoint of that size, and may have. Raises `LogError`."""
        found = note.verify(self.current, *(each.verifier for each in self.retired))
        since = 0
        for each in self.retired:
            if each.verifier in found and since <= size <= each.until:
                return each.verifier
            since = each.until + 1
        if self.current in found and since <= size:
            return self.current
        raise LogError(
            "log.signature_invalid",
            f"the checkpoint of size {size} is signed by {found[0].key_id.hex()}, a key of this "
            "log for checkpoints of other sizes",
            advice="A retired key signed after its time, or a new one before it: the log was "
            "tampered with, or the trust file names the wrong size for the change of keys.",
        )

    def open(self, data: bytes) -> Checkpoint:
        """The checkpoint in a note that the right key of this log signed. Raises `LogError`."""
        note = Note.parse(data)
        size = Checkpoint.parse(note.text).size
        return open_checkpoint(data, self.signer(note, size))


class Keys(Protocol):
    """What opens a log's checkpoints: one key, or all it ever had."""

    @property
    def name(self) -> str:
        """The log's origin."""

    def knows(self, vkey: str) -> bool:
        """Whether this is one of the log's keys, as a verifier key."""

    def signer(self, note: Note, size: int) -> Verifier:
        """The key that signed this checkpoint of that size, and may have. Raises `LogError`."""

    def open(self, data: bytes) -> Checkpoint:
        """The checkpoint in a note that the right key of this log signed. Raises `LogError`."""


def _bad(problem: str) -> LogError:
    return LogError("log.key_invalid", problem)
