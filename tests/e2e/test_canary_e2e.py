"""Canaries at every place that takes input, and then none of them anywhere.

One long story on the real service, which tells all it can: members of every
sensitive type stand in each leaf of contexts and in every text, over every way
a request can go, a crash and a restart. Then every byte that is left behind or
was answered is searched. bob approves and is shown much; carol is of security
and is shown less; dave has a delegation; alice owns the agent.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import grpc
import psutil
import pytest
from google.protobuf.message import Message

from canaries import IN_TEXT, Canaries, Canary, Hit, Search, forms, sentinel
from countersign.client import Context, Resource
from countersign.client.context import External
from countersign.model import Account, new_id
from countersign.v1 import activity_pb2, context_pb2, decisions_pb2, reviews_pb2, trust_pb2
from identity_provider import IdentityProvider
from service import COMMAND, Refused, Service, context, eventually, refused

POLICY: Final = """
package countersign

decision := {"effect": "allow", "reasons": [reason]} if input.context.action == "canary.allow"

decision := {"effect": "deny", "reasons": [reason]} if input.context.action == "canary.deny"

decision := {
    "effect": "needs_approval",
    "reasons": [reason],
    "requirement": object.union(demand, special[input.context.action]),
}

reason := {"code": "canary.rule", "message": "people look at everything here"}

demand := {
    "stages": [{"name": "approvers", "approvers": {"groups": ["approvers"]}}],
    "profiles": {"*": "reviewer", "security": "restricted"},
    "report_within_s": 900,
}

