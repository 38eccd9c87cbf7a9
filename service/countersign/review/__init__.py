"""The rules of a review: who may do what to it, when, and what follows.

Every rule about approval is here and nowhere else. Pure: the time, the
directory and today's policy answer come in with the event. The flow runs
`step` inside the store's transaction.

Rules (numbers are those of docs/explanation/invariants.md):

* 4   A vote names the revision and preview it saw; a claim the commitment.
* 5   Only an approved review can be claimed, and only once. A wrong context,
      a wrong claimant or a passing fault changes nothing.
* 6   Nobody excluded votes. A person has one vote a revision; a denial ends it.
* 8   At the claim today's policy decides whether the recorded votes suffice.
* 9   What cannot be reviewed can be denied, not approved.
* 10  Every deadline is judged here with the caller's `now`; reaching it is late.

`step` returns the next review, or a `Refusal` that leaves it as it was.
"""

from countersign.review.claiming import may_claim
from countersign.review.escalating import scheduled
from countersign.review.events import (
    AfterReviewClosed,
    ApprovalRevoked,
    ClaimAttempted,
    Event,
    GlassBroken,
    OutcomeReported,
    People,
    QuestionAnswered,
    QuestionAsked,
    Refusal,
    RequesterWidened,
    TimePassed,
    VoteCast,
    Withdrawn,
)
from countersign.review.rules import step
from countersign.review.seats import (
    approvals,
    asked,
    barred,
    current_stage,
    first_unfilled,
    unsatisfiable,
    used_up,
)
from countersign.review.standing import (
    cannot_approve,
    cannot_decide,
    excluded,
    glass_breakers,
    may_see,
    shared_preview,
    visible_previews,
)

__all__ = [
    "AfterReviewClosed",
    "ApprovalRevoked",
    "ClaimAttempted",
    "Event",
    "GlassBroken",
    "OutcomeReported",
    "People",
    "QuestionAnswered",
    "QuestionAsked",
    "Refusal",
    "RequesterWidened",
    "TimePassed",
    "VoteCast",
    "Withdrawn",
    "approvals",
    "asked",
    "barred",
    "cannot_approve",
    "cannot_decide",
    "current_stage",
    "excluded",
    "first_unfilled",
    "glass_breakers",
    "may_claim",
    "may_see",
    "scheduled",
    "shared_preview",
    "step",
    "unsatisfiable",
    "used_up",
    "visible_previews",
]
