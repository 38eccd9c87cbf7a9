"""Who gets in, through the real route, with real keys from a real HTTPS server.

The bot runs with the settings of production in a fake cloud. Every bad request is
answered by its status and its code, and none of them is acted on, while a good one
right after it is.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

import bot_world
from bot_world import BOB, CARD_ID, CHANNEL_ID, OTHER_TENANT, Bot, click
from certificates import Authority
from countersign.errors import ConfigurationError
from countersign_bot.inbound import Inbound, InvokeAnswer
from countersign_bot.inbound.route import Route, Wording
from countersign_bot.wire import Wire
from simulators.teams.cloud import SERVICE_URL, Cloud, Trouble
from simulators.teams.entra import EMULATOR_TENANTS
from simulators.teams.framework import KEYS_PATH
from simulators.teams.signing import new_key, signed

FOREIGN = "https://smba.trafficmanager.net.evil.example/emea/"
KEYS = f"login.botframework.com{KEYS_PATH}"


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


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forged(token: str, header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """The claims of a good token under another header and signature."""
    text = f"{b64(json.dumps(header).encode())}.{token.split('.')[1]}"
    return f"{text}.{b64(sign(text.encode()))}"


def unsigned(bot: Bot) -> str:
    header = {"alg": "none", "typ": "JWT", "kid": bot.cloud.framework.keys.current.kid}
    return forged(bot.token(), header, lambda _: b"")


def signed_with_the_public_key(bot: Bot) -> str:
    key = bot.cloud.framework.keys.current
    header = {"alg": "HS256", "typ": "JWT", "kid": key.kid}
    return forged(
        bot.token(), header, lambda text: hmac.digest(key.public_pem, text, hashlib.sha256)
    )


def of_another_algorithm(bot: Bot) -> str:
    key = bot.cloud.framework.keys.current
    claims = jwt.decode(bot.token(), options={"verify_signature": False})
    return signed(claims, key, algorithm="RS512")


def of_entra(bot: Bot, tenant: str, version: str, **claims: Any) -> str:
    """An access token for our app id, signed by Entra, as any app of that tenant may get."""
    return bot.cloud.entra.token(
        app_id=claims.pop("app_id", OTHER_TENANT),
        tenant_id=tenant,
        audience=bot.cloud.bot.app_id,
        version=version,
        serviceurl=SERVICE_URL,
        **claims,
    )


def endorsed(bot: Bot, *channels: str) -> str:
    """A good token by a published key that may sign for these channels only."""
    key = new_key(channels)
    ring = bot.cloud.framework.keys
    usual = ring.current
    ring.add(key)
    ring.remove(usual)
    ring.add(usual)  # the usual one signs again
    return bot.token(key=key)


def bearer(make: Callable[[Bot], str]) -> Callable[[Bot], tuple[str, ...]]:
    return lambda bot: (f"Bearer {make(bot)}",)


def claim(**changed: Any) -> Callable[[Bot], tuple[str, ...]]:
    return bearer(lambda bot: bot.token(**changed))


NOW = int(time.time())
TOKENS: dict[str, tuple[Callable[[Bot], tuple[str, ...]], str]] = {
    "no token": (lambda _: (), "token.missing"),
    "two tokens": (lambda bot: (f"Bearer {bot.token()}",) * 2, "token.malformed"),
    "lower-case scheme": (lambda bot: (f"bearer {bot.token()}",), "token.malformed"),
    "another scheme": (lambda _: ("Basic Ym90OnNlY3JldA==",), "token.malformed"),
    "empty": (lambda _: ("Bearer ",), "token.malformed"),
    "garbage": (lambda _: ("Bearer abc.def",), "token.malformed"),
    "truncated": (bearer(lambda bot: bot.token()[:-21]), "token.malformed"),  # never whole base64
    "without its signature": (
        bearer(lambda bot: bot.token().rpartition(".")[0] + "."),
        "token.signature",
    ),
    "oversized": (bearer(lambda bot: bot.token(extra="x" * 5_000)), "token.malformed"),
    "alg none": (bearer(unsigned), "token.algorithm"),
    "HS256 with the public key": (bearer(signed_with_the_public_key), "token.algorithm"),
    "RS512": (bearer(of_another_algorithm), "token.algorithm"),
    "a critical header": (
        bearer(lambda bot: bot.token(headers={"crit": ["exp"]})),
        "token.malformed",
    ),
    "no kid": (bearer(lambda bot: bot.token(headers={"kid": None})), "token.malformed"),
    "unknown kid": (claim(key=new_key()), "token.key_unknown"),
    "another key under a known kid": (
        bearer(
            lambda bot: bot.token(
                key=new_key(), headers={"kid": bot.cloud.framework.keys.current.kid}
            )
        ),
        "token.signature",
    ),
    "expired": (claim(exp=NOW - 301), "token.expired"),
    "not valid yet": (claim(nbf=NOW + 900), "token.early"),
    "no exp": (claim(exp=None), "token.claim"),
    "no nbf": (claim(nbf=None), "token.claim"),
    "exp that is no number": (claim(exp=str(NOW + 600)), "token.claim"),
    "exp that is after nothing": (claim(exp=float("nan")), "token.claim"),
    "exp that never comes": (claim(exp=float("inf")), "token.claim"),
    "audience of another bot": (claim(audience=OTHER_TENANT), "token.audience"),
    "audience list that has us": (
        bearer(lambda bot: bot.token(aud=[bot.cloud.bot.app_id, "other"])),
        "token.audience",
    ),
    "no audience": (claim(aud=None), "token.audience"),
    "no issuer": (claim(iss=None), "token.issuer"),
    "issuer of another cloud": (claim(iss="https://api.botframework.us"), "token.issuer"),
    "issuer with a slash more": (claim(iss="https://api.botframework.com/"), "token.issuer"),
    "issuer of Entra under a key of ours": (
        claim(iss=f"https://sts.windows.net/{EMULATOR_TENANTS[0]}/"),
        "token.issuer",
    ),
    "another tenant's app": (
        bearer(lambda bot: of_entra(bot, OTHER_TENANT, "2.0")),
        "token.key_unknown",
    ),
    "an app of our tenant, v1": (
        bearer(lambda bot: of_entra(bot, bot.cloud.tenant_id, "1.0")),
        "token.key_unknown",
    ),
    "an app of our tenant, v2": (
        bearer(lambda bot: of_entra(bot, bot.cloud.tenant_id, "2.0")),
        "token.key_unknown",
    ),
    "the Emulator's first tenant": (
        bearer(lambda bot: of_entra(bot, EMULATOR_TENANTS[0], "1.0", app_id=bot.cloud.bot.app_id)),
        "token.key_unknown",
    ),
    "the Emulator's second tenant": (
        bearer(lambda bot: of_entra(bot, EMULATOR_TENANTS[1], "2.0", app_id=bot.cloud.bot.app_id)),
        "token.key_unknown",
    ),
    "no serviceurl": (claim(service_url=None), "token.claim"),
    "another serviceurl than the body's": (
        claim(service_url="https://smba.trafficmanager.net/amer/"),
        "token.service_url",
    ),
    "a key for another channel": (bearer(lambda bot: endorsed(bot, "slack")), "token.channel"),
    "a key for no channel": (bearer(endorsed), "token.channel"),
}


@pytest.mark.parametrize("row", TOKENS)
async def test_a_request_with_a_bad_token_is_refused_and_runs_nothing(bot: Bot, row: str) -> None:
    make, code = TOKENS[row]
    answer = await bot.post(click(bot.cloud), make(bot))
    assert (answer.status, answer.code) == (401, code)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert bot.turns == []
    assert (await bot.post(click(bot.cloud))).status == 200
    assert len(bot.turns) == 1
    assert bot.wire.counts == {code: 1, "turn": 1}


BODIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "no serviceUrl": ({"serviceUrl": ...}, 400, "body.malformed"),
    "foreign host": ({"serviceUrl": FOREIGN}, 403, "host.foreign"),
    "host behind a user": (
        {"serviceUrl": "https://smba.trafficmanager.net@evil.example/"}, 403, "host.foreign",
    ),
    "plain HTTP": ({"serviceUrl": SERVICE_URL.replace("https", "http")}, 403, "host.foreign"),
    "another port": (
        {"serviceUrl": "https://smba.trafficmanager.net:8443/"}, 403, "host.foreign",
    ),
    "this machine": ({"serviceUrl": "http://127.0.0.1:9/"}, 403, "host.foreign"),
    "another cloud's host": (
        {"serviceUrl": "https://smba.infra.gcc.teams.microsoft.com/teams"}, 403, "host.foreign",
    ),
    "the tenants differ, one way": (
        {"conversation__tenantId": OTHER_TENANT}, 403, "tenant.conflict",
    ),
    "the tenants differ, the other way": (
        {"channelData__tenant__id": OTHER_TENANT}, 403, "tenant.conflict",
    ),
    "foreign tenant in both": (
        {"conversation__tenantId": OTHER_TENANT, "channelData__tenant__id": OTHER_TENANT},
        403, "tenant.foreign",
    ),
    "no tenant in the conversation": ({"conversation__tenantId": ...}, 400, "body.malformed"),
    "no tenant in the channel's data": ({"channelData__tenant": ...}, 400, "body.malformed"),
    "no channel data": ({"channelData": ...}, 400, "body.malformed"),
    "another bot's": ({"recipient__id": f"28:{OTHER_TENANT}"}, 403, "recipient.foreign"),
    "a person's": ({"recipient__id": "29:1alice"}, 403, "recipient.foreign"),
    "no object id": ({"from__aadObjectId": ...}, 400, "body.malformed"),
    "an object id in braces": ({"from__aadObjectId": "{" + BOB + "}"}, 400, "body.malformed"),
    "an object id that is none": ({"from__aadObjectId": "bob@example.com"}, 400, "body.malformed"),
    "nobody": ({"from": ...}, 400, "body.malformed"),
    "another channel": ({"channelId": "webchat"}, 401, "token.channel"),
    "no conversation": ({"conversation__id": ""}, 400, "body.malformed"),
    "an id of a megabyte's tenth": ({"replyToId": "1" * 100_000}, 400, "body.malformed"),
    "a number for a name": ({"name": 7}, 400, "body.malformed"),
}  # fmt: skip


@pytest.mark.parametrize("row", BODIES)
async def test_a_body_that_says_wrong_things_is_refused_and_runs_nothing(
    bot: Bot, row: str
) -> None:
    changed, status, code = BODIES[row]
    body = click(bot.cloud, **changed)
    token = bot.token(service_url=body.get("serviceUrl", SERVICE_URL))
    answer = await bot.post(body, f"Bearer {token}")
    assert (answer.status, answer.code) == (status, code)
    assert bot.turns == []
    assert (await bot.post(click(bot.cloud))).status == 200
    assert len(bot.turns) == 1


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


RAW: dict[str, tuple[Callable[[bytes], bytes], dict[str, str], int, str]] = {
    "no JSON": (lambda _: b"<html>", {}, 400, "body.malformed"),
    "nothing": (lambda _: b"", {}, 400, "body.malformed"),
    "a list": (lambda good: b"[" + good + b"]", {}, 400, "body.malformed"),
    "one key twice": (
        lambda good: b'{"type":"invoke",' + good[1:], {}, 400, "body.malformed",
    ),
    "the tenant twice": (
        lambda good: good.replace(
            b'"tenantId": ', b'"tenantId": "' + OTHER_TENANT.encode() + b'", "tenantId": '
        ),
        {}, 400, "body.malformed",
    ),
    "too deep": (lambda _: deep(2_000), {}, 400, "body.malformed"),
    "half a character": (lambda good: good[:-1] + b"\xff}", {}, 400, "body.malformed"),
    "too large": (
        lambda good: good[:-1] + b', "x": "' + b"x" * 262_144 + b'"}', {}, 413, "body.too_large",
    ),
    "text": (lambda good: good, {"content_type": "text/plain"}, 415, "body.type"),
    "another character set": (
        lambda good: good, {"content_type": "application/json; charset=utf-16"}, 415, "body.type",
    ),
    "compressed": (gzip.compress, {"Content_Encoding": "gzip"}, 415, "body.type"),
}  # fmt: skip


@pytest.mark.parametrize("row", RAW)
async def test_bytes_that_are_no_activity_are_refused_and_run_nothing(bot: Bot, row: str) -> None:
    make, headers, status, code = RAW[row]
    answer = await bot.post(make(json.dumps(click(bot.cloud)).encode()), **headers)
    assert (answer.status, answer.code) == (status, code)
    assert bot.turns == []
    assert (await bot.post(click(bot.cloud))).status == 200
    assert len(bot.turns) == 1


async def test_a_click_comes_in_as_values_of_ours(bot: Bot) -> None:
    answer = await bot.post(click(bot.cloud))
    assert answer.json == {
        "statusCode": 200,
        "type": "application/vnd.microsoft.activity.message",
        "value": "taken",
    }
    (inbound,) = bot.turns
    assert inbound.issuer == f"teams:{bot.cloud.tenant_id}"
    assert inbound.subject == BOB
    assert (inbound.conversation_id, inbound.thread_root) == (CHANNEL_ID, CARD_ID)
    assert inbound.reply_to_id == CARD_ID
    assert inbound.value["action"]["data"] == {"review": "rev-1", "nonce": "n"}
    assert (inbound.locale, inbound.user_name) == ("de-DE", "Bob")


async def test_clocks_may_differ_by_five_minutes(bot: Bot) -> None:
    late = bot.token(exp=int(time.time()) - 240, nbf=int(time.time()) - 4000)
    early = bot.token(nbf=int(time.time()) + 240)
    for token in (late, early):
        assert (await bot.post(click(bot.cloud), f"Bearer {token}")).status == 200


async def test_a_refusal_tells_and_logs_nothing_of_the_token(
    bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    token = bot.token(exp=NOW - 900, canary="canary-in-a-claim")
    with caplog.at_level(logging.DEBUG):
        answer = await bot.post(click(bot.cloud), f"Bearer {token}")
    told = answer.body.decode() + caplog.text
    assert "token.expired" in caplog.text
    assert not any(part in told for part in (*token.split("."), "canary-in-a-claim"))


async def test_the_sender_is_judged_before_the_body_is_read(bot: Bot) -> None:
    """A stranger's body may never end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", bot.port)
    head = "POST /api/messages HTTP/1.1\r\nHost: bot\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 200000\r\n\r\n{{".encode())
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.close()
    await writer.wait_closed()


