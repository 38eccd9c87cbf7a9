"""A bot says who clicked: how far that goes, told to real processes.

bob and carol approve, by their own credential or in a chat; mallory drives the
agent and has an account in the same chat. The other tenant has a bot of its own
that may speak for accounts of our chat's issuer, and people with accounts in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from countersign.model import Account, new_id
from countersign.v1 import admin_pb2, context_pb2, decisions_pb2, reviews_pb2
from service import Line, Refused, Service, context, eventually

POLICY = Path(__file__).with_name("policy")
TEAMS = "teams:contoso"
THEIRS = "teams:fabrikam"
MAX_AGE_S = 300
APPROVED = context_pb2.REVIEW_STATE_APPROVED
PENDING = context_pb2.REVIEW_STATE_PENDING


class Chat:
    """A service with bots, and the agent's requests for it to show."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._tables = 0

    def opened(self, action: str = "demo.approve") -> str:
        self._tables += 1
        wanted = context(action, f"t{self._tables}").to_message()
        answer = self.service.line("agent").call(
            "Decisions.Check", decisions_pb2.CheckRequest(context=wanted)
        )
        return str(answer.review.review_id)

    def vote(self, review_id: str, vote: int = reviews_pb2.VOTE_APPROVE) -> Any:
        """A vote on what the review shows an approver, not yet said whose."""
        review = self.service.line("bob").call(
            "Reviews.Get", reviews_pb2.GetReviewRequest(review_id=review_id)
        )
        ((profile, preview),) = review.previews.items()
        return reviews_pb2.DecideRequest(
            review_id=review_id,
            revision=review.status.revision,
            profile=profile,
            preview_hash=preview.hash,
            vote=vote,
            request_id=new_id("req"),
        )

    def clicks(self, vote: Any, bot: str = "bot", **said: Any) -> Any:
        """The vote as this bot sends it."""
        vote.person.CopyFrom(assertion(**said))
        return self.service.line(bot).call("Reviews.Decide", vote)

    def refused(self, vote: Any, bot: str = "bot", **said: Any) -> Refused:
        vote.person.CopyFrom(assertion(**said))
        return self.service.line(bot).refused("Reviews.Decide", vote)

    def state(self, review_id: str) -> int:
        asked = decisions_pb2.AwaitRequest(review_id=review_id)
        return int(self.service.line("agent").call("Decisions.Await", asked).review.state)

    def recorded(self, review_id: str, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """The records of this kind about a review, once that many are published."""

        def found() -> list[dict[str, Any]]:
            bodies = map(json.loads, self.service.published())
            return [b for b in bodies if (b["kind"], b.get("review")) == (kind, review_id)]

        eventually(lambda: len(found()) == count)
        return found()


def assertion(
    who: str = "bob",
    *,
    issuer: str = TEAMS,
    subject: str | None = None,
    ago_s: float = 0,
    ref: str = "",
) -> reviews_pb2.PersonAssertion:
    said = reviews_pb2.PersonAssertion(
        issuer=issuer, subject=f"oid-{who}" if subject is None else subject, message_ref=ref
    )
    said.authenticated_at.FromDatetime(datetime.now(UTC) - timedelta(seconds=ago_s))
    return said


def populate(service: Service) -> None:
    def account(name: str, issuer: str = TEAMS) -> dict[str, Any]:
        return {"accounts": (Account(issuer=issuer, subject=f"oid-{name}"),)}

    service.person("alice")
    service.person("mallory", "approvers", **account("mallory"))
    service.person("bob", "approvers", **account("bob"))
    service.person("carol", "approvers", **account("carol"))
    service.person("dave", **account("dave"))
    service.person("olga", "approvers", tenant="other", **account("olga", THEIRS))
    service.person("oscar", "approvers", tenant="other", **account("oscar"))
    service.caller("agent", "alice", users=("mallory",))
    service.bot("bot", TEAMS)
    service.bot("their-bot", TEAMS, THEIRS, tenant="other")
    service.configure({"limits.max_assertion_age_s": float(MAX_AGE_S)})


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    with Service(tmp_path_factory.mktemp("channels") / "countersign", policy=POLICY) as service:
        populate(service)
        yield Chat(service.start())


# --- what it may say ------------------------------------------------------------------


def test_a_click_is_a_vote_of_whose_account_it_was_and_says_how_it_came(chat: Chat) -> None:
    review_id = chat.opened()
    review = chat.clicks(chat.vote(review_id), who="carol", ago_s=MAX_AGE_S - 60, ref="message-7")
    (vote,) = review.votes
    assert (vote.person_id, vote.assurance, vote.channel_id) == ("carol", "channel", "bot")
    assert review.status.state == APPROVED
    (record,) = chat.recorded(review_id, "vote")
    recorded = record["vote"]
    assert recorded["person"] == "carol"
    assert (recorded["assurance"], recorded["channel"]) == ("channel", "bot")
    assert recorded["message_ref"] == "message-7"


def test_it_reads_and_asks_for_its_people_too(chat: Chat) -> None:
    line, review_id = chat.service.line("bot"), chat.opened()
    listed = line.call("Reviews.List", reviews_pb2.ListReviewsRequest(person=assertion("carol")))
    assert review_id in {review.status.review_id for review in listed.reviews}
    for_dave = line.call("Reviews.List", reviews_pb2.ListReviewsRequest(person=assertion("dave")))
    assert not for_dave.reviews
    question = reviews_pb2.AskInfoRequest(
        review_id=review_id, revision=1, question="which?", request_id="q", person=assertion()
    )
    (asked,) = line.call("Reviews.AskInfo", question).thread
    assert asked.asked_by == "bob"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"issuer": THEIRS, "who": "olga"}, "channel.foreign_issuer"),
        ({"issuer": THEIRS}, "channel.foreign_issuer"),
        ({"issuer": "https://login.example"}, "channel.foreign_issuer"),
        ({"issuer": TEAMS.upper()}, "channel.foreign_issuer"),
        ({"issuer": ""}, "channel.foreign_issuer"),
        ({"who": "oscar"}, "channel.unknown_account"),
        ({"who": "nobody"}, "channel.unknown_account"),
        ({"subject": "bob"}, "channel.unknown_account"),
        ({"subject": "OID-BOB"}, "channel.unknown_account"),
        ({"subject": ""}, "channel.unknown_account"),
        ({"ago_s": MAX_AGE_S + 60}, "channel.stale_assertion"),
        ({"ago_s": -MAX_AGE_S}, "channel.stale_assertion"),
    ],
    ids=str,
)
def test_its_word_goes_no_further(chat: Chat, said: dict[str, Any], code: str) -> None:
    review_id = chat.opened()
    refused = chat.refused(chat.vote(review_id), **said)
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, code)
    assert chat.state(review_id) == PENDING


