"""The blocking client. One instance serves any number of threads.

What is said to the server, and what its answers mean, is in `conversation`;
`line` carries it out. Forking while a client is open is not safe; open one in
each process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from countersign.client import receipts, scrubbing
from countersign.client.context import Context
from countersign.client.conversation import Conversations
from countersign.client.errors import CountersignClientError
from countersign.client.exchange import Timing
from countersign.client.line import Line, OnQuestion
from countersign.client.opened import Opened
from countersign.client.pending import Pending
from countersign.client.principals import Person
from countersign.client.scrubbing import machine_stub
from countersign.client.values import Decision, Grant, ReviewStatus
from countersign.credentials import Credential
from countersign.model import Outcome, RecordRef


class Client(Opened):
    """Asks before acting. Every error it raises means: do not run the action.

    with Client.from_credential("agent.credential") as client:
        grant = client.authorize(context, timeout_s=600)
        ...  # act now
        client.report(grant, Outcome.SUCCEEDED)
    """

    def __init__(self, credential: Credential, *, timing: Timing | None = None) -> None:
        self._endpoint = credential.endpoint
        self._line = Line(credential, machine_stub)
        self._conversations = Conversations(timing or Timing())

    def check(
        self,
        context: Context,
        *,
        request_id: str | None = None,
        create_review: bool = True,
        labels: Mapping[str, str] | None = None,
        supersedes: str = "",
        permit_audience: str = "",
        evidence: str = "",
    ) -> Decision:
        """Ask what policy says. Spends nothing; a DENY is an answer, not an error.

        `create_review=False` only asks. `supersedes` is the id of an open review
        that this one replaces. With `permit_audience` a plain ALLOW carries a
        permit for that executor. An ALLOW given before to the same `request_id`
        is not permission again: whoever got it first may have acted. `evidence`
        is a token that proves the person the context names, for this call.
        """
        return self._line.run(
            self._conversations.check(
                context,
                request_id=request_id,
                create_review=create_review,
                labels=labels,
                supersedes=supersedes,
                permit_audience=permit_audience,
                evidence=evidence,
            )
        )

    def check_many(
        self,
        contexts: Sequence[Context],
        *,
        create_review: bool = True,
        labels: Mapping[str, str] | None = None,
    ) -> tuple[Decision | CountersignClientError, ...]:
        """Ask about many at once: their decisions, in their order. Spends nothing.

        What failed stands in its place as the error its `check` would have raised:
        nothing may run for it. Each decision is its own; one that may be asked again
        (`retryable`) is not asked again here.
        """
        return self._line.run(
            self._conversations.check_many(contexts, create_review=create_review, labels=labels)
        )

    def wait(
        self,
        review: Pending | str,
        *,
        timeout_s: float | None = None,
        on_question: OnQuestion | None = None,
    ) -> ReviewStatus:
        """Wait until people have decided; survives restarts of the server.

        Returns the newest snapshot when `timeout_s` is over, decided or not;
        0 just looks. `on_question` may answer what reviewers ask.
        """
        conversation = self._conversations.wait(
            review, timeout_s=timeout_s, answering=on_question is not None
        )
        return self._line.run(conversation, on_question)

    def claim(self, review: Pending | str, context: Context, *, audience: str = "") -> Grant:
        """Spend an approval, once, for exactly the context about to be executed.

        Raises `Denied`, `NotApproved` and what it stands for (`Expired`,
        `AlreadyClaimed`, …) or `PermitRejected`.
        """
        return self._line.run(self._conversations.claim(review, context, audience=audience))

    def authorize(
        self,
        context: Context,
        *,
        timeout_s: float | None = None,
        labels: Mapping[str, str] | None = None,
        on_question: OnQuestion | None = None,
        evidence: str = "",
    ) -> Grant:
        """Check, wait and claim in one. Returns only with permission to act, now.

        `timeout_s` is the longest wait for people; then `StillPending` carries
        the handle to resume with. None waits until the review itself expires.
        `evidence` is as for `check`; it is used at once, so it may expire meanwhile.
        """
        conversation = self._conversations.authorize(
            context,
            timeout_s=timeout_s,
            labels=labels,
            answering=on_question is not None,
            evidence=evidence,
        )
        return self._line.run(conversation, on_question)

    def answer(
        self, review_id: str, question_id: str, text: str, *, answered_by: Person | None = None
    ) -> ReviewStatus:
        """Answer a reviewer's question. Earlier approvals are void then.

        `answered_by` is who answered, with their evidence: then they cannot decide
        any more. Without it nobody can who is able to drive this caller.
        """
        return self._line.run(
            self._conversations.answer(review_id, question_id, text, answered_by=answered_by)
        )

    def cancel(self, review: Pending | str, *, reason: str = "") -> ReviewStatus:
        """Withdraw a review that has not been claimed."""
        return self._line.run(self._conversations.cancel(review, reason=reason))

    def report(
        self,
        acted_on: Grant | str,
        outcome: Outcome,
        detail: Mapping[str, Any] | None = None,
    ) -> ReviewStatus | None:
        """Say how the action ended. `acted_on` is the grant, or a permit's id."""
        return self._line.run(self._conversations.report(acted_on, outcome, detail))

    def receipt(self, record: RecordRef) -> bytes:
        """A signed promise that a record is in the log: `decision.record` names one.

        Keep it. When the log is published without that record, it proves the omission
        (`countersign audit check-receipt`).
        """
        return self._line.run(receipts.receipt(self._conversations, record))

    def scrub(self, value: Any) -> Any:
        """A text or JSON value without personal data and secrets, in the same shape.

        Nothing is stored. Its tags (`[EMAIL:9f2c…]`) are of this call alone.
        """
        return self._line.run(scrubbing.scrub(self._conversations, value))

    def log_activity(
        self,
        type: str,
        content: Any,
        *,
        session: str = "",
        decision_id: str = "",
    ) -> RecordRef | None:
        """Put what the agent did or saw on record: a prompt, a tool's output, an event.

        `type` is a dotted word such as `tool.output`, `content` a text or JSON value
        that the server masks. `decision_id` is a decision of this client it belongs to.
        """
        return self._line.run(
            scrubbing.log_activity(
                self._conversations, type, content, session=session, decision_id=decision_id
            )
        )