# --- keys ---------------------------------------------------------------------------


async def test_a_rotated_key_works_at_once_and_the_old_one_no_longer(bot: Bot) -> None:
    old = bot.cloud.framework.keys.rotate()
    fetched = bot.cloud.hits[KEYS]
    assert (await bot.post(click(bot.cloud))).status == 200
    answer = await bot.post(click(bot.cloud), f"Bearer {bot.token(key=old)}")
    assert (answer.status, answer.code) == (401, "token.key_unknown")
    assert len(bot.turns) == 1
    assert bot.cloud.hits[KEYS] == fetched + 1


async def test_made_up_key_ids_cause_one_request_for_keys(bot: Bot) -> None:
    fetched = bot.cloud.hits[KEYS]
    stranger = new_key()
    tokens = [bot.token(key=stranger, headers={"kid": f"made-up-{n}"}) for n in range(20)]
    together, one_by_one = tokens[:10], tokens[10:]
    answers = await asyncio.gather(
        *(bot.post(click(bot.cloud), f"Bearer {token}") for token in together)
    )
    for token in one_by_one:
        answers.append(await bot.post(click(bot.cloud), f"Bearer {token}"))
    assert {answer.code for answer in answers} == {"token.key_unknown"}
    assert bot.cloud.hits[KEYS] == fetched + 1


