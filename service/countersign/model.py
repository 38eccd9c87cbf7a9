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
ChannelId = NewType("ChannelId", str)
DelegationId = NewType("DelegationId", str)
CardId = NewType("CardId", str)

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
class Escalation:
    """Whom a stage asks as well, once it has been open for `after_s` seconds."""

    after_s: int
    groups: tuple[str, ...] = ()
    people: tuple[PersonId, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of approval: `quorum` distinct people out of groups and people."""

    name: str
    groups: tuple[str, ...] = ()
    people: tuple[PersonId, ...] = ()
    quorum: int = 1
    escalate: tuple[Escalation, ...] = ()
    """In order of `after_s`, counted from when the stage opened."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """Who may approve alone in an emergency, and who looks at it afterwards."""

    groups: tuple[str, ...] = ()
    people: tuple[PersonId, ...] = ()
    review_groups: tuple[str, ...] = ()
    review_people: tuple[PersonId, ...] = ()


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
    batch: bool = False
    """Whether an approval may be one of several given in one act."""
    break_glass: BreakGlass | None = None
    """None: there is no emergency way."""


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


MASK_PROFILES: Final = ("reviewer", "restricted")
"""Least strict first: each hides all that those before it hide, and more."""


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
    delegated_by: PersonId | None = None
    """In whose place this vote was cast."""
    channel: ChannelId | None = None
    """The channel that asserted who voted; None: the person's own credential."""
    known_to: tuple[PersonId, ...] = ()
    """Who else could have cast it, having seen the token that did."""
    break_glass: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AfterReview:
    """What is owed after the glass was broken: open until somebody else closes it."""

    person: PersonId
    """Who broke the glass."""
    at: Instant
    closed_by: PersonId | None = None
    closed_at: Instant | None = None
    justified: bool | None = None
    note: str = ""
    """Sanitized."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """One person's standing lent to another for a time: out of office."""

    tenant: TenantId
    id: DelegationId
    delegator: PersonId
    delegate: PersonId
    starts_at: Instant
    ends_at: Instant
    assurance: Assurance
    """How well it is proven that the delegator gave it."""
    reason: str
    """Sanitized."""
    created_at: Instant
    known_to: tuple[PersonId, ...] = ()
    """Who has seen a token by which it was given, and so could have given it."""
    ended_at: Instant | None = None
    """When it was taken back early."""

    def holds(self, now: Instant) -> bool:
        """Whether it is in force at `now`; an end is late already."""
        ends_at = self.ends_at if self.ended_at is None else min(self.ended_at, self.ends_at)
        return self.starts_at <= now < ends_at


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
    requester: PersonId | None = None
    """Who is proven to be behind the request; None: nobody is proven."""
    escalated: tuple[int, ...] = ()
    """How many escalations each stage has reached; a stage without an entry, none."""
    escalate_at: Instant | None = None
    """When the open stage asks more people, if it will."""
    after_review: AfterReview | None = None
    """Set once the glass was broken."""
    superseded_by: ReviewId | None = None
    claimant: CallerId | None = None
    claimed_at: Instant | None = None
    permit: PermitId | None = None
    report_by: Instant | None = None
    outcome: Outcome | None = None
    ended_at: Instant | None = None
    """When the outcome was reported, or given up on."""
    outcome_detail: str = ""
    """What was reported: RFC 8785 JSON, sanitized; empty when nothing was."""
    outcome_seq: int | None = None
    """Sequence number of the record of what was reported."""

    @property
    def due_at(self) -> Instant | None:
        """When the next timer fires, if there is one.

        An escalation or approve-by, use-by, report-by.
        """
        if self.state.awaits_votes:
            return min(self.approve_by, self.escalate_at or self.approve_by)
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
    clients: tuple[str, ...] = ()
    """OAuth client ids of this caller: whose tokens prove who is behind its calls."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What identifies one human at one issuer: OIDC `iss` and `sub`, Teams tenant and object id."""

    issuer: str
    subject: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A registered human."""

    tenant: TenantId
    id: PersonId
    name: str
    groups: frozenset[str]
    """Of which they are a member themselves; see `Directory.groups_of` for all."""
    accounts: tuple[Account, ...] = ()
    aliases: tuple[str, ...] = ()
    """Other names of the same human, such as e-mail addresses. They prove nothing."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation of several people, as policy names it and as the provider does."""

    name: str
    id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A registered surface, such as a bot, that says which person acts through it."""

    tenant: TenantId
    id: ChannelId
    issuers: tuple[str, ...]
    """Whose accounts it may assert: `teams:<tenant id>` or the `iss` of an identity provider."""
    conversations: tuple[Conversation, ...] = ()
    """Where policy may have reviews shown: `<channel id>:<name>` in a requirement."""


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