special := {
    "canary.approve": {},
    "canary.two": {"stages": [object.union(demand.stages[0], {"quorum": 2})]},
    "canary.quick": {"approve_within_s": 1},
    "canary.brief": {"use_within_s": 1},
    "canary.urgent": {"batch": true, "break_glass": {"approvers": {"groups": ["approvers"]}}},
    "canary.shown": {"must_show": ["/arguments/target"]},
    "canary.sql": {"must_show": ["facts:sql.predicate"]},
}
"""
ISSUER: Final = "https://login.example"
TEAMS: Final = "teams:contoso"
CLIENT: Final = "agent-app"

LEAVES: Final[dict[str, Callable[[Canary], Any]]] = {
    "an argument": lambda c: f"please see {c.text} before noon",
    "a nested argument": lambda c: {"deep": [{"deeper": {"note": c.text}}]},
    "a list": lambda c: ["first", c.text, "last"],
    "a key": lambda c: {c.text: 1},
    "JSON in a string": lambda c: json.dumps({"note": [c.text]}),
    "a statement": lambda c: f"SELECT id FROM customers WHERE note = '{c.text}'",
    "a comment of a statement": lambda c: f"SELECT id FROM customers -- {c.text}",
    "a command": lambda c: f"notify --wait 5 --note '{c.text}' now",
    "an address": lambda c: f"https://api.example.com/find?q={quote(c.text, safe='')}",
    "base64": lambda c: base64.b64encode(c.text.encode()).decode(),
    "hex": lambda c: c.text.encode().hex(),
}
"""Ways in which a value stands in arguments; each is sent once in every effect."""


@dataclasses.dataclass(kw_only=True)
class Story:
    """A service that is told canaries, and all it was heard to say."""

    service: Service
    provider: IdentityProvider
    canaries: Canaries = dataclasses.field(default_factory=Canaries)
    heard: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)
    left: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)
    records: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    shown: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Previews as they were served, parsed."""
    refusals: Counter[grpc.StatusCode] = dataclasses.field(default_factory=Counter)
    _lines: dict[str, Any] = dataclasses.field(default_factory=dict)
    _tables: int = 0

    # --- talking -------------------------------------------------------------

    def tells(self, who: str, method: str, request: Message | bytes) -> Any:
        """Call, and keep what is answered, whatever that is."""
        if who not in self._lines:
            self._lines[who] = self.service.line(who)
        try:
            answer = self._lines[who].call(method, request)
        except grpc.RpcError as error:
            said = refused(error)
            self.refusals[said.code] += 1
            self.heard.append((f"the refusal of {method}", said.everything))
            return said
        self.heard.append((f"the answer of {method}", answer.SerializeToString()))
        return answer

    def done(self, who: str, method: str, request: Message) -> Any:
        """A call that must be answered."""
        answer = self.tells(who, method, request)
        assert not isinstance(answer, Refused), (method, answer)
        return answer

    def wrong(self, who: str, method: str, request: Message | bytes) -> Refused:
        """A call that must not be answered."""
        said = self.tells(who, method, request)
        assert isinstance(said, Refused), (method, said)
        return said

    def text(self, place: str) -> str:
        return self.canaries.text(place)

    # --- what is asked for ---------------------------------------------------

    def context(self, action: str, **more: Any) -> Context:
        self._tables += 1
        return context(action, f"t{self._tables}", **more)

    def asks(self, wanted: Context, **more: Any) -> Any:
        request = decisions_pb2.CheckRequest(
            context=wanted.to_message(), request_id=new_id("req"), **more
        )
        return self.done("agent", "Decisions.Check", request)

    def opened(self, wanted: Context) -> str:
        """The review that this leads to, looked at by everybody who may."""
        answer = self.asks(wanted)
        assert answer.effect == context_pb2.EFFECT_NEEDS_APPROVAL, answer
        review_id = str(answer.review.review_id)
        for who in ("bob", "carol"):
            self.looks(who, review_id)
        return review_id

    def looks(self, who: str, review_id: str, **person: Any) -> Any:
        request = reviews_pb2.GetReviewRequest(review_id=review_id, **person)
        review = self.done(who, "Reviews.Get", request)
        for preview in review.previews.values():
            self.shown.append(json.loads(preview.context_json))
        return review

    def as_shown(self, who: str, review_id: str) -> dict[str, Any]:
        review = self.looks(who, review_id)
        profile = "restricted" if who == "carol" else "reviewer"
        return {
            "review_id": review_id,
            "revision": review.status.revision,
            "profile": profile,
            "preview_hash": review.previews[profile].hash,
            "request_id": new_id("req"),
        }

    def votes(self, who: str, review_id: str, vote: int = reviews_pb2.VOTE_APPROVE) -> Any:
        ballot = reviews_pb2.DecideRequest(
            **self.as_shown(who, review_id), vote=vote, reason=self.text("the reason of a vote")
        )
        return self.done(who, "Reviews.Decide", ballot)

    def claims(self, review_id: str, wanted: Context) -> Any:
        request = decisions_pb2.ClaimRequest(
            review_id=review_id, context=wanted.to_message(), request_id=new_id("req")
        )
        return self.done("agent", "Decisions.Claim", request)

    def state(self, review_id: str) -> int:
        request = decisions_pb2.AwaitRequest(review_id=review_id)
        return int(self.done("agent", "Decisions.Await", request).review.state)

    # --- how a request can end -----------------------------------------------

    def claimed(self, review_id: str, wanted: Context) -> None:
        self.votes("bob", review_id)
        permit = self.claims(review_id, wanted).permit
        assert permit.token
        detail = {
            "note": self.text("an outcome detail"),
            "rows": [{canary.text: 1} for canary in self.canaries.each("a key of an outcome")],
            "full_name": self.canaries.plant("name", "an outcome detail").value,
        }
        for outcome in (context_pb2.OUTCOME_FAILED, context_pb2.OUTCOME_SUCCEEDED):
            report = decisions_pb2.ReportRequest(
                permit_id=permit.permit_id,
                outcome=outcome,
                detail_json=json.dumps(detail).encode(),
                request_id=new_id("req"),
            )
            self.tells("agent", "Decisions.Report", report)

    def denied(self, review_id: str, wanted: Context) -> None:
        del wanted
        assert self.votes("carol", review_id, reviews_pb2.VOTE_DENY).votes

    def answered(self, review_id: str, wanted: Context) -> None:
        ask = reviews_pb2.AskInfoRequest(
            review_id=review_id,
            revision=1,
            question=self.text("a question"),
            request_id=new_id("req"),
        )
        self.done("bob", "Reviews.AskInfo", ask)
        waiting = decisions_pb2.AwaitRequest(review_id=review_id)
        (question,) = self.done("agent", "Decisions.Await", waiting).review.open_questions
        answer = decisions_pb2.AnswerRequest(
            review_id=review_id,
            question_id=question.question_id,
            text=self.text("an answer"),
            request_id=new_id("req"),
        )
        answer.answered_by.type, answer.answered_by.id = "person", "mallory"
        answer.answered_by.evidence = self.evidence("the evidence of an answer")
        self.done("agent", "Decisions.Answer", answer)
        self.claimed(review_id, wanted)

    def mismatched(self, review_id: str, wanted: Context) -> None:
        self.votes("bob", review_id)
        changed = dataclasses.replace(wanted, reason=self.text("a claim of something else"))
        answer = self.claims(review_id, changed)
        assert answer.effect == context_pb2.EFFECT_DENY
        assert [reason.code for reason in answer.reasons] == ["claim.mismatch"]

    def cancelled(self, review_id: str, wanted: Context) -> None:
        del wanted
        cancel = decisions_pb2.CancelRequest(
            review_id=review_id, reason=self.text("a withdrawal"), request_id=new_id("req")
        )
        self.done("agent", "Decisions.Cancel", cancel)

    def revoked(self, review_id: str, wanted: Context) -> None:
        self.votes("bob", review_id)
        revoke = reviews_pb2.RevokeRequest(
            review_id=review_id, reason=self.text("a revocation"), request_id=new_id("req")
        )
        self.done("bob", "Reviews.Revoke", revoke)
        assert self.claims(review_id, wanted).effect == context_pb2.EFFECT_DENY

    def evidence(self, place: str, who: str = "mallory", **claims: Any) -> str:
        """A token of the provider, as whose pieces none may be seen, with canaries in it."""
        told = {f"c{n}": canary.value for n, canary in enumerate(self.canaries.each(place))}
        token = self.provider.token(f"sub-{who}", azp=CLIENT, **told, **claims)
        pieces = tuple(part for part in token.split(".")[1:] if part)
        self.canaries.planted.append(
            Canary(kind="evidence", place=place, value=token, text=token, pieces=pieces)
        )
        return token


