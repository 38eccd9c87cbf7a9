"""Many Checks in one call of the SDK: each decision is its own, and what fails is never allowed."""

import grpc
import pytest

from countersign.client import (
    Client,
    Context,
    CountersignClientError,
    Credential,
    Decision,
    InvalidContext,
    ProtocolError,
    Resource,
)
from countersign.client.status import CallFailed, of_item
from countersign.client.testing import FakeClient, Rule
from countersign.credentials import SubjectKind, new_token
from countersign.model import Effect
from countersign.v1 import context_pb2, decisions_pb2
from simulators.decision_server import DecisionServer

TOKEN = new_token(SubjectKind.CALLER)


def context(action, **more):
    return Context(
        action=action,
        resource=Resource("table", "customers"),
        environment="production",
        actor="export-agent",
        **more,
    )


def test_each_has_its_own_answer_in_its_own_place():
    client = FakeClient()
    client.allow("db.read")
    client.needs_approval("db.export")
    said = client.check_many([context(a) for a in ("db.read", "db.export", "db.drop", "db.read")])
    assert all(isinstance(one, Decision) for one in said)
    effects = [one.effect for one in said]
    assert effects == [Effect.ALLOW, Effect.NEEDS_APPROVAL, Effect.DENY, Effect.ALLOW]
    assert [one.allowed for one in said] == [True, False, False, True]
    assert said[1].pending is not None
    assert len({one.id for one in said}) == 4


def test_more_than_fit_in_one_call_are_asked_in_several():
    client = FakeClient()
    client.allow("db.read")
    assert client.check_many([]) == ()
    assert sum(one.allowed for one in client.check_many([context("db.read")] * 120)) == 120


@pytest.fixture
def server():
    with DecisionServer(TOKEN) as server:
        server.point.rules.append(Rule(pattern="*", effect=Effect.ALLOW))
        yield server


@pytest.fixture
def client(server):
    with Client(Credential(endpoint=server.endpoint, token=TOKEN)) as client:
        yield client


def answering(server, monkeypatch, change):
    """What the server says to a batch, changed."""
    handle = server.point.handle

    def changed(method, request):
        answer = handle(method, request)
        if method == "BatchCheck":
            change(answer)
        return answer

    monkeypatch.setattr(server.point, "handle", changed)


def test_an_effect_that_is_not_known_is_an_error_of_its_own(server, client, monkeypatch):
    def change(answer):
        answer.results[0].answer.effect = 99
        answer.results[2].Clear()

    answering(server, monkeypatch, change)
    unknown, allowed, nothing = client.check_many([context("db.read")] * 3)
    assert isinstance(unknown, ProtocolError)
    assert allowed.allowed
    assert isinstance(nothing, CountersignClientError)


def test_fewer_answers_than_contexts_are_no_answer(server, client, monkeypatch):
    answering(server, monkeypatch, lambda answer: answer.results.pop(0))
    with pytest.raises(ProtocolError):
        client.check_many([context("db.read")] * 3)


def test_an_items_error_is_what_its_check_would_have_raised():
    error = of_item(
        decisions_pb2.CheckError(
            status=grpc.StatusCode.INVALID_ARGUMENT.value[0],
            reason=context_pb2.Reason(code="context.json", message="/arguments/a: is given twice"),
            field="/arguments/a",
        )
    )
    assert isinstance(error, InvalidContext)
    assert (error.code, str(error).count("/arguments/a")) == ("context.json", 1)


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_every_status_of_an_item_is_some_error(code):
    error = of_item(decisions_pb2.CheckError(status=code.value[0]))
    assert isinstance(error, CountersignClientError)
    assert not isinstance(error, CallFailed)
