"""What the courier says came of a card, for everything that Teams may answer.

The service and Teams are stood in for by objects of the same form; what the real
ones do is shown in `tests/e2e/test_teams_e2e.py`.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from test_bot_clicks import APP, CAROL, TENANT, a_card, a_review, reference

from countersign.client import Unavailable
from countersign.v1 import admin_pb2, deliveries_pb2
from countersign_bot import courier as couriers
from countersign_bot.clicks import Clicks
from countersign_bot.connector.errors import (
    ConnectorError,
    MessageGoneError,
    NotInstalledError,
    NotMemberError,
    PassingError,
    RefusedError,
    TooLargeError,
)
from countersign_bot.connector.protocol import Member
from countersign_bot.courier import Courier
from countersign_bot.roster import Roster
from countersign_bot.settings import load


class Service:
    """Gives what the test put there, once, and keeps what is acknowledged."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[Any] = asyncio.Queue()
        self.said: asyncio.Queue[deliveries_pb2.AckRequest] = asyncio.Queue()

    async def lease(self, max_cards: int) -> deliveries_pb2.LeaseResponse:
        given = await self.given.get()
        if isinstance(given, Exception):
            raise given
        return deliveries_pb2.LeaseResponse(deliveries=[given])

    async def acknowledge(self, request: deliveries_pb2.AckRequest) -> bool:
        await self.said.put(request)
        return True


class Teams:
    """Does what it is told, or raises what the test wants."""

    def __init__(self) -> None:
        self.raises: Exception | None = None
        self.role = "user"
        self.fails: dict[str, Exception] = {}
        self.did: list[tuple[str, Any]] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def _do(self, what: str, told: Any) -> str:
        await self.hold.wait()
        if self.raises is not None:
            raise self.raises
        if what in self.fails:
            raise self.fails[what]
        self.did.append((what, told))
        return "m-new"

    async def post(self, reference: Any, card: Any, **told: Any) -> str:
        return await self._do("post", card)

    async def update(self, reference: Any, message_id: str, card: Any, **told: Any) -> None:
        await self._do("update", (message_id, card))

    async def say(self, reference: Any, text: str) -> str:
        return await self._do("say", text)

    async def member(self, reference: Any, user_id: str) -> Member:
        if user_id != CAROL:
            raise NotMemberError("teams.404", "not here")
        return Member(user_id="29:carol", subject=CAROL, tenant=TENANT, role=self.role)


class Bot:
    """A courier between both."""

    def __init__(self, directory: Path) -> None:
        self.service, self.teams = Service(), Teams()
        file = directory / "bot.toml"
        file.write_text(
            f'tenants = ["{TENANT}"]\n[app]\nid = "{APP}"\ntenant = "{TENANT}"\nsecret = "s"\n'
        )
        settings = load(file)
        service: Any = self.service
        teams: Any = self.teams
        roster = Roster(teams)
        look = Clicks(service, teams, roster, settings).look
        self.courier = Courier(service, teams, roster, settings, look)

    async def delivers(self, delivery: deliveries_pb2.Delivery) -> deliveries_pb2.AckRequest:
        await self.service.given.put(delivery)
        return await asyncio.wait_for(self.service.said.get(), 10)


def a_delivery(**changed: Any) -> deliveries_pb2.Delivery:
    card = changed.pop("card", None) or a_card(message_id="")
    told: dict[str, Any] = {"card": card, "lease_id": "lse_1", "review": a_review()}
    return deliveries_pb2.Delivery(**(told | changed))


