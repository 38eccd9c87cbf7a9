"""The local pages on which people meet the bot: one a user, at `?user=alice`.

Serves files of this directory and the renderer that npm brought, tells each page when
something changed, and does there what its user clicks. On loopback and without any
sign-in: whoever reaches it is whom they say.
"""

from __future__ import annotations

import contextlib
import functools
import json
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from aiohttp import web

from simulators.teams.cloud import TENANT_ID
from simulators.teams.feed import Conversation, Kind, Message
from simulators.teams.line import BOT_NAME
from simulators.teams.people import Person
from simulators.teams.teams import Teams

_PAGE: Final = Path(__file__).parent / "page"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_RENDERER: Final = ("adaptivecards.min.js", "adaptivecards.css")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)


class PageServer:
    """Pages over one Teams, from `with` to its end."""

    def __init__(self, teams: Teams, renderer: Path, *, port: int = 0) -> None:
        self._teams = teams
        self._feed = teams.feed
        self._renderer = renderer
        self._port = port
        self._closing = False

    def __enter__(self) -> Self:
        self._teams.cloud.loop.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._teams.cloud.loop.run(self._stop())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def page(self, user: str, *, old_client: bool = False) -> str:
        """The address of a user's page."""
        old = "&client=old" if old_client else ""
        return f"{self.url}/?user={quote(user)}{old}"

    async def _start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        self._closing = True
        self._feed.touch()  # ends the streams of events
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        # Another site's page must not act here, by its own name or by rebinding ours.
        if request.host not in (f"127.0.0.1:{self._port}", f"localhost:{self._port}"):
            return web.Response(status=421)
        match request.method, request.path.split("/")[1:]:
            case "GET", [""]:
                if request.query.get("user") not in self._feed.people:
                    raise web.HTTPFound(f"/?user={quote(next(iter(self._feed.people)))}")
                return _file(_PAGE / "index.html")
            case "GET", ["page", name]:
                return _file(_PAGE / name)
            case "GET", ["parts", name] if name in _RENDERER:
                return _file(self._renderer / name)
            case "GET", ["feed"]:
                return web.json_response(self._seen_by(request.query.get("user", "")))
            case "GET", ["events"]:
                return await self._events(request)
            case "POST", ["act"] if request.content_type == "application/json":
                return web.json_response(await self._act(await request.json()))
        return web.Response(status=404)

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        """Server-sent events: the version of the feed, whenever it is another one."""
        stream = web.StreamResponse()
        stream.content_type = "text/event-stream"
        stream.headers["Cache-Control"] = "no-store"
        await stream.prepare(request)
        version = -1
        with contextlib.suppress(ConnectionError):
            while not self._closing:
                version = await self._feed.changed(version)
                await stream.write(f"data: {version}\n\n".encode())
        return stream

    # --- what a page shows ----------------------------------------------------------

    def _seen_by(self, user: str) -> dict[str, Any]:
        me = self._feed.people[user]
        places = [
            each
            for each in self._feed.conversations.values()
            if me in each.members and (each.kind is Kind.CHANNEL or each.members == [me])
        ]
        return {
            "version": self._feed.version,
            "bot": BOT_NAME,
            "me": _author(me),
            "people": [_author(each) for each in self._feed.people.values()],
            "places": [
                {
                    "id": each.id,
                    "kind": each.kind.value,
                    "name": each.name if each.kind is Kind.CHANNEL else BOT_NAME,
                    "installed": each.installed,
                    "members": len(each.members),
                }
                for each in places
            ],
            "messages": [
                _message(message)
                for place in places
                for message in sorted(place.messages.values(), key=functools.partial(_order, place))
                if not message.deleted
            ],
        }

    # --- what its user does ---------------------------------------------------------

    async def _act(self, told: dict[str, Any]) -> dict[str, Any]:
        teams, me = self._teams, self._feed.people[told["user"]]
        message = self._feed.message(told["message"]) if "message" in told else None
        place = self._feed.conversations[told["place"]] if "place" in told else None
        match told["do"]:
            case "invoke":
                assert message is not None
                answer = await teams.do_invoke(me, message, told["action"], trigger=told["trigger"])
                return {"outcome": answer.outcome.value, "value": answer.value}
            case "submit":
                assert message is not None
                return {"status": await teams.do_submit(me, message, told["value"])}
            case "say":
                assert place is not None
                at = f"@{BOT_NAME.lower()}"
                text = str(told["text"])
                mention = text.lower().startswith(at)
                text = text[len(at) :].strip() if mention else text
                return {"status": await teams.do_say(me, text, place, mention=mention)}
            case "install" | "uninstall" as change:
                assert place is not None
                await (teams.do_install if change == "install" else teams.do_uninstall)(place, me)
            case "forward":
                assert message is not None
                assert place is not None
                teams.do_forward(me, message, place)
        return {}


def _file(path: Path) -> web.Response:
    """A file of the page; the renderer's too."""
    if not path.is_file():
        return web.Response(status=404)
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": _POLICY}
    kind = _TYPES[path.suffix]
    return web.Response(body=path.read_bytes(), content_type=kind, charset="utf-8", headers=headers)


def _order(place: Conversation, message: Message) -> tuple[float, float]:
    """Thread by thread, each by time."""
    root = place.messages.get(message.root_id, message)
    return (root.sent_at, message.sent_at)


def _author(person: Person | None) -> dict[str, Any]:
    if person is None:
        return {"name": BOT_NAME, "user": "", "bot": True, "badge": "App"}
    badge = "Guest" if person.role == "guest" else "App" if person.application else ""
    badge = badge or ("External" if person.tenant_id != TENANT_ID else "")
    return {
        "name": person.name,
        "user": person.user,
        "mri": person.mri,
        "badge": badge,
        "bot": False,
        "application": person.application,
        "about": f"{person.name}, {person.role}, {person.object_id}",
    }


def _message(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "place": message.conversation_id,
        "root": message.root_id,
        "author": _author(message.author),
        "text": message.text,
        "format": message.activity.get("textFormat", "markdown"),
        "cards": message.cards,
        "edition": message.edition,
        "at": message.sent_at,
        "activity": json.loads(json.dumps(message.activity)),
    }
