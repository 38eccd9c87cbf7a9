"""A service that is told canaries, by a cast that keeps all they hear of it.

bob approves and is shown much; carol is of security and is shown less; dave is
lent bob's standing; alice owns the agent, which mallory drives.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import grpc
import psutil
from google.protobuf.message import Message

from canaries import Canaries, Canary
from countersign.client import Context
from countersign.model import Account, new_id
from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2
from identity_provider import IdentityProvider
from service import COMMAND, Refused, Service, context, refused

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
    "canary.urgent": in_a_hurry,
    "canary.shown": object.union(in_a_hurry, {"must_show": ["/arguments/target"]}),
    "canary.sql": object.union(in_a_hurry, {"must_show": ["facts:sql.predicate"]}),
}

in_a_hurry := {"batch": true, "break_glass": {"approvers": {"groups": ["approvers"]}}}
"""
CANDIDATE: Final = """
package countersign

decision := {"effect": "deny", "reasons": [reason], "mask": [sprintf("/arguments/%s", [key])]} if {
    some key, _ in input.context.arguments
}

reason := {"code": "canary.frozen", "message": sprintf("%v", [input])}
"""
"""Tried in shadow. Says all it is told, and gives two answers when that has two arguments."""

ISSUER: Final = "https://login.example"
TEAMS: Final = "teams:contoso"
CLIENT: Final = "agent-app"


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

    def reconnects(self) -> None:
        """Come back to another process."""
        self._lines.clear()

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


def clicked(*, issuer: str = TEAMS, subject: str = "oid-bob", ref: str = "") -> Any:
    said = reviews_pb2.PersonAssertion(issuer=issuer, subject=subject, message_ref=ref)
    said.authenticated_at.FromDatetime(datetime.now(UTC))
    return said


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
    (service.directory / "candidate").mkdir()
    (service.directory / "candidate" / "policy.rego").write_text(CANDIDATE, encoding="utf-8")
    service.configure({"policy.shadow.directory": "candidate", "policy.shadow.max_share": 1.0})
    told.provider.trusted_by(service, "default")


def keep(told: Story) -> None:
    """All that it left behind or shows by now, as it is and unpacked."""
    service = told.service
    told.left += service.traces()
    for path in sorted(service.directory.rglob("*")):
        if path.is_file():
            told.left.append((str(path), path.read_bytes()))
    if service.process is not None:
        served = psutil.Process(service.process.pid)
        both = (("OPA", opa) for opa in served.children())
        for name, seen in (("the service", served), *both):
            words = (*seen.cmdline(), *seen.environ().values())
            told.left.append((f"what {name} was started with", "\0".join(words).encode()))
