"""Batches, broken glasses, delegations and channels, over a real connection."""

from datetime import UTC, datetime, timedelta

import pytest

from countersign.client import (
    Choice,
    Client,
    Context,
    Credential,
    InvalidRequest,
    NotFound,
    NotPermitted,
    PersonAssertion,
    PreconditionFailed,
    ProtocolError,
    Reason,
    Resource,
    ReviewsClient,
    Timing,
)
from countersign.client.testing import Rule
from countersign.credentials import SubjectKind, new_token
from countersign.model import Effect
from countersign.v1 import context_pb2, reviews_pb2
from simulators.decision_server import DecisionServer

BOB, CAROL = new_token(SubjectKind.PERSON), new_token(SubjectKind.PERSON)
CHANNEL = new_token(SubjectKind.CHANNEL)
QUICK = Timing(backoff_s=0.01, max_backoff_s=0.05)
AT = datetime(2026, 12, 1, 18, tzinfo=UTC)
TEAMS = ("teams:contoso", "5f0c")


@pytest.fixture
def server():
    with DecisionServer(BOB) as server:
        server.people[CAROL] = "carol"
        server.channel_token = CHANNEL
        server.accounts[TEAMS] = "dave"
        rule = Rule(
            pattern="*", effect=Effect.NEEDS_APPROVAL, quorum=2, batch=True, break_glass=("bob",)
        )
        server.point.rules.append(rule)
        yield server


def client(server, token):
    return ReviewsClient(Credential(endpoint=server.endpoint, token=token), timing=QUICK)


@pytest.fixture
def bob(server):
    with client(server, BOB) as bob:
        yield bob


@pytest.fixture
def carol(server):
    with client(server, CAROL) as carol:
        yield carol


@pytest.fixture
def channel(server):
    with client(server, CHANNEL) as channel:
        yield channel


@pytest.fixture
def reviews(server):
    """Three open reviews, as they are shown."""
    with Client(Credential(endpoint=server.endpoint, token=BOB)) as agent:
        for number in range(3):
            agent.check(
                Context(
                    action="db.export",
                    resource=Resource("table", f"t{number}"),
                    environment="production",
                    actor="export-agent",
                )
            )
    return [server.desk.view(name, "bob") for name in server.point.reviews]


def dave(**changes):
    return PersonAssertion(
        **{"issuer": TEAMS[0], "subject": TEAMS[1], "authenticated_at": AT, **changes}
    )


class TestBatches:
    def test_each_vote_is_taken_or_refused_by_itself_in_order(self, server, bob, reviews):
        server.point.ask(reviews[1].status.review_id, "carol", "why?")
        server.point.approve(reviews[2].status.review_id, "bob")
        first, second, third = bob.batch_approve(reviews, reason="the monthly run")
        assert first.stages[0].approvals == 1
        assert second.stages[0].approvals == 1
        assert third == Reason(
            code="vote.duplicate", message="you have already voted on this revision"
        )
        assert server.calls[-1][1].reason == "the monthly run"

    def test_each_names_what_was_on_the_screen(self, server, bob, reviews):
        bob.batch_approve([reviews[0], (reviews[1], "reviewer")])
        sent = server.calls[-1][1].items
        for item, review in zip(sent, reviews, strict=False):
            assert item.preview_hash == review.previews["reviewer"].hash
            assert (item.revision, item.profile) == (1, "reviewer")

    def test_a_lost_answer_is_asked_for_under_the_same_id(self, server, bob, reviews):
        server.lose_reply("BatchDecide")
        results = bob.batch_approve(reviews)
        assert [result.stages[0].approvals for result in results] == [1, 1, 1]
        first, again = (request for verb, request in server.calls if verb == "BatchDecide")
        assert first.request_id == again.request_id

    @pytest.mark.parametrize("wrong", [[], [0] * 2, list(range(26))])
    def test_one_to_25_reviews_each_once(self, bob, reviews, wrong):
        items = []
        for number in wrong:
            items.append(reviews_pb2.Review())
            items[-1].CopyFrom(reviews[0])
            items[-1].status.review_id = f"rev_{number}"
        with pytest.raises(InvalidRequest, match="items"):
            bob.batch_approve(items)

    def test_what_was_not_shown_is_not_approved(self, bob, reviews):
        reviews[1].previews["auditor"].hash = b"x"
        with pytest.raises(InvalidRequest, match="profile"):
            bob.batch_approve(reviews)

    @pytest.mark.parametrize("case", ["fewer", "others", "neither", "both"])
    def test_an_unclear_answer_is_no_vote(self, server, bob, reviews, case):
        answer = reviews_pb2.BatchDecideResponse()
        for review in reviews:
            answer.results.add(review_id=review.status.review_id, review=review)
        if case == "fewer":
            del answer.results[2]
        elif case == "others":
            answer.results[0].review_id = "rev_other"
        elif case == "neither":
            answer.results[0].ClearField("review")
        else:
            answer.results[0].refusal.code = "vote.duplicate"
        server.answer("BatchDecide", answer)
        with pytest.raises(ProtocolError, match="did not say what came of each"):
            bob.batch_approve(reviews)


