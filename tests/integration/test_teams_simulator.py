"""The Teams simulator itself, with a toy bot of a few lines and a real browser.

The toy checks Teams' tokens by the keys that are published, signs in for its own, and
posts through the proxy: what any bot does. What is shown here is that the simulator
is as strict as Teams, so that a bot which passes with it has earned it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web

import realparts
from simulators.teams.browser import Browser
from simulators.teams.cloud import SERVICE_URL, Cloud
from simulators.teams.connector import MAX_MESSAGE_BYTES
from simulators.teams.feed import Message
from simulators.teams.line import Outcome, judged
from simulators.teams.loop import Loop
from simulators.teams.page_server import PageServer
from simulators.teams.people import CAST
from simulators.teams.teams import Press, Teams

ARTEFACTS = realparts.ROOT / ".artefacts" / "teams"
KEYS = "https://login.botframework.com/v1/.well-known/keys"
MRI = {person.user: person.mri for person in CAST}


class ToyBot:
    """Approves things. Whoever is alice asked for them herself."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._proxy = cloud.environment()["HTTPS_PROXY"]
        self._tls = ssl.create_default_context(cafile=str(cloud.certificate))
        self.broken = False
        self.turns: list[dict[str, Any]] = []
        self.views = 0

    async def start(self) -> str:
        self._session = aiohttp.ClientSession()
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/messages"

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def call(self, method: str, url: str, **told: Any) -> tuple[int, Any]:
        async with self._session.request(
            method, url, proxy=self._proxy, ssl=self._tls, **told
        ) as answer:
            return answer.status, json.loads(await answer.text() or "null")

    async def connector(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        login = f"https://login.microsoftonline.com/{self._cloud.tenant_id}/oauth2/v2.0/token"
        form = {
            "grant_type": "client_credentials",
            "client_id": self._cloud.bot.app_id,
            "client_secret": self._cloud.bot.secret,
            "scope": "https://api.botframework.com/.default",
        }
        _, told = await self.call("POST", login, data=form)
        headers = {"Authorization": f"Bearer {told['access_token']}"}
        return await self.call(method, f"{SERVICE_URL}v3/{path}", json=body, headers=headers)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        await self._authenticate(request)
        activity = await request.json()
        self.turns.append(activity)
        if self.broken:
            return web.Response(status=500)
        if activity["type"] == "invoke":
            return web.json_response(await self._invoke(activity))
        if activity["type"] == "message":
            said = activity.get("text", f"pressed {activity.get('value')}")
            body = {"type": "message", "text": f"I heard **{said}**"}
            await self.connector(
                "POST", f"conversations/{activity['conversation']['id']}/activities", body
            )
        return web.Response(status=202)

    async def _authenticate(self, request: web.BaseRequest) -> None:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        _, keys = await self.call("GET", KEYS)
        kid = jwt.get_unverified_header(token)["kid"]
        key = next(each for each in jwt.PyJWKSet.from_dict(keys).keys if each.key_id == kid)
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=self._cloud.bot.app_id)
        assert claims["serviceurl"] == SERVICE_URL

    async def _invoke(self, activity: dict[str, Any]) -> dict[str, Any]:
        action, who = activity["value"]["action"], activity["from"]
        if action["verb"] == "refresh":
            self.views += 1
            return answered("card.adaptive", card("Your own request", buttons=False))
        if who["id"] == MRI["alice"]:
            return answered("activity.message", "You asked for this yourself.")
        end = card(f"Approved by {who['name']}: {action['data'].get('why', '')}", buttons=False)
        where = activity["conversation"]["id"]
        path = f"conversations/{where}/activities/{activity['replyToId']}"
        await self.connector("PUT", path, posted(end))
        return answered("card.adaptive", end)


def answered(kind: str, value: Any) -> dict[str, Any]:
    return {"statusCode": 200, "type": f"application/vnd.microsoft.{kind}", "value": value}


