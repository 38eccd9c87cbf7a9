"""A policy directory that changes, and what a keeper over real OPA makes of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import realparts
from countersign.errors import ConfigurationError
from countersign.policy.activation import Keeper, KeeperSettings
from countersign.policy.admission import Admission, AdmissionSettings
from countersign.policy.approving import NOT_APPROVED, Approver, Proposal
from countersign.policy.opa import OpaPolicy
from countersign.policy.snapshot import Snapshot, Source
from countersign.policy.sources.directory import DirectorySource
from countersign.policy.versions import Attempt, Change, Result

PATIENCE_S = 60
NEVER_POLLED = KeeperSettings(poll_s=0, retry_s=0.05, max_retry_s=0.2)
POLICY = """package countersign

decision := {"effect": "allow", "reasons": [{"code": "all.good", "message": "TAG"}]} if {
	startswith(input.context.action, "db.")
}
"""
BROKEN = "package countersign\n\ndecision := {\n"
TEST = """package countersign_test

import data.countersign

test_an_export_is_allowed if {
	countersign.decision.effect == "EFFECT" with input as {"context": {"action": "db.export"}}
}
"""
EXPONENTIAL = """package countersign

steps := numbers.range(1, 4000)

decision := {"effect": "allow"} if {
	count([1 | some i in steps; some j in steps; some k in steps; i + j == -k]) == 0
}
"""
QUORUM_OF_NOBODY = """package countersign

decision := {
	"effect": "needs_approval",
	"reasons": [{"code": "two.people", "message": "somebody must look"}],
	"requirement": {"stages": [{
		"name": "owners",
		"approvers": {"groups": ["owners"]},
		"quorum": 0,
	}]},
}
"""
ENDLESS_TEST = """package countersign_test

many := numbers.range(1, 100000)

test_it_never_ends if count([1 | some i in many; some j in many; i == -j]) == 0
"""


class People:
    """An `Approver` whose people say yes or no when the test does."""

    def __init__(self) -> None:
        self.approved_last = ""
        self.asked: list[tuple[Proposal, str]] = []
        self.ended: list[str] = []
        self.says: asyncio.Queue[bool] = asyncio.Queue()
        self.spendable = True

    async def is_approved(self, snapshot: Snapshot) -> bool:
        self.approved_last = self.approved_last or snapshot.revision
        return snapshot.revision == self.approved_last

    async def ask(self, proposal: Proposal, *, supersedes: str) -> str:
        self.asked.append((proposal, supersedes))
        return f"rev_{len(self.asked)}"

    async def approved(self, proposal: Proposal) -> None:
        if not await self.says.get():
            raise ConfigurationError(NOT_APPROVED, "people did not approve it")

    async def spend(self, proposal: Proposal) -> None:
        if not self.spendable:
            raise ConfigurationError(NOT_APPROVED, "the approval could not be spent")
        self.approved_last = proposal.version.revision

    async def report(self, proposal: Proposal, *, succeeded: bool) -> None:
        self.ended.append(f"{proposal.review} {'succeeded' if succeeded else 'failed'}")

    async def withdraw(self, proposal: Proposal) -> None:
        self.ended.append(f"{proposal.review} withdrawn")


class World:
    """One keeper and everything it was heard to say."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder / "policy"
        self.folder.mkdir(exist_ok=True)
        self.opa: Path = options.pop("opa", None) or realparts.opa()
        self.source: Source = options.pop("source", None) or DirectorySource(self.folder)
        self.settings: KeeperSettings = options.pop("settings", NEVER_POLLED)
        self.approver: Approver | None = options.pop("approver", None)
        self.admission_options: dict[str, Any] = options
        self.changes: list[Change] = []
        self.attempts: list[Attempt] = []

    def write(self, policy: str = POLICY, tag: str = "first", **tests: str) -> None:
        (self.folder / "rules.rego").write_text(policy.replace("TAG", tag))
        for name, text in tests.items():
            (self.folder / f"{name}_test.rego").write_text(text)

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[Keeper]:
        """A keeper that has started and follows its source."""
        self.policy = OpaPolicy(self.opa)
        probes = self.admission_options.pop("probes_", None)
        admission = Admission(
            self.opa, settings=AdmissionSettings(**self.admission_options), probes=probes
        )
        self.keeper = Keeper(
            self.policy,
            self.source,
            admission,
            settings=self.settings,
            on_change=self._changed,
            on_attempt=self.attempts.append,
            approver=self.approver,
        )
        await self.policy.start()
        following = None
        try:
            await self.keeper.start()
            following = asyncio.create_task(self.keeper.run())
            yield self.keeper
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait({following})
            await self.keeper.close()
            await self.policy.stop()

    async def _changed(self, change: Change) -> None:
        self.changes.append(change)

    @property
    def last(self) -> Attempt:
        attempt = self.keeper.status().attempt
        assert attempt is not None
        return attempt

    def results(self) -> list[Result]:
        """What is on record, in order."""
        return [change.attempt.result for change in self.changes]

    async def answer(self) -> str:
        """The words of the version that answers now, whatever it is."""
        said = await self.policy.decide(
            b'{"context":{"action":"db.export"}}', deadline_s=PATIENCE_S
        )
        return said.reasons[0].message


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what another task or process brings about."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
