"""What the bot writes, by the SDK's real client and with real tokens of MSAL.

The cloud is fake and checks each bearer token as Entra's; time is a test's own where
something waits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import bot_world
from bot_world import BOB, BOB_IN_TEAMS, CARD_ID, CHANNEL_ID, OTHER_TENANT
from countersign_bot.connector import (
    MAX_CARD_BYTES,
    BotFrameworkConnector,
    ConnectorError,
    MessageGoneError,
    NotInstalledError,
    NotMemberError,
    PassingError,
    Reference,
    RefusedError,
    TooLargeError,
)
from countersign_bot.connector.credentials import MsalCredentials
from countersign_bot.connector.pace import Pace, Rate
from countersign_bot.connector.retry import Retries
from countersign_bot.outgoing import Outgoing
from countersign_bot.settings import Settings
from countersign_bot.wire import Wire
from simulators.teams.cloud import SERVICE_URL, Cloud, Trouble
from simulators.teams.entra import Application, TokenRefusedError

HOST = "smba.trafficmanager.net"
CARD: dict[str, Any] = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "lang": "de",
    "body": [{"type": "TextBlock", "text": "Löschen 🚀", "wrap": True, "spacing": None, "n": 1.5}],
}
EVER = Rate(per_s=1_000, burst=1_000)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One request that came to the connector, with a token that Entra gave the bot."""

    method: str
    path: str
    body: Any
    size: int
    app_id: str


