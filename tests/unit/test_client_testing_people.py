"""The fakes' other side: a bot and a reviewer's tool without a server."""

import inspect
import json
from datetime import UTC, datetime, timedelta

import pytest

from countersign.client import (
    AsyncClient,
    AsyncReviewsClient,
    AsyncReviewsView,
    Choice,
    Client,
    Context,
    CountersignClientError,
    InvalidRequest,
    NotPermitted,
    Person,
    PersonAssertion,
    PreconditionFailed,
    Reason,
    Resource,
    ReviewsClient,
    ReviewState,
    Timing,
    Unavailable,
)
from countersign.client.deciding import Deciding
from countersign.client.reviews import ReviewsView
from countersign.client.testing import FakeClient
from countersign.client.testing.lines import FakeLine
from countersign.v1 import reviews_pb2, reviews_pb2_grpc

ACCOUNTS = {("teams:contoso", "5f0c"): "dave"}


def context(table="customers", **more):
    return Context(
        action="db.export",
        resource=Resource("table", table),
        environment="production",
        actor="export-agent",
        **more,
    )


@pytest.fixture
def fake():
    fake = FakeClient()
    fake.needs_approval("db.export", batch=True, break_glass=["bob"])
    return fake


def dave():
    return PersonAssertion(
        issuer="teams:contoso", subject="5f0c", authenticated_at=datetime.now(UTC)
    )


def test_what_a_bot_decides_the_agent_hears(fake):
    pending = fake.check(context()).pending
    view = fake.channel(ACCOUNTS).for_person(dave())
    shown = view.get(pending.review_id)
    assert json.loads(shown.previews["reviewer"].context_json)["action"] == "db.export"
    view.decide(shown, Choice.APPROVE)
    assert fake.wait(pending).state is ReviewState.APPROVED
    assert fake.claim(pending, context()).permit is not None


def test_a_channel_says_who_acts_and_a_person_does_not(fake):
    channel = fake.channel(ACCOUNTS)
    with pytest.raises(InvalidRequest, match="person"):
        next(channel.list())
    with pytest.raises(NotPermitted, match=r"channel\.unknown_account"):
        next(channel.for_person(_somebody()).watch())
    with pytest.raises(InvalidRequest, match="person: is for channels"):
        next(fake.reviewer("bob").for_person(dave()).list())
    pending = fake.check(context()).pending
    with pytest.raises(NotPermitted, match=r"channel\.not_a_person"):
        channel.break_glass(fake.desk.view(pending.review_id, "bob"), "down")


def _somebody():
    return PersonAssertion(issuer="teams:contoso", subject="?", authenticated_at=datetime.now(UTC))


def test_a_reviewer_is_held_to_the_rules_of_every_review(fake):
    pending = fake.check(context(on_behalf_of=[Person("alice")])).pending
    alice, bob = fake.reviewer("alice"), fake.reviewer("bob")
    shown = alice.get(pending.review_id)
    assert shown.cannot_decide
    with pytest.raises(NotPermitted, match=r"vote\.self_approval"):
        alice.decide(shown, Choice.DENY)
    bob.ask(shown, "why?")
    fake.answer(pending.review_id, fake.wait(pending, timeout_s=0).questions[0].id, "audit")
    with pytest.raises(PreconditionFailed, match=r"vote\.stale_revision"):
        bob.decide(shown, Choice.APPROVE)
    denied = bob.decide(bob.get(pending.review_id), Choice.DENY, reason="too wide")
    assert denied.status.reasons[0].message == "bob: too wide"
    with pytest.raises(PreconditionFailed, match=r"review\.closed"):
        bob.decide(bob.get(pending.review_id), Choice.APPROVE)


def test_batches_are_for_rules_that_allow_them(fake):
    names = [fake.check(context(table)).pending.review_id for table in ("a", "b")]
    fake.needs_approval("db.export")
    names.append(fake.check(context("c")).pending.review_id)
    bob = fake.reviewer("bob")
    *taken, refused = bob.batch_approve([bob.get(name) for name in names])
    assert [review.status.review_id for review in taken] == names[:2]
    assert refused == Reason(
        code="vote.batch_not_allowed", message="policy wants this review decided by itself"
    )


def test_a_broken_glass_and_what_is_owed_for_it(fake):
    bob, carol = fake.reviewer("bob"), fake.reviewer("carol")
    pending = fake.check(context()).pending
    shown = bob.get(pending.review_id)
    assert shown.can_break_glass
    assert not carol.get(pending.review_id).can_break_glass
    with pytest.raises(PreconditionFailed, match=r"vote\.reason_required"):
        bob.break_glass(shown, " ")
    bob.break_glass(shown, "down")
    assert fake.wait(pending).state is ReviewState.APPROVED
    (owed,) = carol.after_reviews()
    carol.close_after_review(owed, justified=True, note="it was down")
    with pytest.raises(PreconditionFailed, match=r"after_review\.closed"):
        carol.close_after_review(owed, justified=False, note="again")


