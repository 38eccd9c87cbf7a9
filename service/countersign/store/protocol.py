"""What every store promises, and the values it keeps.

Invariants kept here: 1 (a decision and its record commit together), 5 (one
conditional update spends), 10 (time is the store's, and never goes back), 11
(sequence without holes) and 12 (every key carries its tenant).

A *command* is a plain function of a `Transaction`. It runs inside the group
commit of the one writer, under a savepoint of its own: when it raises, its own
effects are undone and its caller alone sees the error; when it returns, the
result reaches its caller only after COMMIT. Commands hold the meaning (see
`countersign.flow`); a backend only executes, so that it can be swapped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from countersign.cards import Address, Card, Endpoint
from countersign.model import (
    CallerId,
    CardId,
    ChannelId,
    DecisionId,
    Delegation,
    DelegationId,
    Effect,
    Instant,
    JsonObject,
    Outcome,
    PermitClaims,
    PermitId,
    PersonId,
    Reason,
    RecordRef,
    Review,
    ReviewId,
    ReviewState,
    StoredRecord,
    TenantId,
)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """What an idempotent answer is filed under."""

    tenant: TenantId
    subject: str
    """`caller:<id>` or `person:<id>`."""
    method: str
    request_id: str
    """A keyed hash of it: the sender may have put anything into it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What is needed to give the same answer again; no raw data, no token."""

    content_mac: str
    """Keyed hash of the request's content: another content is a reused id."""
    body: JsonObject


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One answer to a Check or a Claim."""

    tenant: TenantId
    id: DecisionId
    caller: CallerId
    method: str
    """`check` or `claim`."""
    action: str
    effect: Effect
    reasons: tuple[Reason, ...]
    retryable: bool
    policy_revision: str
    commitment: str
    salt: bytes | None
    """Opens the commitment; deleting it is forgetting."""
    review: ReviewId | None
    permit: PermitId | None
    record: RecordRef
    at: Instant
    outcome: Outcome | None = None
    rows: int = 0
    """Rows it would touch, as far as the context says; for `Store.recent`."""
    amount: int = 0
    """Money it would move, in whole units rounded up; for `Store.recent`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """How far one tenant's log has come, in the store and in its sink."""

    size: int
    """Records committed: the next `seq`."""
    published: int
    """Records that the newest published checkpoint covers."""
    frontier: tuple[bytes, ...]
    """Roots of the perfect subtrees of the first `published` leaves, left to right."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits in the store to be published."""

    records: int
    size_bytes: int
    oldest: Instant | None


