"""The connector as Teams speaks it (v3): where a bot's messages arrive.

Bearer tokens are really checked, sizes are limited, ids and errors look like those of
Teams. Everything that is asked is kept in `calls`; `fault` makes it go wrong.
Source: the Bot Connector REST reference, and "Create and send messages" of Teams.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import json
import re
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from simulators.teams.cloud import SERVICE_URL, Cloud
from simulators.teams.entra import TokenRefusedError
from simulators.teams.feed import Conversation, Feed, Kind, Message

MAX_MESSAGE_BYTES: Final = 28 * 1024
CARD_TYPE: Final = "application/vnd.microsoft.card.adaptive"
CARD_VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5")
RATES: Final = ((7, 1.0), (8, 2.0), (60, 30.0), (1800, 3600.0))
"""What one bot may send to one thread: so many in so many seconds."""
_PAGE_SIZE = 50


@dataclasses.dataclass(slots=True, kw_only=True)
class Fault:
    """Something that goes wrong, `times` times or for good; each part works alone."""

    status: int = 0
    retry_after_s: int | None = None
    delay_s: float = 0.0
    lose_answer: bool = False
    """Do what was asked, then close the connection without a word."""
    drop: bool = False
    """Close it without doing anything."""
    times: int | None = None
    method: str = ""
    path: str = ""
    """A part of the path, decoded: a conversation, `/members`, `/activities`."""

    def meets(self, method: str, path: str) -> bool:
        """Whether it is still there for this call."""
        return self.times != 0 and self.method in ("", method) and self.path in path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a bot, and how it was answered."""

    method: str
    path: str
    body: Any
    size_bytes: int
    status: int
    at_s: float
    """Monotonic."""


class RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"code": code, "message": message or code}}