class Connector:
    """The connector's host. It answers as told, one after the other, and then well."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.got: list[Got] = []
        self.told: list[web.Response] = []
        self.strangers = 0
        self.member: dict[str, Any] = {}

    def tell(self, status: int, body: Any = None, **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body if body is not None else {})
        kind = "text/html" if isinstance(body, str) else "application/json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.told.append(web.Response(status=status, text=text, content_type=kind, headers=named))

    def fail(self, status: int, code: str, **headers: str) -> None:
        self.tell(status, {"error": {"code": code, "message": "no"}}, **headers)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            claims = self._cloud.entra.verify(token) if scheme == "Bearer" else {}
        except TokenRefusedError:
            claims = {}
        if not claims:
            self.strangers += 1
            return web.json_response({}, status=401)
        data = await request.read()
        self.got.append(
            Got(
                method=request.method,
                path=unquote(request.raw_path),
                body=json.loads(data) if data else None,
                size=len(data),
                app_id=claims["appid"],
            )
        )
        if self.told:
            return self.told.pop(0)
        if request.method == "GET":
            return web.json_response(self.member)
        return web.json_response({"id": f"m-{len(self.got)}"})


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, duration_s: float) -> None:
        if duration_s:
            self.slept.append(duration_s)
        self.now += duration_s


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
def teams(cloud: Cloud) -> Connector:
    teams = Connector(cloud)
    cloud.serve(HOST, teams.answer)
    return teams


@pytest.fixture
def given(cloud: Cloud, tmp_path: Path) -> Settings:
    return bot_world.settings(tmp_path, cloud)


@pytest.fixture
async def wire(given: Settings, teams: Connector) -> AsyncIterator[Wire]:
    async with Wire(given) as wire:
        yield wire


@pytest.fixture
def moment() -> Time:
    return Time()


@pytest.fixture
async def bot(given: Settings, teams: Connector, moment: Time) -> AsyncIterator[Any]:
    """A connector as in production, but for its time."""
    async with Wire(given) as wire, Outgoing() as outgoing:
        yield BotFrameworkConnector(
            bot_id=given.bot_id,
            outgoing=outgoing,
            credentials=wire.credentials,
            hosts=given.hosts(),
            pace=Pace(conversation=EVER, tenant=EVER, clock=moment.clock, sleep=moment.sleep),
            retries=Retries(clock=moment.clock, sleep=moment.sleep, jitter=lambda: 0.0),
        )


def place(cloud: Cloud, **changed: str) -> Reference:
    told = {
        "service_url": SERVICE_URL,
        "conversation_id": CHANNEL_ID,
        "conversation_type": "channel",
        "tenant": cloud.tenant_id,
        "bot_id": f"28:{cloud.bot.app_id}",
    }
    return Reference(**(told | changed))


# --- what is written ----------------------------------------------------------------


async def test_a_card_is_posted_as_it_is_with_the_bots_own_token(
    wire: Wire, cloud: Cloud, teams: Connector
) -> None:
    posted = await wire.connector.post(place(cloud), CARD, summary="Export?", alert=True)
    (got,) = teams.got
    assert posted == "m-1"
    assert (got.method, got.path) == ("POST", f"/emea/v3/conversations/{CHANNEL_ID}/activities")
    assert got.app_id == cloud.bot.app_id
    (attachment,) = got.body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"] == CARD
    assert got.body["summary"] == "Export?"
    assert got.body["channelData"] == {"notification": {"alert": True}}
    assert got.body["from"]["id"] == f"28:{cloud.bot.app_id}"


async def test_a_card_is_no_larger_on_the_wire_than_it_was_measured(
    wire: Wire, cloud: Cloud, teams: Connector
) -> None:
    """The SDK writes each of these characters as 6 or 12 bytes."""
    card = {"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": "ж🚀" * 3_000}]}
    await wire.connector.post(place(cloud), card, summary="x")
    assert teams.got[0].size < MAX_CARD_BYTES
    assert teams.got[0].body["attachments"][0]["content"] == card


async def test_a_quiet_card_goes_into_the_thread_it_is_for(
    wire: Wire, cloud: Cloud, teams: Connector
) -> None:
    await wire.connector.post(place(cloud).in_thread(CARD_ID), CARD, summary="x", text="hello")
    (got,) = teams.got
    assert got.path == f"/emea/v3/conversations/{CHANNEL_ID};messageid={CARD_ID}/activities"
    assert got.body["text"] == "hello"
    assert "channelData" not in got.body


async def test_a_card_is_put_in_the_place_of_another(
    wire: Wire, cloud: Cloud, teams: Connector
) -> None:
    await wire.connector.update(place(cloud), CARD_ID, CARD, summary="Approved")
    (got,) = teams.got
    assert got.method == "PUT"
    assert got.path == f"/emea/v3/conversations/{CHANNEL_ID}/activities/{CARD_ID}"
    assert (got.body["id"], got.body["attachments"][0]["content"]) == (CARD_ID, CARD)


async def test_words_are_said_plainly(wire: Wire, cloud: Cloud, teams: Connector) -> None:
    await wire.connector.say(place(cloud), "**not bold**")
    assert teams.got[0].body["text"] == "**not bold**"
    assert teams.got[0].body["textFormat"] == "plain"


async def test_a_member_is_told_with_what_the_sdk_does_not_know(
    wire: Wire, cloud: Cloud, teams: Connector
) -> None:
    teams.member = {
        "id": BOB_IN_TEAMS,
        "name": "Bob",
        "aadObjectId": BOB.upper(),
        "tenantId": cloud.tenant_id.upper(),
        "userRole": "user",
        "userPrincipalName": "bob@acme.example",
    }
    member = await wire.connector.member(place(cloud), BOB_IN_TEAMS)
    assert member.is_human_of(cloud.tenant_id, BOB)
    assert not member.is_human_of(OTHER_TENANT, BOB)
    assert not member.is_human_of(cloud.tenant_id, OTHER_TENANT)
    assert teams.got[0].path == f"/emea/v3/conversations/{CHANNEL_ID}/members/{BOB_IN_TEAMS}"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"userRole": "guest"}, "guest"),
        ({"userRole": "anonymous"}, "anonymous"),
        ({"userPrincipalName": "bob_other.example#EXT#@acme.example"}, "guest by name"),
        ({"userRole": None}, "no role"),
        ({"id": "28:an-app"}, "an app"),
        ({"tenantId": None}, "no tenant"),
        ({"tenantId": OTHER_TENANT}, "of another tenant"),
        ({"aadObjectId": None}, "no object id"),
        ({"role": "bot", "userRole": None}, "a bot"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_who_is_not_surely_a_person_of_the_tenant_is_none(
    wire: Wire, cloud: Cloud, teams: Connector, changed: dict[str, Any], told: str
) -> None:
    member = {
        "id": BOB_IN_TEAMS,
        "aadObjectId": BOB,
        "tenantId": cloud.tenant_id,
        "userRole": "user",
        "userPrincipalName": "bob@acme.example",
    }
    teams.member = {name: text for name, text in (member | changed).items() if text}
    assert not (await wire.connector.member(place(cloud), BOB_IN_TEAMS)).is_human_of(
        cloud.tenant_id, BOB
    )


async def test_a_conversation_with_one_person_is_made(
    wire: Wire, cloud: Cloud, teams: Connector
) -> None:
    made = await wire.connector.create_personal(
        service_url=SERVICE_URL, tenant=cloud.tenant_id, user_id=BOB_IN_TEAMS
    )
    (got,) = teams.got
    assert got.path == "/emea/v3/conversations"
    assert got.body["members"] == [{"id": BOB_IN_TEAMS}]
    assert got.body["channelData"] == {"tenant": {"id": cloud.tenant_id}}
    assert (made.conversation_id, made.conversation_type) == ("m-1", "personal")
    again = Reference.decode(made.encode(), hosts=wire._settings.hosts(), tenants=[made.tenant])
    assert again == made


# --- what comes of it ---------------------------------------------------------------


FAILURES: dict[str, tuple[str, int, str, type[ConnectorError]]] = {
    "not there": ("post", 403, "BotNotInConversationRoster", NotInstalledError),
    "no such conversation": ("post", 404, "ConversationNotFound", NotInstalledError),
    "no such person": ("create", 404, "NotFound", NotInstalledError),
    "removed before an update": ("update", 403, "BotNotInConversationRoster", NotInstalledError),
    "not its own message": ("update", 403, "ForbiddenOperationException", RefusedError),
    "conversation gone": ("update", 404, "ConversationNotFound", NotInstalledError),
    "message gone": ("update", 404, "ActivityNotFoundInConversation", MessageGoneError),
    "not a member": ("member", 404, "MemberNotFoundInConversation", NotMemberError),
    "too large": ("post", 413, "RequestEntityTooLarge", TooLargeError),
    "too large by its code": ("post", 400, "MessageSizeTooBig", TooLargeError),
    "bad": ("post", 400, "BadSyntax", RefusedError),
    "elsewhere": ("post", 307, "Moved", RefusedError),
    "throttled": ("post", 429, "TooManyRequests", PassingError),
    "precondition": ("update", 412, "PreconditionFailed", PassingError),
    "gateway": ("post", 502, "BadGateway", PassingError),
    "unavailable": ("update", 503, "ServiceUnavailable", PassingError),
    "gateway time-out": ("member", 504, "GatewayTimeout", PassingError),
    "token not taken": ("post", 401, "Unauthorized", PassingError),
}


@pytest.mark.parametrize("row", FAILURES)
async def test_each_failure_says_what_to_do_about_it(
    bot: BotFrameworkConnector, cloud: Cloud, teams: Connector, moment: Time, row: str
) -> None:
    doing, status, code, error = FAILURES[row]
    for _ in range(20):
        teams.fail(status, code)
    works = {
        "post": lambda: bot.post(place(cloud), CARD, summary="x"),
        "update": lambda: bot.update(place(cloud), CARD_ID, CARD, summary="x"),
        "member": lambda: bot.member(place(cloud), BOB_IN_TEAMS),
        "create": lambda: bot.create_personal(
            service_url=SERVICE_URL, tenant=cloud.tenant_id, user_id=BOB_IN_TEAMS
        ),
    }
    with pytest.raises(ConnectorError) as raised:
        await works[doing]()
    assert type(raised.value) is error
    assert raised.value.code == f"teams.{status}"
    tried_again = len(teams.got) > 1
    assert tried_again is (error is PassingError)
    assert sum(moment.slept) < 8


async def test_throttling_waits_as_long_as_teams_says_and_works_then(
    bot: BotFrameworkConnector, cloud: Cloud, teams: Connector, moment: Time
) -> None:
    teams.fail(429, "TooManyRequests", Retry_After="3")
    teams.tell(502, "<html>bad gateway</html>")
    assert await bot.post(place(cloud), CARD, summary="x") == "m-3"
    assert moment.slept[0] >= 3
    assert len(moment.slept) == 2


async def test_a_long_wait_is_left_to_whoever_can_wait(
    bot: BotFrameworkConnector, cloud: Cloud, teams: Connector, moment: Time
) -> None:
    teams.fail(429, "TooManyRequests", Retry_After="60")
    with pytest.raises(PassingError) as raised:
        await bot.post(place(cloud), CARD, summary="x")
    assert raised.value.retry_after_s == 60
    assert (len(teams.got), moment.slept) == (1, [])


async def test_the_sdk_waits_for_nothing_behind_our_back(
    bot: BotFrameworkConnector, cloud: Cloud, teams: Connector
) -> None:
    """Its own client would sleep in a thread for as long as `Retry-After` says."""
    teams.fail(503, "ServiceUnavailable", Retry_After="30")
    began = time.monotonic()
    with pytest.raises(PassingError):
        await bot.update(place(cloud), CARD_ID, CARD, summary="x")
    assert time.monotonic() - began < 20
    assert len(teams.got) == 1


async def test_slow_teams_holds_up_nothing_else(
    given: Settings, cloud: Cloud, teams: Connector, moment: Time
) -> None:
    async with Wire(given) as wire, Outgoing() as outgoing:
        connector = BotFrameworkConnector(
            bot_id=given.bot_id,
            outgoing=outgoing,
            credentials=wire.credentials,
            hosts=given.hosts(),
            pace=Pace(conversation=EVER, tenant=EVER, clock=moment.clock, sleep=moment.sleep),
            retries=Retries(budget_s=0.1, clock=moment.clock, sleep=moment.sleep),
            send_within_s=0.3,
        )
        with cloud.holding(HOST):
            posting = asyncio.create_task(connector.post(place(cloud), CARD, summary="x"))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not posting.done()
            with pytest.raises(PassingError) as raised:
                await posting
    assert raised.value.code == "teams.timeout"


async def test_teams_that_is_away_is_passing(
    bot: BotFrameworkConnector, cloud: Cloud, teams: Connector
) -> None:
    cloud.trouble(HOST, Trouble(drop=True))
    with pytest.raises(PassingError) as raised:
        await bot.post(place(cloud), CARD, summary="x")
    assert raised.value.code == "teams.unreachable"


@pytest.mark.parametrize("body", ["<html>fine</html>", {}, [1]])
async def test_a_success_that_says_nothing_is_not_believed(
    bot: BotFrameworkConnector, cloud: Cloud, teams: Connector, body: Any
) -> None:
    for _ in range(20):
        teams.tell(200, body)
    with pytest.raises(PassingError):
        await bot.post(place(cloud), CARD, summary="x")


async def test_a_card_over_our_bound_is_never_sent(
    wire: Wire, cloud: Cloud, teams: Connector
) -> None:
    with pytest.raises(TooLargeError):
        await wire.connector.post(place(cloud), CARD | {"x": "я" * 10_300}, summary="x")
    assert teams.got == []


# --- where the token goes -------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/emea/",
        "https://smba.trafficmanager.net.evil.example/",
        "https://smba.trafficmanager.net@evil.example/",
        "https://evil.example/https://smba.trafficmanager.net/",
        "https://smba.trafficmanager.net:8443/",
        "http://smba.trafficmanager.net/",
        "https://smba.infra.gcc.teams.microsoft.com/",
        "https://login.botframework.com/",
        "https://smba.trafficmanager.net\\@evil.example/",
        "https://{conversationId}/",
    ],
)
async def test_the_bots_token_goes_to_no_host_off_the_list(
    wire: Wire, cloud: Cloud, teams: Connector, url: str
) -> None:
    """Neither for a reference made here, nor for one that was stored."""
    connected = dict(cloud.proxy.refused.all())
    reference = place(cloud, service_url=url)
    with pytest.raises(RefusedError):
        await wire.connector.post(reference, CARD, summary="x")
    with pytest.raises(RefusedError):
        await wire.connector.create_personal(
            service_url=url, tenant=cloud.tenant_id, user_id=BOB_IN_TEAMS
        )
    with pytest.raises(RefusedError):
        Reference.decode(
            reference.encode(), hosts=wire._settings.hosts(), tenants=[cloud.tenant_id]
        )
    assert teams.got == []
    assert teams.strangers == 0
    assert cloud.proxy.refused.all() == connected
    assert await wire.connector.post(place(cloud), CARD, summary="x")


async def test_a_redirect_takes_the_token_nowhere(
    wire: Wire, cloud: Cloud, teams: Connector
) -> None:
    teams.tell(307, {}, Location="https://login.botframework.com/emea/steal")
    with pytest.raises(RefusedError):
        await wire.connector.post(place(cloud), CARD, summary="x")
    assert cloud.hits["login.botframework.com/emea/steal"] == 0
    assert len(teams.got) == 1


# --- the bot's own token --------------------------------------------------------------


async def test_one_token_serves_many_messages_at_once(
    wire: Wire, cloud: Cloud, teams: Connector
) -> None:
    place_of_tokens = f"login.microsoftonline.com/{cloud.tenant_id}/oauth2/v2.0/token"
    before = cloud.hits[place_of_tokens]
    references = [place(cloud, conversation_id=f"a:{number}") for number in range(8)]
    await asyncio.gather(*(wire.connector.say(reference, "hi") for reference in references))
    assert len(teams.got) == 8
    assert cloud.hits[place_of_tokens] == before + 1


async def test_a_token_that_teams_does_not_take_is_replaced(
    bot: BotFrameworkConnector, cloud: Cloud, teams: Connector
) -> None:
    place_of_tokens = f"login.microsoftonline.com/{cloud.tenant_id}/oauth2/v2.0/token"
    await bot.say(place(cloud), "hi")
    before = cloud.hits[place_of_tokens]
    teams.fail(401, "Unauthorized")
    await bot.say(place(cloud), "hi")
    assert cloud.hits[place_of_tokens] == before + 1


def own_certificate(directory: Path) -> tuple[Path, Path]:
    """One that signed itself, and its RSA key, as Entra wants it."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bot")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    files = directory / "bot.crt", directory / "bot.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].touch(0o600)
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