# --- the story ------------------------------------------------------------------


def arguments(story: Story, leaf: str) -> dict[str, Any]:
    """One canary of each kind, each in a leaf of this sort, and the leaf's sentinel."""
    make = LEAVES[leaf]
    told = {f"item{n}": make(canary) for n, canary in enumerate(story.canaries.each(leaf))}
    return {**told, "about": sentinel(leaf)}


def contexts_of_every_sort(story: Story) -> None:
    """Each leaf in each effect; the reviews end in every way, in turn."""
    ways = (
        story.claimed,
        story.denied,
        story.answered,
        story.mismatched,
        story.cancelled,
        story.revoked,
    )
    for at, leaf in enumerate(LEAVES):
        for action in ("canary.allow", "canary.deny"):
            answer = story.asks(story.context(action, arguments=arguments(story, leaf)))
            assert answer.effect != context_pb2.EFFECT_NEEDS_APPROVAL
        wanted = story.context("canary.approve", arguments=arguments(story, leaf))
        ways[at % len(ways)](story.opened(wanted), wanted)
    for action in ("canary.allow", "canary.deny", "canary.approve"):
        numbers = {
            key: int("".join(filter(str.isdigit, story.canaries.plant(kind, "a number").value)))
            for key, kind in (("n", "card"), ("m", "card"), ("phone", "phone"), ("mobile", "phone"))
        }
        names = {
            key: story.canaries.plant("name", "a name field").value
            for key in ("full_name", "customer_name", "patientName", "last_name")
        }
        story.asks(story.context(action, arguments={"a": numbers, "b": names}))


