"""What a verification of a log found.

Pure. `verify` makes it; `verdict` says what it amounts to.
"""

from __future__ import annotations

import dataclasses

from countersign.audit.findings import Finding
from countersign.audit.locks import Locks
from countersign.audit.seen import Sight
from countersign.audit.state import State


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a verification found."""

    origin: str
    size: int
    """Records that a signed checkpoint covers."""
    root: bytes
    findings: tuple[Finding, ...]
    suppressed: int
    """Findings beyond the bound, counted only."""
    anchors: tuple[str, ...]
    """What the records were verified against, in words."""
    segments: int
    checkpoints: int
    objects: int
    pending: int
    """Records in segments that no checkpoint covers yet: not verified."""
    judged: bool
    """Whether there is a checkpoint by this key at all."""
    tampered: bool
    """Whether any finding is more than something that is gone."""
    remembered: bool
    """Whether there was an anchor from outside: a kept checkpoint, a state, the store."""
    resumed_at: int
    """How many records an earlier verification had judged; 0 from the start."""
    witnesses: tuple[Sight, ...]
    """Who cosigned what is here, and when."""
    state: State | None
    """What to keep for the next verification; None with findings."""
    delay_s: float | None = None
    """Longest time from a record to when a bucket had it, by both clocks; None in a copy."""
    locks: Locks | None = None
    """Of the bucket it was read from; None for a copy, which has none."""

    @property
    def ok(self) -> bool:
        """Whether nothing was found. Read `anchors` for what that means."""
        return not self.findings

    def with_locks(self, locks: Locks) -> Result:
        """The same, and what the bucket says of itself."""
        return dataclasses.replace(
            self,
            findings=(*self.findings, *locks.findings),
            tampered=self.tampered or bool(locks.findings),
            state=None if locks.findings else self.state,
            locks=locks,
        )