async def test_slow_keys_hold_up_nobody_whose_key_is_known(bot: Bot) -> None:
    with bot.cloud.holding("login.botframework.com"):
        stranger = asyncio.create_task(
            bot.post(click(bot.cloud), f"Bearer {bot.token(key=new_key())}")
        )
        for _ in range(20):
            assert (await bot.post(click(bot.cloud))).status == 200
        assert not stranger.done()
    answer = await stranger
    assert answer.code == "token.key_unknown"


async def test_keys_that_cannot_be_read_again_stay_good(bot: Bot) -> None:
    bot.cloud.trouble("login.botframework.com", Trouble(drop=True))
    answer = await bot.post(click(bot.cloud), f"Bearer {bot.token(key=new_key())}")
    assert answer.code == "token.key_unknown"
    assert (await bot.post(click(bot.cloud))).status == 200
    assert await bot.get("/readyz") == 200


@pytest.mark.parametrize(
    "trouble",
    [Trouble(drop=True), Trouble(status=500), Trouble(status=200, body=b"{" + b" " * 600_000)],
    ids=["gone", "failing", "huge"],
)
async def test_without_any_keys_nobody_gets_in(
    cloud: Cloud, tmp_path: Path, trouble: Trouble
) -> None:
    cloud.trouble("login.botframework.com", trouble)
    async with bot_world.bot(cloud, bot_world.settings(tmp_path, cloud)) as bot:
        answer = await bot.post(click(cloud))
        assert (answer.status, answer.code) == (503, "keys.unavailable")
        assert await bot.get("/readyz") == 503
        assert await bot.get("/healthz") == 200
        assert bot.turns == []


