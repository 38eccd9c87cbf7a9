"""Values, ids and states shared by every layer.

Frozen values without behaviour beyond what their own fields imply. Imports
nothing of ours, so that the pure rules, the flow and every backend can share
it. An `Instant` is microseconds since the Unix epoch, UTC: it fits the 2^53
integers that RFC 8785 can carry.
"""

from __future__ import annotations

import dataclasses
import enum
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NewType, NoReturn, TypeAlias

TenantId = NewType("TenantId", str)
CallerId = NewType("CallerId", str)
PersonId = NewType("PersonId", str)
DecisionId = NewType("DecisionId", str)
ReviewId = NewType("ReviewId", str)
PermitId = NewType("PermitId", str)
QuestionId = NewType("QuestionId", str)

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01T00:00:00Z."""

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"

SECOND_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(instant: Instant) -> str:
    """Render an instant as RFC 3339 in UTC with six fractional digits."""
    moment = _EPOCH + timedelta(microseconds=instant)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def after(instant: Instant, seconds: int) -> Instant:
    """The instant that many seconds later."""
    return Instant(instant + seconds * SECOND_US)


def new_id(prefix: str) -> str:
    """A fresh id: `<prefix>_` and 128 random bits in lower-case hex."""
    return f"{prefix}_{secrets.token_hex(16)}"


# --- what is about to happen -------------------------------------------------


class Withheld:
    """Mixin for raw data: refuses to be shown or serialised by accident.

    Invariant 3: raw stays in memory. `repr`, `str`, `format`, pickling and
    `json.dumps` of a raw value are how it would get out unnoticed.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} withheld>"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds raw data and cannot be serialised")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Principal(Withheld):
    """A subject as the caller names it: asserted until something proves it."""

    type: str
    id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resource(Withheld):
    """What is acted on. `attributes` is strict JSON (see `canonical.parse`)."""

    type: str
    id: str
    owner: str
    attributes: JsonObject


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionContext(Withheld):
    """The raw action context, parsed once. Never leaves memory."""

    actor: Principal
    on_behalf_of: tuple[Principal, ...]
    action: str
    resource: Resource
    environment: str
    arguments: JsonObject
    reason: str
    session: str

    def to_json(self) -> JsonObject:
        """The JSON form that OPA, the detector and the commitment all see."""
        return {
            "action": self.action,
            "actor": {"id": self.actor.id, "type": self.actor.type},
            "arguments": self.arguments,
            "environment": self.environment,
            "on_behalf_of": [{"id": p.id, "type": p.type} for p in self.on_behalf_of],
            "reason": self.reason,
            "resource": {
                "attributes": self.resource.attributes,
                "id": self.resource.id,
                "owner": self.resource.owner,
                "type": self.resource.type,
            },
            "session": self.session,
        }


# --- decisions ---------------------------------------------------------------


