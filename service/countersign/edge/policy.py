"""The verbs of `Admin` about policy: what answers, activate, go back.

Policy is everybody's, so only the operators of the tenant that the settings name may
see and change it (invariant 12); for the others these verbs tell nothing. What is
refused is FAILED_PRECONDITION with the code and words of the refusal, what is tried
again is UNAVAILABLE. Used by `admin` alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from countersign.edge import encode, registrations
from countersign.edge.rpc import Call
from countersign.errors import (
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    PreconditionError,
    UnavailableError,
)
from countersign.model import Person, TenantId
from countersign.policy.shadow import Result as Tried
from countersign.policy.shadow import ShadowStatus
from countersign.policy.versions import Attempt, Result, Status, Version
from countersign.v1 import admin_pb2

MAX_REVISION_CHARS: Final = 200
_MAX_SAID_CHARS: Final = 1500
"""Of a refusal: the status of a call has to fit into its trailers."""
_RESULTS: Final = {
    result: admin_pb2.PolicyResult.Value(f"POLICY_RESULT_{result.name}") for result in Result
}


class PolicyKeeper(Protocol):
    """Who has policy answer; see `policy.activation`."""

    def status(self) -> Status: ...

    async def activate(self, by: str) -> Attempt: ...

    async def choose(self, revision: str, by: str) -> Attempt: ...

    async def roll_back(self, revision: str, by: str) -> Attempt: ...


class PolicyVerbs:
    """Status, activation and roll-back, for the operators of one tenant."""

    def __init__(
        self,
        keeper: PolicyKeeper,
        tenant: TenantId,
        shadow: Callable[[], ShadowStatus] | None = None,
    ) -> None:
        self._keeper = keeper
        self._tenant = tenant
        self._shadow = shadow

    async def status(
        self, call: Call[Person], message: admin_pb2.PolicyStatusRequest
    ) -> admin_pb2.PolicyStatusResponse:
        """PolicyStatus."""
        registrations.known_only(message)
        self._require_ours(call.subject)
        status = self._keeper.status()
        answer = admin_pb2.PolicyStatusResponse(
            source=status.source, held=status.held, kept=map(_version, status.kept)
        )
        if status.active:
            answer.active.CopyFrom(_version(status.active))
        if status.attempt:
            answer.last_attempt.CopyFrom(_attempt(status.attempt))
        if self._shadow:
            answer.shadow.CopyFrom(_tried(self._shadow()))
        return answer

    async def activate(
        self, call: Call[Person], message: admin_pb2.ActivatePolicyRequest
    ) -> admin_pb2.ActivatePolicyResponse:
        """ActivatePolicy."""
        registrations.known_only(message)
        self._require_ours(call.subject)
        revision, by = _revision(message.revision), call.subject.id
        attempt = await _within(
            call,
            self._keeper.choose(revision, by) if revision else self._keeper.activate(by),
            named=revision,
        )
        answer = admin_pb2.ActivatePolicyResponse(attempt=_attempt(attempt))
        active = self._keeper.status().active
        if active:
            answer.active.CopyFrom(_version(active))
        return answer

    async def roll_back(
        self, call: Call[Person], message: admin_pb2.RollbackPolicyRequest
    ) -> admin_pb2.RollbackPolicyResponse:
        """RollbackPolicy."""
        registrations.known_only(message)
        self._require_ours(call.subject)
        revision = _revision(message.revision)
        attempt = await _within(
            call, self._keeper.roll_back(revision, call.subject.id), named=revision
        )
        answer = admin_pb2.RollbackPolicyResponse(attempt=_attempt(attempt))
        active = self._keeper.status().active
        if active:
            answer.active.CopyFrom(_version(active))
        return answer

    def _require_ours(self, operator: Person) -> None:
        if operator.tenant != self._tenant:
            raise NotPermittedError(
                "policy.other_tenant",
                "policy is kept by the operators of another tenant",
                advice="Whoever runs the server names that tenant: [policy] tenant.",
            )


async def _within(call: Call[Person], work: Awaitable[Attempt], *, named: str) -> Attempt:
    """What an attempt comes to, unless that takes longer than the call; it goes on then."""
    try:
        async with asyncio.timeout(call.deadline_s):
            attempt = await work
    except TimeoutError:
        raise UnavailableError(
            "policy.under_way",
            "the version is still being examined, and answers by itself if it passes",
            advice="`countersign policy status` tells what came of it.",
        ) from None
    except LookupError:
        raise NotFoundError(
            "policy.not_kept",
            "no such version is kept here" if named else "there is no version to go back to",
            advice="`countersign policy status` lists what can be gone back to; "
            "a restart begins with none.",
        ) from None
    if attempt.result is Result.REFUSED:
        raise PreconditionError(
            attempt.code, attempt.message[:_MAX_SAID_CHARS], advice=attempt.advice
        )
    if attempt.result is Result.FAILED:
        raise UnavailableError(
            attempt.code, attempt.message[:_MAX_SAID_CHARS], advice=attempt.advice
        )
    return attempt


def _revision(text: str) -> str:
    if len(text) > MAX_REVISION_CHARS or not text.isprintable():
        raise InvalidRequestError("revision", f"must be at most {MAX_REVISION_CHARS} characters")
    return text


def _version(version: Version) -> admin_pb2.PolicyVersion:
    return admin_pb2.PolicyVersion(
        revision=version.revision,
        bundle_sha256=bytes.fromhex(version.bundle.sha256),
        origin=version.snapshot.origin,
        signed_by=version.snapshot.signed_by,
        activated_at=_moment(version.at_s),
        activated_by=version.by,
    )


def _attempt(attempt: Attempt) -> admin_pb2.PolicyAttempt:
    return admin_pb2.PolicyAttempt(
        result=_RESULTS[attempt.result],
        at=_moment(attempt.at_s),
        revision=attempt.revision,
        origin=attempt.origin,
        signed_by=attempt.signed_by,
        by=attempt.by,
        code=attempt.code,
        message=attempt.message,
        advice=attempt.advice,
        retry_at=_moment(attempt.retry_at_s) if attempt.retry_at_s else None,
        review_id=attempt.review,
    )


def _tried(shadow: ShadowStatus) -> admin_pb2.PolicyShadow:
    results = shadow.results
    return admin_pb2.PolicyShadow(
        source=shadow.origin,
        revision=shadow.revision,
        ready=shadow.ready,
        error=shadow.error[:_MAX_SAID_CHARS],
        same=results.get(Tried.SAME, 0),
        different=results.get(Tried.DIFFERENT, 0),
        late=results.get(Tried.LATE, 0),
        dropped=results.get(Tried.DROPPED, 0),
        differences=[
            admin_pb2.PolicyShadowDifference(
                live=encode.EFFECTS[live], candidate=encode.EFFECTS[candidate], count=count
            )
            for (live, candidate), count in sorted(shadow.effects.items())
        ],
        unrecorded=shadow.unrecorded,
    )


def _moment(at_s: float) -> Timestamp:
    return Timestamp(seconds=int(at_s), nanos=int(at_s % 1 * 1_000_000) * 1000)
