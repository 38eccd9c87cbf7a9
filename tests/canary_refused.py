"""Canaries in what is refused: broken JSON, wrong fields, names, and words of strangers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Final
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import grpc
from google.protobuf.message import Message

from canary_story import Story, clicked
from countersign.model import new_id
from countersign.v1 import activity_pb2, context_pb2, decisions_pb2, reviews_pb2, trust_pb2
from service import Service, context, refused


def bad_json(text: str) -> Iterator[bytes]:
    quoted = json.dumps(text)
    yield f'{{"a": {quoted}'.encode()
    yield f'{{"a": {text}}}'.encode()
    yield f"{{{quoted}: NaN}}".encode()
    yield f"{{{quoted}: 1, {quoted}: 2}}".encode()
    yield f"[{quoted}]".encode()
    yield f'{{"a": "{text}\\ud800"}}'.encode()
    yield f'{{"a": "{text}'.encode() + b'\xff"}'
    yield f'{{"a": {json.dumps((text + " ") * 9000)}}}'.encode()


def bad_contexts(text: str) -> Iterator[context_pb2.Context]:
    """A good context in which one thing is wrong."""

    def one(change: Callable[[context_pb2.Context], object]) -> context_pb2.Context:
        message = context("canary.allow").to_message()
        change(message)
        return message

    for data in bad_json(text):
        yield one(lambda c, data=data: setattr(c, "arguments_json", data))
        yield one(lambda c, data=data: setattr(c.resource, "attributes_json", data))
    for name in ("reason", "session"):
        yield one(lambda c, name=name: setattr(c, name, (text + " ") * 4000))
    yield one(lambda c: setattr(c, "session", f"{text}\r"))
    yield one(lambda c: setattr(c.actor, "id", text))
    yield one(lambda c: setattr(c.actor, "type", text))
    yield one(lambda c: setattr(c.actor, "evidence", text))
    yield one(lambda c: setattr(c.resource, "id", f"{text}\0"))
    yield one(lambda c: setattr(c.resource, "owner", f"{text}\x1b"))
    yield one(lambda c: c.on_behalf_of.add(type=text, id="x"))
    yield one(lambda c: c.on_behalf_of.add(type="person", id=text))
    yield one(lambda c: c.on_behalf_of.add(type="workload", id="bob", evidence=text))
    data = text.encode()
    unknown = b"\xfa\x07" + bytes([len(data) & 127 | 128, len(data) >> 7]) + data  # field 127
    for part in ("actor", "resource"):
        yield one(lambda c, part=part: getattr(c, part).MergeFromString(unknown))
    yield one(lambda c: c.MergeFromString(unknown))


def bad_requests(text: str, review: str) -> Iterator[tuple[str, str, Message | bytes]]:
    """Calls of which one field is wrong: who makes it, its name, the request."""
    d, r, a = decisions_pb2, reviews_pb2, activity_pb2
    good = context("canary.allow").to_message()
    long, shown = (text + " ") * 400, {"review_id": review, "revision": 1, "profile": "reviewer"}
    for method, request in (
        ("Check", d.CheckRequest(context=good, labels={text: "x"})),
        ("Check", d.CheckRequest(context=good, request_id=f"{text}/")),
        ("Check", d.CheckRequest(context=good, permit_audience=text)),
        ("Check", d.CheckRequest(context=good, supersedes=text)),
        ("Claim", d.ClaimRequest(review_id=text, context=good, request_id="r")),
        ("Claim", d.ClaimRequest(review_id=review, context=good, request_id="r", audience=text)),
        ("Await", d.AwaitRequest(review_id=text)),
        ("Await", d.AwaitRequest(review_id=review, after=text)),
        ("Answer", d.AnswerRequest(review_id=review, question_id=text, text="a", request_id="r")),
        ("Answer", d.AnswerRequest(review_id=review, question_id="q", text=long, request_id="r")),
        ("Cancel", d.CancelRequest(review_id=text, reason=text, request_id="r")),
        ("Report", d.ReportRequest(permit_id=text, outcome=1, request_id="r")),
        ("Report", d.ReportRequest(decision_id=text, outcome=1, request_id="r")),
        *(
            ("Report", d.ReportRequest(permit_id="p", outcome=1, detail_json=data, request_id="r"))
            for data in bad_json(text)
        ),
        ("Check", text.encode()),
        ("Claim", b"\x0a\xff\xff\xff\xff\x0f" + text.encode()),
    ):
        yield "agent", f"Decisions.{method}", request
    person = clicked(ref=f"{text}\n")
    ballot = {**shown, "vote": r.VOTE_DENY, "request_id": new_id("req")}
    for who, method, request in (
        ("bob", "Get", r.GetReviewRequest(review_id=text)),
        ("bob", "List", r.ListReviewsRequest(page_token=text)),
        ("bob", "Decide", r.DecideRequest(**ballot, preview_hash=text.encode()[:31])),
        ("bob", "Decide", r.DecideRequest(**ballot, preview_hash=b"1" * 32, reason=long)),
        ("bob", "Decide", r.DecideRequest(**ballot, preview_hash=b"1" * 32, reason=text)),
        ("bob", "AskInfo", r.AskInfoRequest(review_id=text, question=text, request_id="r")),
        ("bob", "Revoke", r.RevokeRequest(review_id=text, reason=text, request_id="r")),
        ("bob", "Delegate", r.DelegateRequest(delegate_id=text, reason=text, request_id="r")),
        ("bob", "EndDelegation", r.EndDelegationRequest(delegation_id=text, request_id="r")),
        ("bot", "Decide", r.DecideRequest(**ballot, preview_hash=b"1" * 32, person=person)),
        ("bot", "List", r.ListReviewsRequest(person=clicked(issuer=text))),
        ("bot", "List", r.ListReviewsRequest(person=clicked(subject=text))),
        ("bob", "Decide", text.encode()),
    ):
        yield who, f"Reviews.{method}", request
    content = a.Content(text="a")
    for method, request in (
        ("Log", a.LogRequest(type="a", content=content, decision_id=text, request_id="r")),
        ("Log", a.LogRequest(type="a", content=content, session=f"{text}\r", request_id="r")),
        ("Log", a.LogRequest(type="a", content=content, request_id=f"{text}/")),
        ("Sanitize", a.SanitizeRequest(content=a.Content(text=(text + " ") * 9000))),
        *(
            ("Sanitize", a.SanitizeRequest(content=a.Content(json=data)))
            for data in bad_json(text)
            if not data.startswith(b"[")
        ),
    ):
        yield "agent", f"Activity.{method}", request
    yield "agent", "Trust.Prove", text.encode()


def bad_input(story: Story) -> None:
    review = story.opened(story.context("canary.approve"))
    for canary in story.canaries.each("a context that is refused"):
        for message in bad_contexts(canary.text):
            story.tells("agent", "Decisions.Check", decisions_pb2.CheckRequest(context=message))
            claim = decisions_pb2.ClaimRequest(review_id=review, context=message, request_id="r")
            story.tells("agent", "Decisions.Claim", claim)
    for canary in story.canaries.each("a request that is refused"):
        for who, method, request in bad_requests(canary.text, review):
            story.tells(who, method, request)
    named(story, review)
    beyond = story.text("a message that is too large").encode() * 20_000
    story.wrong("agent", "Decisions.Check", b"\n" + beyond)
    strangers(story)


def named(story: Story, review: str) -> None:
    """Names that are bound to a form, into which a value may fit."""
    for place, request_with in NAMES.items():
        for canary in story.canaries.each(place):
            for text in {canary.text, canary.text.replace(" ", "")}:
                who, method, request = request_with(text, review)
                story.tells(who, method, request)


Named = tuple[str, str, Message]


def _check(change: Callable[[decisions_pb2.CheckRequest], object]) -> Named:
    check = decisions_pb2.CheckRequest(context=context("canary.allow").to_message())
    change(check)
    return "agent", "Decisions.Check", check


def _ballot(review: str, profile: str, preview_hash: bytes) -> Named:
    ballot = reviews_pb2.DecideRequest(
        review_id=review,
        revision=1,
        profile=profile,
        preview_hash=preview_hash,
        vote=reviews_pb2.VOTE_APPROVE,
        request_id=new_id("req"),
    )
    return "bob", "Reviews.Decide", ballot


def _activity(type: str) -> Named:
    content = activity_pb2.Content(text="a")
    log = activity_pb2.LogRequest(type=type, content=content, request_id=new_id("req"))
    return "agent", "Activity.Log", log


NAMES: Final[dict[str, Callable[[str, str], Named]]] = {
    "an action": lambda text, _: _check(lambda c: setattr(c.context, "action", text)),
    "an environment": lambda text, _: _check(lambda c: setattr(c.context, "environment", text)),
    "a resource type": lambda text, _: _check(lambda c: setattr(c.context.resource, "type", text)),
    "a request id": lambda text, _: _check(lambda c: setattr(c, "request_id", text)),
    "an audience": lambda text, _: _check(lambda c: setattr(c, "permit_audience", text)),
    "a profile": lambda text, review: _ballot(review, text, b"1" * 32),
    "a preview hash": lambda text, review: _ballot(
        review, "reviewer", text.encode().ljust(32)[:32]
    ),
    "the type of an activity": lambda text, _: _activity(text),
}


def strangers(story: Story) -> None:
    """Words before anybody is known: credentials, methods and pages."""
    for canary in story.canaries.each("a credential"):
        for value in (canary.text, f"Bearer {canary.text}", f"Basic {canary.text}"):
            line = story.service.line(None, ("authorization", value), ("x-note", canary.text))
            said = line.refused("Trust.GetKeys", trust_pb2.GetKeysRequest())
            story.heard.append(("the refusal of a stranger", said.everything))
    channel = story.service.channel()
    for canary in story.canaries.each("a method"):
        try:
            channel.unary_unary(f"/countersign.v1.Decisions/{quote(canary.text)}")(b"")
        except grpc.RpcError as error:
            story.heard.append(("the refusal of a method", refused(error).everything))
    for canary in story.canaries.each("a page"):
        for page in (f"/{quote(canary.text)}", f"/metrics?q={quote(canary.text)}"):
            story.heard.append(("a page", story.service.status(page)[1].encode()))
            story.heard.append(("a page", posted(story.service, page, canary.text)))


def posted(service: Service, page: str, text: str) -> bytes:
    request = Request(f"http://127.0.0.1:{service.status_port}{page}", data=text.encode())
    request.add_header("x-note", text)
    try:
        with urlopen(request, timeout=10) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        with error:
            return error.read()