@pytest.fixture
async def bot(tmp_path: Path) -> Any:
    made = Bot(tmp_path)
    running = asyncio.create_task(made.courier.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_new_card_is_posted_and_a_known_one_updated(bot: Bot) -> None:
    assert (await bot.delivers(a_delivery())).shown_message_id == "m-new"
    assert (await bot.delivers(a_delivery(card=a_card()))).shown_message_id == "m-1"
    assert [what for what, _ in bot.teams.did] == ["post", "update"]


async def test_a_reminder_is_said_and_the_card_brought_up_to_date(bot: Bot) -> None:
    said = await bot.delivers(a_delivery(card=a_card(), remind=True))
    assert said.shown_message_id == "m-1"
    assert [what for what, _ in bot.teams.did] == ["update", "say"]


async def test_nobody_is_reminded_as_long_as_the_card_cannot_be_updated(bot: Bot) -> None:
    bot.teams.fails = {"update": PassingError("teams.503", "down")}
    for _ in range(3):
        said = await bot.delivers(a_delivery(card=a_card(), remind=True))
        assert said.WhichOneof("result") == "retry_after"
    assert bot.teams.did == []


async def test_who_may_see_it_no_longer_gets_a_card_that_says_so(bot: Bot) -> None:
    delivery = a_delivery(card=a_card())
    delivery.ClearField("review")
    await bot.delivers(delivery)
    ((_, (_, card)),) = bot.teams.did
    assert "no longer for you" in str(card)


async def test_in_a_conversation_those_with_a_view_of_their_own_are_named(bot: Bot) -> None:
    place = reference(conversation_id="19:x", conversation_type="channel", user_id="")
    accounts = [
        admin_pb2.Account(issuer=f"teams:{TENANT}", subject=CAROL),
        admin_pb2.Account(issuer=f"teams:{TENANT}", subject="somebody-who-left"),
        admin_pb2.Account(issuer="teams:another", subject=CAROL),
    ]
    card = a_card(
        message_id="",
        audience=deliveries_pb2.AUDIENCE_CONVERSATION,
        reference=place.encode().decode(),
        viewers=accounts,
    )
    await bot.delivers(a_delivery(card=card))
    ((_, shown),) = bot.teams.did
    assert shown["refresh"]["userIds"] == ["29:carol"]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (NotInstalledError("teams.403", "gone"), "not_installed"),
        (MessageGoneError("teams.404", "deleted"), "message_gone"),
        (PassingError("teams.429", "slow down", retry_after_s=7.2), "retry_after"),
        (PassingError("teams.503", "down"), "retry_after"),
        (RefusedError("teams.400", "no"), "refused"),
        (TooLargeError("teams.413", "too large"), "refused"),
        (ConnectorError("teams.odd", "odd"), "refused"),
        (RuntimeError("a mistake of ours"), "refused"),
    ],
)
async def test_what_teams_answers_is_told_as_what_it_means(
    bot: Bot, error: Exception, result: str
) -> None:
    bot.teams.raises = error
    said = await bot.delivers(a_delivery(card=a_card()))
    assert said.WhichOneof("result") == result
    assert said.detail == getattr(error, "code", "card")
    if result == "retry_after":
        assert said.retry_after.seconds == (8 if said.detail == "teams.429" else 0)


async def test_where_nobody_installed_the_bot_nothing_is_sent(bot: Bot) -> None:
    said = await bot.delivers(a_delivery(card=a_card(reference="")))
    assert (said.WhichOneof("result"), bot.teams.did) == ("not_installed", [])


async def test_a_stored_place_that_is_not_served_is_not_written_to(bot: Bot) -> None:
    evil = reference(service_url="https://evil.example/").encode().decode()
    said = await bot.delivers(a_delivery(card=a_card(reference=evil)))
    assert (said.WhichOneof("result"), bot.teams.did) == ("refused", [])


@pytest.mark.parametrize(
    "changed",
    [
        {"reference": reference(user_id="29:mallory").encode().decode()},
        {"reference": reference(conversation_type="groupChat").encode().decode()},
        {"address": {"account": {"issuer": "teams:another", "subject": CAROL}}},
    ],
)
async def test_what_is_for_one_person_goes_to_no_other_chat(
    bot: Bot, changed: dict[str, Any]
) -> None:
    said = await bot.delivers(a_delivery(card=a_card(message_id="", **changed)))
    assert (said.WhichOneof("result"), bot.teams.did) == ("refused", [])


async def test_who_is_not_in_the_chat_any_more_is_not_reached(bot: Bot) -> None:
    left = deliveries_pb2.Address()
    left.account.issuer, left.account.subject = f"teams:{TENANT}", "somebody-who-left"
    said = await bot.delivers(a_delivery(card=a_card(address=left)))
    assert (said.WhichOneof("result"), bot.teams.did) == ("not_installed", [])


@pytest.mark.parametrize("role", ["guest", "anonymous", ""])
async def test_a_guests_chat_gets_no_card(bot: Bot, role: str) -> None:
    bot.teams.role = role
    said = await bot.delivers(a_delivery())
    assert (said.WhichOneof("result"), bot.teams.did) == ("refused", [])


async def test_a_card_that_is_not_as_ours_have_to_be_is_not_sent(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("countersign_bot.showing.problems", lambda *_, **__: ["something is odd"])
    said = await bot.delivers(a_delivery())
    assert (said.WhichOneof("result"), said.detail) == ("refused", "card.unfit")
    assert bot.teams.did == []


async def test_one_card_that_hangs_does_not_hold_the_others_and_is_tried_again(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers, "DELIVER_WITHIN_S", 0.05)
    bot.teams.hold.clear()
    said = await bot.delivers(a_delivery())
    assert (said.WhichOneof("result"), said.detail) == ("retry_after", "timeout")
    bot.teams.hold.set()
    assert (await bot.delivers(a_delivery())).shown_message_id == "m-new"


async def test_a_service_that_is_away_is_asked_again(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(couriers, "AWAY_S", 0)
    for _ in range(3):
        await bot.service.given.put(Unavailable("unavailable", "away", advice="Start it."))
    assert (await bot.delivers(a_delivery())).shown_message_id == "m-new"
    told = [line.getMessage() for line in caplog.records if "leased" in line.getMessage()]
    assert told == [
        "no cards can be leased; it is tried again: away [unavailable] Start it.",
        "cards can be leased again",
    ]


async def test_after_a_mistake_of_ours_the_bot_goes_on_delivering(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers, "AWAY_S", 0)
    await bot.service.given.put(RuntimeError("a mistake of ours"))
    assert (await bot.delivers(a_delivery())).shown_message_id == "m-new"