class TestBrokenGlass:
    def test_one_person_is_enough_and_another_looks_at_it(self, bob, carol, reviews):
        review_id = reviews[0].status.review_id
        broken = bob.break_glass(bob.get(review_id), "the site is down")
        assert broken.status.state == context_pb2.REVIEW_STATE_APPROVED
        assert broken.after_review.person_id == "bob"
        (owed,) = carol.after_reviews()
        with pytest.raises(NotPermitted, match=r"after_review\.own"):
            bob.close_after_review(broken, justified=True, note="it was right")
        done = carol.close_after_review(owed, justified=False, note="a restart would have done")
        assert (done.after_review.closed_by, done.after_review.justified) == ("carol", False)
        assert carol.after_reviews() == ()

    def test_only_for_whom_policy_names(self, carol, reviews):
        with pytest.raises(NotPermitted, match=r"vote\.no_break_glass"):
            carol.break_glass(reviews[0], "the site is down")

    def test_a_lost_answer_breaks_no_second_glass(self, server, bob, reviews):
        server.lose_reply("BreakGlass")
        assert bob.break_glass(reviews[0], "down").after_review.person_id == "bob"


class TestDelegations:
    def test_given_listed_and_taken_back(self, bob, carol):
        until = datetime.now(UTC) + timedelta(days=3)
        given = bob.delegate("carol", until, reason="out of office")
        assert (given.delegator_id, given.delegate_id) == ("bob", "carol")
        assert given.ends_at.ToDatetime(tzinfo=UTC) == until
        assert [found.delegation_id for found in carol.delegations()] == [given.delegation_id]
        with pytest.raises(NotFound):
            carol.end_delegation(given.delegation_id)
        assert bob.end_delegation(given.delegation_id).HasField("ended_at")
        assert bob.delegations() == ()

    def test_it_starts_now_unless_said_otherwise(self, server, bob):
        bob.delegate("carol", AT)
        assert not server.calls[-1][1].HasField("starts_at")
        bob.delegate("carol", AT, starts=AT - timedelta(days=1))
        assert server.calls[-1][1].starts_at.ToDatetime(tzinfo=UTC) == AT - timedelta(days=1)

    @pytest.mark.parametrize("field", ["until", "starts"])
    def test_a_time_without_its_zone_is_a_guess(self, bob, field):
        moments = {"until": AT, "starts": AT, field: AT.replace(tzinfo=None)}
        with pytest.raises(InvalidRequest) as caught:
            bob.delegate("carol", moments["until"], starts=moments["starts"])
        assert caught.value.field == field


class TestChannels:
    def test_every_verb_says_who_acts(self, server, channel, reviews):
        view = channel.for_person(dave(message_ref="activity-7"))
        seen = [next(view.watch()), *view.list(), view.get(reviews[0].status.review_id)]
        assert len(seen) == 5
        view.decide(reviews[0], Choice.APPROVE)
        view.batch_approve(reviews[1:2])
        asked = view.ask(reviews[2], "why?")
        assert asked.status.open_questions[0].text == "dave: why?"
        given = view.delegate("carol", datetime.now(UTC) + timedelta(days=1))
        view.delegations()
        view.end_delegation(given.delegation_id)
        view.after_reviews()
        with pytest.raises(PreconditionFailed, match=r"after_review\.none"):
            view.close_after_review(reviews[0], justified=True, note="fine")
        with pytest.raises(PreconditionFailed):
            view.revoke(reviews[2].status.review_id)
        people = [request for verb, request in server.calls if verb not in {"Check", "Await"}]
        assert len(people) == 13
        assert {request.person.subject for request in people} == {"5f0c"}
        assert {request.person.message_ref for request in people} == {"activity-7"}
        assert people[0].person.authenticated_at.ToDatetime(tzinfo=UTC) == AT

    def test_nobody_breaks_a_glass_through_one(self, channel):
        assert not hasattr(channel.for_person(dave()), "break_glass")

    def test_views_of_two_people_do_not_mix(self, server, channel, reviews):
        server.accounts[TEAMS[0], "77aa"] = "erin"
        one, other = channel.for_person(dave()), channel.for_person(dave(subject="77aa"))
        review_id = reviews[0].status.review_id
        one.decide(one.get(review_id), Choice.APPROVE)
        approved = other.decide(other.get(review_id), Choice.APPROVE)
        assert approved.status.state == context_pb2.REVIEW_STATE_APPROVED

    def test_an_account_of_nobody_is_refused(self, channel):
        with pytest.raises(NotPermitted):
            channel.for_person(dave(subject="somebody")).get("rev_1")

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"issuer": ""}, "person.issuer"),
            ({"subject": ""}, "person.subject"),
            ({"authenticated_at": AT.replace(tzinfo=None)}, "person.authenticated_at"),
            ({"authenticated_at": 0}, "person.authenticated_at"),
        ],
    )
    def test_a_wrong_assertion_is_named(self, changes, field):
        with pytest.raises(InvalidRequest) as caught:
            dave(**changes)
        assert caught.value.field == field
