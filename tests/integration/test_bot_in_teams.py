"""The bot's wire in a whole Teams: what its people do comes in, what it writes is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import bot_world
from bot_world import Bot
from countersign_bot.connector import MessageGoneError, NotInstalledError, Reference
from countersign_bot.inbound import InvokeAnswer
from simulators.teams.cloud import Cloud
from simulators.teams.line import Outcome
from simulators.teams.teams import Teams

CHANNEL = "data-approvals"


def card(text: str) -> dict[str, Any]:
    action = {"type": "Action.Execute", "verb": "approve", "title": "Approve"}
    return {
        "type": "AdaptiveCard",
        "version": "1.5",
        "body": [{"type": "TextBlock", "text": text}],
        "actions": [
            action
            | {
                "data": {"review": "rev-1", "nonce": "n"},
                "fallback": {
                    "type": "Action.Submit",
                    "title": "Approve",
                    "data": {"verb": "approve", "review": "rev-1", "nonce": "n"},
                },
            }
        ],
    }


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture
async def bot(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bot]:
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    async with bot_world.bot(cloud, bot_world.settings(tmp_path, cloud)) as bot:
        yield bot


@pytest.fixture
async def teams(cloud: Cloud, bot: Bot) -> AsyncIterator[Teams]:
    with Teams(cloud, f"http://127.0.0.1:{bot.port}/api/messages") as teams:
        yield teams


async def installed(bot: Bot, teams: Teams, place: str) -> Reference:
    """Where the bot was just installed, by what Teams told it."""
    await asyncio.to_thread(teams.install, place)
    told = [inbound for inbound in bot.turns if inbound.type == "installationUpdate"]
    return Reference.of(told[-1])


async def test_installing_tells_where_to_write(bot: Bot, teams: Teams) -> None:
    reference = await installed(bot, teams, "alice")
    update, installation = bot.turns
    assert update.members_added[0].user_id == f"28:{bot.cloud.bot.app_id}"
    assert (installation.action, installation.conversation_type) == ("add", "personal")
    assert reference.user_id == teams.feed.people["alice"].mri
    channel = await installed(bot, teams, CHANNEL)
    assert (channel.conversation_type, channel.user_id) == ("channel", "")
    assert bot.turns[-1].team_id == teams.feed.place(CHANNEL).team_id
    for each in (reference, channel):
        stored = Reference.decode(
            each.encode(), hosts=bot.wire._settings.hosts(), tenants=[bot.cloud.tenant_id]
        )
        await bot.wire.connector.say(stored, "hello")
    assert teams.messages("alice")[0].text == teams.messages(CHANNEL)[0].text == "hello"


async def test_a_click_is_answered_and_its_card_changed_for_everybody(
    bot: Bot, teams: Teams
) -> None:
    reference = await installed(bot, teams, CHANNEL)
    posted = await bot.wire.connector.post(reference, card("Export?"), summary="Export?")
    (message,) = teams.cards(CHANNEL)
    assert message.id == posted
    bot.behaviour = lambda _: InvokeAnswer.card(card("Approved by Bob"))
    answer = await asyncio.to_thread(teams.press, "bob", message, "approve")
    assert answer.outcome is Outcome.CARD
    click = bot.turns[-1]
    assert click.subject == teams.feed.people["bob"].object_id
    assert (click.reply_to_id, click.conversation_id) == (posted, reference.conversation_id)
    assert click.value["action"]["data"] == {"review": "rev-1", "nonce": "n"}
    assert message.card["body"][0]["text"] == "Export?"  # for all others, until it is updated
    await bot.wire.connector.update(reference, posted, card("Approved"), summary="Approved")
    assert message.card["body"][0]["text"] == "Approved"


async def test_an_old_client_sends_a_message_with_the_same_data(bot: Bot, teams: Teams) -> None:
    reference = await installed(bot, teams, CHANNEL)
    posted = await bot.wire.connector.post(reference, card("Export?"), summary="Export?")
    (message,) = teams.cards(CHANNEL)
    assert await asyncio.to_thread(teams.submit, "carol", message, "approve") == 200
    sent = bot.turns[-1]
    assert (sent.type, sent.reply_to_id) == ("message", posted)
    assert sent.value["review"] == "rev-1"


async def test_what_is_said_to_the_bot_comes_without_its_name(bot: Bot, teams: Teams) -> None:
    await installed(bot, teams, CHANNEL)
    await asyncio.to_thread(teams.say, "dave", "pending", CHANNEL)
    assert bot.turns[-1].text == "pending"


async def test_an_application_is_told_apart_and_people_are_known_by_the_roster(
    bot: Bot, teams: Teams
) -> None:
    reference = await installed(bot, teams, CHANNEL)
    await bot.wire.connector.post(reference, card("Export?"), summary="Export?")
    (message,) = teams.cards(CHANNEL)
    await asyncio.to_thread(teams.press, "robot", message, "approve")
    assert bot.turns[-1].from_app
    human = {}
    for user in ("bob", "alice-guest", "eve"):
        person = teams.feed.people[user]
        member = await bot.wire.connector.member(reference, person.mri)
        human[user] = member.is_human_of(bot.cloud.tenant_id, person.object_id)
    assert human == {"bob": True, "alice-guest": False, "eve": False}


async def test_a_failing_turn_is_an_error_that_teams_shows_and_does_not_repeat(
    bot: Bot, teams: Teams
) -> None:
    reference = await installed(bot, teams, CHANNEL)
    await bot.wire.connector.post(reference, card("Export?"), summary="Export?")
    (message,) = teams.cards(CHANNEL)
    bot.behaviour = lambda _: 1 / 0
    answer = await asyncio.to_thread(teams.press, "bob", message, "approve")
    assert (answer.outcome, answer.value["code"]) == (Outcome.ERROR, "turn.failed")
    bot.behaviour = lambda _: None
    answer = await asyncio.to_thread(teams.press, "bob", message, "approve")
    assert answer.outcome is Outcome.ERROR


async def test_what_became_of_the_place_is_told(bot: Bot, teams: Teams) -> None:
    reference = await installed(bot, teams, CHANNEL)
    connector = bot.wire.connector
    posted = await connector.post(reference, card("Export?"), summary="Export?")

    async def somebody_deletes_it() -> None:
        teams.feed.delete(teams.feed.place(CHANNEL).messages[posted])

    await asyncio.to_thread(teams.cloud.loop.run, somebody_deletes_it())
    with pytest.raises(MessageGoneError):
        await connector.update(reference, posted, card("x"), summary="x")
    await asyncio.to_thread(teams.uninstall, CHANNEL)
    with pytest.raises(NotInstalledError):
        await connector.post(reference, card("x"), summary="x")
    dave = teams.feed.people["dave"].mri
    told = {"service_url": reference.service_url, "tenant": reference.tenant, "user_id": dave}
    with pytest.raises(NotInstalledError):
        await connector.create_personal(**told)
    await asyncio.to_thread(teams.install, "dave")
    chat = await connector.create_personal(**told)
    assert chat.conversation_id == teams.feed.place("dave").id


async def test_a_bot_at_its_pace_is_never_throttled(bot: Bot, teams: Teams) -> None:
    reference = await installed(bot, teams, CHANNEL)
    teams.connector.throttles = True
    for number in range(8):
        await bot.wire.connector.say(reference, f"{number}")
    assert {call.status for call in teams.connector.calls} == {201}
    assert [message.text for message in teams.messages(CHANNEL)] == [*map(str, range(8))]


async def test_passing_trouble_of_teams_is_overcome(bot: Bot, teams: Teams) -> None:
    reference = await installed(bot, teams, CHANNEL)
    teams.connector.fault(status=429, retry_after_s=1, times=1, path="/activities")
    teams.connector.fault(status=502, times=1, path="/activities")
    await bot.wire.connector.post(reference, card("Export?"), summary="Export?")
    assert [call.status for call in teams.connector.calls] == [429, 502, 201]
    assert len(teams.cards(CHANNEL)) == 1
