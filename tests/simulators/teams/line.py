"""From Teams to the bot: activities with signed tokens, and what the bot answers.

The answer to an invoke is judged as strictly as Teams does: anything but HTTP 200 with
one of the known types within the time is "unable to reach app".
Source: "Universal Actions for Adaptive Cards", Bot Framework's activity schema.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import time
import uuid
from typing import Any, Final

import aiohttp

from simulators.teams.cloud import SERVICE_URL, Cloud
from simulators.teams.feed import Conversation, Kind, Message
from simulators.teams.people import Person

BOT_NAME: Final = "Countersign"
ANSWER_WITHIN_S: Final = 15.0
"""How long Teams waits for an answer: no official number, what is commonly seen."""
_TYPES: Final = {
    "application/vnd.microsoft.card.adaptive": "card",
    "application/vnd.microsoft.activity.message": "message",
    "application/vnd.microsoft.error": "error",
}


class Outcome(enum.Enum):
    """What a click came to, on the screen of whoever clicked."""

    CARD = "card"
    MESSAGE = "message"
    ERROR = "error"
    UNREACHABLE = "unreachable"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the bot said to an activity."""

    outcome: Outcome
    value: Any
    """The card, the text, or the error, as its outcome says."""
    http_status: int
    """0: no answer at all."""
    body: str
    took_s: float


class Line:
    """Posts activities to one bot's endpoint."""

    def __init__(self, cloud: Cloud, bot_url: str, service_url: str = SERVICE_URL) -> None:
        self._cloud = cloud
        self.bot_url = bot_url
        self.service_url = service_url
        self.answer_within_s = ANSWER_WITHIN_S
        self.sent: list[dict[str, Any]] = []
        """Every activity that was sent, as the bot got it."""
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def token(self, **claims: Any) -> str:
        """A good token for this bot, unless claims say otherwise."""
        told: dict[str, Any] = {"audience": self._cloud.bot.app_id, "service_url": self.service_url}
        return self._cloud.framework.token(**(told | claims))

    async def post(
        self, activity: dict[str, Any], *, token: str | None = None
    ) -> tuple[int, str, float]:
        """Status, body and seconds; status 0 where there was no answer in time."""
        self.sent.append(activity)
        headers = {"Authorization": f"Bearer {self.token() if token is None else token}"}
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        within = aiohttp.ClientTimeout(total=self.answer_within_s)
        began = time.monotonic()
        try:
            async with self._session.post(
                self.bot_url, json=activity, headers=headers, timeout=within, allow_redirects=False
            ) as answer:
                return answer.status, await answer.text(), time.monotonic() - began
        except (TimeoutError, aiohttp.ClientError, UnicodeDecodeError):
            return 0, "", time.monotonic() - began

    async def invoke(self, activity: dict[str, Any]) -> Answer:
        """Post an invoke and judge the answer."""
        status, body, took_s = await self.post(activity)
        outcome, value = judged(status, body)
        return Answer(outcome=outcome, value=value, http_status=status, body=body, took_s=took_s)

    # --- activities -----------------------------------------------------------------

    def activity(
        self,
        kind: str,
        author: Person,
        conversation: Conversation,
        *,
        root_id: str = "",
        **more: Any,
    ) -> dict[str, Any]:
        """One that this person causes there."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        channel = conversation.kind is Kind.CHANNEL
        thread = (
            f"{conversation.id};messageid={root_id}" if channel and root_id else conversation.id
        )
        where: dict[str, Any] = {
            "id": thread,
            "conversationType": conversation.kind.value,
            "tenantId": conversation.tenant_id,
        }
        data: dict[str, Any] = {"tenant": {"id": conversation.tenant_id}}
        if channel:
            where["isGroup"] = True
            data["team"] = {"id": conversation.team_id, "name": conversation.name}
            data["channel"] = {"id": conversation.id}
            data["teamsTeamId"], data["teamsChannelId"] = conversation.team_id, conversation.id
        return {
            "type": kind,
            "id": f"f:{uuid.uuid4()}",
            "timestamp": now,
            "localTimestamp": now,
            "localTimezone": "Europe/Berlin",
            "serviceUrl": self.service_url,
            "channelId": "msteams",
            "from": author.account,
            "conversation": where,
            "recipient": self.bot_account,
            "channelData": data,
            "locale": author.locale,
        } | more

    @property
    def bot_account(self) -> dict[str, Any]:
        """The bot, as Teams names it."""
        return {"id": f"28:{self._cloud.bot.app_id}", "name": BOT_NAME}

    def card_action(
        self,
        author: Person,
        conversation: Conversation,
        message: Message,
        action: dict[str, Any],
        *,
        trigger: str = "manual",
    ) -> dict[str, Any]:
        """The invoke of an Action.Execute on that message."""
        told = {
            name: action[name] for name in ("type", "id", "title", "verb", "data") if name in action
        }
        return self.activity(
            "invoke",
            author,
            conversation,
            root_id=message.root_id,
            name="adaptiveCard/action",
            replyToId=message.id,
            value={"action": {"data": {}} | told, "trigger": trigger},
        )


def judged(status: int, body: str) -> tuple[Outcome, Any]:
    """What Teams shows for an answer to an invoke."""
    nothing = (Outcome.UNREACHABLE, None)
    if status != 200:
        return nothing
    try:
        told = json.loads(body)
    except ValueError:
        return nothing
    if not isinstance(told, dict) or not isinstance(told.get("statusCode"), int):
        return nothing
    kind, value = _TYPES.get(told.get("type", "")), told.get("value")
    match kind, value:
        case "card", {"type": "AdaptiveCard"} if told["statusCode"] == 200:
            return Outcome.CARD, value
        case "message", str() if value and told["statusCode"] == 200:
            return Outcome.MESSAGE, value
        case "error", {"code": str(), "message": str()} if told["statusCode"] >= 400:
            return Outcome.ERROR, value
    return nothing