class Transaction(Protocol):
    """What a command may do. Reads see this command's own writes."""

    @property
    def now(self) -> Instant:
        """The store's clock: the same for the whole command, never going back."""

    def answer(self, key: RequestKey) -> StoredAnswer | None:
        """The answer filed under a request id in the last 24 hours."""

    def remember(self, key: RequestKey, answer: StoredAnswer) -> None:
        """File an answer. Raises `AlreadyExistsError` unless `answer` says None."""

    def decision(self, tenant: TenantId, id: DecisionId) -> Decision | None: ...

    def put_decision(self, decision: Decision) -> None:
        """Insert a decision, or replace the one with its id.

        Only a new one counts in `Store.recent`; a replacement keeps what was
        decided, by whom and when.
        """

    def review(self, tenant: TenantId, id: ReviewId) -> Review | None: ...

    def open_review(
        self, tenant: TenantId, caller: CallerId, base_fingerprint: str
    ) -> Review | None:
        """The one open review of a caller with that fingerprint."""

    def count_open_reviews(self, tenant: TenantId, caller: CallerId) -> int: ...

    def count_open_reviews_behind(self, tenant: TenantId, requester: PersonId) -> int:
        """Open reviews of all callers that this person is proven to be behind."""

    def count_open_reviews_of_tenant(self, tenant: TenantId) -> int: ...

    def last_denied(
        self, tenant: TenantId, caller: CallerId, base_fingerprint: str
    ) -> Review | None:
        """The newest DENIED review of a caller with that fingerprint."""

    def put_review(self, review: Review) -> None:
        """Insert a review (version 1) or replace exactly its previous version.

        Raises `StaleReviewError` unless the stored version is `version - 1`,
        and on a second open review for one (tenant, caller, base fingerprint).
        """

    def permit(self, tenant: TenantId, id: PermitId) -> PermitClaims | None: ...

    def put_permit(self, permit: PermitClaims) -> None:
        """Insert a permit's claims. Raises `AlreadyExistsError` if its id is taken."""

    def next_record(self, tenant: TenantId) -> tuple[str, int]:
        """`(log_id, seq)` that the next `append` of this tenant will have."""

    def put_note(self, name: str, body: JsonObject) -> None:
        """Note something of the service itself, as `Store.put_note` does."""

    def append(self, tenant: TenantId, body: JsonObject) -> RecordRef:
        """Append a record and return where it stands.

        Adds `log_id`, `seq` and `time` and encodes it as RFC 8785 JSON; `body`
        must not be used after. Raises `RecordTooLargeError` above
        `MAX_RECORD_BYTES`.
        """

    def put_object(self, tenant: TenantId, sha256_hex: str, data: bytes) -> None:
        """Keep bytes that a record names by hash until they are published."""

    def proof_since(self, tenant: TenantId, person: PersonId, proof: str) -> Instant | None:
        """Since when this proof (see `credentials.proof_of_token`) is this person's."""

    def put_proofs(self, tenant: TenantId, proofs: Mapping[PersonId, Collection[str]]) -> None:
        """Take over all proofs of all people of a tenant, as they now are.

        A new one is dated now, unless the tenant had none at all before: then
        they are as old as its book (`Instant(0)`). One that is gone is
        forgotten, so that it is new again should it come back.
        """

    def delegation(self, tenant: TenantId, id: DelegationId) -> Delegation | None: ...

    def put_delegation(self, delegation: Delegation) -> None:
        """Insert a delegation, or replace the one with its id."""

    def delegations_to(self, tenant: TenantId, delegate: PersonId) -> Sequence[Delegation]:
        """Delegations to this person in force at `now`, oldest first."""

    def count_delegations(self, tenant: TenantId, delegator: PersonId) -> int:
        """Delegations of this person that have not ended at `now`."""

    def endpoint(
        self, tenant: TenantId, channel: ChannelId, address: Address
    ) -> Endpoint | None: ...

    def put_endpoint(self, endpoint: Endpoint) -> None:
        """Keep how a channel reaches an address, in place of what was kept."""

    def card(self, tenant: TenantId, id: CardId) -> Card | None: ...

    def cards_of(self, tenant: TenantId, review: ReviewId) -> Sequence[Card]:
        """The cards about a review, in the order they were made."""

    def put_card(self, card: Card) -> None:
        """Insert a card, or replace the one with its id.

        Raises `AlreadyExistsError` on a second card for one review, channel and address.
        """

    def due_cards(self, tenant: TenantId, channel: ChannelId, limit: int) -> Sequence[Card]:
        """Cards of a channel with something to do at `now`, longest due first."""

    def unplanned(self, tenant: TenantId, limit: int) -> Sequence[Review]:
        """Reviews that changed since `planned` was last said of them, oldest first."""

    def planned(self, review: Review) -> None:
        """Whoever should have a card about this version has one."""

    def replan(self, tenant: TenantId) -> None:
        """Every open review is unplanned: others may be reached from now on."""

    def replan_waiting(self, tenant: TenantId, channel: ChannelId, address: Address) -> None:
        """So is every review, ended ones too, whose card waits for the bot to be there."""


MAX_RECORD_BYTES: Final = 32 * 1024


class StaleReviewError(Exception):
    """A review changed between being read and being written."""


class AlreadyExistsError(Exception):
    """A key that had to be free is taken. The message names the kind of key."""


class RecordTooLargeError(Exception):
    """A record over `MAX_RECORD_BYTES`: move its largest part to an object."""


Command = Callable[[Transaction], T]
Change = tuple[TenantId, ReviewId, int]
"""A review and the version it now has."""