def envelopes(story: Story) -> None:
    """What stands around the arguments, where it may be any text."""
    for action in ("canary.allow", "canary.deny", "canary.approve"):
        for kind in IN_TEXT:
            plant = lambda place, kind=kind: story.canaries.plant(kind, place).text  # noqa: E731
            wanted = Context(
                action=action,
                actor="agent",
                environment="production",
                resource=Resource(
                    "table",
                    f"of/{plant('a resource id')}",
                    owner=plant("a resource owner"),
                    attributes={"to": plant("an attribute"), plant("a key of attributes"): 1},
                ),
                reason=f"{sentinel('a reason')} {plant('a reason')}",
                session=f"{sentinel('a session')} {plant('a session')}",
                on_behalf_of=[External(plant("a principal"))],
            )
            answer = story.asks(wanted, labels={"a": f"{sentinel('a label')} {plant('a label')}"})
            if answer.HasField("review"):
                for who in ("bob", "carol"):
                    story.looks(who, answer.review.review_id)


def evidence_tokens(story: Story) -> None:
    for token in (
        story.evidence("evidence"),
        story.evidence("evidence that is old", ends_in_s=-3600),
        story.evidence("evidence of nobody", who="nobody"),
        f"{story.evidence('evidence that is forged')}x",
        story.canaries.plant("JWT", "evidence of no issuer").value,
    ):
        wanted = story.context("canary.approve")
        request = decisions_pb2.CheckRequest(context=wanted.to_message())
        request.context.on_behalf_of.add(type="person", id="mallory", evidence=token)
        story.tells("agent", "Decisions.Check", request)


def of_time(story: Story) -> list[tuple[str, int]]:
    """Reviews that nobody decides, and approvals that nobody uses, in time."""
    told = [arguments(story, "an argument") for _ in range(2)]
    quick = story.opened(story.context("canary.quick", arguments=told[0]))
    brief = story.opened(story.context("canary.brief", arguments=told[1]))
    story.votes("bob", brief)
    return [
        (quick, context_pb2.REVIEW_STATE_EXPIRED),
        (brief, context_pb2.REVIEW_STATE_LAPSED),
    ]


def acts_of_people(story: Story) -> None:
    """Delegation, break-glass and what follows, a batch, and clicks in a chat."""
    until = datetime.now(UTC) + timedelta(hours=1)
    lend = reviews_pb2.DelegateRequest(
        delegate_id="dave",
        ends_at=until,  # type: ignore[arg-type]  # protobuf takes a datetime
        reason=story.text("a delegation"),
        request_id=new_id("req"),
    )
    lent = story.done("bob", "Reviews.Delegate", lend)
    story.done("bob", "Reviews.ListDelegations", reviews_pb2.ListDelegationsRequest())
    end = reviews_pb2.EndDelegationRequest(
        delegation_id=lent.delegation_id, request_id=new_id("req")
    )
    story.done("bob", "Reviews.EndDelegation", end)

    review_id = story.opened(story.context("canary.urgent"))
    glass = reviews_pb2.BreakGlassRequest(
        **story.as_shown("bob", review_id), reason=story.text("a broken glass")
    )
    story.done("bob", "Reviews.BreakGlass", glass)
    owed = reviews_pb2.ListReviewsRequest(after_reviews=True)
    story.done("carol", "Reviews.List", owed)
    close = reviews_pb2.CloseAfterReviewRequest(
        review_id=review_id,
        justified=True,
        note=story.text("an after-review"),
        request_id=new_id("req"),
    )
    story.done("carol", "Reviews.CloseAfterReview", close)

    review_id = story.opened(story.context("canary.urgent"))
    shown = story.as_shown("bob", review_id)
    batch = reviews_pb2.BatchDecideRequest(
        request_id=shown.pop("request_id"),
        items=[reviews_pb2.BatchItem(**shown)],
        reason=story.text("the reason of a batch"),
    )
    (result,) = story.done("bob", "Reviews.BatchDecide", batch).results
    assert result.HasField("review")

    for canary in story.canaries.each("a message reference"):
        review_id = story.opened(story.context("canary.approve"))
        ballot = reviews_pb2.DecideRequest(
            **story.as_shown("bob", review_id), vote=reviews_pb2.VOTE_APPROVE
        )
        ballot.person.CopyFrom(clicked(ref=f"{sentinel(canary.place)} {canary.text}"))
        story.done("bot", "Reviews.Decide", ballot)