class Connector:
    """The connector hosts of one cloud, over what is seen in one feed."""

    def __init__(self, cloud: Cloud, feed: Feed, service_url: str = SERVICE_URL) -> None:
        self._cloud = cloud
        self._feed = feed
        self._region = service_url.rstrip("/").rpartition("/")[2]
        self._sent: dict[str, collections.deque[float]] = {}
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.rates: tuple[tuple[int, float], ...] = ()
        """What a bot is held to in each thread: `RATES`, or whatever a test can reach."""
        self.down = False
        """Whether nothing at all is answered but 503, as for an hour of outage."""
        for host in cloud.realm.connector_hosts:
            cloud.serve(host, self.answer)

    def fault(self, **told: Any) -> Fault:
        """Go wrong so from now on."""
        fault = Fault(**told)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.faults.clear()
        self.down = False
        self.rates = ()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request to a connector host."""
        try:
            raw = await request.read()
        except ConnectionError:  # whoever asked went away, and nothing was asked
            return web.Response(status=500)
        fault = self._fault(request)
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.drop and request.transport is not None:
            request.transport.abort()
            return web.Response(status=500)
        if fault.status:
            answer = web.json_response({"error": {"code": "Injected"}}, status=fault.status)
            if fault.retry_after_s is not None:
                answer.headers["Retry-After"] = str(fault.retry_after_s)
        else:
            answer = self._handle(request, raw)
        self._remember(request, raw, answer.status)
        if fault.lose_answer and request.transport is not None:
            request.transport.abort()
        return answer

    def _fault(self, request: web.BaseRequest) -> Fault:
        if self.down:
            return Fault(status=503)
        for fault in self.faults:
            if fault.meets(request.method, request.path):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return Fault()

    def _remember(self, request: web.BaseRequest, raw: bytes, status: int) -> None:
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        self.calls.append(
            Call(
                method=request.method,
                path=request.path,
                body=body,
                size_bytes=len(raw),
                status=status,
                at_s=time.monotonic(),
            )
        )
        self._feed.touch()

    # --- what is asked ------------------------------------------------------------

    def _handle(self, request: web.BaseRequest, raw: bytes) -> web.Response:
        try:
            self._authenticate(request)
            for method, pattern, handle in self._routes():
                found = re.fullmatch(rf"/{self._region}/v3/{pattern}", request.path)
                if found and method == request.method:
                    status, body = handle(*found.groups(), self._body(raw))
                    return web.json_response(body, status=status)
            raise RefusedError(404, "NotFound")
        except RefusedError as refused:
            answer = web.json_response(refused.body, status=refused.status)
            if refused.status == 429:
                answer.headers["Retry-After"] = "1"
            return answer

    def _routes(self) -> tuple[tuple[str, str, Callable[..., tuple[int, Any]]], ...]:
        one = "conversations/([^/]+)"
        return (
            ("POST", "conversations", self._create),
            ("POST", f"{one}/activities", self._send),
            ("POST", f"{one}/activities/([^/]+)", self._reply),
            ("PUT", f"{one}/activities/([^/]+)", self._update),
            ("DELETE", f"{one}/activities/([^/]+)", self._delete),
            ("GET", f"{one}/members", self._members),
            ("GET", f"{one}/pagedmembers", self._paged_members),
            ("GET", f"{one}/members/([^/]+)", self._member),
        )

    def _authenticate(self, request: web.BaseRequest) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            claims = self._cloud.entra.verify(token if scheme == "Bearer" else "")
        except TokenRefusedError as error:
            raise RefusedError(401, "Unauthorized", str(error)) from error
        if claims["appid"] != self._cloud.bot.app_id:
            raise RefusedError(403, "BotNotRegistered")

    def _body(self, raw: bytes) -> Any:
        if len(raw) > MAX_MESSAGE_BYTES:
            raise RefusedError(413, "MessageSizeTooBig")
        try:
            return json.loads(raw) if raw else None
        except ValueError as error:
            raise RefusedError(400, "BadSyntax") from error

    # --- messages -----------------------------------------------------------------

    def _create(self, body: Any) -> tuple[int, Any]:
        """A chat with one person, or a new thread in a channel."""
        data = body.get("channelData") or {}
        if channel := (data.get("channel") or {}).get("id"):
            status, sent = self._send(channel, body.get("activity"))
            return status, {"id": f"{channel};messageid={sent['id']}", "activityId": sent["id"]}
        tenant = body.get("tenantId") or (data.get("tenant") or {}).get("id")
        members = body.get("members") or []
        person = self._feed.find_person(members[0]["id"]) if len(members) == 1 else None
        if person is None or not tenant:
            raise RefusedError(400, "BadArgument", "one member and a tenant are needed")
        if person.tenant_id != tenant:
            raise RefusedError(403, "ForbiddenOperationException")
        conversation = self._feed.chat(person)
        if not conversation.installed:
            raise RefusedError(403, "ForbiddenOperationException", "bot is not installed")
        return 201, {"id": conversation.id}

    def _send(self, name: str, body: Any) -> tuple[int, Any]:
        conversation, root = self._place(name)
        message = self._feed.post(conversation, self._good(conversation, body), root_id=root)
        return 201, {"id": message.id}

    def _reply(self, name: str, id: str, body: Any) -> tuple[int, Any]:
        conversation, root = self._place(name)
        if conversation.kind is Kind.CHANNEL:
            root = root or self._message(conversation, id).root_id
        message = self._feed.post(conversation, self._good(conversation, body), root_id=root)
        return 201, {"id": message.id}

    def _update(self, name: str, id: str, body: Any) -> tuple[int, Any]:
        conversation, _ = self._place(name)
        message = self._own(conversation, id)
        self._feed.edit(message, self._good(conversation, body))
        return 200, {"id": id}

    def _delete(self, name: str, id: str, _: Any) -> tuple[int, Any]:
        conversation, _root = self._place(name)
        self._feed.delete(self._own(conversation, id))
        return 200, {}

    def _place(self, name: str) -> tuple[Conversation, str]:
        """A conversation that the bot is in, and the thread that the name points to."""
        thread, _, root = name.partition(";messageid=")
        conversation = self._feed.conversations.get(thread)
        if conversation is None:
            raise RefusedError(404, "ConversationNotFound")
        if not conversation.installed:
            raise RefusedError(403, "BotNotInConversationRoster")
        if root:
            self._message(conversation, root)
        return conversation, root

    def _message(self, conversation: Conversation, id: str) -> Message:
        message = conversation.messages.get(id)
        if message is None or message.deleted:
            raise RefusedError(404, "ActivityNotFoundInConversation")
        return message

    def _own(self, conversation: Conversation, id: str) -> Message:
        message = self._message(conversation, id)
        if message.author is not None:
            raise RefusedError(403, "ForbiddenOperationException", "not the bot's own message")
        return message

    def _good(self, conversation: Conversation, body: Any) -> dict[str, Any]:
        """A message that may be shown, within the rate of its thread."""
        if not isinstance(body, dict) or body.get("type") != "message":
            raise RefusedError(400, "BadSyntax", "activities of type message only")
        attachments = body.get("attachments") or []
        if not attachments and not body.get("text"):
            raise RefusedError(400, "BadSyntax", "neither text nor attachments")
        for each in attachments:
            card = each.get("content")
            if each.get("contentType") != CARD_TYPE or not isinstance(card, dict):
                raise RefusedError(400, "BadSyntax", "an attachment that is no adaptive card")
            if card.get("type") != "AdaptiveCard" or card.get("version") not in CARD_VERSIONS:
                raise RefusedError(400, "BadSyntax", "a card of no known version")
        self._hold_to_rates(conversation.id)
        return body

    def _hold_to_rates(self, thread: str) -> None:
        now = time.monotonic()
        sent = self._sent.setdefault(thread, collections.deque(maxlen=RATES[-1][0]))
        for count, within_s in self.rates:
            if sum(1 for at in sent if at > now - within_s) >= count:
                raise RefusedError(429, "TooManyRequests")
        sent.append(now)

    # --- rosters ------------------------------------------------------------------

    def _members(self, name: str, _: Any) -> tuple[int, Any]:
        return 200, self._roster(name)

    def _paged_members(self, name: str, _: Any) -> tuple[int, Any]:
        return 200, {"members": self._roster(name)[:_PAGE_SIZE]}

    def _member(self, name: str, id: str, _: Any) -> tuple[int, Any]:
        for member in self._roster(name):
            if id in (member["id"], member["objectId"]):
                return 200, member
        raise RefusedError(404, "MemberNotFoundInConversation")

    def _roster(self, name: str) -> list[dict[str, Any]]:
        conversation, _ = self._place(name)
        return [person.member for person in conversation.members if not person.application]
