"""The people's side for asyncio, over a real connection: a person's, and a bot's."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from countersign.client import (
    AsyncReviewsClient,
    Choice,
    Client,
    Context,
    CountersignClientError,
    Credential,
    InvalidRequest,
    NotPermitted,
    PersonAssertion,
    PreconditionFailed,
    Reason,
    Resource,
    ReviewState,
    Timing,
    Unauthenticated,
    Unavailable,
)
from countersign.client.testing import Rule
from countersign.credentials import SubjectKind, new_token
from countersign.model import Effect
from countersign.v1 import context_pb2, decisions_pb2
from simulators.decision_server import DecisionServer

BOB, BOT = new_token(SubjectKind.PERSON), new_token(SubjectKind.CHANNEL)
QUICK = Timing(backoff_s=0.01, max_backoff_s=0.05)
TEAMS = ("teams:contoso", "5f0c")


@pytest.fixture
def server():
    with DecisionServer(BOB) as server:
        server.channel_token = BOT
        server.accounts[TEAMS] = "carol"
        rule = Rule(pattern="*", effect=Effect.NEEDS_APPROVAL, batch=True, break_glass=("bob",))
        server.point.rules.append(rule)
        yield server


@pytest.fixture
async def bob(server):
    async with AsyncReviewsClient(credential(server, BOB), timing=QUICK) as client:
        yield client


@pytest.fixture
async def carol(server):
    """Carol, as the bot says: it speaks for whoever clicked."""
    clicked = PersonAssertion(issuer=TEAMS[0], subject=TEAMS[1], authenticated_at=datetime.now(UTC))
    server.token = BOT  # the one token that this server takes from machines, too
    async with AsyncReviewsClient(credential(server, BOT), timing=QUICK) as channel:
        yield channel.for_person(clicked)


@pytest.fixture
def reviews(server):
    """Five open reviews, by id."""
    with Client(credential(server, server.token)) as agent:
        return sorted(
            agent.check(
                Context(
                    action="db.export",
                    resource=Resource("table", f"t{number}"),
                    environment="production",
                    actor="export-agent",
                )
            ).pending.review_id
            for number in range(5)
        )


def credential(server, token):
    return Credential(endpoint=server.endpoint, token=token)


async def test_every_page_is_listed(bob, reviews):
    assert [review.status.review_id async for review in bob.list()] == reviews
    assert not [review async for review in bob.list([ReviewState.APPROVED])]


async def test_looking_voting_asking_and_taking_back(bob, reviews, server):
    approved = await bob.decide(await bob.get(reviews[0]), Choice.APPROVE)
    assert approved.status.state == context_pb2.REVIEW_STATE_APPROVED
    revoked = await bob.revoke(reviews[0], reason="second thoughts")
    assert revoked.status.state == context_pb2.REVIEW_STATE_REVOKED
    shown = await bob.get(reviews[1])
    asked = await bob.ask(shown, "why?")
    question = asked.status.open_questions[0].question_id
    answer = decisions_pb2.AnswerRequest(
        review_id=reviews[1], question_id=question, text="audit", request_id="a-1"
    )
    server.point.handle("Answer", answer)
    with pytest.raises(PreconditionFailed, match=r"vote\.stale"):
        await bob.decide(shown, Choice.APPROVE)
    with pytest.raises(InvalidRequest, match="profile"):
        await bob.decide(shown, Choice.APPROVE, profile="auditor")


async def test_emergencies_and_delegations(bob, reviews):
    broken = await bob.break_glass(await bob.get(reviews[0]), "down")
    assert [owed.status.review_id for owed in await bob.after_reviews()] == [reviews[0]]
    with pytest.raises(NotPermitted, match=r"after_review\.own"):
        await bob.close_after_review(broken, justified=True, note="it was")
    given = await bob.delegate("dave", datetime.now(UTC) + timedelta(hours=1))
    assert [each.delegate_id for each in await bob.delegations()] == ["dave"]
    assert (await bob.end_delegation(given.delegation_id)).HasField("ended_at")


async def test_a_channel_says_who_acts_in_all_it_sends(carol, reviews, server):
    shown = [await carol.get(name) for name in reviews[:2]]
    results = await carol.batch_approve(shown)
    assert not any(isinstance(result, Reason) for result in results)
    assert server.point.held(reviews[0]).approvals == {"carol"}
    assert [review.status.review_id async for review in carol.list()]
    assert (await anext(carol.watch())).status.review_id == reviews[0]
    said = [request.person.subject for method, request in server.calls if method != "Check"]
    assert set(said) == {"5f0c"}


async def test_watching_goes_on_when_the_stream_breaks(bob, reviews, server):
    server.unavailable("Watch", times=2)
    seen = []
    async for review in bob.watch():
        seen.append(review.status.review_id)
        if len(seen) == 15:
            break
    assert seen == reviews * 3


async def test_watching_ends_when_the_server_stays_away(server, reviews):
    patient_for = Timing(backoff_s=0.01, max_backoff_s=0.05, max_outage_s=0.2)
    async with AsyncReviewsClient(credential(server, BOB), timing=patient_for) as bob:
        watching = bob.watch()
        for name in reviews:
            assert (await anext(watching)).status.review_id == name
        server.stop()
        with pytest.raises(Unavailable):
            await anext(watching)
        server.start()


async def test_watching_ends_when_the_credential_does(server, reviews):
    nobody = new_token(SubjectKind.PERSON)
    async with AsyncReviewsClient(credential(server, nobody), timing=QUICK) as somebody:
        with pytest.raises(Unauthenticated):
            await anext(somebody.watch())


async def test_a_watch_that_is_cancelled_leaves_the_server_in_peace(bob, reviews, server):
    loop, held, gone = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    let_go = threading.Event()

    def hold(_, context):
        assert context.add_callback(let_go.set)
        loop.call_soon_threadsafe(held.set)
        let_go.wait()
        loop.call_soon_threadsafe(gone.set)

    server._faults["Watch"].append(hold)
    watching = bob.watch()
    for _ in reviews:
        await anext(watching)
    further = asyncio.create_task(anext(watching))
    await held.wait()
    further.cancel()
    with pytest.raises(asyncio.CancelledError):
        await further
    await gone.wait()


async def test_a_closed_client_says_so(bob):
    await bob.aclose()
    with pytest.raises(CountersignClientError, match="closed"):
        await anext(bob.watch())
    with pytest.raises(CountersignClientError, match="closed"):
        await bob.get("rev_1")