def clicked(*, issuer: str = TEAMS, subject: str = "oid-bob", ref: str = "") -> Any:
    said = reviews_pb2.PersonAssertion(issuer=issuer, subject=subject, message_ref=ref)
    said.authenticated_at.FromDatetime(datetime.now(UTC))
    return said


def activity(story: Story) -> None:
    for place, send in (
        ("logged text", lambda told: activity_pb2.Content(text=told)),
        ("logged JSON", lambda told: activity_pb2.Content(json=json.dumps([told]).encode())),
    ):
        log = activity_pb2.LogRequest(
            type="tool.output",
            content=send(story.text(place)),
            session=story.text("the session of an activity")[:200],
            request_id=new_id("req"),
        )
        story.done("agent", "Activity.Log", log)
    for leaf, make in LEAVES.items():
        for canary in story.canaries.each(f"{leaf}, sanitized"):
            content = activity_pb2.Content(json=json.dumps([make(canary)]).encode())
            ask = activity_pb2.SanitizeRequest(content=content)
            story.done("agent", "Activity.Sanitize", ask)
    text = activity_pb2.Content(text=story.text("sanitized text"))
    answer = story.done("agent", "Activity.Sanitize", activity_pb2.SanitizeRequest(content=text))
    assert sentinel("sanitized text") in answer.content.text


def killed_while_it_is_told(story: Story) -> None:
    """A Check is committed and not answered; the next process answers it."""
    service = story.service
    service.kill()
    service.start(fault="check.committed")
    wanted = story.context("canary.approve", arguments=arguments(story, "an argument"))
    request = decisions_pb2.CheckRequest(context=wanted.to_message(), request_id="cut-off")
    assert story.wrong("agent", "Decisions.Check", request).code is grpc.StatusCode.UNAVAILABLE
    service.killed_itself()
    service.start()
    story._lines.clear()
    answer = story.done("agent", "Decisions.Check", request)
    story.claimed(str(answer.review.review_id), wanted)


# --- what cannot be read ----------------------------------------------------------


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
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(f"/countersign.v1.Decisions/{quote(canary.text)}")(b"")
        story.heard.append(("the refusal of a method", refused(error.value).everything))
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


def commands(story: Story) -> None:
    """The same by the command, whose output is kept."""
    service = story.service
    told = story.canaries
    wanted = story.context(
        "canary.approve", arguments={"note": told.text("an argument")}, reason=told.text("a reason")
    )
    path = service.directory.parent / "context.json"
    path.write_bytes(wanted.canonical_bytes)

    def types(*words: str, as_: str) -> str:
        done = service.types(*words, as_=as_)
        story.heard.append((f"the output of {' '.join(words[:2])}", done.stdout.encode()))
        story.heard.append((f"the output of {' '.join(words[:2])}", done.stderr.encode()))
        return done.stdout

    asked = json.loads(types("check", str(path), "--json", as_="agent"))
    review_id = asked["review"]
    types("review", "list", as_="bob")
    types("review", "show", review_id, as_="bob")
    types("review", "show", review_id, "--json", as_="carol")
    types("review", "ask", review_id, told.text("a question"), as_="bob")
    path.write_text(told.text("a context file that is no JSON"))
    types("check", str(path), as_="agent")
    types("review", "show", told.plant("e-mail", "a word of a command").value, as_="bob")
    types("cancel", review_id, "--reason", told.text("a withdrawal"), as_="agent")
    path.unlink()
    for words in (
        ("audit", "show", review_id, "--log", str(service.log_directory())),
        ("audit", "show", review_id, "--log", str(service.log_directory()), "--json"),
        ("audit", "verify", "--log", str(service.log_directory()), "--key", service.log_key()),
    ):
        plainly(story, *words)


