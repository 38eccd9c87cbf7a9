"""A token that somebody else keeps fresh: what each call carries, and when none is made."""

import asyncio
import logging
import os
import threading
import time

import grpc
import pytest

import countersign.client.bearer
from countersign.client import (
    AsyncClient,
    AsyncReviewsClient,
    Client,
    Context,
    CountersignClientError,
    Credential,
    Pending,
    Resource,
    ReviewsClient,
    Timing,
    TokenFileError,
    Unauthenticated,
)
from countersign.client.admin import AdminClient
from countersign.client.bearer import Bearer
from countersign.client.testing import Rule
from countersign.credentials import SubjectKind
from countersign.model import Effect
from simulators.decision_server import DecisionServer

HEADER = "eyJhbGciOiJFZERTQSJ9"
FIRST, SECOND = f"{HEADER}.first0.AAAA", f"{HEADER}.second.BBBB"
QUICK = Timing(backoff_s=0.01, max_backoff_s=0.05)
EXPORT = Context(
    action="db.export",
    resource=Resource("table", "customers"),
    environment="production",
    actor="export-agent",
)


@pytest.fixture
def server():
    with DecisionServer(FIRST) as server:
        server.point.rules.append(Rule(pattern="*", effect=Effect.NEEDS_APPROVAL))
        yield server


@pytest.fixture
def path(tmp_path):
    return written(tmp_path / "token", FIRST)


@pytest.fixture
def credential(server, path):
    return Credential(endpoint=server.endpoint, token_file=path)


def written(path, token, *, age_s=60):
    """As a good agent does it: another file, renamed."""
    fresh = path.with_suffix(".new")
    fresh.touch(0o600)
    fresh.write_text(f"{token}\n")
    aged(fresh, age_s)
    return fresh.replace(path)


def aged(path, age_s):
    then_ns = time.time_ns() - age_s * 10**9
    os.utime(path, ns=(then_ns, then_ns))


def renew(server, path):
    server.token, server.people = SECOND, {SECOND: "bob"}
    written(path, SECOND)


# --- every client -------------------------------------------------------------------


def test_each_call_carries_what_is_in_the_file_then(server, credential, path):
    with Client(credential) as client, ReviewsClient(credential) as bob:
        pending = client.check(EXPORT).pending
        assert bob.get(pending.review_id)
        renew(server, path)
        assert not client.wait(pending, timeout_s=0).decided
        assert bob.get(pending.review_id)
        written(path, FIRST)
        with pytest.raises(Unauthenticated):
            client.check(EXPORT)


async def test_with_asyncio_too(server, credential, path):
    async with AsyncClient(credential) as client, AsyncReviewsClient(credential) as bob:
        pending = (await client.check(EXPORT)).pending
        assert [review.status.review_id async for review in bob.list()] == [pending.review_id]
        renew(server, path)
        assert not (await client.wait(pending, timeout_s=0)).decided
        assert await bob.get(pending.review_id)


def test_a_call_that_is_made_again_carries_the_newer_token(server, credential, path):
    """The first attempt goes unanswered; when it is made again, the token is another one."""

    def away(_, context):
        renew(server, path)
        context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")

    server._faults["Check"].append(away)
    with Client(credential, timing=QUICK) as client:
        assert client.check(EXPORT).pending
    assert server.methods() == ["Check", "Check"]


# --- nothing is sent without it -----------------------------------------------------


def test_without_a_sound_file_nothing_is_sent(server, credential, path):
    path.write_text(f"{SECOND}\n{SECOND}")
    with Client(credential) as client, pytest.raises(TokenFileError, match=str(path)) as refused:
        client.check(EXPORT)
    assert refused.value.code == "credential.malformed"
    assert SECOND not in str(refused.value)
    path.unlink()
    with ReviewsClient(credential) as bob:
        for asked in (bob.list, bob.watch):
            with pytest.raises(TokenFileError, match="cannot be read"):
                next(asked())
    with AdminClient(credential) as operator, pytest.raises(TokenFileError):
        operator.rotate(SubjectKind.CALLER, "agent")
    assert server.calls == []