def card(text: str, *, buttons: bool = True, **more: Any) -> dict[str, Any]:
    title = {"type": "TextBlock", "text": text, "weight": "bolder", "size": "large", "wrap": True}
    facts = [("Agent", "export-agent"), ("Resource", "table crm.customers"), ("Rows", "5,000")]
    told = {
        "type": "FactSet",
        "facts": [{"title": name, "value": value} for name, value in facts],
    }
    why = {"type": "Input.Text", "id": "why", "label": "Reason", "isRequired": True}
    why |= {"errorMessage": "A reason is needed"}
    deny = {"type": "AdaptiveCard", "body": [why], "actions": [execute("Send", "deny")]}
    made: dict[str, Any] = {"type": "AdaptiveCard", "version": "1.5", "body": [title, told]}
    if buttons:
        made["actions"] = [
            execute("Approve", "approve") | {"style": "positive"},
            {"type": "Action.ShowCard", "title": "Deny…", "card": deny},
        ]
        made["refresh"] = {
            "action": execute("Refresh", "refresh"),
            "userIds": [MRI["alice"], MRI["carol"]],
        }
    return made | more


def execute(title: str, verb: str) -> dict[str, Any]:
    fallback = {"type": "Action.Submit", "title": title, "data": {"verb": verb}}
    action = {"type": "Action.Execute", "title": title, "verb": verb, "data": {"handle": "h1"}}
    return action | {"fallback": fallback}


def posted(content: dict[str, Any]) -> dict[str, Any]:
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": content}]}