def plainly(story: Story, *words: str) -> None:
    """A command that takes no credential."""
    done = subprocess.run(
        [COMMAND, *words],
        cwd=story.service.directory.parent,
        env={"COLUMNS": "200"},
        capture_output=True,
        check=False,
    )
    story.heard.append((f"the output of {' '.join(words[:2])}", done.stdout + done.stderr))


class Loud(Service):
    """A service that says all it can on stderr."""

    def start(self, *, fault: str = "") -> Self:
        self.command = ("sh", "-c", 'exec "$0" "$@" --log-level debug', COMMAND)
        try:
            return super().start(fault=fault)
        finally:
            self.command = (COMMAND,)


@contextlib.contextmanager
def told_to(base: Path) -> Iterator[Story]:
    """A service with this policy and cast, ready to be told things."""
    (base / "policy").mkdir()
    (base / "policy" / "policy.rego").write_text(POLICY)
    with Loud(base / "countersign", policy=base / "policy") as service:
        told = Story(service=service, provider=IdentityProvider(ISSUER))
        populate(told)
        service.start()
        yield told


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """All of it, told; the service has ended."""
    with told_to(tmp_path_factory.mktemp("canaries")) as told:
        service = told.service
        ending = of_time(told)
        for part in PARTS:
            part(told)
        eventually(lambda: all(told.state(review_id) == end for review_id, end in ending))
        told.heard.append(("readiness", service.status("/readyz")[1].encode()))
        keep(told)
        service.kill()
        keep(told)
        service.start()
        service.stop()
        keep(told)
        told.records = [json.loads(record) for record in service.verified_log()[1]]
        yield told


PARTS: Final = (
    contexts_of_every_sort,
    envelopes,
    evidence_tokens,
    acts_of_people,
    activity,
    bad_input,
    killed_while_it_is_told,
    commands,
)


def populate(told: Story) -> None:
    def accounts(name: str) -> tuple[Account, ...]:
        return (
            Account(issuer=ISSUER, subject=f"sub-{name}"),
            Account(issuer=TEAMS, subject=f"oid-{name}"),
        )

    service = told.service
    for name, *groups in (
        ("alice",),
        ("bob", "approvers"),
        ("carol", "approvers", "security"),
        ("dave",),
        ("mallory",),
    ):
        service.person(name, *groups, accounts=accounts(name))
    service.caller("agent", "alice", users=("mallory",), clients=(CLIENT,))
    service.bot("bot", TEAMS)
    service.configure({"limits.max_open_reviews": 1000, "limits.max_open_reviews_behind": 1000})
    told.provider.trusted_by(service, "default")


def keep(told: Story) -> None:
    """All that it left behind or shows by now, as it is and unpacked."""
    service = told.service
    told.left += service.traces()
    for path in sorted(service.directory.rglob("*")):
        if path.is_file():
            told.left.append((str(path), path.read_bytes()))
    if service.process is not None:
        for name, process in (("the service", service.process.pid), ("OPA", service.opa().pid)):
            seen = psutil.Process(process)
            words = (*seen.cmdline(), *seen.environ().values())
            told.left.append((f"what {name} was started with", "\0".join(words).encode()))


# --- what is left of it -----------------------------------------------------------


@pytest.fixture(scope="module")
def hits(story: Story) -> list[Hit]:
    search = Search(story.canaries.planted)
    seen = sorted({data: name for name, data in (*story.heard, *story.left)}.items())
    # A part of the log often begins with all of another; the longer one has every byte.
    whole = [
        (data, name)
        for (data, name), (after, _) in pairwise((*seen, (b"", "")))
        if not after.startswith(data)
    ]
    return sorted({hit for data, name in whole for hit in search.hits(name, data)})