async def test_the_keys_are_asked_for_by_a_client_that_follows_nothing(
    cloud: Cloud, tmp_path: Path
) -> None:
    cloud.trouble("login.botframework.com", Trouble(status=302))
    async with bot_world.bot(cloud, bot_world.settings(tmp_path, cloud)) as bot:
        assert (await bot.post(click(cloud))).status == 503
        assert bot.wire.keys.failure == "the server answers 302"


# --- turns --------------------------------------------------------------------------


async def test_a_turn_that_fails_is_told_in_a_body_that_teams_can_show(
    bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("canary-of-the-review")

    bot.behaviour = fail
    answer = await bot.post(click(bot.cloud))
    assert answer.status == 200
    assert answer.json["statusCode"] == 500
    assert answer.json["type"] == "application/vnd.microsoft.error"
    assert "Look at the card again" in answer.json["value"]["message"]
    assert "RuntimeError" in caplog.text
    assert "canary" not in caplog.text + answer.body.decode()


async def test_an_answer_that_is_no_json_is_a_turn_that_failed(bot: Bot) -> None:
    bot.behaviour = lambda _: InvokeAnswer(body={"value": object()})  # type: ignore[dict-item]
    answer = await bot.post(click(bot.cloud))
    assert (answer.status, answer.json["value"]["code"]) == (200, "turn.failed")


async def test_a_turn_without_an_answer_still_shows_something(bot: Bot) -> None:
    bot.behaviour = lambda _: None
    answer = await bot.post(click(bot.cloud))
    assert answer.status == 200
    assert answer.json["value"]["message"]
    other = await bot.post(click(bot.cloud, name="task/fetch"))
    assert other.status == 501


async def test_a_turn_that_takes_too_long_is_told_in_the_readers_language(
    cloud: Cloud, tmp_path: Path
) -> None:
    def wording(inbound: Inbound) -> Wording:
        return Wording(late="Das dauerte zu lange." if inbound.locale == "de-DE" else "Too late.")

    async def never(_: Inbound) -> None:
        await asyncio.Event().wait()

    async with Wire(bot_world.settings(tmp_path, cloud)) as wire:
        route = Route(wire.gate, never, counts=wire.counts, wording=wording, turn_within_s=0.05)
        inbound = wire.gate.admit(
            await wire.gate.sender([f"Bearer {Bot(cloud, wire).token()}"]),
            json.dumps(click(cloud)).encode(),
        )
        answer = await route.run(inbound)
    assert answer.status == 200
    assert json.loads(answer.body)["value"] == {
        "code": "turn.late",
        "message": "Das dauerte zu lange.",
    }
    assert wire.counts == {"turn.late": 1}


async def test_a_message_is_taken_with_an_empty_answer(bot: Bot) -> None:
    text = "<at>Countersign</at>&nbsp; whoami \n"
    mention = {"type": "mention", "text": "<at>Countersign</at>"}
    mention["mentioned"] = {"id": f"28:{bot.cloud.bot.app_id}"}  # type: ignore[assignment]
    body = click(bot.cloud, type="message", name=..., text=text, entities=[mention], value=...)
    answer = await bot.post(body)
    assert (answer.status, answer.body) == (200, b"")
    assert bot.turns[0].text == "whoami"
    bot.behaviour = lambda _: 1 / 0
    assert (await bot.post(body)).status == 200  # Teams would send it again


async def test_who_stops_serving_lets_running_turns_end(cloud: Cloud, tmp_path: Path) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def slowly(_: Any) -> InvokeAnswer:
        began.set()
        await may_end.wait()
        return InvokeAnswer.message("done in the end")

    async with bot_world.bot(cloud, bot_world.settings(tmp_path, cloud)) as bot:
        bot.behaviour = slowly
        clicking = asyncio.create_task(bot.post(click(cloud)))
        await began.wait()
        asyncio.get_running_loop().call_later(0.2, may_end.set)
    assert clicking.done()
    assert (await clicking).json["value"] == "done in the end"


async def test_it_speaks_tls_with_a_certificate_of_its_own(cloud: Cloud, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "operator")
    certificate, key = authority.issue("bot")
    told = {
        "listen.tls_certificate": f'"{certificate.name}"',
        "listen.tls_key": f'"{key.name}"',
        "listen.address": '"0.0.0.0:0"',
    }
    trust = ssl.create_default_context(cafile=str(authority.file))
    async with (
        Wire(bot_world.settings(tmp_path, cloud, **told)) as wire,
        wire.serving(lambda _: asyncio.sleep(0)) as port,
        aiohttp.ClientSession() as session,
        session.get(f"https://127.0.0.1:{port}/readyz", ssl=trust) as answer,
    ):
        assert answer.status == 200
    certificate.write_text("nothing")
    async with Wire(bot_world.settings(tmp_path, cloud, **told)) as wire:
        with pytest.raises(ConfigurationError) as error:
            async with wire.serving(lambda _: asyncio.sleep(0)):
                pass
    assert "listen.tls_certificate" in str(error.value)


# --- settings that open a door --------------------------------------------------------


async def test_in_development_a_simulator_on_this_machine_needs_no_token(
    cloud: Cloud, tmp_path: Path
) -> None:
    given = bot_world.settings(
        tmp_path, cloud, **{"app.id": "", "app.secret": "", "development": "true"}
    )
    async with bot_world.bot(cloud, given) as bot:
        body = click(cloud, serviceUrl="http://127.0.0.1:56150/_connector")
        assert (await bot.post(body, ())).status == 200
        foreign = click(cloud, serviceUrl="http://example.com/")
        assert (await bot.post(foreign, ())).status == 403
        assert len(bot.turns) == 1


async def test_with_an_app_id_development_opens_nothing(cloud: Cloud, tmp_path: Path) -> None:
    given = bot_world.settings(tmp_path, cloud, development="true")
    async with bot_world.bot(cloud, given) as bot:
        assert (await bot.post(click(cloud), ())).status == 401
        assert bot.turns == []