class World:
    """The toy bot in a Teams of its own."""

    def __init__(self, cloud: Cloud, teams: Teams, bot: ToyBot, loop: Loop) -> None:
        self.cloud, self.teams, self.bot, self._loop = cloud, teams, bot, loop

    def asks(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self._loop.run(self.bot.connector(method, path, body))

    def posts(self, content: dict[str, Any], place: str = "data-approvals") -> Message:
        thread = self.teams.feed.place(place).id
        status, told = self.asks("POST", f"conversations/{thread}/activities", posted(content))
        assert status == 201, told
        return self.teams.feed.message(told["id"])


@pytest.fixture
def world() -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(Cloud())
        loop = Loop("toy-bot")
        stack.callback(loop.stop)
        bot = ToyBot(cloud)
        address = loop.run(bot.start())
        stack.callback(lambda: loop.run(bot.stop()))
        teams = stack.enter_context(Teams(cloud, address))
        for place in ("alice", "bob", "data-approvals"):
            teams.install(place)
        yield World(cloud, teams, bot, loop)


@pytest.fixture
def browser(world: World) -> Iterator[Browser]:
    chromium, renderer = realparts.chromium(), realparts.card_renderer()
    with PageServer(world.teams, renderer) as pages, Browser(pages, chromium) as browser:
        yield browser
        for page in browser.pages:
            assert page.complaints == []


# --- in a browser ---------------------------------------------------------------------


def test_each_user_sees_their_own_view_and_all_see_the_end(world: World, browser: Browser) -> None:
    world.posts(card("Export a customer table"))
    alice, bob = browser.page_of("alice"), browser.page_of("bob")
    for page in (alice, bob):
        page.open("data-approvals")
    alice.card("Your own request").wait_for_button("Approve", gone=True)
    asked = bob.card("Export a customer table")
    assert asked.buttons()[-2:] == ["Approve", "Deny…"]
    bob.screenshot(ARTEFACTS / "toy-asked.png")
    assert world.bot.views == 1  # bob is not named in `refresh.userIds`
    asked.click("Approve")
    for page in (alice, bob):
        page.card("Approved by Bob Brown").wait_for_button("Approve", gone=True)
    bob.screenshot(ARTEFACTS / "toy-approved.png")


def test_a_refusal_stands_under_the_card(world: World, browser: Browser) -> None:
    message = world.posts(card("Export a customer table", refresh=None), "alice")
    page = browser.page_of("alice")
    shown = page.card(message)
    shown.click("Approve")
    shown.wait_for_text("You asked for this yourself.")
    assert shown.buttons()[-2:] == ["Approve", "Deny…"]
    page.screenshot(ARTEFACTS / "toy-refused.png")
    world.asks(
        "PUT",
        f"conversations/{message.conversation_id}/activities/{message.id}",
        posted(card("Another revision", refresh=None)),
    )
    shown.wait_for_text("Another revision")
    shown.wait_until_gone("You asked for this yourself.")


def test_required_inputs_are_required(world: World, browser: Browser) -> None:
    message = world.posts(card("Export a customer table"), "bob")
    shown = browser.page_of("bob").card(message)
    shown.click("Deny…")
    shown.click("Send")
    shown.wait_for_text("A reason is needed")
    assert not [turn for turn in world.bot.turns if turn["type"] == "invoke"]
    shown.fill("Reason", "not today")
    shown.click("Send")
    browser.page_of("bob").card("Approved by Bob Brown: not today").wait_for_text("not today")
    (turn,) = [turn for turn in world.bot.turns if turn["type"] == "invoke"]
    assert turn["value"]["action"]["data"] == {"handle": "h1", "why": "not today"}
    assert turn["value"]["trigger"] == "manual"
    assert turn["replyToId"] == message.id


def test_a_bot_that_fails_is_asked_three_times_and_then_reported(
    world: World, browser: Browser
) -> None:
    message = world.posts(card("Export a customer table"), "bob")
    page = browser.page_of("bob")
    world.bot.broken = True
    page.card(message).click("Approve")
    assert page.card(message).alert() == "Unable to reach app. Please try again."
    assert len([turn for turn in world.bot.turns if turn["type"] == "invoke"]) == 3
    page.screenshot(ARTEFACTS / "toy-unreachable.png")
    (complaint,) = page.complaints
    assert "Giving up after 3 attempt(s)" in complaint
    page.complaints.clear()
    world.bot.broken = False
    page.card(message).click("Approve")
    page.card("Approved by Bob Brown").wait_for_text("Approved by Bob Brown")


def test_an_old_client_submits(world: World, browser: Browser) -> None:
    message = world.posts(card("Export a customer table"), "bob")
    page = browser.page_of("bob", old_client=True)
    page.card(message).click("Approve")
    page.message("I heard").wait_for_text("pressed {'verb': 'approve'}")
    (turn,) = [turn for turn in world.bot.turns if "value" in turn]
    assert (turn["type"], turn["value"]) == ("message", {"verb": "approve"})
    assert turn["replyToId"] == message.id


def test_people_write_install_and_remove(world: World, browser: Browser) -> None:
    page = browser.page_of("carol")
    page.wait_for_text("Nothing here yet.")
    page.click("Add Countersign")
    page.wait_for_text("Countersign is installed")
    page.say("whoami")
    page.message("I heard whoami").wait_for_text("whoami")
    page.open("data-approvals")
    page.say("just talking")
    page.say("@Countersign pending")
    page.message("I heard").wait_for_text("pending")
    page.screenshot(ARTEFACTS / "toy-channel.png")
    said = [turn["text"] for turn in world.bot.turns if turn["type"] == "message"]
    assert said == ["whoami", "<at>Countersign</at> pending"]
    page.click("Remove Countersign")
    page.wait_for_text("Countersign is not installed")
    assert world.bot.turns[-1]["action"] == "remove"


def test_a_card_is_forwarded_and_clicked_there(world: World, browser: Browser) -> None:
    message = world.posts(card("Export a customer table"))
    copy = world.teams.forward("bob", message, "bob")
    page = browser.page_of("bob")
    page.card(copy).click("Approve")
    world.teams.until(lambda: [turn for turn in world.bot.turns if turn["type"] == "invoke"])
    (turn,) = [turn for turn in world.bot.turns if turn["type"] == "invoke"]
    assert turn["replyToId"] == copy.id != message.id
    assert turn["conversation"]["id"] == world.teams.feed.place("bob").id


def test_text_blocks_render_what_teams_renders(world: World, browser: Browser) -> None:
    told = "[pay](https://example.org) **bold** <b>html</b> <at>Bob</at>"
    message = world.posts(card(told), "bob")
    shown = browser.page_of("bob").card(message)
    shown.wait_for_text("<b>html</b>")  # literal: never HTML
    assert shown.evaluate("(at) => at.querySelector('a[href^=http]').textContent") == "pay"
    assert shown.evaluate("(at) => at.querySelector('.mention').textContent") == "Bob"


# --- without one ----------------------------------------------------------------------


def test_the_connector_is_as_strict_as_teams(world: World) -> None:
    place = world.teams.feed.place("data-approvals").id
    path = f"conversations/{place}/activities"
    fat = posted(card("x" * MAX_MESSAGE_BYTES))
    for body, status, code in (
        (fat, 413, "MessageSizeTooBig"),
        ({"type": "message"}, 400, "BadSyntax"),
        (posted(card("x", version="1.9")), 400, "BadSyntax"),
    ):
        assert world.asks("POST", path, body) == (status, {"error": ANY_OF(code)})
    assert world.asks("PUT", f"{path}/123", posted(card("x")))[0] == 404
    assert world.asks("POST", "conversations/19:nowhere/activities", posted(card("x")))[0] == 404
    carol = world.teams.feed.place("carol").id
    assert world.asks("POST", f"conversations/{carol}/activities", posted(card("x")))[0] == 403
    theirs = world.teams.forward("bob", world.posts(card("mine")), "data-approvals")
    assert world.asks("PUT", f"{path}/{theirs.id}", posted(card("x")))[0] == 403


class ANY_OF:  # noqa: N801 - reads like the value it stands for
    """An error of that code, whatever it says."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and other["code"] == self._code

    __hash__ = None  # type: ignore[assignment]


def test_a_chat_is_made_only_where_the_bot_is_installed(world: World) -> None:
    def made(user: str, tenant: str = "") -> tuple[int, Any]:
        person = world.teams.feed.people[user]
        body = {"members": [{"id": person.mri}], "tenantId": tenant or world.cloud.tenant_id}
        return world.asks("POST", "conversations", body)

    assert made("bob") == (201, {"id": world.teams.feed.place("bob").id})
    assert made("carol")[0] == 403
    assert made("eve")[0] == 403
    world.teams.uninstall("bob")
    assert made("bob")[0] == 403


def test_faults_come_as_ordered(world: World) -> None:
    connector = world.teams.connector
    path = f"conversations/{world.teams.feed.place('data-approvals').id}/activities"
    connector.fault(status=429, retry_after_s=7, times=1, method="POST", path="/activities")
    assert world.asks("POST", path, posted(card("one")))[0] == 429
    assert world.asks("POST", path, posted(card("one")))[0] == 201
    connector.fault(lose_answer=True, times=1, method="POST", path="/activities")
    with pytest.raises(aiohttp.ClientError):
        world.asks("POST", path, posted(card("two")))
    assert [each.card["body"][0]["text"] for each in world.teams.cards("data-approvals")] == [
        "one",
        "two",
    ]
    connector.down = True
    assert world.asks("POST", path, posted(card("three")))[0] == 503
    connector.heal()
    connector.rates = ((4, 3600.0),)  # two were sent before this
    statuses = [world.asks("POST", path, posted(card("more")))[0] for _ in range(3)]
    assert statuses == [201, 201, 429]
    assert [call.status for call in connector.calls[:4]] == [429, 201, 201, 503]


def test_the_roster_tells_guests_strangers_and_no_applications(world: World) -> None:
    place = world.teams.feed.place("data-approvals").id
    status, members = world.asks("GET", f"conversations/{place}/members")
    roles = {member["aadObjectId"]: member["userRole"] for member in members}
    ids = {user: person.object_id for user, person in world.teams.feed.people.items()}
    assert status == 200
    assert (roles[ids["alice"]], roles[ids["alice-guest"]]) == ("user", "guest")
    assert ids["robot"] not in roles
    status, eve = world.asks("GET", f"conversations/{place}/members/{ids['eve']}")
    assert (status, eve["tenantId"] == world.cloud.tenant_id) == (200, False)
    assert world.asks("GET", f"conversations/{place}/members/{MRI['robot']}")[0] == 404
    names = [person.name for person in world.teams.feed.people.values()]
    assert names.count("Alice Adams") == 2


def test_a_click_in_a_channel_names_its_thread(world: World) -> None:
    message = world.posts(card("Export a customer table"))
    answer = world.teams.press("bob", message, "approve", why="fine")
    assert answer.outcome is Outcome.CARD
    where = world.bot.turns[-1]["conversation"]
    assert where["id"].endswith(f";messageid={message.id}")
    assert where["tenantId"] == world.bot.turns[-1]["channelData"]["tenant"]["id"]
    assert (
        world.teams.refresh("alice", message.__class__(**fields(message))).outcome is Outcome.CARD
    )


def fields(message: Message) -> dict[str, Any]:
    """A message as it was when it was asked for."""
    return {
        "id": message.id,
        "conversation_id": message.conversation_id,
        "author": message.author,
        "activity": posted(card("Export a customer table")),
        "root_id": message.root_id,
    }


def test_several_press_at_once(world: World) -> None:
    message = world.posts(card("Export a customer table"))
    answers = world.teams.press_together(
        *(Press(user=user, message=message, verb="approve") for user in ("bob", "carol", "alice"))
    )
    assert [answer.outcome for answer in answers] == [Outcome.CARD, Outcome.CARD, Outcome.MESSAGE]
    assert message.edition == 3


def test_the_pages_are_for_this_machine_and_no_other_site(world: World) -> None:
    with PageServer(world.teams, realparts.ROOT) as pages:

        def status(path: str, data: bytes | None = None, **headers: str) -> int:
            told = urllib.request.Request(pages.url + path, data, headers)
            try:
                with urllib.request.urlopen(told, timeout=10) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        assert status("/?user=bob") == 200
        assert status("/?user=bob", Host="evil.example") == 421
        body = json.dumps({"user": "bob", "do": "say", "text": "x", "place": bob(world)}).encode()
        assert status("/act", body, **{"Content-Type": "text/plain"}) == 404
        assert status("/act", body, **{"Content-Type": "application/json"}) == 200
        assert status("/page/..%2fteams.py") == 404
        assert next(message.text for message in world.teams.messages("bob")) == "x"


def bob(world: World) -> str:
    return world.teams.feed.place("bob").id


def test_a_late_bot_is_unreachable(world: World) -> None:
    message = world.posts(card("Export a customer table"))
    world.teams.line.answer_within_s = 0.2
    with world.cloud.holding("login.botframework.com"):
        answer = world.teams.press("bob", message, "approve")
    assert (answer.outcome, answer.http_status) == (Outcome.UNREACHABLE, 0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, json.dumps(answered("activity.message", "hello"))),
        (200, ""),
        (200, "{}"),
        (200, json.dumps(answered("activity.message", ""))),
        (200, json.dumps(answered("card.adaptive", {"type": "Other"}))),
        (200, json.dumps(answered("error", {"code": "x", "message": "y"}))),
        (200, json.dumps(json.dumps(answered("activity.message", "twice")))),
    ],
)
def test_what_is_no_answer(status: int, body: str) -> None:
    assert judged(status, body) == (Outcome.UNREACHABLE, None)


def test_a_stranger_gets_no_answer(world: World) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').decode()
    place = world.teams.feed.place("bob")
    activity = world.teams.line.activity("message", world.teams.feed.people["bob"], place, text="x")
    posting = world.teams.line.post(activity, token=f"{header}.e30.")
    status, _, _ = world.cloud.loop.run(posting)
    assert status == 500  # the toy knows no better
    assert world.bot.turns[-1]["type"] != "message"