IDENTIFIER = "names of this form stay as they are, and the form has room for these"
REQUEST_ID = "an idempotency key is recorded as it was sent"
KEPT: Final[dict[tuple[str, str], str]] = {
    **{("an action", kind): IDENTIFIER for kind in ("card", "IP address")},
    **{("an environment", kind): IDENTIFIER for kind in ("card", "SSN", "IP address")},
    **{("a resource type", kind): IDENTIFIER for kind in ("card", "SSN", "IP address")},
    **{
        ("a request id", kind): REQUEST_ID
        for kind in ("card", "IBAN", "SSN", "provider secret", "IP address")
    },
}
"""Place and kind of what is known to be kept, and why."""


def test_no_canary_is_found_anywhere(hits: list[Hit]) -> None:
    assert [hit for hit in hits if (hit.place, hit.kind) not in KEPT] == []


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        pytest.param(*case, marks=pytest.mark.xfail(strict=True, reason=why))
        for case, why in KEPT.items()
    ],
)
def test_what_fits_a_name_is_not_found_either(hits: list[Hit], place: str, kind: str) -> None:
    assert not [hit for hit in hits if (hit.place, hit.kind) == (place, kind)]


def test_the_story_went_everywhere(story: Story) -> None:
    kinds = Counter(record["kind"] for record in story.records)
    assert set(kinds) >= {
        *("decision", "review.created", "review.updated", "review.closed", "claim", "outcome"),
        *("vote", "vote.refused", "break_glass", "after_review.closed", "activity"),
        *("delegation.given", "delegation.ended", "config.changed", "policy.changed"),
    }
    states = {record.get("review_state", {}).get("state") for record in story.records}
    assert states >= {
        *("pending", "info_requested", "approved", "denied", "expired", "cancelled"),
        *("claimed", "lapsed", "revoked"),
    }
    assert set(story.refusals) >= {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
    }
    assert " DEBUG " in story.service.said
    assert "metrics" in dict(story.left)
    assert len(story.canaries.planted) > 1000


RECORDED: Final = (
    *LEAVES,
    *("a reason", "a session", "a label", "a question", "an answer", "an outcome detail"),
    *(
        "the reason of a batch",
        "the reason of a vote",
        "a withdrawal",
        "a revocation",
        "a delegation",
        "a broken glass",
    ),
    *("an after-review", "a message reference", "logged text", "logged JSON"),
    "the session of an activity",
)
SHOWN: Final = (*LEAVES, "a reason", "a session")


def test_what_is_harmless_beside_them_is_kept(story: Story) -> None:
    recorded, shown = json.dumps(story.records), json.dumps(story.shown)
    assert [place for place in RECORDED if sentinel(place) not in recorded] == []
    assert [place for place in SHOWN if sentinel(place) not in shown] == []


@pytest.mark.parametrize("kind", [*IN_TEXT, "name"])
def test_the_search_finds_every_form_wherever_it_stands(kind: str) -> None:
    canary = Canaries().plant(kind, "here")
    search = Search([canary])
    for piece in canary.pieces:
        for name, form in forms(piece):
            found = {hit.form for hit in search.hits("there", b"{" + form + b"}")}
            assert name in found
        for before in range(3):
            code = base64.b64encode(b"x" * before + piece.encode() + b" and so on")
            assert f"base64 at {before}" in {hit.form for hit in search.hits("there", code)}


# --- what people see instead ------------------------------------------------------


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with told_to(tmp_path_factory.mktemp("asking")) as told:
        yield told
        told.service.plant(*(canary.value for canary in told.canaries.planted))


def test_guessing_with_sanitize_yields_no_tag_of_a_card_or_a_record(asking: Story) -> None:
    story = asking
    mails = [story.canaries.plant("e-mail", "a guess").value for _ in range(5)]
    wanted = story.context("canary.approve", arguments={"to": mails})
    review = story.looks("bob", story.opened(wanted))
    on_the_card = tags(json.loads(review.previews["reviewer"].context_json)["arguments"]["to"])

    def guesses() -> list[str]:
        content = activity_pb2.Content(json=json.dumps(mails).encode())
        request = activity_pb2.SanitizeRequest(content=content)
        answer = story.done("agent", "Activity.Sanitize", request)
        return tags(json.loads(answer.content.json))

    eventually(lambda: review.status.review_id in str(story.service.published()))
    records = [json.loads(record) for record in story.service.published()]
    (recorded,) = (
        tags(record["clean"]["arguments"]["to"])
        for record in records
        if "to" in record.get("clean", {}).get("arguments", {})
    )
    first, second = guesses(), guesses()
    for one, other in (
        (first, second),
        *((guess, seen) for guess in (first, second) for seen in (on_the_card, recorded)),
    ):
        # Tags are short: one of them may be the same by chance, two are not.
        assert sum(map(str.__eq__, one, other)) < 2
    assert not any(tag in recorded for tag in (*first, *second))