async def test_nor_with_asyncio(server, credential, path):
    path.chmod(0o604)
    async with AsyncClient(credential) as client, AsyncReviewsClient(credential) as bob:
        with pytest.raises(TokenFileError) as refused:
            await client.check(EXPORT)
        assert refused.value.code == "credential.exposed"
        for asked in (bob.list, bob.watch):
            with pytest.raises(TokenFileError):
                await anext(asked())
    assert server.calls == []


def test_whoever_waits_for_people_keeps_the_review_to_come_back_to(server, credential, path):
    def lose_the_file():
        server.waiting.acquire()
        path.unlink()

    timing = Timing(long_poll_s=0.2)
    losing = threading.Thread(target=lose_the_file)
    losing.start()
    with Client(credential, timing=timing) as client:
        with pytest.raises(TokenFileError) as refused:
            client.authorize(EXPORT)
        losing.join()
        assert isinstance(refused.value.pending, Pending)
        written(path, FIRST)
        server.point.approve(refused.value.pending.review_id, "bob")
        assert client.claim(refused.value.pending, EXPORT).permit


def test_a_token_is_never_shown(credential, path, caplog):
    caplog.set_level(logging.DEBUG)
    with Client(credential) as client:
        client.check(EXPORT)
        shown = [repr(each) for each in (credential, client, vars(client), client._line)]
    assert not any("first0" in text for text in [*shown, caplog.text])
    assert str(path) in shown[0]


# --- reading it ---------------------------------------------------------------------


def carried(bearer):
    ((_, value),) = bearer.metadata()
    return value.removeprefix("Bearer ")


def test_a_file_that_did_not_change_is_not_read_again(credential, path, monkeypatch):
    bearer = Bearer(credential)
    assert carried(bearer) == FIRST
    with monkeypatch.context() as patched:
        patched.setattr(countersign.client.bearer, "read_token_file", pytest.fail)
        assert carried(bearer) == FIRST
    path.chmod(0o604)
    with pytest.raises(TokenFileError, match="mode 0604"):
        carried(bearer)


def test_a_file_too_young_to_tell_by_its_times_is_read_again(credential, path):
    written(path, FIRST, age_s=0)
    bearer, seen = Bearer(credential), path.stat()
    assert carried(bearer) == FIRST
    path.write_text(f"{SECOND}\n")  # in place, of the same size, within one tick of the clock
    os.utime(path, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    assert carried(bearer) == SECOND


def test_a_link_is_followed_to_where_it_leads_now(tmp_path, server):
    """As Kubernetes swaps a whole directory under the file's name."""
    for name, token in (("..1", FIRST), ("..2", SECOND)):
        (tmp_path / name).mkdir()
        file = written(tmp_path / name / "token", token)
        os.utime(file, (1_000_000_000, 1_000_000_000))  # as if made in one tick
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    bearer = Bearer(Credential(endpoint=server.endpoint, token_file=tmp_path / "token"))
    assert carried(bearer) == FIRST
    (tmp_path / "next").symlink_to("..2")
    (tmp_path / "next").replace(tmp_path / "..data")
    assert carried(bearer) == SECOND


# --- closing ------------------------------------------------------------------------


async def test_closing_ends_a_watch_with_an_error_not_with_a_cancellation(server, credential):
    async with AsyncClient(credential) as client:
        await client.check(EXPORT)
    bob = AsyncReviewsClient(credential)
    heard = asyncio.Event()
    server.hang("Watch")

    async def watch():
        async for _ in bob.watch():
            heard.set()

    watching = asyncio.create_task(watch())
    await heard.wait()
    await bob.aclose()
    with pytest.raises(CountersignClientError, match="closed"):
        await watching
