"""What the SDK raises. Each of these means: the action must not run.

    CountersignClientError
    ├── Denied                  policy or a reviewer said no
    ├── NotApproved             there is no approval to act on
    │   ├── StillPending            nobody has decided yet
    │   ├── Expired                 nobody decided in time
    │   ├── Lapsed                  approved, but claimed too late
    │   ├── Revoked                 approved, then taken back or voided
    │   ├── Cancelled               withdrawn by the requester
    │   └── AlreadyClaimed          spent before; nobody knows whether it ran
    ├── PermitRejected          a permit came back that is not for this action
    ├── InvalidRequest          a field is wrong
    │   └── InvalidContext          a field of the context is wrong
    ├── Unauthenticated         the server does not know this credential
    ├── NotPermitted            known, but not for this
    ├── NotFound                no such thing, or not yours
    ├── PreconditionFailed      the state does not allow it
    ├── Exhausted               a rate or quota
    ├── Unavailable             no answer in time; nothing was decided
    ├── PendingFileError        a saved review is missing, damaged or exposed
    ├── TokenFileError          a token file is; nothing was sent
    └── ProtocolError           an answer nobody can rely on

Names say what happened, so that `except Denied` reads as it is meant. A message
never holds a value of the context: it names the field and the remedy. All of
them can be pickled, because agents run in worker processes.
"""
# ruff: noqa: N818 - named after what happened, as in `except Denied`

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from countersign.errors import CountersignError
from countersign.model import Reason, ReviewState

if TYPE_CHECKING:
    from countersign.client.pending import Pending


class CountersignClientError(CountersignError):
    """No permission to act. `code` is stable, `advice` says what to do.

    `pending` is the handle of the review, when there is one to come back to.
    """

    pending: Pending | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self._state())

    def _state(self) -> dict[str, Any]:
        # The handle may hold the raw context, which is never serialised unasked.
        return {key: value for key, value in self.__dict__.items() if key != "pending"}


def _rebuild(
    kind: type[CountersignClientError], args: tuple[Any, ...], state: dict[str, Any]
) -> CountersignClientError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def _sentence(what: str, reasons: Sequence[Reason]) -> str:
    told = "; ".join(f"{reason.message or reason.code}" for reason in reasons)
    return f"{what}: {told}" if told else what


class Denied(CountersignClientError):
    """Policy, or a person, said no. `reasons` say why, `decision_id` names the answer."""

    def __init__(
        self,
        reasons: Sequence[Reason],
        *,
        decision_id: str = "",
        review_id: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(
            reasons[0].code if reasons else "denied",
            _sentence("the action was denied", reasons),
            advice=(
                "A passing fault caused this; ask again later."
                if retryable
                else "Do not run the action. Change it, or talk to the people the reasons name."
            ),
        )
        self.reasons = tuple(reasons)
        self.decision_id = decision_id
        self.review_id = review_id
        self.retryable = retryable


class NotApproved(CountersignClientError):
    """There is no approval to act on. `state` is where the review stands."""

    what: ClassVar[str] = "the review does not allow the action"
    remedy: ClassVar[str] = "Check again for a new decision."

    def __init__(
        self,
        state: ReviewState,
        reasons: Sequence[Reason] = (),
        *,
        review_id: str = "",
        decision_id: str = "",
    ) -> None:
        super().__init__(f"review.{state}", _sentence(self.what, reasons), advice=self.remedy)
        self.state = state
        self.reasons = tuple(reasons)
        self.review_id = review_id
        self.decision_id = decision_id


class StillPending(NotApproved):
    """Nobody has decided yet."""

    what = "nobody has decided yet"
    remedy = "Wait longer, or save error.pending and resume it later."


class Expired(NotApproved):
    """Nobody decided before approve-by. Silence is never approval."""

    what = "nobody approved the action in time"


class Lapsed(NotApproved):
    """Approved, but not claimed before use-by."""

    what = "the approval was not used in time"


class Revoked(NotApproved):
    """Approved, then taken back by a person or voided at the claim."""

    what = "the approval was taken back"


class Cancelled(NotApproved):
    """Withdrawn by the requester, or superseded by another review."""

    what = "the review was withdrawn"


class AlreadyClaimed(NotApproved):
    """The approval was spent before, and nobody here knows whether the action ran.

    Above all after a restart: an earlier claim of the same handle went through.
    `permit_id` is then the permit it got, to be reported on.
    """

    what = "the approval was already spent, and the action may have run"
    remedy = (
        "Do not run the action again. Find out whether it happened and report the outcome "
        "(Outcome.AMBIGUOUS if you cannot tell); check again for a new approval."
    )

    def __init__(
        self,
        reasons: Sequence[Reason] = (),
        *,
        review_id: str = "",
        decision_id: str = "",
        permit_id: str = "",
    ) -> None:
        super().__init__(ReviewState.CLAIMED, reasons, review_id=review_id, decision_id=decision_id)
        self.permit_id = permit_id


class PermitRejected(CountersignClientError):
    """A permit that is malformed, out of time or for another action than this one."""


class InvalidRequest(CountersignClientError):
    """A field of the call is wrong. `field` is its path or JSON pointer."""

    def __init__(self, field: str, problem: str, *, code: str = "request.invalid") -> None:
        super().__init__(code, f"{field}: {problem}", advice="Correct the field and call again.")
        self.field = field
        self.problem = problem


class InvalidContext(InvalidRequest):
    """A field of the context is wrong."""


class Unauthenticated(CountersignClientError):
    """The server does not know this credential."""


class NotPermitted(CountersignClientError):
    """A known caller asked for what it may not do."""


class NotFound(CountersignClientError):
    """No such thing; another tenant's or caller's thing looks just the same."""


class PreconditionFailed(CountersignClientError):
    """The state of the thing does not allow this."""


class Exhausted(CountersignClientError):
    """A rate, quota or size is used up."""


class Unavailable(CountersignClientError):
    """No answer in time. Nothing was decided, so nothing may run."""


class PendingFileError(CountersignClientError):
    """A saved review cannot be written, or must not be trusted."""


class TokenFileError(CountersignClientError):
    """The file that holds the token cannot be read, or must not be used. Nothing was sent."""


class ProtocolError(CountersignClientError):
    """An answer this SDK cannot rely on, and therefore does not."""


_BY_STATE: dict[ReviewState, type[NotApproved]] = {
    ReviewState.PENDING: StillPending,
    ReviewState.INFO_REQUESTED: StillPending,
    ReviewState.EXPIRED: Expired,
    ReviewState.LAPSED: Lapsed,
    ReviewState.REVOKED: Revoked,
    ReviewState.CANCELLED: Cancelled,
}


def refusal(
    state: ReviewState | None,
    reasons: Sequence[Reason],
    *,
    review_id: str = "",
    decision_id: str = "",
    retryable: bool = False,
) -> Denied | NotApproved:
    """The error for an answer that does not allow the action, by the review's state."""
    if state is ReviewState.CLAIMED:
        return AlreadyClaimed(reasons, review_id=review_id, decision_id=decision_id)
    if state in _BY_STATE:
        return _BY_STATE[state](state, reasons, review_id=review_id, decision_id=decision_id)
    return Denied(reasons, decision_id=decision_id, review_id=review_id, retryable=retryable)


def closed() -> CountersignClientError:
    """The error of a call on a client that was closed."""
    return CountersignClientError(
        "client.closed", "this client is closed", advice="Open a new one, or close it later."
    )
