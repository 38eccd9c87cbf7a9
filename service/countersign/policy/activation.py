"""Which version of policy decides: the keeper of the desired state.

It looks at its source, has what it finds admitted, and has it answer by a second OPA
and a swap. What is refused never answers, and is not tried again until the source
changes; a fault of this machine or of the source is tried again, later each time.
Whatever fails, the version before goes on answering, and status and records say why.
The last versions are kept to go back to, which holds until the source changes or
somebody activates. Invariants kept: 2 (nothing unexamined answers) and 4 (the record
of a change names the bundle). Built by `app`; belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from countersign.errors import ConfigurationError
from countersign.policy.admission import Admission, is_machine
from countersign.policy.approving import NOT_APPROVED, Approver, Proposal, Proposals
from countersign.policy.opa import OpaPolicy
from countersign.policy.snapshot import Snapshot, Source
from countersign.policy.turns import OvertakenError, Turns
from countersign.policy.versions import Attempt, Change, Kept, Result, Status, Version

OnChange: TypeAlias = Callable[[Change], Awaitable[None]]
OnAttempt: TypeAlias = Callable[[Attempt], None]
_ASKED_AGAIN: Final = "asked again"
"""No source's name for a version: it gives what is there, whatever that is."""
_MAX_LOOKS: Final = 20
_MAX_REMEMBERED: Final = 64
"""Refused versions, and reasons that are on record already."""
_log: Final = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeeperSettings:
    """How the source is followed."""

    poll_s: float = 5.0
    """0: only when asked."""
    keep: int = 10
    """Versions that can be gone back to, the active one among them."""
    retry_s: float = 1.0
    """Doubled with each fault, with jitter, up to the longest."""
    max_retry_s: float = 60.0


async def _unrecorded(_change: Change) -> None:
    pass


def _uncounted(_attempt: Attempt) -> None:
    pass