def tags(masked: Sequence[str]) -> list[str]:
    """The tags of masked addresses."""
    found = [text.removeprefix("[EMAIL:").removesuffix("]") for text in masked]
    assert all(tag and set(tag) <= set("0123456789abcdef") for tag in found), masked
    return found


def test_two_groups_see_two_masks_and_each_vote_names_the_one_it_saw(asking: Story) -> None:
    story = asking
    wanted = story.context("canary.two", arguments={"note": "rack 7", "rows": 7})
    review_id = story.opened(wanted)
    seen = {}
    for who, profile, shows in (("bob", "reviewer", True), ("carol", "restricted", False)):
        previews = story.looks(who, review_id).previews
        assert set(previews) == {profile}
        assert (b"rack 7" in previews[profile].context_json) == shows
        assert b'"rows":7' in previews[profile].context_json
        seen[who] = (profile, previews[profile].hash)
    assert seen["bob"][1] != seen["carol"][1]
    swapped = reviews_pb2.DecideRequest(
        **story.as_shown("carol", review_id)
        | {"profile": seen["bob"][0], "preview_hash": seen["bob"][1]},
        vote=reviews_pb2.VOTE_APPROVE,
    )
    assert story.wrong("carol", "Reviews.Decide", swapped).reason == "vote.preview_mismatch"
    for who in seen:
        story.votes(who, review_id)
    assert story.state(review_id) == context_pb2.REVIEW_STATE_APPROVED

    def cast() -> dict[str, tuple[str, bytes]]:
        votes = [json.loads(record) for record in story.service.published()]
        return {
            each["vote"]["person"]: (
                each["vote"]["profile"],
                bytes.fromhex(each["vote"]["preview_hash"]),
            )
            for each in votes
            if (each["kind"], each.get("review")) == ("vote", review_id)
        }

    eventually(lambda: len(cast()) == len(seen))
    assert cast() == seen


@pytest.mark.parametrize(
    ("action", "told", "code"),
    [
        ("canary.shown", {"target": "e-mail"}, "review.unreviewable"),
        ("canary.sql", {"sql": "SELECT id FROM t WHERE note = 'it''s"}, "review.unreviewable"),
        ("canary.approve", {"note": "plain"}, "vote.preview_mismatch"),
    ],
    ids=["masked", "a statement that cannot be read", "another preview"],
)
def test_what_was_not_seen_is_denied_and_never_approved(
    asking: Story, action: str, told: dict[str, str], code: str
) -> None:
    story = asking
    if "target" in told:
        told = {"target": story.canaries.plant("e-mail", "what must be shown").value}
    review_id = story.opened(story.context(action, arguments=told))
    for _ in range(2):
        ballot = reviews_pb2.DecideRequest(
            **story.as_shown("bob", review_id), vote=reviews_pb2.VOTE_APPROVE
        )
        if code == "vote.preview_mismatch":
            ballot.preview_hash = bytes(each ^ 1 for each in ballot.preview_hash)
        said = story.wrong("bob", "Reviews.Decide", ballot)
        assert (said.code, said.reason) == (grpc.StatusCode.FAILED_PRECONDITION, code)
    assert story.state(review_id) == context_pb2.REVIEW_STATE_PENDING
    story.votes("bob", review_id, reviews_pb2.VOTE_DENY)
    assert story.state(review_id) == context_pb2.REVIEW_STATE_DENIED