async def test_a_certificate_proves_the_bot(cloud: Cloud, teams: Connector, tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path)
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    with_certificate = Application(
        app_id=OTHER_TENANT, tenant_id=cloud.tenant_id, certificate=loaded
    )
    cloud.entra.register(with_certificate)
    given = bot_world.settings(
        tmp_path, cloud,
        **{
            "app.id": f'"{OTHER_TENANT}"', "app.secret": "",
            "app.certificate": f'"{certificate.name}"', "app.key": f'"{key.name}"',
        },
    )  # fmt: skip
    async with Wire(given) as wire:
        await wire.connector.say(place(cloud), "hi")
    assert teams.got[0].app_id == OTHER_TENANT


@pytest.mark.parametrize("where", ["app_service", "virtual_machine"])
async def test_a_managed_identity_proves_the_bot(
    cloud: Cloud,
    teams: Connector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    identity = Application(app_id=BOB, tenant_id=cloud.tenant_id, managed=True)
    cloud.entra.register(identity)
    for name, value in getattr(cloud, where)().items():
        monkeypatch.setenv(name, value)
    given = bot_world.settings(
        tmp_path, cloud,
        **{
            "app.id": f'"{BOB}"', "app.secret": "", "app.tenant": "",
            "app.type": '"managed_identity"',
        },
    )  # fmt: skip
    async with Wire(given) as wire:
        await wire.connector.say(place(cloud), "hi")
    assert teams.got[0].app_id == BOB


async def test_a_wrong_secret_is_passing_and_shown_nowhere(
    cloud: Cloud,
    teams: Connector,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    moment: Time,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BOT_SECRET", "canary-secret-of-the-bot")
    given = bot_world.settings(tmp_path, cloud, **{"app.secret": '"env:BOT_SECRET"'})
    with caplog.at_level(logging.DEBUG):
        async with Wire(given) as wire:
            wire.connector._retries = Retries(budget_s=0)  # type: ignore[attr-defined]
            with pytest.raises(PassingError) as raised:
                await wire.connector.say(place(cloud), "hi")
    assert raised.value.code == "teams.token"
    assert "invalid_client" in caplog.text
    assert "canary" not in caplog.text + str(raised.value)
    assert teams.got == []


async def test_no_token_is_ever_logged(
    wire: Wire, cloud: Cloud, teams: Connector, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await wire.connector.say(place(cloud), "hi")
    token = wire.credentials._token  # type: ignore[attr-defined]
    assert token.count(".") == 2
    assert not any(part in caplog.text for part in token.split("."))


async def test_who_waits_for_a_token_waits_only_so_long() -> None:
    """A thread that hangs in MSAL is asked for again, not joined by another."""
    may_end = threading.Event()
    asked: list[bool] = []

    def acquire(anew: bool) -> dict[str, Any]:
        asked.append(anew)
        may_end.wait(10)
        return {"access_token": "a.b.c", "expires_in": 3600}

    credentials = MsalCredentials(acquire, clock=time.monotonic, within_s=0.05)
    for _ in range(3):
        with pytest.raises(PassingError):
            await credentials.token()
    may_end.set()
    credentials._within_s = 5
    assert await credentials.token() == "a.b.c"
    assert asked == [False]
