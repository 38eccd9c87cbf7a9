"""The SDK over real gRPC: faults, restarts, authentication, both clients."""

import asyncio
import threading

import grpc
import pytest

from countersign.client import (
    AlreadyClaimed,
    AsyncClient,
    Client,
    Context,
    CountersignClientError,
    Credential,
    Denied,
    InvalidContext,
    NotFound,
    Outcome,
    Pending,
    ProtocolError,
    Resource,
    ReviewState,
    StillPending,
    Timing,
    Unauthenticated,
    Unavailable,
    guard,
)
from countersign.client.status import CallFailed
from countersign.client.testing import Rule
from countersign.credentials import SubjectKind, new_token, write_credential
from countersign.model import Effect
from countersign.v1 import decisions_pb2
from simulators.decision_server import DecisionServer

TOKEN = new_token(SubjectKind.CALLER)
QUICK = Timing(backoff_s=0.01, max_backoff_s=0.05, attempt_s=5, reconnect_s=0.05)
EXPORT = Context(
    action="db.export",
    resource=Resource("table", "customers"),
    environment="production",
    actor="export-agent",
    arguments={"rows": 120, "where": "ünïcode"},
)


@pytest.fixture
def server():
    with DecisionServer(TOKEN) as server:
        yield server


@pytest.fixture
def client(server):
    with Client(Credential(endpoint=server.endpoint, token=TOKEN), timing=QUICK) as client:
        yield client


def rule(server, effect, **more):
    made = Rule(pattern="*", effect=effect, **more)
    server.point.rules.append(made)
    return made


def people(server, *acts):
    """Do each act once somebody waits."""

    def run():
        for act in acts:
            assert server.waiting.acquire(timeout=20)
            act(next(iter(server.point.reviews)))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_person_approves_while_the_agent_waits(server, client):
    rule(server, Effect.NEEDS_APPROVAL)
    bob = people(server, lambda review: server.point.approve(review, "bob"))
    grant = client.authorize(EXPORT, timeout_s=20)
    bob.join()
    assert server.methods() == ["Check", "Await", "Await", "Claim"]
    status = client.report(grant, Outcome.SUCCEEDED, {"rows": 120})
    assert status.state is ReviewState.CLAIMED
    assert status.outcome is Outcome.SUCCEEDED


def test_a_question_is_answered_while_the_agent_waits(server, client):
    rule(server, Effect.NEEDS_APPROVAL)
    bob = people(
        server,
        lambda review: server.point.ask(review, "bob", "why?"),
        lambda review: server.point.approve(review, "bob"),
    )
    grant = client.authorize(EXPORT, timeout_s=20, on_question=lambda q: f"audit, {q.text}")
    bob.join()
    assert grant.permit is not None
    [answer] = [request for method, request in server.calls if method == "Answer"]
    assert answer.text == "audit, bob: why?"


async def test_the_asyncio_client_tells_the_same_story(server):
    rule(server, Effect.NEEDS_APPROVAL)
    bob = people(
        server,
        lambda review: server.point.ask(review, "bob", "why?"),
        lambda review: server.point.approve(review, "bob"),
    )

    async def on_question(question):
        return "audit"

    credential = Credential(endpoint=server.endpoint, token=TOKEN)
    async with AsyncClient(credential, timing=QUICK) as client:
        server.unavailable("Check")
        server.lose_reply("Claim")
        grant = await client.authorize(EXPORT, timeout_s=20, on_question=on_question)
        await client.report(grant, Outcome.SUCCEEDED)
        with pytest.raises(NotFound):
            await client.wait("rev_unknown")
    bob.join()
    with pytest.raises(CountersignClientError, match="closed"):
        await client.check(EXPORT)


