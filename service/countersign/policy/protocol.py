"""What the flow asks of policy. Called by `flow`; implemented by `opa`."""

from __future__ import annotations

from typing import Protocol

from countersign.model import PolicyDecision


class PolicyPoint(Protocol):
    """One place that decides."""

    @property
    def revision(self) -> str:
        """The active revision. An answer may still name the one before it."""

    @property
    def ready(self) -> bool:
        """Whether policy can be asked now."""

    async def decide(self, input_json: bytes, *, deadline_s: float) -> PolicyDecision:
        """Policy's answer on one canonical input document, within `deadline_s`.

        Raises `PolicyError` with code `policy.unavailable` (gone or late, may be
        retried), `policy.undefined` (no answer) or `policy.invalid` (an answer
        the contract does not allow). Each is a DENY to whoever asked.
        """
