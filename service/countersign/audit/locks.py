"""What a bucket says of the locks of a log. Pure; `s3.source` asks, `result` tells."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from countersign.audit.findings import Finding


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Locks:
    """The locks of every object that is evidence, as the bucket tells of them."""

    findings: tuple[Finding, ...]
    """What hides or shadows a record, or is not locked as it should be."""
    locked: int
    """Objects under COMPLIANCE whose time is not over."""
    over: int
    """Objects whose time is over: they may be deleted now."""
    unknown: int
    """Objects of which the bucket does not tell: `s3:GetObjectRetention` is not granted."""
    until: datetime | None
    """When the first of the locks ends."""

    def words(self) -> str:
        """In one line, for people."""
        said = [f"{self.locked} object(s) under COMPLIANCE"]
        if self.until is not None:
            said.append(f"the first until {self.until:%Y-%m-%d %H:%M} UTC")
        if self.over:
            said.append(f"{self.over} whose time is over")
        if self.unknown:
            said.append(f"{self.unknown} of which the bucket does not tell")
        return ", ".join(said)