class Store(Protocol):
    """A backend. Reads see committed state only."""

    @property
    def key(self) -> bytes:
        """32 random bytes made with the store, for its keyed hashes."""

    async def apply(self, command: Command[T]) -> T:
        """Run a command in the group commit; return after COMMIT.

        Raises what the command raised, or `UnavailableError` when the commit
        failed: then every command of that commit failed, and the store is
        unusable (`failed` is set).
        """

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> None:
        """Call `listener` on the event loop after each commit, with reviews it changed.

        A hint only: whoever waits must read again after registering.
        """

    def now(self) -> Instant:
        """The store's clock, for deadlines judged outside a transaction."""

    async def answer(self, key: RequestKey) -> StoredAnswer | None: ...

    async def decision(self, tenant: TenantId, id: DecisionId) -> Decision | None: ...

    async def review(self, tenant: TenantId, id: ReviewId) -> Review | None: ...

    async def reviews(
        self, tenant: TenantId, states: Sequence[ReviewState], *, after: str, limit: int
    ) -> Sequence[Review]:
        """Reviews of a tenant in those states, newest first.

        `after` is the id of the last one of the page before, or empty.
        """

    async def after_reviews(self, tenant: TenantId) -> Sequence[Review]:
        """Reviews whose glass was broken and whose after-review is open, oldest first."""

    async def delegations(self, tenant: TenantId) -> Sequence[Delegation]:
        """Delegations that have not ended now, oldest first."""

    async def delegations_to(self, tenant: TenantId, delegate: PersonId) -> Sequence[Delegation]:
        """Delegations to this person in force now, oldest first."""

    async def last_used(self, tenant: TenantId) -> Mapping[str, Instant]:
        """When each proof was last used, by proof; those never used are left out."""

    async def note_used(self, used: Mapping[tuple[TenantId, str], Instant]) -> None:
        """Note when proofs were last used; never earlier than noted before."""

    async def note(self, name: str) -> JsonObject | None:
        """What the service noted of itself under this name, of no tenant."""

    async def put_note(self, name: str, body: JsonObject) -> None:
        """Note it, in place of what was there."""

    async def card(self, tenant: TenantId, id: CardId) -> Card | None: ...

    async def cards_of(self, tenant: TenantId, review: ReviewId) -> Sequence[Card]:
        """The cards about a review, in the order they were made."""

    async def endpoint(
        self, tenant: TenantId, channel: ChannelId, address: Address
    ) -> Endpoint | None: ...

    async def endpoints(self, tenant: TenantId, channel: ChannelId) -> Sequence[Endpoint]:
        """All endpoints of a channel."""

    async def deliveries_due(self, tenant: TenantId, channel: ChannelId) -> Instant | None:
        """When a channel has something to do: a due card, or a review not planned (0)."""

    async def permit(self, tenant: TenantId, id: PermitId) -> PermitClaims | None: ...

    async def due(self, now: Instant, limit: int) -> Sequence[tuple[TenantId, ReviewId]]:
        """Reviews whose next timer (approve-by, use-by, report-by) has passed."""

    async def next_due(self) -> Instant | None:
        """When the earliest timer of all reviews fires."""

    async def recent(
        self, tenant: TenantId, caller: CallerId, action: str
    ) -> Mapping[str, Mapping[str, int]]:
        """Counts of decisions by effect over the last `hour` and `day`.

        `{"hour": {"checks", "allow", "deny", "needs_approval", "claimed", "rows",
        "amount"}, "day": …}`. The effects are those of Checks; `claimed` counts the
        Claims allowed; `rows` and `amount` are summed over what was let through:
        Checks and Claims that were allowed.
        """

    async def tenants(self) -> Sequence[TenantId]:
        """Tenants that have a log."""

    async def log_state(self, tenant: TenantId) -> LogState: ...

    async def backlog(self, tenant: TenantId) -> Backlog:
        """The records that are not published yet."""

    async def records(self, tenant: TenantId, first: int, limit: int) -> Sequence[StoredRecord]:
        """Records `first … first + limit - 1`, in order, those that still exist."""

    async def objects(self, tenant: TenantId, limit: int) -> Sequence[tuple[str, bytes]]:
        """Kept objects not yet published, oldest first."""

    async def mark_published(
        self, tenant: TenantId, size: int, frontier: Sequence[bytes], objects: Sequence[str]
    ) -> None:
        """Note that a checkpoint of `size` leaves and those objects are in the sink."""

    async def sweep(self, now: Instant) -> None:
        """Delete what its term has passed: idempotency rows after 24 h."""

    async def close(self) -> None:
        """Finish what is queued, then close."""
