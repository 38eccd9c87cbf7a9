"""Has people approve a version of policy before it answers, by the flow itself.

With `[policy] approval` each activation and roll-back is a Check of the action
`countersign.policy.activate` by a registered caller of the service's own. The policy
that answers until then judges it (invariant 8), so one without a rule for it lets
nothing through (invariant 2); one that would let it happen without a person does not
either. Whoever asked is named, and decides nothing (invariant 6), nor do the owners and
users of that caller. What was approved last is kept in the store, so that no restart
puts anything else in its place. Built by `app`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
from collections.abc import Callable
from typing import Final

from countersign.directory import Directory
from countersign.errors import ConfigurationError, RequestError
from countersign.flow import Flow
from countersign.flow.asking import CheckAsk
from countersign.flow.claim import ClaimAsk
from countersign.flow.requester import ReportAsk
from countersign.flow.wait import cursor
from countersign.model import (
    ActionContext,
    Caller,
    CallerId,
    Effect,
    JsonObject,
    JsonValue,
    Outcome,
    PermitId,
    Principal,
    Reason,
    Resource,
    ReviewId,
    ReviewState,
    TenantId,
)
from countersign.policy.admission import APPROVAL_FAILED
from countersign.policy.approving import NOT_APPROVED, Proposal
from countersign.policy.snapshot import Snapshot
from countersign.store.protocol import Store

NOTE: Final = "policy.approved"
ACTION: Final = "countersign.policy.activate"
MAX_FILES: Final = 30
"""Of each sort that a review names."""
_DEADLINE_S: Final = 30.0
_AWAIT_S: Final = 60.0
_log: Final = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSettings:
    """As whom the service asks."""

    tenant: TenantId
    caller: CallerId
    environment: str


async def unasked(store: Store) -> None:
    """Nobody is asked any more: what people approved last holds back nothing that comes after.

    Whoever runs the host may start so, on record, where policy itself keeps everybody
    from approving its successor.
    """
    if await store.note(NOTE):
        await store.put_note(NOTE, {})


class FlowApproval:
    """An `Approver`: every question goes through Check, review and Claim."""

    def __init__(
        self,
        store: Store,
        directory: Callable[[], Directory],
        settings: ApprovalSettings,
    ) -> None:
        self._store = store
        self._directory = directory
        self._settings = settings
        self._permits: dict[str, PermitId] = {}
        self.flow: Flow | None = None
        """Set once there is one: it needs a policy that answers."""

    async def is_approved(self, snapshot: Snapshot) -> bool:
        """See `Approver`."""
        note = await self._store.note(NOTE)
        if not note:
            await self._store.put_note(NOTE, {"content": _digest(snapshot)})
            return True
        return note.get("content") == _digest(snapshot)

    async def ask(self, proposal: Proposal, *, supersedes: str) -> str:
        """See `Approver`."""
        flow, caller = self._flow(), self._caller()
        context = self._context(proposal, caller)
        try:
            ask = CheckAsk(context=context, supersedes=supersedes)
            answer = await flow.check(caller, ask, deadline_s=_DEADLINE_S)
        except RequestError as error:
            raise _passing(error.message) from error
        decision = answer.decision
        if decision.effect is Effect.NEEDS_APPROVAL and answer.review is not None:
            return answer.review.id
        if decision.retryable:
            raise _passing(_words(decision.reasons))
        if decision.effect is Effect.ALLOW:
            raise _declined(
                "the policy that answers now asks nobody about it, and [policy] approval does"
            )
        raise _declined(f"the policy that answers now refuses it: {_words(decision.reasons)}")

    async def approved(self, proposal: Proposal) -> None:
        """See `Approver`."""
        flow, review_id, after = self._flow(), ReviewId(proposal.review), ""
        while True:
            try:
                waited = await flow.wait(
                    self._caller(), review_id, after=after, max_wait_s=_AWAIT_S
                )
            except RequestError as error:
                raise _passing(error.message) from error
            review = waited.review
            if review.state in (ReviewState.APPROVED, ReviewState.CLAIMED):
                return
            if not review.state.is_open:
                raise _declined(f"people did not approve it: {review.id} is {review.state}")
            after = cursor(review)
            if waited.reconnect:  # the service stops: nobody waits any more
                await asyncio.Event().wait()

    async def spend(self, proposal: Proposal) -> None:
        """See `Approver`."""
        flow, caller = self._flow(), self._caller()
        ask = ClaimAsk(
            review_id=ReviewId(proposal.review),
            context=self._context(proposal, caller),
            request_id=f"activate-{proposal.review}",
        )
        try:
            answer = await flow.claim(caller, ask, deadline_s=_DEADLINE_S)
        except RequestError as error:
            raise _passing(error.message) from error
        if answer.decision.effect is not Effect.ALLOW or answer.permit is None:
            words = _words(answer.decision.reasons)
            if answer.decision.retryable:
                raise _passing(words)
            raise _declined(f"the approval could not be spent: {words}")
        self._permits[proposal.review] = answer.permit.id
        await self._store.put_note(NOTE, {"content": _digest(proposal.version.snapshot)})

    async def report(self, proposal: Proposal, *, succeeded: bool) -> None:
        """See `Approver`."""
        permit = self._permits.pop(proposal.review, None)
        if permit is None:
            return
        ask = ReportAsk(
            permit_id=permit,
            decision_id=None,
            outcome=Outcome.SUCCEEDED if succeeded else Outcome.FAILED,
            detail={},
            request_id=f"report-{proposal.review}",
        )
        try:
            await self._flow().report(self._caller(), ask)
        except (RequestError, ConfigurationError) as error:
            _log.warning("how an activation ended is not on record: %s", error.code)

    async def withdraw(self, proposal: Proposal) -> None:
        """See `Approver`."""
        try:
            await self._flow().cancel(
                self._caller(),
                ReviewId(proposal.review),
                reason="another version is wanted",
                request_id=f"withdraw-{proposal.review}",
            )
        except (RequestError, ConfigurationError) as error:
            _log.info("a proposal was not withdrawn: %s", error.code)

    def _flow(self) -> Flow:
        if self.flow is None:
            raise _passing("the service has only begun to start")
        return self.flow

    def _caller(self) -> Caller:
        settings = self._settings
        caller = self._directory().caller(settings.tenant, settings.caller)
        if caller is None:
            raise ConfigurationError(
                APPROVAL_FAILED,
                f"[policy] approval asks as the caller {settings.caller}, which is not registered",
                advice=f"Register it: `countersign caller add {settings.caller} --owner … "
                "--resource 'policy:*'`. Its owners ask, and so decide nothing.",
            )
        return caller

    def _context(self, proposal: Proposal, caller: Caller) -> ActionContext:
        """The same for the same proposal, byte for byte."""
        version, before = proposal.version, proposal.before
        behind = [Principal(type="person", id=version.by)] if version.by else []
        if version.snapshot.signed_by:
            behind.append(Principal(type="external", id=version.snapshot.signed_by))
        arguments: JsonObject = {
            "from": before.revision if before else "",
            "to": version.revision,
            "bundle": version.bundle.sha256,
            "how": proposal.result.value,
            "origin": version.snapshot.origin,
            "signed_by": version.snapshot.signed_by,
            "files": _changes(before.snapshot if before else None, version.snapshot),
        }
        return ActionContext(
            actor=Principal(type="workload", id=caller.actors[0]),
            on_behalf_of=tuple(behind),
            action=ACTION,
            resource=Resource(type="policy", id="active", owner="", attributes={}),
            environment=self._settings.environment,
            arguments=arguments,
            reason="",
            session="",
        )


def _digest(snapshot: Snapshot) -> str:
    """Names what is compiled: another OPA makes another archive of the same policy."""
    digest = hashlib.sha256()
    for part in _parts(snapshot):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _parts(snapshot: Snapshot) -> list[bytes]:
    files = snapshot.compiled()
    return [part for name in sorted(files) for part in (str(name).encode(), files[name])]


def _changes(before: Snapshot | None, after: Snapshot) -> JsonObject:
    """Which files differ, for whoever decides: names and numbers of lines, no content."""
    old, new = (before.compiled() if before else {}), after.compiled()
    sorts = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
    }
    told: JsonObject = {}
    for sort, names in sorts.items():
        if names:
            told[sort] = list[JsonValue](str(name) for name in names[:MAX_FILES])
        if len(names) > MAX_FILES:
            told[f"more_{sort}"] = len(names) - MAX_FILES
    return told


def _words(reasons: tuple[Reason, ...]) -> str:
    return "; ".join(f"{reason.message} [{reason.code}]" for reason in reasons)


def _passing(why: str) -> ConfigurationError:
    return ConfigurationError(
        APPROVAL_FAILED,
        f"people could not be asked to approve it: {why}",
        advice="It is tried again by itself.",
    )


def _declined(why: str) -> ConfigurationError:
    return ConfigurationError(
        NOT_APPROVED, why, advice="`countersign policy activate` asks again; the old one stays."
    )
