"""What must not be judged is refused, naming the field and never the value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from countersign.client import Effect
from countersign.model import new_id
from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2
from service import Refused, Service, context

SECRET = "hunter2-s3cr3t"
"""Stands where the mistake is; no refusal may repeat it."""


@pytest.fixture(autouse=True)
def discreet(shared: Service) -> Iterator[None]:
    """After each story the server is well, and never said what it was sent."""
    shared.plant(SECRET)
    yield
    assert SECRET not in shared.said
    assert shared.client("agent").check(context("demo.allow")).effect is Effect.ALLOW


def wanted() -> context_pb2.Context:
    return context("demo.allow").to_message()


def check(**changes: Any) -> decisions_pb2.CheckRequest:
    """A Check of a good context, with these fields of it replaced."""
    message = wanted()
    for name, value in changes.items():
        setattr(message, name, value)
    return decisions_pb2.CheckRequest(context=message)


def assert_invalid(seen: Refused, field: str, reason: str) -> None:
    assert seen.code is grpc.StatusCode.INVALID_ARGUMENT, seen
    assert seen.reason == reason, seen
    assert list(seen.fields) == [field], seen
    assert seen.fields[field]
    assert SECRET.encode() not in seen.everything


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("json", "pointer"),
    [
        (b'{"a": %s' % SECRET.encode(), ""),
        (b'["%s"]' % SECRET.encode(), ""),
        (b'"%s"' % SECRET.encode(), ""),
        (b'{"a": "%s", "a": 1}' % SECRET.encode(), "/a"),
        (b'{"a": {"b": [0, {"c": "%s", "c": 2}]}}' % SECRET.encode(), "/a/b/1/c"),
        (b'{"a": NaN}', "/a"),
        (b'{"a": [1, -Infinity]}', "/a/1"),
        (b'{"a": 100.000000000000001}', "/a"),
        (b'{"a": 9007199254740993}', "/a"),
        (b'{"a": 1e400}', "/a"),
        (b'{"a": "\\ud800%s"}' % SECRET.encode(), "/a"),
        (b'{"a": "%s\xff"}' % SECRET.encode(), ""),
        (b"\xef\xbb\xbf{}", ""),
        (b'{"a": %s}' % (b"9" * 5000), "/a"),
    ],
)
def test_json_that_is_not_strict(shared: Service, json: bytes, pointer: str) -> None:
    line = shared.line("agent")
    seen = line.refused("Decisions.Check", check(arguments_json=json))
    assert_invalid(seen, f"/arguments{pointer}", "context.json")
    message = wanted()
    message.resource.attributes_json = json
    request = decisions_pb2.CheckRequest(context=message)
    seen = line.refused("Decisions.Check", request)
    assert_invalid(seen, f"/resource/attributes{pointer}", "context.json")
    report = decisions_pb2.ReportRequest(
        permit_id=new_id("pmt"), outcome=1, detail_json=json, request_id="r"
    )
    assert_invalid(
        line.refused("Decisions.Report", report), f"detail_json{pointer}", "context.json"
    )


def test_json_that_is_too_deep(shared: Service) -> None:
    line = shared.line("agent")
    assert line.call("Decisions.Check", check(arguments_json=nested(32))).effect == 1
    for depth in (33, 5_000):
        seen = line.refused("Decisions.Check", check(arguments_json=nested(depth)))
        assert seen.code is grpc.StatusCode.INVALID_ARGUMENT
        assert seen.reason == "context.json"
        (field,) = seen.fields
        assert field.startswith("/arguments")
        assert "deeper than 32" in seen.message


def test_a_key_that_is_data_is_not_repeated(shared: Service) -> None:
    key = b"maria.kowalska@kunde-beispiel.de"
    seen = shared.line("agent").refused(
        "Decisions.Check", check(arguments_json=b'{"%s": NaN}' % key)
    )
    assert seen.reason == "context.json"
    assert key not in seen.everything


def test_a_context_that_is_too_large(shared: Service) -> None:
    large = b'{"a":"%s"}' % (SECRET.encode() * 6000)
    seen = shared.line("agent").refused("Decisions.Check", check(arguments_json=large))
    assert_invalid(seen, "/arguments", "context.too_large")
    message = wanted()
    message.resource.attributes_json = large
    seen = shared.line("agent").refused(
        "Decisions.Check", decisions_pb2.CheckRequest(context=message)
    )
    assert_invalid(seen, "/resource/attributes", "context.too_large")


def test_a_message_beyond_what_the_transport_takes(shared: Service) -> None:
    seen = shared.line("agent").refused("Decisions.Check", b"\n" + b"x" * 5_000_000)
    assert seen.code is grpc.StatusCode.RESOURCE_EXHAUSTED


Change = Callable[[context_pb2.Context], object]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda c: c.ClearField("actor"), "/actor/id"),
        (lambda c: c.actor.ClearField("id"), "/actor/id"),
        (lambda c: setattr(c.actor, "type", SECRET), "/actor/type"),
        (lambda c: setattr(c.actor, "evidence", SECRET), "/actor/evidence"),
        (lambda c: setattr(c.actor, "id", f"{SECRET}\n"), "/actor/id"),
        (lambda c: setattr(c.actor, "id", SECRET * 30), "/actor/id"),
        (lambda c: c.on_behalf_of.add(type="person"), "/on_behalf_of/0/id"),
        (lambda c: c.on_behalf_of.add(type=SECRET, id="x"), "/on_behalf_of/0/type"),
        (
            lambda c: c.on_behalf_of.add(type="workload", id="bob", evidence=SECRET),
            "/on_behalf_of/0/evidence",
        ),
        (
            lambda c: c.on_behalf_of.extend([context_pb2.Principal(type="person", id="bob")] * 17),
            "/on_behalf_of",
        ),
        (lambda c: c.ClearField("action"), "/action"),
        (lambda c: setattr(c, "action", f"Db.{SECRET}"), "/action"),
        (lambda c: setattr(c, "action", "a" * 129), "/action"),
        (lambda c: c.ClearField("resource"), "/resource/type"),
        (lambda c: c.resource.ClearField("id"), "/resource/id"),
        (lambda c: setattr(c.resource, "id", f"{SECRET}\0"), "/resource/id"),
        (lambda c: setattr(c.resource, "id", SECRET * 80), "/resource/id"),
        (lambda c: setattr(c.resource, "type", f"{SECRET}!"), "/resource/type"),
        (lambda c: setattr(c.resource, "owner", f"{SECRET}\x1b"), "/resource/owner"),
        (lambda c: c.ClearField("environment"), "/environment"),
        (lambda c: setattr(c, "environment", f"{SECRET} X"), "/environment"),
        (lambda c: setattr(c, "reason", SECRET * 300), "/reason"),
        (lambda c: setattr(c, "session", f"{SECRET}\r"), "/session"),
    ],
)
def test_a_field_of_the_context_that_is_wrong(shared: Service, change: Change, field: str) -> None:
    message = wanted()
    change(message)
    line = shared.line("agent")
    request = decisions_pb2.CheckRequest(context=message)
    assert_invalid(line.refused("Decisions.Check", request), field, "request.invalid")
    claim = decisions_pb2.ClaimRequest(review_id=new_id("rev"), context=message, request_id="r")
    assert_invalid(line.refused("Decisions.Claim", claim), field, "request.invalid")


UNKNOWN_TEXT = b"\xfa\x07\x0e" + SECRET.encode()  # field 127, length-delimited
WRONG_WIRE_TYPE = b"\x18\x07"  # field 3 as a varint, where every message here has text or bytes


@pytest.mark.parametrize("extra", [UNKNOWN_TEXT, WRONG_WIRE_TYPE], ids=["unknown", "wire type"])
@pytest.mark.parametrize("level", ["context", "actor", "on_behalf_of", "resource"])
def test_a_field_this_server_cannot_read(shared: Service, level: str, extra: bytes) -> None:
    message = wanted()
    message.on_behalf_of.add(type="person", id="bob")
    part: Message = {
        "context": message,
        "actor": message.actor,
        "on_behalf_of": message.on_behalf_of[0],
        "resource": message.resource,
    }[level]
    part.MergeFromString(extra)
    line = shared.line("agent")
    seen = line.refused("Decisions.Check", decisions_pb2.CheckRequest(context=message))
    assert_invalid(seen, "context", "context.unknown_field")
    assert f"field number {127 if extra is UNKNOWN_TEXT else 3}" in seen.message
    name = {"context": "Context", "resource": "Resource"}.get(level, f"Principal ({level})")
    assert f"countersign.v1.{name}" in seen.message
    claim = decisions_pb2.ClaimRequest(review_id=new_id("rev"), context=message, request_id="r")
    assert line.refused("Decisions.Claim", claim).reason == "context.unknown_field"


def test_bytes_that_are_not_the_message(shared: Service) -> None:
    line = shared.line("agent")
    text = SECRET.encode()
    invalid_utf8 = b"\x12" + bytes([len(text) + 1]) + text + b"\xff"  # request_id
    for method, junk in (
        ("Decisions.Check", text),
        ("Decisions.Check", b"\x0a\xff\xff\xff\xff\x0f" + text),
        ("Decisions.Check", check().SerializeToString()[:-5]),
        ("Decisions.Check", invalid_utf8),
        ("Decisions.Claim", text),
    ):
        assert_invalid(line.refused(method, junk), "request", "request.malformed")
    seen = shared.line("bob").refused("Reviews.Decide", text)
    assert_invalid(seen, "request", "request.malformed")


def test_a_request_field_that_is_wrong(shared: Service) -> None:
    agent, bob = shared.line("agent"), shared.line("bob")
    review, good = new_id("rev"), wanted()
    verbs = decisions_pb2

    def of_agent(method: str, request: Message, field: str) -> None:
        seen = agent.refused(f"Decisions.{method}", request)
        assert_invalid(seen, field, "request.invalid")

    def of_bob(method: str, request: Message, field: str) -> None:
        assert_invalid(bob.refused(f"Reviews.{method}", request), field, "request.invalid")

    for bad in (f"{SECRET} ", f"{SECRET}/", SECRET * 10, "é"):
        of_agent("Check", verbs.CheckRequest(context=good, request_id=bad), "request_id")
    of_agent("Claim", verbs.ClaimRequest(review_id=review, context=good), "request_id")
    of_agent("Claim", verbs.ClaimRequest(context=good, request_id="r"), "review_id")
    of_agent(
        "Claim",
        verbs.ClaimRequest(review_id=review, context=good, request_id="r", audience=SECRET),
        "audience",
    )
    of_agent("Await", verbs.AwaitRequest(), "review_id")
    of_agent("Await", verbs.AwaitRequest(review_id=f"{SECRET}\n"), "review_id")
    of_agent("Await", verbs.AwaitRequest(review_id=SECRET * 20), "review_id")
    of_agent("Await", verbs.AwaitRequest(review_id=review, after=SECRET), "after")
    of_agent("Check", verbs.CheckRequest(context=good, labels={SECRET + " ": "x"}), "labels")
    of_agent("Check", verbs.CheckRequest(context=good, supersedes=f"{SECRET}\0"), "supersedes")
    of_agent("Answer", verbs.AnswerRequest(review_id=review, request_id="r"), "question_id")
    of_agent(
        "Answer",
        verbs.AnswerRequest(
            review_id=review, question_id="qst_1", text=SECRET * 400, request_id="r"
        ),
        "text",
    )
    of_agent("Cancel", verbs.CancelRequest(review_id=review, request_id=f"{SECRET}#"), "request_id")
    permit = new_id("pmt")
    of_agent("Report", verbs.ReportRequest(request_id="r", outcome=1), "permit_id, decision_id")
    for outcome in (0, 77):
        report = verbs.ReportRequest(permit_id=permit, request_id="r")
        report.MergeFromString(bytes([0x18, outcome]))
        of_agent("Report", report, "outcome")
    for vote in (0, 77):
        ballot = reviews_pb2.DecideRequest(
            review_id=review, revision=1, profile="reviewer", request_id="r"
        )
        ballot.MergeFromString(bytes([0x28, vote]))
        of_bob("Decide", ballot, "vote")
    ballot = reviews_pb2.DecideRequest(
        review_id=review,
        revision=1,
        profile="reviewer",
        preview_hash=b"x" * 32,
        vote=reviews_pb2.VOTE_DENY,
        request_id="r",
    )
    for profile in ("", f"{SECRET}@example.org", SECRET * 20):
        ballot.profile = profile
        of_bob("Decide", ballot, "profile")
    ballot.profile = "reviewer"
    for size in (0, 31, 33, 100_000):
        ballot.preview_hash = b"x" * size
        of_bob("Decide", ballot, "preview_hash")
    ballot.preview_hash = b"x" * 1_000_000
    unread = bob.refused("Reviews.Decide", ballot)  # too large to be parsed at all
    assert_invalid(unread, "request", "request.too_large")
    of_bob("AskInfo", reviews_pb2.AskInfoRequest(review_id=review, request_id="r"), "question")
    of_bob("List", reviews_pb2.ListReviewsRequest(page_size=201), "page_size")
    strange = reviews_pb2.ListReviewsRequest()
    strange.MergeFromString(b"\x0a\x01\x63")
    of_bob("List", strange, "states")
    of_bob("Revoke", reviews_pb2.RevokeRequest(review_id=review), "request_id")


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", f"Bearer {SECRET}"),),
        (("authorization", SECRET),),
        (("authorization", "Bearer "),),
        (("authorization", f"Bearer {SECRET * 100}"),),
        (("authorization", f"Basic {SECRET}"),),
    ],
    ids=["none", "unknown", "no scheme", "empty", "long", "another scheme"],
)
def test_no_good_credential(shared: Service, metadata: tuple[tuple[str, str], ...]) -> None:
    line = shared.line(None, *metadata)
    seen = [
        line.refused("Decisions.Check", check()),
        line.refused("Decisions.Check", b"junk"),
        line.refused("Reviews.List", reviews_pb2.ListReviewsRequest()),
        shared.line(None).refused("Trust.GetKeys", b""),
    ]
    assert {answer.code for answer in seen} == {grpc.StatusCode.UNAUTHENTICATED}
    assert len({answer.everything for answer in seen}) == 1
    assert seen[0].reason == "credential.unknown"
    assert SECRET.encode() not in seen[0].everything


def test_metadata_that_is_too_large(shared: Service) -> None:
    line = shared.line("agent", ("x-junk", SECRET * 10_000))
    seen = line.refused("Decisions.Check", check())
    assert seen.code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


def test_a_method_there_is_not(shared: Service) -> None:
    channel = shared.channel()
    for name in ("/countersign.v1.Decisions/Approve", "/countersign.v2.Decisions/Check"):
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(name)(b"")
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
