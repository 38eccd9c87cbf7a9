"""What a doctor found, and how it is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from countersign.cli import output


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def told(findings: Sequence[Finding], *, as_json: bool) -> int:
    """Print all of it; the exit code is 1 if anything is wrong."""
    good = all(finding.ok for finding in findings)
    if as_json:
        output.as_json({"ok": good, "findings": [dataclasses.asdict(each) for each in findings]})
        return 0 if good else 1
    for finding in findings:
        print(
            f"{'ok  ' if finding.ok else 'FAIL'} {finding.name:<12} {output.safe(finding.detail)}"
        )
        if finding.remedy:
            print(f"{'':<18}{finding.remedy}")
    print("Everything is in place." if good else "Mend what failed, then run doctor again.")
    return 0 if good else 1