def test_an_account_of_another_tenant_is_refused_like_one_that_never_was(chat: Chat) -> None:
    vote = chat.vote(chat.opened())
    assert chat.refused(vote, who="oscar") == chat.refused(vote, who="nobody")
    for who in ("bob", "oscar", "nobody"):
        seen = chat.refused(vote, "their-bot", who=who)
        # Their bot finds oscar, who has nothing to do with our review, and nobody else.
        reason = "review.not_found" if who == "oscar" else "channel.unknown_account"
        assert seen.reason == reason, who


def test_it_must_say_who_when_and_on_what_in_a_line(chat: Chat) -> None:
    vote = chat.vote(chat.opened())
    line = chat.service.line("bot")
    assert "person" in line.refused("Reviews.Decide", vote).fields
    vote.person.CopyFrom(assertion())
    vote.person.ClearField("authenticated_at")
    assert "person.authenticated_at" in line.refused("Reviews.Decide", vote).fields
    for ref in ("x" * 257, "a\nb", "a\u202eb"):
        assert "person.message_ref" in chat.refused(vote, ref=ref).fields
    for verb, request in (
        ("List", reviews_pb2.ListReviewsRequest()),
        ("Get", reviews_pb2.GetReviewRequest(review_id=vote.review_id)),
        ("ListDelegations", reviews_pb2.ListDelegationsRequest()),
    ):
        assert "person" in line.refused(f"Reviews.{verb}", request).fields


# --- what it may not do ---------------------------------------------------------------


def test_it_neither_asks_nor_claims_nor_administers(chat: Chat) -> None:
    review_id = chat.opened()
    chat.clicks(chat.vote(review_id))
    wanted = context("demo.allow").to_message()
    line: Line = chat.service.line("bot")
    for verb, request in (
        ("Check", decisions_pb2.CheckRequest(context=wanted)),
        ("Await", decisions_pb2.AwaitRequest(review_id=review_id)),
        (
            "Claim",
            decisions_pb2.ClaimRequest(review_id=review_id, context=wanted, request_id="c"),
        ),
        ("Answer", decisions_pb2.AnswerRequest(review_id=review_id)),
        ("Cancel", decisions_pb2.CancelRequest(review_id=review_id, request_id="c")),
        ("Report", decisions_pb2.ReportRequest(permit_id="pmt_1")),
    ):
        refused = line.refused(f"Decisions.{verb}", request)
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED, verb
        assert refused.reason == "channel.not_a_caller", verb
    glass = reviews_pb2.BreakGlassRequest(review_id=review_id, reason="down", request_id="g")
    assert line.refused("Reviews.BreakGlass", glass).reason == "channel.not_a_person"
    people = line.refused("Admin.ListPeople", admin_pb2.ListPeopleRequest())
    assert people.reason == "channel.not_a_person"
    assert chat.state(review_id) == APPROVED


