"""A click, one demand after the other: who clicked, on what, and whether that is current.

The service and Teams are stood in for by objects of the same form; what the real
ones do is shown in `tests/e2e/test_teams_e2e.py`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from countersign.client import NotFound, NotPermitted, PreconditionFailed, Unavailable
from countersign.v1 import admin_pb2, context_pb2, deliveries_pb2, reviews_pb2
from countersign_bot.card import Handle, Verb
from countersign_bot.card import handle as handles
from countersign_bot.clicks import Clicks
from countersign_bot.connector.errors import NotMemberError, PassingError
from countersign_bot.connector.protocol import Member
from countersign_bot.connector.reference import Reference
from countersign_bot.inbound.activity import Inbound
from countersign_bot.roster import KEEP_S, Roster
from countersign_bot.settings import load

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
APP = "0f6f4f7e-5a0b-4c43-9d4e-2b1f9a6d0c11"
CAROL = "6f1c9a2e-8d5b-4b8e-9c0a-1f2e3d4c5b6a"
URL = "https://smba.trafficmanager.net/emea/"
NONCE = "0" * 32


def a_review(revision: int = 1) -> reviews_pb2.Review:
    review = reviews_pb2.Review(action="db.export", policy_revision="r1", commitment=b"\0" * 32)
    review.status.review_id = "rev_1"
    review.status.state = context_pb2.REVIEW_STATE_PENDING
    review.status.revision = revision
    preview = review.previews["reviewer"]
    preview.context_json = (
        b'{"action":"db.export","actor":{"id":"a","type":"w"},"arguments":{},"environment":"p",'
        b'"on_behalf_of":[],"reason":"r","resource":{"attributes":{},"id":"t","owner":"",'
        b'"type":"table"},"session":""}'
    )
    preview.facts_json, preview.mask_report_json = b"{}", b'{"ruleset":"r"}'
    preview.hash, preview.reviewable = b"\1" * 32, True
    return review


def a_card(**changed: Any) -> deliveries_pb2.Card:
    told: dict[str, Any] = {
        "card_id": "crd_1",
        "review_id": "rev_1",
        "audience": deliveries_pb2.AUDIENCE_APPROVER,
        "reference": reference().encode().decode(),
        "message_id": "m-1",
        "nonce": NONCE,
        "revision": 1,
        "address": deliveries_pb2.Address(
            account=admin_pb2.Account(issuer=f"teams:{TENANT}", subject=CAROL)
        ),
    }
    return deliveries_pb2.Card(**(told | changed))


def reference(**changed: str) -> Reference:
    told = {
        "service_url": URL,
        "conversation_id": "a:chat",
        "conversation_type": "personal",
        "tenant": TENANT,
        "bot_id": f"28:{APP}",
        "user_id": "29:carol",
    }
    return Reference(**(told | changed))


class Service:
    """What the bot asks of the service."""

    def __init__(self) -> None:
        self.card_: deliveries_pb2.Card | Exception = a_card()
        self.review_: reviews_pb2.Review | Exception = a_review()
        self.acted: list[Any] = []
        self.refuses: Exception | None = None

    async def card(self, card_id: str) -> deliveries_pb2.Card:
        if isinstance(self.card_, Exception):
            raise self.card_
        return self.card_

    async def review(self, who: Any, review_id: str) -> reviews_pb2.Review:
        if isinstance(self.review_, Exception):
            raise self.review_
        return self.review_

    async def act(self, who: Any, click: Any) -> reviews_pb2.Review:
        self.acted.append((who, click))
        if self.refuses is not None:
            raise self.refuses
        return await self.review(who, click.handle.review_id)


class Connector:
    """What the bot asks of Teams."""

    def __init__(self) -> None:
        self.carol: Member | Exception = Member(
            user_id="29:carol", subject=CAROL, tenant=TENANT, role="user"
        )
        self.asked = 0
        self.updated: list[tuple[Reference, str, str]] = []

    async def member(self, reference: Reference, user_id: str) -> Member:
        self.asked += 1
        if isinstance(self.carol, Exception):
            raise self.carol
        return self.carol

    async def update(self, reference: Reference, message_id: str, card: Any, **told: Any) -> None:
        self.updated.append((reference, message_id, told["summary"]))


class Bot:
    """Clicks with both, and what the test says of them."""

    def __init__(self, directory: Path) -> None:
        self.service, self.teams = Service(), Connector()
        settings = directory / "bot.toml"
        settings.write_text(
            f'tenants = ["{TENANT}"]\n[app]\nid = "{APP}"\ntenant = "{TENANT}"\nsecret = "s"\n'
        )
        self.now = 0.0
        self.roster = Roster(self.teams, clock=lambda: self.now)  # type: ignore[arg-type]
        self.clicks = Clicks(self.service, self.teams, self.roster, load(settings))  # type: ignore[arg-type]

    async def says(self, verb: Verb = Verb.APPROVE, **changed: Any) -> str:
        """The sentence under the card; `(card)` and its words where a card is the answer."""
        answer = await self.clicks.invoked(click(verb, **changed))
        value: Any = answer.body["value"]
        return value if isinstance(value, str) else f"(card) {value}"


def click(verb: Verb = Verb.APPROVE, *, data: Any = None, **changed: Any) -> Inbound:
    handle = Handle.of(a_review(), card_id="crd_1", nonce=NONCE)
    sent = handles.data(handle, verb) if data is None else data
    told: dict[str, Any] = {
        "type": "invoke",
        "name": "adaptiveCard/action",
        "activity_id": "f:1",
        "service_url": URL,
        "tenant": TENANT,
        "subject": CAROL,
        "user_id": "29:carol",
        "user_name": "Carol",
        "conversation_id": "a:chat",
        "conversation_type": "personal",
        "thread_root": "",
        "reply_to_id": "m-1",
        "recipient_id": f"28:{APP}",
        "value": {"action": {"type": "Action.Execute", "verb": verb.value, "data": sent}},
        "text": "",
        "locale": "en-US",
        "from_app": False,
    }
    told = {name: value for name, value in told.items() if name in FIELDS}
    return Inbound(**(told | changed))


FIELDS = {field.name for field in dataclasses.fields(Inbound)}


@pytest.fixture
def bot(tmp_path: Path) -> Bot:
    return Bot(tmp_path)


async def test_a_good_click_acts_once_as_who_clicked_on_what_was_shown(bot: Bot) -> None:
    assert (await bot.says()).startswith("(card)")
    ((who, sent),) = bot.service.acted
    assert (who.issuer, who.subject, who.message_ref) == (f"teams:{TENANT}", CAROL, "m-1")
    assert (sent.verb, sent.handle.preview_hash) == (Verb.APPROVE, "01" * 32)


@pytest.mark.parametrize(
    ("member", "word"),
    [
        ({"role": "guest"}, "Guests"),
        ({"principal_name": "carol_x#EXT#@example.com"}, "Guests"),
        ({"role": ""}, "no member"),
        ({"tenant": "c2a3f1de-8a55-4b8e-9b0e-3f4d0a5b6c77"}, "no member"),
        ({"subject": "c2a3f1de-8a55-4b8e-9b0e-3f4d0a5b6c77"}, "no member"),
        ({"user_id": "28:app"}, "no member"),
    ],
)
async def test_only_a_person_at_home_in_the_tenant_clicks(
    bot: Bot, member: dict[str, str], word: str
) -> None:
    assert isinstance(bot.teams.carol, Member)
    bot.teams.carol = dataclasses.replace(bot.teams.carol, **member)
    assert word in await bot.says()
    assert bot.service.acted == []


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (NotMemberError("teams.404", "gone"), "no member"),
        (PassingError("teams.503", "down"), "did not say who is a member"),
    ],
)
async def test_without_the_rosters_word_nothing_is_decided(
    bot: Bot, error: Exception, word: str
) -> None:
    bot.teams.carol = error
    assert word in await bot.says()
    assert bot.service.acted == []


async def test_to_decide_the_roster_is_asked_anew_and_to_look_it_may_be_remembered(
    bot: Bot,
) -> None:
    for _ in range(3):
        await bot.says(Verb.REFRESH)
    assert bot.teams.asked == 1
    await bot.says()
    assert bot.teams.asked == 2
    bot.now += KEEP_S
    await bot.says(Verb.REFRESH)
    assert bot.teams.asked == 3
    bot.teams.carol = NotMemberError("teams.404", "gone")
    assert "no member" in await bot.says()
    assert "no member" in await bot.says(Verb.REFRESH), "a failure is not forgotten for an old yes"


@pytest.mark.parametrize(
    "where",
    [
        {"reply_to_id": "m-2"},
        {"reply_to_id": ""},
        {"conversation_id": "a:other"},
    ],
)
@pytest.mark.parametrize("verb", [Verb.APPROVE, Verb.REFRESH])
async def test_only_the_message_that_was_posted_there_is_clicked_on(
    bot: Bot, where: dict[str, str], verb: Verb
) -> None:
    assert "not a card that was posted here" in await bot.says(verb, **where)
    assert bot.service.acted == []


@pytest.mark.parametrize(
    "stored",
    [
        {"tenant": "c2a3f1de-8a55-4b8e-9b0e-3f4d0a5b6c77"},
        {"service_url": "https://evil.example/"},
    ],
)
async def test_a_stored_place_that_is_not_served_is_nowhere(
    bot: Bot, stored: dict[str, str]
) -> None:
    bot.service.card_ = a_card(reference=reference(**stored).encode().decode())
    assert "not a card that was posted here" in await bot.says()
    assert bot.service.acted == []


async def test_a_copy_of_ours_says_that_it_was_replaced(bot: Bot) -> None:
    await bot.says(reply_to_id="m-orphan")
    await bot.clicks.close()
    ((place, message_id, _),) = bot.teams.updated
    assert (place.conversation_id, message_id) == ("a:chat", "m-orphan")


@pytest.mark.parametrize("kind", ["channel", "groupChat", ""])
async def test_where_others_read_along_no_click_changes_another_message(
    bot: Bot, kind: str
) -> None:
    place = {"conversation_id": "19:x", "conversation_type": kind}
    stored = reference(**place, user_id="")
    bot.service.card_ = a_card(reference=stored.encode().decode())
    told = await bot.says(reply_to_id="the-card-of-another-review", **place)
    assert "not a card that was posted here" in told
    await bot.clicks.close()
    assert bot.teams.updated == []


async def test_a_card_that_is_just_being_posted_is_not_replaced(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("countersign_bot.clicks.SETTLE_S", 0)
    bot.service.card_ = a_card(message_id="")
    assert "being put up" in await bot.says()
    await bot.clicks.close()
    assert (bot.teams.updated, bot.service.acted) == ([], [])


async def test_a_card_of_another_review_is_no_card_of_this_one(bot: Bot) -> None:
    bot.service.card_ = a_card(review_id="rev_2")
    assert "not a card that was posted here" in await bot.says()
    bot.service.card_ = NotFound("card.not_found", "no such card")
    assert "not a card that was posted here" in await bot.says()
    assert bot.service.acted == []


async def test_with_another_nonce_nothing_is_done_and_the_newest_is_shown(bot: Bot) -> None:
    bot.service.card_ = a_card(nonce="1" * 32, revision=2)
    bot.service.review_ = a_review(revision=2)
    told = await bot.says()
    assert told.startswith("(card)")
    assert "has changed" in told
    assert "1" * 32 in told
    assert bot.service.acted == []


@pytest.mark.parametrize("code", ["vote.stale_revision", "vote.preview_mismatch"])
async def test_what_the_service_calls_outdated_is_shown_anew(bot: Bot, code: str) -> None:
    bot.service.refuses = PreconditionFailed(code, "read it again")
    assert (await bot.says()).startswith("(card)")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (NotPermitted("vote.self_approval", "you are in the requester chain"), "yourself"),
        (PreconditionFailed("review.closed", "the review is denied"), "Too late"),
        (NotFound("review.not_found", "no such review"), "asks other people"),
        (Unavailable("unavailable", "no answer"), "not known whether"),
        (Unavailable("unavailable.late", "no answer in time"), "not known whether"),
        (Unavailable("audit.unavailable", "the sink is away"), "could not be recorded"),
        (NotPermitted("vote.brand_new", "a rule of tomorrow"), "a rule of tomorrow"),
    ],
)
async def test_a_refusal_is_a_sentence_under_the_card(
    bot: Bot, error: Exception, word: str
) -> None:
    bot.service.refuses = error
    assert word in await bot.says()


@pytest.mark.parametrize("code", ["unavailable", "unavailable.late"])
async def test_a_service_that_is_away_is_no_decision(bot: Bot, code: str) -> None:
    bot.service.card_ = Unavailable(code, "no answer")
    assert "cannot be reached, so nothing was decided" in await bot.says()
    bot.service.card_, bot.service.refuses = a_card(), Unavailable(code, "no answer")
    assert "cannot be reached" in await bot.says(Verb.REFRESH)


@pytest.mark.parametrize(
    "data",
    [{}, {"countersign": []}, {"countersign": "x"}, [], "x", {"verb": "approve"}, None],
)
async def test_what_no_button_sends_is_no_click(bot: Bot, data: Any) -> None:
    value = {"action": {"verb": "approve", "data": data}}
    assert "not a card that was posted here" in await bot.says(value=value)
    for odd in ({}, {"action": 3}, {"action": {"data": {}}}):
        assert "not a card that was posted here" in await bot.says(value=odd)
    assert bot.service.acted == []


async def test_an_old_client_gets_the_same_treatment(bot: Bot) -> None:
    handle = Handle.of(a_review(), card_id="crd_1", nonce=NONCE)
    data = handles.data(handle, Verb.APPROVE)
    assert await bot.clicks.submitted(click(type="message", value=data)) == ""
    assert len(bot.service.acted) == 1
    told = await bot.clicks.submitted(click(type="message", value=data, reply_to_id="m-2"))
    assert "not a card that was posted here" in told
    assert len(bot.service.acted) == 1


async def test_who_may_see_it_no_longer_is_told_so_when_the_card_looks_again(bot: Bot) -> None:
    bot.service.review_ = NotFound("review.not_found", "no such review")
    assert "no longer for you" in await bot.says(Verb.REFRESH)