class Keeper:
    """Follows one source."""

    def __init__(
        self,
        policy: OpaPolicy,
        source: Source,
        admission: Admission,
        *,
        settings: KeeperSettings | None = None,
        on_change: OnChange = _unrecorded,
        on_attempt: OnAttempt = _uncounted,
        approver: Approver | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """`on_change` is awaited for every activation, roll-back and new refusal.

        `on_attempt` is called with each attempt that came to something, recorded or not.
        With an `approver` people approve each version before it answers.
        """
        self._policy = policy
        self._source = source
        self._admission = admission
        self._settings = settings or KeeperSettings()
        self._on_change = on_change
        self._on_attempt = on_attempt
        self._now_s = now_s
        self._proposals = Proposals(approver, self._decided, self._retry_s)
        self._started = False
        self._turns = Turns()
        self._wake = asyncio.Event()
        self._asked = False
        self._active: Version | None = None
        self._kept = Kept(self._settings.keep)
        self._seen = ""
        """The source's version that was judged to the end last; empty: none."""
        self._found = ""
        """The source's version that it gave last."""
        self._refused: collections.OrderedDict[str, Attempt] = collections.OrderedDict()
        self._attempt: Attempt | None = None
        self._told: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._faults = 0

    def status(self) -> Status:
        active, seen = self._active, self._seen
        return Status(
            source=self._source.origin,
            active=active,
            attempt=self._attempt,
            held=bool(active and seen and seen != active.name and seen not in self._refused)
            and self._proposals.pending is None,
            kept=self._kept.all,
        )

    # --- what people and the clock ask for ---

    async def start(self) -> None:
        """Serve what the source has, else what it kept. Raises `ConfigurationError`."""
        snapshot = None
        try:
            snapshot = await asyncio.to_thread(self._source.fetch, "")
            assert snapshot is not None  # noqa: S101 - no version is the empty one
            await self._examined(snapshot, by="")
        except ConfigurationError as error:
            if not await self._started_from_copy(error, snapshot):
                raise
        else:
            self._seen = snapshot.version
            self._settle(self._now(Result.ACTIVATED, "").of(snapshot))
        self._started = True

    async def run(self) -> None:
        """Follow the source for ever, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            else:
                self._wake.clear()
                if not self._asked:
                    continue  # what was done meanwhile decides when to look next
            asked, self._asked = self._asked, False
            await self._do(functools.partial(self._follow, asked=asked))

    def look(self) -> None:
        """Look at the source at once, even at what was refused: its files are whole."""
        self._asked = True
        self._wake.set()

    async def activate(self, by: str) -> Attempt:
        """Have the source's version answer, whatever was gone back to or refused before."""
        return await self._do(functools.partial(self._follow, asked=True, forced=True, by=by))

    async def choose(self, revision: str, by: str) -> Attempt:
        """Have a kept version answer. Raises `LookupError` when it is not kept."""
        version = self._kept.find(revision)
        work = functools.partial(self._restore, version, Result.ACTIVATED, by)
        return await self._do(work, urgent=True)

    async def roll_back(self, revision: str, by: str) -> Attempt:
        """Go back to a kept version; unnamed, to the one before the active one.

        Raises `LookupError` when there is none.
        """
        version = self._kept.find(revision) if revision else self._kept.before(self._active)
        work = functools.partial(self._restore, version, Result.ROLLED_BACK, by)
        return await self._do(work, urgent=True)

    async def _do(self, work: Callable[[], Awaitable[Attempt]], *, urgent: bool = False) -> Attempt:
        async def turn() -> Attempt:
            try:
                return self._settle(await work())
            except Exception as error:  # noqa: BLE001 - a dead keeper would follow nothing more
                word = type(error).__name__
                _log.error("policy's keeper failed and goes on: %s", word)
                fault = ConfigurationError("policy.keeper_failed", f"the server failed: {word}")
                return self._settle(self._now(Result.FAILED, "").because(fault))

        try:
            return await self._turns.take(turn, urgent=urgent)
        except OvertakenError:
            return dataclasses.replace(
                self._now(Result.FAILED, ""),
                code="policy.overtaken",
                message="somebody had a kept version answer meanwhile",
                advice="`countersign policy status` tells which.",
            )

    async def close(self) -> None:
        """End what is under way. The active version goes on answering."""
        self._proposals.close()
        await self._turns.close()

    def _settle(self, attempt: Attempt) -> Attempt:
        """Remember what the last attempt came to, and when there is to be another."""
        if attempt.result is Result.FAILED:
            self._faults += 1
            attempt = dataclasses.replace(attempt, retry_at_s=self._now_s() + self._retry_s())
        else:
            self._faults = 0
        if attempt is not self._attempt:
            self._on_attempt(attempt)
        self._attempt = attempt
        self._wake.set()
        return attempt

    def _pause_s(self) -> float | None:
        """Until the next look; None: until somebody asks."""
        if self._faults and self._attempt:
            return max(0.0, self._attempt.retry_at_s - self._now_s())
        return self._settings.poll_s or None

    def _retry_s(self) -> float:
        settings = self._settings
        longest = min(settings.max_retry_s, settings.retry_s * 2 ** min(self._faults - 1, 30))
        return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    # --- following the source ---

    async def _follow(self, *, asked: bool, forced: bool = False, by: str = "") -> Attempt:
        again = forced or (asked and self._seen in self._refused)
        try:
            snapshot = await self._fetched(_ASKED_AGAIN if again else self._seen)
        except ConfigurationError as error:
            attempt = self._failed(error, by)
            await self._tell_once(attempt, f"{error.code} {error.message}")
            return attempt
        if snapshot is None:
            return self._nothing_new(by)
        self._found = snapshot.version
        if self._active and snapshot.version == self._active.name:
            self._seen = snapshot.version
            await self._proposals.withdraw()
            return self._now(Result.UNCHANGED, by).of(snapshot)
        if snapshot.version in self._refused and not asked:
            self._seen = snapshot.version
            return self._refused[snapshot.version]
        return await self._admit(snapshot, by)

    async def _fetched(self, known: str) -> Snapshot | None:
        """What is there; whoever asks for it again waits until it is whole."""
        snapshot = await asyncio.to_thread(self._source.fetch, known)
        looks = 1
        while snapshot is None and known == _ASKED_AGAIN:
            if looks == _MAX_LOOKS:
                raise ConfigurationError(
                    "policy.unsettled",
                    "the policy's files change all the time",
                    advice="It is looked at again by itself.",
                )
            snapshot = await asyncio.to_thread(self._source.fetch, known)
            looks += 1
        return snapshot

    def _nothing_new(self, by: str) -> Attempt:
        """The source has what was judged before: that judgement stands."""
        if self._proposals.pending is not None:
            return self._waits(self._proposals.pending)
        last = self._attempt
        if last is not None and last.result is not Result.FAILED:
            return last
        if self._seen in self._refused:
            return self._refused[self._seen]
        return self._now(Result.UNCHANGED, by).of(self._active.snapshot if self._active else None)

    async def _admit(self, snapshot: Snapshot, by: str) -> Attempt:
        try:
            attempt = await self._examined(snapshot, by)
        except ConfigurationError as error:
            attempt = self._failed(error, by).of(snapshot)
            return attempt if is_machine(error) else await self._refuse(snapshot, attempt)
        self._seen = snapshot.version
        self._refused.pop(snapshot.version, None)
        return attempt

    async def _examined(self, snapshot: Snapshot, by: str) -> Attempt:
        """Have a version answer, once it has passed everything. Raises `ConfigurationError`."""
        bundle = await self._admission.admit(snapshot)
        active = self._active
        if active and active.bundle.sha256 == bundle.sha256:  # its tests alone changed
            self._active = dataclasses.replace(active, snapshot=snapshot)
            self._kept.gone_back_to(self._active)
            return self._now(Result.UNCHANGED, by).of(snapshot)
        version = Version(bundle=bundle, snapshot=snapshot, at_s=self._now_s(), by=by)
        return await self._put_forward(version, Result.ACTIVATED, examined=False)

    async def _restore(self, version: Version, result: Result, by: str) -> Attempt:
        """Have a version answer again. It passed everything then.

        It was chosen over whatever the source had, also over what was being examined.
        """
        version = dataclasses.replace(version, at_s=self._now_s(), by=by)
        try:
            if self._active and version.bundle.sha256 == self._active.bundle.sha256:
                attempt = self._now(Result.UNCHANGED, by).of(version.snapshot)
            else:
                attempt = await self._put_forward(version, result, examined=True)
        except ConfigurationError as error:
            attempt = self._failed(error, by).of(version.snapshot)
            if is_machine(error):
                return attempt
            attempt = dataclasses.replace(attempt, result=Result.REFUSED)
            await self._tell_once(attempt, f"{attempt.code} {version.revision}")
            return attempt
        self._seen = self._found or self._seen
        return attempt

    async def _put_forward(self, version: Version, result: Result, *, examined: bool) -> Attempt:
        """Have it answer, or have people decide on that. Raises `ConfigurationError`."""
        if not await self._proposals.needed(version.snapshot):
            await self._answer(version, result, examined=examined)
            await self._proposals.withdraw()
            return self._now(result, version.by).of(version.snapshot)
        if not self._started:
            raise ConfigurationError(
                NOT_APPROVED,
                "policy is not what people approved last",
                advice="Put that version back, or let it be approved while another answers.",
            )
        proposal = Proposal(version=version, result=result, before=self._active)
        pending = self._proposals.pending
        if pending is None or not pending.is_same(proposal):
            if not examined:
                await self._policy.try_bundle(version.bundle, self._admission.probe)
            pending = await self._proposals.put(proposal)
        attempt = self._waits(pending)
        await self._tell_once(attempt, f"proposed {pending.review}")
        return attempt

    def _waits(self, proposal: Proposal) -> Attempt:
        last, version = self._attempt, proposal.version
        if last and last.result is Result.PROPOSED and last.review == proposal.review:
            return last
        attempt = self._now(Result.PROPOSED, version.by).of(version.snapshot)
        return dataclasses.replace(attempt, review=proposal.review)

    async def _decided(self, proposal: Proposal, why: ConfigurationError | None) -> bool:
        """Do what people decided; whether that could be done."""
        work = self._declined if why else self._approved
        attempt = await self._do(functools.partial(work, proposal, why), urgent=True)
        return attempt.result is not Result.FAILED

    async def _approved(self, proposal: Proposal, _: ConfigurationError | None) -> Attempt:
        version = dataclasses.replace(proposal.version, at_s=self._now_s())
        if self._proposals.pending is not proposal:
            return self._now(Result.UNCHANGED, version.by)
        try:
            await self._proposals.spend(proposal)
            await self._answer(version, proposal.result, examined=True, review=proposal.review)
        except ConfigurationError as error:
            if is_machine(error):
                return self._failed(error, version.by).of(version.snapshot)
            return await self._declined(proposal, error)
        await self._proposals.done(proposal, answers=True)
        return self._now(proposal.result, version.by).of(version.snapshot)

    async def _declined(self, proposal: Proposal, why: ConfigurationError | None) -> Attempt:
        """People decided against it, or not in time: as if it had failed any other test."""
        version = proposal.version
        if self._proposals.pending is not proposal or why is None:
            return self._now(Result.UNCHANGED, version.by)
        await self._proposals.done(proposal)
        attempt = self._failed(why, version.by).of(version.snapshot)
        return await self._refuse(
            version.snapshot, dataclasses.replace(attempt, review=proposal.review)
        )

    async def _answer(
        self, version: Version, result: Result, *, examined: bool, review: str = ""
    ) -> None:
        before, telling = self._active, list[asyncio.Task[None]]()
        attempt = self._now(result, version.by).of(version.snapshot)
        attempt = dataclasses.replace(attempt, review=review)

        def swapped() -> None:
            if result is Result.ROLLED_BACK:
                self._kept.gone_back_to(version)
            else:
                self._kept.went_on_to(version, before)
            self._active = version
            self._told.clear()
            change = Change(attempt=attempt, active=version, before=before)
            telling.append(asyncio.create_task(self._tell(change)))

        probe = None if examined else self._admission.probe
        try:
            await self._policy.activate_bundle(version.bundle, probe=probe, swapped=swapped)
        finally:
            await asyncio.gather(*telling)
        try:
            await asyncio.to_thread(self._source.accept, version.snapshot)
        except ConfigurationError as error:
            _log.warning("what answers now is not kept for a later start: %s", error.message)

    async def _started_from_copy(self, error: ConfigurationError, refused: Snapshot | None) -> bool:
        """Serve what the source kept, in place of what it has or cannot give."""
        try:
            copy = await asyncio.to_thread(self._source.kept)
            if copy is None or (refused and copy.version == refused.version):
                return False
            await self._examined(copy, by="")
        except ConfigurationError as worse:
            _log.error("nor does the copy of the last run serve: %s", worse.message)
            return False
        attempt = self._failed(error, "").of(refused)
        if refused is not None and not is_machine(error) and error.code != NOT_APPROVED:
            attempt = await self._refuse(refused, attempt)
        self._settle(attempt)
        return True

    # --- what did not answer ---

    def _now(self, result: Result, by: str) -> Attempt:
        return Attempt(result=result, at_s=self._now_s(), by=by)

    def _failed(self, error: ConfigurationError, by: str) -> Attempt:
        _log.error("policy not activated, the old one stays: %s", error)
        return self._now(Result.FAILED, by).because(error)

    async def _refuse(self, snapshot: Snapshot, attempt: Attempt) -> Attempt:
        """The version is at fault, and is not looked at again until somebody asks."""
        attempt = dataclasses.replace(attempt, result=Result.REFUSED)
        self._seen = snapshot.version
        self._refused[snapshot.version] = attempt
        self._refused.move_to_end(snapshot.version)
        if len(self._refused) > _MAX_REMEMBERED:
            self._refused.popitem(last=False)
        await self._tell_once(attempt, f"{attempt.code} {snapshot.version}")
        return attempt

    async def _tell_once(self, attempt: Attempt, what: str) -> None:
        """On record once, however often the same is found again."""
        if what not in self._told:
            self._told[what] = None
            if len(self._told) > _MAX_REMEMBERED:
                self._told.popitem(last=False)
            await self._tell(Change(attempt=attempt, active=self._active, before=self._active))

    async def _tell(self, change: Change) -> None:
        try:
            await self._on_change(change)
        except Exception as error:  # noqa: BLE001 - a store that fails ends the process by itself
            _log.error("a change of policy is not on record: %s", type(error).__name__)
