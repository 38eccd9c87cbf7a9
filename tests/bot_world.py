"""A bot's wire in a fake cloud, with the settings of production, and what Teams sends it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from countersign_bot.inbound import Inbound, InvokeAnswer
from countersign_bot.settings import Settings, load
from countersign_bot.wire import Wire
from simulators.teams.cloud import SERVICE_URL, Cloud

BOB = "6f9b1c1e-2b1a-4d0e-9d53-0a5f0c7d3b44"
BOB_IN_TEAMS = "29:1bob-in-teams"
CHANNEL_ID = "19:approvals@thread.tacv2"
CARD_ID = "1763850000001"
OTHER_TENANT = "c2a3f1de-8a55-4b8e-9b0e-3f4d0a5b6c77"


def settings(directory: Path, cloud: Cloud, **changed: str) -> Settings:
    """What `bot.toml` of production says for this cloud; changed lines by their key."""
    secret = directory / "secret"
    secret.touch(0o600)
    secret.write_text(f"{cloud.bot.secret}\n")
    lines = {
        "tenants": f'["{cloud.tenant_id}"]',
        "app.id": f'"{cloud.bot.app_id}"',
        "app.tenant": f'"{cloud.tenant_id}"',
        "app.secret": '"secret"',
        "listen.address": '"127.0.0.1:0"',
    } | changed
    file = directory / "bot.toml"
    file.write_text("".join(f"{key} = {value}\n" for key, value in lines.items() if value))
    return load(file)


def click(cloud: Cloud, **changed: Any) -> dict[str, Any]:
    """An `Action.Execute` by Bob in a channel. A changed part that is `...` is left out.

    `conversation__tenantId=…` changes a part of a part.
    """
    told: dict[str, Any] = {
        "type": "invoke",
        "name": "adaptiveCard/action",
        "id": f"f:{uuid.uuid4()}",
        "channelId": "msteams",
        "serviceUrl": SERVICE_URL,
        "locale": "de-DE",
        "from": {"id": BOB_IN_TEAMS, "name": "Bob", "aadObjectId": BOB.upper()},
        "recipient": {"id": f"28:{cloud.bot.app_id}", "name": "Countersign"},
        "conversation": {
            "id": f"{CHANNEL_ID};messageid={CARD_ID}",
            "conversationType": "channel",
            "tenantId": cloud.tenant_id,
            "isGroup": True,
        },
        "channelData": {"tenant": {"id": cloud.tenant_id}, "team": {"id": "19:team@thread.tacv2"}},
        "replyToId": CARD_ID,
        "value": {"action": {"verb": "approve", "data": {"review": "rev-1", "nonce": "n"}}},
    }
    for path, value in changed.items():
        *above, last = path.split("__")
        place = told
        for step in above:
            place = place[step]
        place[last] = value
        if value is ...:
            del place[last]
    return told


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the bot's address answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a refusal."""
        return str(self.json["error"]["code"])


class Bot:
    """A wire that serves. `turns` is every activity that was acted on."""

    def __init__(self, cloud: Cloud, wire: Wire) -> None:
        self.cloud = cloud
        self.wire = wire
        self.turns: list[Inbound] = []
        self.behaviour: Callable[[Inbound], Any] = lambda _: InvokeAnswer.message("taken")
        self.port = 0
        self._session: aiohttp.ClientSession

    async def turn(self, inbound: Inbound) -> InvokeAnswer | None:
        self.turns.append(inbound)
        answer = self.behaviour(inbound)
        return await answer if asyncio.iscoroutine(answer) else answer

    def token(self, **changed: Any) -> str:
        """A good token, but for what is changed."""
        told = {"audience": self.cloud.bot.app_id, "service_url": SERVICE_URL} | changed
        return self.cloud.framework.token(**told)

    async def post(
        self,
        body: Any,
        authorization: str | tuple[str, ...] | None = None,
        **headers: str,
    ) -> Answered:
        """Its answer to a body, as JSON or as bytes; with a good token unless told."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        values = (f"Bearer {self.token()}",) if authorization is None else authorization
        values = (values,) if isinstance(values, str) else values
        pairs = [("Content-Type", headers.pop("content_type", "application/json"))]
        pairs += [(name.replace("_", "-"), value) for name, value in headers.items()]
        pairs += [("Authorization", value) for value in values]
        url = f"http://127.0.0.1:{self.port}/api/messages"
        async with self._session.post(url, data=data, headers=pairs) as answer:
            return Answered(
                status=answer.status, headers=dict(answer.headers), body=await answer.read()
            )

    async def get(self, path: str) -> int:
        """The status there."""
        async with self._session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return answer.status

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Bot]:
        async with (
            aiohttp.ClientSession(trust_env=False) as self._session,
            self.wire.serving(self.turn) as self.port,
        ):
            yield self


@contextlib.asynccontextmanager
async def bot(cloud: Cloud, given: Settings) -> AsyncIterator[Bot]:
    """A bot with these settings, serving; the environment has to be the cloud's."""
    async with Wire(given) as wire, Bot(cloud, wire).serving() as serving:
        yield serving
