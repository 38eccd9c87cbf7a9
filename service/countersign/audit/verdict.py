"""What a verification amounts to: one word, one line, and what it did not check.

Pure. An auditor's tool must not sound surer than it is: whatever was not looked
at is said in the same breath. Called by the command line and the evidence pack.
"""

from __future__ import annotations

import enum

from countersign.audit.result import Result


class Verdict(enum.Enum):
    """What is known after a verification; each has its exit code."""

    WHOLE = "whole"
    TAMPERED = "tampered"
    """Something here is not what was logged, or history was rewritten."""
    INCOMPLETE = "incomplete"
    """Something that was signed is not here; nothing that is here contradicts it."""
    UNKNOWN = "unknown"
    """No checkpoint by this key: nothing here can be judged."""

    @property
    def exit_code(self) -> int:
        """0 whole, 1 tampered, 3 incomplete, 4 unknown. 2 is wrong usage."""
        return {"whole": 0, "tampered": 1, "incomplete": 3, "unknown": 4}[self.value]


def verdict(result: Result) -> Verdict:
    """The one word."""
    if not result.judged:
        return Verdict.UNKNOWN
    if result.ok:
        return Verdict.WHOLE
    return Verdict.TAMPERED if result.tampered else Verdict.INCOMPLETE


def not_checked(result: Result) -> tuple[str, ...]:
    """What was not checked, in words."""
    said = []
    if result.locks is None:
        said.append("locks (a directory has none: found out is not prevented)")
    elif result.locks.unknown:
        said.append(f"{result.locks.unknown} lock(s) of which the bucket does not tell")
    if not result.remembered:
        if result.witnesses:
            said.append("whether there is more by now (no remembered checkpoint)")
        else:
            said.append("truncation and forks by whoever has the key (no remembered checkpoint)")
    if not result.witnesses:
        said.append("what others were shown, and when (no witness)")
    for sight in result.witnesses:
        if sight.size < result.size:
            count = result.size - sight.size
            said.append(f"the newest {count} record(s), which {sight.name} has not cosigned yet")
    if result.resumed_at:
        said.append(f"the bytes of the {result.resumed_at} records verified before")
    if result.pending:
        said.append(f"{result.pending} record(s) that no checkpoint covers yet")
    said.append("what was never logged")
    return tuple(said)


def line(result: Result) -> str:
    """The result in one line."""
    found = verdict(result)
    count = len(result.findings) + result.suppressed
    what = f"{result.size} record(s), root {result.root.hex()[:16]}…"
    if count:
        what += f", {count} finding(s)"
    missing = "; ".join(not_checked(result))
    seen = f" SEEN: {'; '.join(map(str, result.witnesses))}." if result.witnesses else ""
    return f"{found.value.upper()}: {what}.{seen} NOT CHECKED: {missing}"
