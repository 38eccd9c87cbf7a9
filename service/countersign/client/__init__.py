"""The SDK: ask before acting, act only with permission, say how it went.

    from countersign.client import Client, Context, Outcome, Resource

    context = Context(
        action="db.export",
        actor="export-agent",
        environment="production",
        resource=Resource("table", "customers"),
        arguments={"destination": "s3://partner-share/customers.csv", "rows": 120},
        reason="Partner audit",
    )
    with Client.from_credential("agent.credential") as client:
        grant = client.authorize(context, timeout_s=600)
        # Here the action runs, and nowhere else.
        client.report(grant, Outcome.SUCCEEDED, {"rows": 120})

`authorize` returns only with permission to act now; every error of this package
means that the action must not run. `guard` does the same around a function,
`AsyncClient` for asyncio, `countersign.client.testing` for your unit tests.
"""

from countersign.client.aio import AsyncClient
from countersign.client.aio_reviews import AsyncReviewsClient, AsyncReviewsView
from countersign.client.assertion import PersonAssertion
from countersign.client.context import Context, Resource
from countersign.client.errors import (
    AlreadyClaimed,
    Cancelled,
    CountersignClientError,
    Denied,
    Exhausted,
    Expired,
    InvalidContext,
    InvalidRequest,
    Lapsed,
    NotApproved,
    NotFound,
    NotPermitted,
    PendingFileError,
    PermitRejected,
    PreconditionFailed,
    ProtocolError,
    Revoked,
    StillPending,
    TokenFileError,
    Unauthenticated,
    Unavailable,
)
from countersign.client.exchange import Timing
from countersign.client.guard import guard
from countersign.client.pending import Pending
from countersign.client.principals import External, Person, Workload
from countersign.client.reviews import ReviewsClient, ReviewsView
from countersign.client.sync import Client
from countersign.client.values import Decision, Grant, Permit, Question, ReviewStatus
from countersign.client.waiting import Answer
from countersign.credentials import Credential
from countersign.model import Choice, Effect, Outcome, Reason, ReviewState

__all__ = [
    "AlreadyClaimed",
    "Answer",
    "AsyncClient",
    "AsyncReviewsClient",
    "AsyncReviewsView",
    "Cancelled",
    "Choice",
    "Client",
    "Context",
    "CountersignClientError",
    "Credential",
    "Decision",
    "Denied",
    "Effect",
    "Exhausted",
    "Expired",
    "External",
    "Grant",
    "InvalidContext",
    "InvalidRequest",
    "Lapsed",
    "NotApproved",
    "NotFound",
    "NotPermitted",
    "Outcome",
    "Pending",
    "PendingFileError",
    "Permit",
    "PermitRejected",
    "Person",
    "PersonAssertion",
    "PreconditionFailed",
    "ProtocolError",
    "Question",
    "Reason",
    "Resource",
    "ReviewState",
    "ReviewStatus",
    "ReviewsClient",
    "ReviewsView",
    "Revoked",
    "StillPending",
    "Timing",
    "TokenFileError",
    "Unauthenticated",
    "Unavailable",
    "Workload",
    "guard",
]