async def test_a_cancelled_wait_leaves_the_review_to_come_back_to(server):
    rule(server, Effect.NEEDS_APPROVAL)
    async with AsyncClient(Credential(endpoint=server.endpoint, token=TOKEN)) as client:
        task = asyncio.create_task(client.authorize(EXPORT))
        assert await asyncio.to_thread(server.waiting.acquire, timeout=20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        [review_id] = server.point.reviews
        server.point.approve(review_id, "bob")
        assert (await client.authorize(EXPORT)).review_id == review_id


def test_a_server_that_was_away_for_a_moment_is_not_noticed(server, client):
    rule(server, Effect.ALLOW)
    server.unavailable("Check", times=3)
    assert client.check(EXPORT).allowed
    assert len({request.request_id for _, request in server.calls}) == 1


def test_a_claim_whose_reply_is_lost_is_spent_once_and_granted(server, client):
    rule(server, Effect.NEEDS_APPROVAL)
    pending = client.check(EXPORT).pending
    server.point.approve(pending.review_id, "bob")
    server.lose_reply("Claim", times=2)
    grant = client.claim(pending, EXPORT)
    assert grant.permit.id == server.point.reviews[pending.review_id].permit_id
    with pytest.raises(AlreadyClaimed):
        client.claim(pending, EXPORT)


def test_a_reply_that_never_comes_is_a_lost_one(server):
    rule(server, Effect.ALLOW)
    timing = Timing(backoff_s=0.01, attempt_s=0.3)
    server.hang("Check")
    with Client(Credential(endpoint=server.endpoint, token=TOKEN), timing=timing) as client:
        decision = client.check(EXPORT)
    assert decision.allowed
    assert decision.replayed


def test_a_wait_survives_a_restart(server, client, tmp_path):
    rule(server, Effect.NEEDS_APPROVAL)
    pending = client.check(EXPORT).pending
    path = tmp_path / "export.pending"
    pending.save(path)
    statuses = []
    waiting = threading.Thread(target=lambda: statuses.append(client.wait(pending, timeout_s=30)))
    waiting.start()
    assert server.waiting.acquire(timeout=20)
    server.stop()
    server.start()
    server.point.approve(pending.review_id, "bob")
    waiting.join()
    assert statuses[0].state is ReviewState.APPROVED
    assert client.claim(Pending.resume(path), EXPORT).permit is not None


def test_a_server_that_goes_away_politely_is_left_and_asked_again(server, client):
    rule(server, Effect.NEEDS_APPROVAL)
    pending = client.check(EXPORT).pending
    server.reconnect(times=2)
    bob = people(server, lambda review: server.point.approve(review, "bob"))
    assert client.wait(pending, timeout_s=20).state is ReviewState.APPROVED
    bob.join()


def test_nobody_decides_in_time(server, client):
    rule(server, Effect.NEEDS_APPROVAL)
    with pytest.raises(StillPending) as caught:
        client.authorize(EXPORT, timeout_s=0.3)
    server.point.approve(caught.value.pending.review_id, "bob")
    assert client.claim(caught.value.pending, EXPORT).permit is not None


def test_a_denial_names_who_and_why(server, client):
    rule(server, Effect.NEEDS_APPROVAL)
    bob = people(server, lambda review: server.point.deny(review, "bob", "too many rows"))
    with pytest.raises(Denied, match="bob: too many rows"):
        client.authorize(EXPORT, timeout_s=20)
    bob.join()


def test_no_server_means_no_permission():
    credential = Credential(endpoint="127.0.0.1:1", token=TOKEN)
    timing = Timing(call_s=0.5, backoff_s=0.05)
    with Client(credential, timing=timing) as client, pytest.raises(Unavailable) as caught:
        client.authorize(EXPORT)
    assert "Nothing was decided" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_wrong_token_is_refused_and_not_shown(server):
    wrong = new_token(SubjectKind.CALLER)
    with Client(Credential(endpoint=server.endpoint, token=wrong)) as client:
        with pytest.raises(Unauthenticated) as caught:
            client.check(EXPORT)
        assert wrong not in f"{caught.value} {client!r}"


def test_the_servers_word_on_a_field_reaches_the_user(server, client):
    server.fail(
        "Check",
        CallFailed(
            code=grpc.StatusCode.INVALID_ARGUMENT,
            reason="context.invalid",
            fields={"context.resource.id": "matches no registered pattern"},
        ),
    )
    with pytest.raises(InvalidContext) as caught:
        client.check(EXPORT)
    assert caught.value.field == "context.resource.id"
    assert caught.value.code == "context.invalid"


def test_an_answer_of_another_kind_is_not_permission(server, client):
    server.answer("Check", decisions_pb2.CheckResponse())
    with pytest.raises(ProtocolError):
        client.authorize(EXPORT)


def test_a_closed_client_says_so(server, client):
    client.close()
    with pytest.raises(CountersignClientError, match="closed"):
        client.check(EXPORT)


async def test_so_does_one_that_was_closed_before_its_first_call(server):
    client = AsyncClient(Credential(endpoint=server.endpoint, token=TOKEN))
    await client.aclose()
    with pytest.raises(CountersignClientError, match="closed"):
        await client.check(EXPORT)
    assert server.calls == []


def test_a_proxy_of_the_environment_never_sees_plaintext(server, monkeypatch):
    rule(server, Effect.ALLOW)
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    credential = Credential(endpoint=server.endpoint, token=TOKEN)
    with Client(credential, timing=Timing(call_s=5)) as client:
        assert client.check(EXPORT).allowed


def test_a_guarded_function_runs_once_though_every_reply_is_lost_once(server, client):
    rule(server, Effect.NEEDS_APPROVAL)
    for method in ("Check", "Await", "Claim", "Report"):
        server.lose_reply(method)
    bob = people(server, lambda review: server.point.approve(review, "bob"))
    ran = []

    @guard(
        "db.export",
        client=client,
        actor="export-agent",
        environment="production",
        resource=lambda table: Resource("table", table),
    )
    def export(table):
        ran.append(table)

    export("customers")
    bob.join()
    assert ran == ["customers"]
    assert len(server.point.reports) == 1


def test_a_client_can_be_opened_from_a_file(server, tmp_path):
    rule(server, Effect.ALLOW)
    path = tmp_path / "agent.credential"
    write_credential(path, Credential(endpoint=server.endpoint, token=TOKEN))
    with Client.from_credential(path) as client:
        assert client.check(EXPORT, labels={"ticket": "T-1"}).allowed
    assert dict(server.calls[0][1].labels) == {"ticket": "T-1"}
