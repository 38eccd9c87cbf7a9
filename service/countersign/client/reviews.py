"""The decision surface for people. Used by the command line and by channels.

Answers are the protocol's own messages (`countersign.v1.reviews_pb2.Review`),
since whoever shows a review to a person shows all of it. A vote names what was
on the screen, so the verbs that approve take the review as it was shown. A
caller's credential is refused by the server: there is no verb here for it. What
is sent and what it means is in `deciding`; `aio_reviews` is the same for asyncio.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from countersign.client.assertion import PersonAssertion
from countersign.client.deciding import Deciding
from countersign.client.exchange import Timing
from countersign.client.line import Line
from countersign.client.opened import Opened
from countersign.client.shown import Shown
from countersign.credentials import Credential
from countersign.model import Choice, Reason, ReviewState
from countersign.v1 import reviews_pb2
from countersign.v1.reviews_pb2_grpc import ReviewsStub


class ReviewsView:
    """Reviews as one person sees and decides them. `ReviewsClient` makes them."""

    def __init__(self, line: Line, deciding: Deciding) -> None:
        self._line = line
        self._deciding = deciding

    def list(self, states: Sequence[ReviewState] = ()) -> Iterator[reviews_pb2.Review]:
        """Reviews this person may see, newest first; the open ones by default."""
        return self._line.each(self._deciding.list(states))

    def get(self, review_id: str) -> reviews_pb2.Review:
        """One review. Raises `NotFound`."""
        return self._line.run(self._deciding.get(review_id))

    def watch(self) -> Iterator[reviews_pb2.Review]:
        """Every visible review as it is, then each change; survives restarts.

        After a restart of the server the snapshots come again. Raises when the
        server stays away for longer than `Timing.max_outage_s`.
        """
        return self._line.each(self._deciding.watch())

    def decide(
        self, review: reviews_pb2.Review, choice: Choice, *, profile: str = "", reason: str = ""
    ) -> reviews_pb2.Review:
        """Vote on a review as it was shown.

        `review` is the message that was on the screen and `profile` the preview
        of it (may be left out when there is one): the vote names its revision
        and preview hash, so it cannot count for anything that was not seen.
        """
        return self._line.run(self._deciding.decide(review, choice, profile, reason))

    def batch_approve(
        self, items: Sequence[Shown], *, reason: str = ""
    ) -> Sequence[reviews_pb2.Review | Reason]:
        """Approve up to 25 reviews in one act, each as it was shown.

        An item is a review, or a pair of review and profile where it has more
        than one preview. What comes back is in the order of the items: the
        review where the vote was taken, the reason where it was refused.
        """
        return self._line.run(self._deciding.batch_approve(items, reason))

    def ask(self, review: reviews_pb2.Review, question: str) -> reviews_pb2.Review:
        """Ask the requester something; the review waits for the answer."""
        return self._line.run(self._deciding.ask(review, question))

    def revoke(self, review_id: str, *, reason: str = "") -> reviews_pb2.Review:
        """Take an approval back, until it is claimed."""
        return self._line.run(self._deciding.revoke(review_id, reason))

    def after_reviews(self) -> Sequence[reviews_pb2.Review]:
        """Reviews whose glass was broken and that nobody has looked at yet, oldest first."""
        return self._line.run(self._deciding.after_reviews())

    def close_after_review(
        self, review: reviews_pb2.Review, *, justified: bool, note: str
    ) -> reviews_pb2.Review:
        """Say whether breaking the glass was right. Never for who broke it."""
        return self._line.run(
            self._deciding.close_after_review(review, justified=justified, note=note)
        )

    def delegate(
        self, to: str, until: datetime, *, starts: datetime | None = None, reason: str = ""
    ) -> reviews_pb2.Delegation:
        """Let the person with the id `to` decide in one's place, from `starts` (now) on."""
        return self._line.run(self._deciding.delegate(to, until, starts, reason))

    def delegations(self) -> Sequence[reviews_pb2.Delegation]:
        """Every delegation of the tenant that has not ended."""
        return self._line.run(self._deciding.delegations())

    def end_delegation(self, delegation_id: str) -> reviews_pb2.Delegation:
        """Take one's own delegation back."""
        return self._line.run(self._deciding.end_delegation(delegation_id))


class ReviewsClient(ReviewsView, Opened):
    """Lists, shows and decides reviews with one credential.

    A person's own acts as that person:

        with ReviewsClient.from_credential("bob.credential") as bob:
            bob.decide(bob.get(review_id), Choice.APPROVE)

    A channel's says who acts, each time somebody does:

        with ReviewsClient.from_credential("bot.credential") as channel:
            bob = channel.for_person(PersonAssertion(issuer=…, subject=…, authenticated_at=…))
            bob.decide(bob.get(review_id), Choice.APPROVE)
    """

    def __init__(self, credential: Credential, *, timing: Timing | None = None) -> None:
        self._endpoint = credential.endpoint
        ReviewsView.__init__(self, Line(credential, ReviewsStub), Deciding(timing or Timing()))

    def for_person(self, person: PersonAssertion) -> ReviewsView:
        """The same as somebody a channel vouches for, over the same connection.

        Made anew for each act, because the proof grows old. Nobody breaks the
        glass through a channel, so that verb is not there.
        """
        return ReviewsView(self._line, self._deciding.for_person(person))

    def break_glass(
        self, review: reviews_pb2.Review, reason: str, *, profile: str = ""
    ) -> reviews_pb2.Review:
        """Approve alone in an emergency, as it was shown; somebody else looks at it afterwards."""
        return self._line.run(self._deciding.break_glass(review, reason, profile))