@pytest.mark.parametrize("who", ["bob", "agent"])
def test_nobody_else_says_who_somebody_is(chat: Chat, who: str) -> None:
    review_id = chat.opened()
    vote = chat.vote(review_id)
    vote.person.CopyFrom(assertion("carol"))
    seen = chat.service.line(who).refused("Reviews.Decide", vote)
    if who == "agent":
        assert seen.reason == "caller.not_a_person"
    else:
        assert seen.code is grpc.StatusCode.INVALID_ARGUMENT
        assert "person" in seen.fields
    assert chat.state(review_id) == PENDING


@pytest.mark.parametrize("vote", [reviews_pb2.VOTE_APPROVE, reviews_pb2.VOTE_DENY])
def test_whoever_is_behind_the_request_is_so_in_the_chat_as_well(chat: Chat, vote: int) -> None:
    review_id = chat.opened()
    refused = chat.refused(chat.vote(review_id, vote), who="mallory", ref="message-8")
    own = chat.service.line("mallory").refused("Reviews.Decide", chat.vote(review_id, vote))
    assert refused.reason == own.reason == "vote.self_approval"
    recorded = chat.recorded(review_id, "vote.refused", 2)
    assert [each["vote"].get("channel") for each in recorded] == ["bot", None]
    assert recorded[0]["vote"]["message_ref"] == "message-8"
    assert chat.state(review_id) == PENDING


# --- how much it counts ---------------------------------------------------------------


def test_where_policy_wants_a_persons_own_credential_a_click_can_only_deny(chat: Chat) -> None:
    review_id = chat.opened("demo.personal")
    refused = chat.refused(chat.vote(review_id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "vote.assurance")
    vote = chat.vote(review_id)
    review = chat.service.line("bob").call("Reviews.Decide", vote)
    assert review.status.state == APPROVED
    assert review.votes[0].assurance == "person"
    other = chat.opened("demo.personal")
    denied = chat.clicks(chat.vote(other, reviews_pb2.VOTE_DENY), who="carol")
    assert denied.status.state == context_pb2.REVIEW_STATE_DENIED


def test_a_person_has_one_vote_whichever_way_they_come(chat: Chat) -> None:
    review_id = chat.opened("demo.two")
    chat.clicks(chat.vote(review_id))
    again = chat.service.line("bob").refused("Reviews.Decide", chat.vote(review_id))
    assert again.reason == "vote.duplicate"
    done = chat.clicks(chat.vote(review_id), who="carol")
    assert done.status.state == APPROVED


def test_what_is_lent_through_a_channel_is_proven_no_better(chat: Chat) -> None:
    """dave votes with his own credential, in a seat that a click gave him."""
    request = reviews_pb2.DelegateRequest(delegate_id="dave", request_id="d", person=assertion())
    request.ends_at.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    lent = chat.service.line("bot").call("Reviews.Delegate", request)
    assert (lent.delegator_id, lent.assurance) == ("bob", "channel")
    dave = chat.service.line("dave")
    personal = chat.opened("demo.personal")
    assert dave.refused("Reviews.Decide", chat.vote(personal)).reason == "vote.assurance"
    (vote,) = dave.call("Reviews.Decide", chat.vote(chat.opened())).votes
    assert (vote.person_id, vote.delegated_by, vote.assurance) == ("dave", "bob", "channel")
    end = reviews_pb2.EndDelegationRequest(
        delegation_id=lent.delegation_id, request_id="e", person=assertion()
    )
    chat.service.line("bot").call("Reviews.EndDelegation", end)


# --- while it runs --------------------------------------------------------------------


def test_a_new_account_waits_and_a_removed_bot_is_out(tmp_path: Path) -> None:
    with Service(tmp_path / "countersign", policy=POLICY) as service:
        populate(service)
        service.configure({"directory.new_account_wait_s": 600})
        chat = Chat(service.start())
        service.person("nina", "approvers", accounts=(Account(issuer=TEAMS, subject="oid-nina"),))
        listing = reviews_pb2.ListReviewsRequest(person=assertion("nina"))

        def answer() -> str:
            try:
                service.line("bot").call("Reviews.List", listing)
            except grpc.RpcError:
                return "refused"
            return "answered"

        eventually(lambda: answer() == "answered")
        review_id = chat.opened()
        assert chat.refused(chat.vote(review_id), who="nina").reason == "vote.account_too_new"
        chat.clicks(chat.vote(review_id), who="carol")
        channels = service.directory / "channels.toml"
        tables = channels.read_text().split("[[channels]]")
        channels.write_text("[[channels]]".join(t for t in tables if 'id = "bot"' not in t))
        eventually(lambda: answer() == "refused")
        seen = service.line("bot").refused("Reviews.List", listing)
        assert (seen.code, seen.reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "credential.unknown",
        )
