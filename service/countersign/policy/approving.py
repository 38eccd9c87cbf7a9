"""Versions that people have to approve before they answer.

Who has them decide is an `Approver`: `policy_approval` makes each activation an action
like any other. Used by `activation`.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from countersign.errors import ConfigurationError
from countersign.policy.admission import is_machine
from countersign.policy.snapshot import Snapshot
from countersign.policy.versions import Result, Version

NOT_APPROVED: Final = "policy.not_approved"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A version that passed everything but people."""

    version: Version
    result: Result
    """What it is to be: activated or rolled back to."""
    before: Version | None
    review: str = ""
    """Where people decide on it."""

    def is_same(self, other: Proposal) -> bool:
        """Whether it would be the same question, asked by the same."""
        return (self.version.name, self.version.by, self.result) == (
            other.version.name,
            other.version.by,
            other.result,
        )


class Approver(Protocol):
    """Has people decide. Raises `ConfigurationError` for whatever is not an approval."""

    async def is_approved(self, snapshot: Snapshot) -> bool:
        """Whether this is what was approved last. The first of all is."""

    async def ask(self, proposal: Proposal, *, supersedes: str) -> str:
        """Put it before people, in place of an earlier review; the id of the review."""

    async def approved(self, proposal: Proposal) -> None:
        """Return once people approved it."""

    async def spend(self, proposal: Proposal) -> None:
        """Spend the approval: from now on it is what was approved. May be called again."""

    async def report(self, proposal: Proposal, *, succeeded: bool) -> None:
        """Tell how it ended. Never raises."""

    async def withdraw(self, proposal: Proposal) -> None:
        """Nobody wants it any more. Never raises."""


class Proposals:
    """The one version that waits for people."""

    def __init__(
        self,
        approver: Approver | None,
        decide: Callable[[Proposal, ConfigurationError | None], Awaitable[bool]],
        pause_s: Callable[[], float],
    ) -> None:
        """`decide` is told what people decided; whether that is done with.

        Until it is, it is told again after a pause.
        """
        self._approver = approver
        self._decide = decide
        self._pause_s = pause_s
        self._waiting: asyncio.Task[None] | None = None
        self.pending: Proposal | None = None

    async def needed(self, snapshot: Snapshot) -> bool:
        """Whether people have to approve this before it answers."""
        return self._approver is not None and not await self._approver.is_approved(snapshot)

    async def put(self, proposal: Proposal) -> Proposal:
        """Have people decide on this one, and on no other any more."""
        assert self._approver is not None  # noqa: S101 - `needed` said so
        old = self.pending.review if self.pending else ""
        review = await self._approver.ask(proposal, supersedes=old)
        self.close()
        self.pending = dataclasses.replace(proposal, review=review)
        self._waiting = asyncio.create_task(self._until_decided(self._approver, self.pending))
        return self.pending

    async def spend(self, proposal: Proposal) -> None:
        """Take the approval."""
        assert self._approver is not None  # noqa: S101 - it was put
        await self._approver.spend(proposal)

    async def done(self, proposal: Proposal, *, answers: bool | None = None) -> None:
        """It waits no more; `answers` tells how it ended, if its approval was spent."""
        if self.pending is proposal:
            self.pending = None
        if answers is not None and self._approver is not None:
            await self._approver.report(proposal, succeeded=answers)

    async def withdraw(self) -> None:
        """What was put is wanted no more."""
        proposal, self.pending = self.pending, None
        if proposal is not None and self._approver is not None:
            self.close()
            await self._approver.withdraw(proposal)

    def close(self) -> None:
        """Wait no more."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def _until_decided(self, approver: Approver, proposal: Proposal) -> None:
        while True:
            decided, why = True, None
            try:
                await approver.approved(proposal)
            except ConfigurationError as error:
                decided, why = not is_machine(error), error
            if decided and await self._decide(proposal, why):
                return
            await asyncio.sleep(self._pause_s())