class Effect(enum.StrEnum):
    """The outcome of one decision."""

    ALLOW = "allow"
    DENY = "deny"
    NEEDS_APPROVAL = "needs_approval"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A stable code for machines and one sentence for people. Never raw data."""

    code: str
    message: str


class Assurance(enum.StrEnum):
    """How well a vote proves who cast it, weakest first."""

    CHANNEL = "channel"
    PERSON = "person"

    def meets(self, least: Assurance) -> bool:
        """Whether this is at least as strong as `least`."""
        order = list(Assurance)
        return order.index(self) >= order.index(least)


class Durability(enum.StrEnum):
    """What must be true of the record before a permit leaves."""

    DURABLE = "durable"
    LOCKED = "locked"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of approval: `quorum` distinct people out of groups and people."""

    name: str
    groups: tuple[str, ...] = ()
    people: tuple[PersonId, ...] = ()
    quorum: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What policy demands before an action may run. Judged by `review` alone."""

    stages: tuple[Stage, ...]
    must_show: tuple[str, ...] = ()
    approve_within_s: int = 3600
    use_within_s: int = 300
    report_within_s: int = 900
    claim_by: tuple[str, ...] = ()
    """Audiences that may claim; empty: the requesting caller only."""
    channel: str = ""
    profiles: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"*": "reviewer"})
    """Group to mask profile; `*` is everybody else."""
    exclude: tuple[str, ...] = ()
    require_reason: bool = False
    min_assurance: Assurance = Assurance.CHANNEL
    durability: Durability = Durability.DURABLE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDecision:
    """One answer of policy, decoded strictly, with the revision that gave it."""

    effect: Effect
    reasons: tuple[Reason, ...]
    revision: str
    requirement: Requirement | None = None
    """Present exactly when the effect is NEEDS_APPROVAL."""
    mask: tuple[str, ...] = ()
    """JSON pointers below the context that must be masked; `*` matches one step."""
    retryable: bool = False
    """A DENY that comes from a passing fault of ours, never from policy."""


# --- reviews -----------------------------------------------------------------


class ReviewState(enum.StrEnum):
    """The life of a review; see design of states in docs/explanation."""

    PENDING = "pending"
    INFO_REQUESTED = "info_requested"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CLAIMED = "claimed"
    LAPSED = "lapsed"
    REVOKED = "revoked"

    @property
    def is_open(self) -> bool:
        """PENDING, INFO_REQUESTED or APPROVED: one such review a fingerprint."""
        return self in _OPEN

    @property
    def awaits_votes(self) -> bool:
        """PENDING or INFO_REQUESTED."""
        return self in _AWAITS_VOTES


_AWAITS_VOTES: Final = frozenset({ReviewState.PENDING, ReviewState.INFO_REQUESTED})
_OPEN: Final = _AWAITS_VOTES | {ReviewState.APPROVED}


class Choice(enum.StrEnum):
    """What one vote says."""

    APPROVE = "approve"
    DENY = "deny"


class Outcome(enum.StrEnum):
    """How a claimed action ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One sanitized rendering of a context for one mask profile."""

    profile: str
    context_json: str
    """RFC 8785 JSON of the masked context."""
    facts_json: str
    report_json: str
    hash: str
    """Lower-case hex SHA-256; see `canonical.preview_hash`."""
    reviewable: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One person's word on one revision of one review."""

    person: PersonId
    choice: Choice
    stage: int
    """Index of the stage this vote fills; for a denial the stage then current."""
    revision: int
    profile: str
    preview_hash: str
    reason: str
    """Sanitized."""
    assurance: Assurance
    at: Instant


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A reviewer's question and, once given, the requester's answer. Sanitized."""

    id: QuestionId
    asked_by: PersonId
    question: str
    asked_at: Instant
    answer: str | None = None
    answered_at: Instant | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A request for human approval and its life so far.

    Holds no raw data: previews and texts are sanitized, the commitment opens
    only with a salt that is kept elsewhere.
    """

    tenant: TenantId
    id: ReviewId
    decision: DecisionId
    caller: CallerId
    action: str
    state: ReviewState
    version: int
    """Grows by one with every change; the cursor of Await."""
    revision: int
    """Grows with every answer; what votes bind to."""
    created_at: Instant
    approve_by: Instant
    commitment: str
    """Lower-case hex."""
    fingerprint: str
    base_fingerprint: str
    """Fingerprint of the context without its reason and session."""
    requirement: Requirement
    previews: Mapping[str, Preview]
    """By mask profile."""
    owners: tuple[PersonId, ...]
    excluded: tuple[PersonId, ...]
    """Everybody who must not decide; only ever grows."""
    reasons: tuple[Reason, ...]
    """Why approval is needed."""
    policy_revision: str
    votes: tuple[Vote, ...] = ()
    thread: tuple[Exchange, ...] = ()
    approved_at: Instant | None = None
    use_by: Instant | None = None
    closed_reasons: tuple[Reason, ...] = ()
    superseded_by: ReviewId | None = None
    claimant: CallerId | None = None
    permit: PermitId | None = None
    report_by: Instant | None = None
    outcome: Outcome | None = None

    @property
    def due_at(self) -> Instant | None:
        """When the next timer fires, if there is one: approve-by, use-by or report-by."""
        if self.state.awaits_votes:
            return self.approve_by
        if self.state is ReviewState.APPROVED:
            return self.use_by
        if self.state is ReviewState.CLAIMED and self.outcome is None:
            return self.report_by
        return None


# --- who ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A registered client of the API. Facts of the registry, never asserted."""

    tenant: TenantId
    id: CallerId
    actors: tuple[str, ...]
    environments: tuple[str, ...]
    resources: tuple[str, ...]
    """`type:id` glob patterns, `*` matching any run of characters."""
    owners: tuple[PersonId, ...]
    users: tuple[PersonId, ...] = ()
    parent: CallerId | None = None
    audience: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A registered human."""

    tenant: TenantId
    id: PersonId
    name: str
    groups: frozenset[str]
    accounts: tuple[str, ...] = ()
    """Other names of the same human: e-mail addresses, account ids."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PermitClaims:
    """What a permit says, without the salt: safe to store and to record."""

    id: PermitId
    tenant: TenantId
    caller: CallerId
    audience: str
    action: str
    commitment: str
    decision: DecisionId
    review: ReviewId | None
    policy_revision: str
    seq: int
    kid: str
    issued_at_s: int
    expires_at_s: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecordRef:
    """Where a record stands in its log."""

    log_id: str
    seq: int
    leaf_hash: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record exactly as it is hashed, published and verified."""

    seq: int
    body: bytes
    """RFC 8785 JSON, no trailing newline."""
    time: Instant
