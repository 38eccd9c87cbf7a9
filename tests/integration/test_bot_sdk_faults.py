"""The faults of the Bot Framework SDK 4.17.1 that were seen, each shown not to be ours.

Numbers are those under "What the SDK does not do" in docs/explanation/teams-wire.md. The bot
runs with the settings of production in a fake cloud.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import bot_world
from bot_world import OTHER_TENANT, Bot, click
from countersign.errors import ConfigurationError
from countersign_bot.connector import Reference, RefusedError
from countersign_bot.connector.sender import SEND_WITHIN_S
from countersign_bot.inbound import InvokeAnswer
from simulators.teams.cloud import SERVICE_URL, Cloud
from simulators.teams.entra import EMULATOR_TENANTS
from simulators.teams.signing import new_key

HOST = "smba.trafficmanager.net"
CARD: dict[str, Any] = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [{"type": "TextBlock", "text": "Freigegeben ✅"}],
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def in_the_cloud(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    yield
    cloud.peace()


@pytest.fixture
async def bot(cloud: Cloud, tmp_path: Path) -> AsyncIterator[Bot]:
    async with bot_world.bot(cloud, bot_world.settings(tmp_path, cloud)) as bot:
        yield bot


def place(cloud: Cloud, service_url: str = SERVICE_URL) -> Reference:
    return Reference(
        service_url=service_url,
        conversation_id="a:1",
        conversation_type="personal",
        tenant=cloud.tenant_id,
        bot_id=f"28:{cloud.bot.app_id}",
    )


async def test_1_an_action_is_answered_with_its_body_once_and_not_with_500(bot: Bot) -> None:
    bot.behaviour = lambda _: InvokeAnswer.card(CARD)
    answer = await bot.post(click(bot.cloud))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {
        "statusCode": 200,
        "type": "application/vnd.microsoft.card.adaptive",
        "value": CARD,
    }


async def test_2_what_was_clicked_is_the_plain_data_it_is(bot: Bot) -> None:
    data = {"review": "rev-1", "nested": {"list": [1, None, True]}}
    await bot.post(click(bot.cloud, value={"action": {"verb": "deny", "data": data}}))
    assert bot.turns[0].value == {"action": {"verb": "deny", "data": data}}


async def test_3_an_answer_may_be_a_sentence(bot: Bot) -> None:
    bot.behaviour = lambda _: InvokeAnswer.message("You asked for this yourself.")
    answer = await bot.post(click(bot.cloud))
    assert (answer.status, answer.json["value"]) == (200, "You asked for this yourself.")


async def test_4_the_tenant_of_the_conversation_is_read_and_foreign_ones_are_refused(
    bot: Bot,
) -> None:
    foreign = {"conversation__tenantId": OTHER_TENANT}
    for changed in (foreign, foreign | {"channelData__tenant__id": OTHER_TENANT}):
        assert (await bot.post(click(bot.cloud, **changed))).status == 403
    assert bot.turns == []
    await bot.post(click(bot.cloud))
    assert bot.turns[0].tenant == bot.cloud.tenant_id


async def test_5_every_bad_token_is_401_and_not_500(bot: Bot) -> None:
    good = bot.token()
    bad = {
        "expired": bot.token(lifetime_s=-900),
        "forged": good.rpartition(".")[0] + "." + "A" * 342,
        "garbage": "garbage",
        "unknown kid": bot.token(key=new_key()),
        "not endorsed": bot.token(key=bot.cloud.framework.keys.add(new_key(["webchat"]))),
    }
    for token in bad.values():
        assert (await bot.post(click(bot.cloud), f"Bearer {token}")).status == 401
    assert bot.turns == []
    bot.cloud.framework.keys.rotate()


async def test_6_a_rotated_key_works_at_once(bot: Bot) -> None:
    assert (await bot.post(click(bot.cloud))).status == 200
    bot.cloud.framework.keys.rotate()
    assert (await bot.post(click(bot.cloud))).status == 200


async def test_7_reading_keys_blocks_nothing(cloud: Cloud, tmp_path: Path) -> None:
    """While the metadata hangs, the loop turns and known keys are taken."""
    async with bot_world.bot(cloud, bot_world.settings(tmp_path, cloud)) as bot:
        with cloud.holding("login.botframework.com"):
            hanging = asyncio.create_task(
                bot.post(click(cloud), f"Bearer {bot.token(key=new_key())}")
            )
            for _ in range(10):
                assert (await bot.post(click(cloud))).status == 200
            assert not hanging.done()
        assert (await hanging).status == 401


async def test_8_without_an_end_or_a_service_url_nothing_is_taken(bot: Bot) -> None:
    endless = bot.token(exp=None)
    assert (await bot.post(click(bot.cloud), f"Bearer {endless}")).status == 401
    assert (await bot.post(click(bot.cloud, serviceUrl=...))).status == 400
    elsewhere = bot.token(service_url="https://smba.trafficmanager.net/amer/")
    assert (await bot.post(click(bot.cloud), f"Bearer {elsewhere}")).status == 401
    assert bot.turns == []
    assert (await bot.post(click(bot.cloud))).status == 200


@pytest.mark.parametrize("tenant", EMULATOR_TENANTS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
async def test_9_the_emulators_door_is_shut(bot: Bot, tenant: str, version: str) -> None:
    """Nor does it open when Entra's key is among the Bot Framework's."""
    entra = bot.cloud.entra
    told = {"app_id": bot.cloud.bot.app_id, "tenant_id": tenant, "version": version}
    token = entra.token(audience=bot.cloud.bot.app_id, serviceurl="https://evil.example/", **told)
    body = click(bot.cloud, serviceUrl="https://evil.example/")
    assert (await bot.post(body, f"Bearer {token}")).code == "token.key_unknown"
    shared = bot.cloud.framework.keys.current
    token = entra.token(audience=bot.cloud.bot.app_id, key=shared, serviceurl=SERVICE_URL, **told)
    assert (await bot.post(click(bot.cloud), f"Bearer {token}")).code == "token.issuer"
    assert bot.turns == []


def test_10_without_an_app_id_it_does_not_start(cloud: Cloud, tmp_path: Path) -> None:
    for changed in ({}, {"development": "true", "listen.address": '"0.0.0.0:0"'}):
        with pytest.raises(ConfigurationError):
            bot_world.settings(
                tmp_path, cloud, **{"app.id": "", "listen.behind_proxy": "true"}, **changed
            )


async def test_11_the_bots_token_goes_to_the_connector_alone(bot: Bot) -> None:
    came: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        came.append(request.headers.get("Authorization", ""))
        return web.json_response({"id": "m-1"})

    for host in bot.cloud.realm.connector_hosts:
        bot.cloud.serve(host, answer)
    other = "https://smba.infra.gcc.teams.microsoft.com/teams"  # there, but not of our cloud
    stored = json.dumps(json.loads(place(bot.cloud).encode()) | {"service_url": other}).encode()
    with pytest.raises(RefusedError):
        await bot.wire.connector.say(place(bot.cloud, other), "hi")
    with pytest.raises(RefusedError):
        Reference.decode(
            stored, hosts=bot.wire._settings.hosts(), tenants=bot.wire._settings.tenants
        )
    assert came == []
    await bot.wire.connector.say(place(bot.cloud), "hi")
    assert [text.partition(" ")[0] for text in came] == ["Bearer"]


@pytest.mark.parametrize("status", [412, 429, 500, 502, 503, 504])
async def test_12_what_passes_is_tried_again_and_no_request_takes_long(
    bot: Bot, status: int
) -> None:
    answers = [status, 200]

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"id": "m-1"}, status=answers.pop(0))

    bot.cloud.serve(HOST, answer)
    assert await bot.wire.connector.say(place(bot.cloud), "hi") == "m-1"
    assert answers == []
    assert SEND_WITHIN_S == 10