def test_delegations_end_by_themselves(fake):
    bob = fake.reviewer("bob")
    bob.delegate("carol", datetime.now(UTC) + timedelta(hours=8))
    assert len(bob.delegations()) == 1
    fake.pass_time(8 * 3600)
    assert bob.delegations() == ()


def test_a_server_that_is_away_costs_a_retry_and_no_second_vote(fake):
    pending = fake.check(context()).pending
    bob = fake.reviewer("bob")
    fake.unavailable("Decide")
    assert bob.decide(bob.get(pending.review_id), Choice.APPROVE)
    fake.unavailable("Get", times=1000)
    with pytest.raises(Unavailable):
        bob.get(pending.review_id)


def test_a_closed_client_says_so(fake):
    with fake.reviewer("bob") as bob:
        assert list(bob.watch()) == []
    with pytest.raises(CountersignClientError, match="closed"):
        bob.after_reviews()


def test_every_verb_of_the_protocol_has_its_method_and_its_fake():
    verbs = {method.name for method in reviews_pb2.DESCRIPTOR.services_by_name["Reviews"].methods}
    assert verbs == {n for n in vars(reviews_pb2_grpc.ReviewsServicer) if n[0].isupper()}
    sent = set()

    def hear(call):
        sent.add(call.method)
        return {
            "List": reviews_pb2.ListReviewsResponse(),
            "ListDelegations": reviews_pb2.ListDelegationsResponse(),
            "BatchDecide": reviews_pb2.BatchDecideResponse(
                results=[{"review_id": "rev_1", "review": shown}]
            ),
        }.get(call.method)

    class Ear(FakeLine):
        def _listen(self, step):
            sent.add(step.method)
            yield shown

    shown = reviews_pb2.Review(previews={"p": reviews_pb2.Preview(hash=b"x")})
    shown.status.review_id = "rev_1"
    client = ReviewsClient.__new__(ReviewsClient)
    ReviewsView.__init__(client, Ear(hear, lambda _: None), Deciding(Timing()))
    list(client.list())
    client.get("rev_1")
    assert next(client.watch()) is shown
    client.decide(shown, Choice.APPROVE)
    client.batch_approve([shown])
    client.break_glass(shown, "down")
    client.close_after_review(shown, justified=True, note="n")
    client.ask(shown, "?")
    client.revoke("rev_1")
    client.delegate("carol", datetime.now(UTC))
    client.delegations()
    client.end_delegation("dlg_1")
    assert sent == verbs


# --- asyncio ------------------------------------------------------------------------


async def test_what_an_asyncio_bot_decides_the_agent_hears(fake):
    pending = fake.check(context()).pending
    async with fake.async_channel(ACCOUNTS) as channel:
        view = channel.for_person(dave())
        assert [review.status.review_id async for review in view.watch()] == [pending.review_id]
        await view.decide(await view.get(pending.review_id), Choice.APPROVE)
    assert fake.wait(pending).state is ReviewState.APPROVED
    with pytest.raises(CountersignClientError, match="closed"):
        await view.get(pending.review_id)


async def test_an_asyncio_reviewer_has_the_real_ones_patience_and_limits(fake):
    pending = fake.check(context()).pending
    bob = fake.async_reviewer("bob")
    fake.unavailable("BreakGlass")
    broken = await bob.break_glass(await bob.get(pending.review_id), "down")
    assert [owed.status.review_id for owed in await bob.after_reviews()] == [pending.review_id]
    with pytest.raises(NotPermitted, match="after_review"):
        await bob.close_after_review(broken, justified=True, note="n")
    with pytest.raises(InvalidRequest, match="person"):
        await anext(bob.for_person(dave()).list())


@pytest.mark.parametrize(
    ("blocking", "awaited"),
    [(Client, AsyncClient), (ReviewsClient, AsyncReviewsClient), (ReviewsView, AsyncReviewsView)],
)
def test_what_one_client_can_the_other_can(blocking, awaited):
    def verbs(kind):
        named = {n: m for n, m in inspect.getmembers(kind, callable) if n[0] != "_"}
        return {n.removeprefix("a") if n == "aclose" else n: _asked(m) for n, m in named.items()}

    assert verbs(blocking) == verbs(awaited)


def _asked(method):
    """Names and defaults; what comes back is awaited, and so may be what is called back."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]
