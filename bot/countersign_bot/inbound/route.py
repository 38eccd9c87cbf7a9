"""`POST /api/messages`: the Bot Framework's requests, and what they are answered.

Ours, because the SDK's own route answers every `Action.Execute` with HTTP 500 and every
bad token as well. The sender is judged by the headers before any of the body is read,
and nothing acts on a request that is refused. An invoke always gets a body that Teams
can show: without one it says that the app cannot be reached, and does the action again.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from aiohttp import web

from countersign_bot.inbound.activity import MAX_BODY_BYTES, Inbound
from countersign_bot.inbound.answer import CARD_ACTION, InvokeAnswer
from countersign_bot.inbound.gate import Gate
from countersign_bot.inbound.refusal import Refusal, RefusedError

PATH: Final = "/api/messages"
TURN_WITHIN_S: Final = 10.0
READ_WITHIN_S: Final = 10.0
DRAIN_S: Final = TURN_WITHIN_S + 2.0
"""For how long a server that stops waits for turns to end."""
_log = logging.getLogger(__name__)

Turn: TypeAlias = Callable[[Inbound], Awaitable[InvokeAnswer | None]]
"""What an activity leads to. An invoke should get an answer; it is not for others."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What people read when a turn came to nothing."""

    failed: str = "Something went wrong here. Look at the card again before you repeat it."
    late: str = "That took too long. Look at the card again before you repeat it."
    unknown: str = "This bot does not know that action. Please use the newest card."


class Route:
    """The route's state: what was refused, and what runs."""

    def __init__(
        self,
        gate: Gate,
        turn: Turn,
        *,
        counts: collections.Counter[str],
        wording: Callable[[Inbound], Wording] | None = None,
        turn_within_s: float = TURN_WITHIN_S,
    ) -> None:
        self._gate = gate
        self._turn = turn
        self._wording = wording or (lambda _: Wording())
        self._turn_within_s = turn_within_s
        self._draining = False
        self.counts = counts
        """Requests by what became of them: `turn`, `turn.failed`, `turn.late`, or a refusal."""

    async def messages(self, request: web.Request) -> web.Response:
        """One request of the Bot Framework."""
        try:
            inbound = await self._admitted(request)
        except RefusedError as refused:
            return self._refuse(refused)
        return await self.run(inbound)

    async def health(self, _: web.Request) -> web.Response:
        """Alive."""
        return web.json_response({"status": "ok"})

    async def readiness(self, _: web.Request) -> web.Response:
        """Whether a click would be let in."""
        ready = self._gate.ready and not self._draining
        return web.json_response(
            {"status": "ready" if ready else "not ready"}, status=200 if ready else 503
        )

    async def drain(self, _: web.Application) -> None:
        """Take no more; aiohttp waits for what runs."""
        self._draining = True

    async def _admitted(self, request: web.Request) -> Inbound:
        if self._draining:
            raise RefusedError(Refusal.DRAINING, "this process is going away; try again")
        sender = await self._gate.sender(request.headers.getall("Authorization", []))
        return self._gate.admit(sender, await _body(request))

    def _refuse(self, refused: RefusedError) -> web.Response:
        self.counts[refused.code] += 1
        _log.warning("refused a request: %s [%s]", refused.message, refused.code)
        headers = {"WWW-Authenticate": "Bearer"} if refused.refusal.status == 401 else None
        return web.json_response(
            {"error": {"code": refused.code, "message": refused.message}},
            status=refused.refusal.status,
            headers=headers,
        )

    async def run(self, inbound: Inbound) -> web.Response:
        """Act on what was let in; 200 in any case: an error makes Teams do it again."""
        words = self._wording(inbound)
        try:
            async with asyncio.timeout(self._turn_within_s):
                response = _answered(inbound, await self._turn(inbound), words)
        except TimeoutError:
            return self._fault(inbound, "turn.late", "TimeoutError", words.late)
        except Exception as error:  # noqa: BLE001 - whoever clicked needs an answer, not a traceback
            return self._fault(inbound, "turn.failed", type(error).__name__, words.failed)
        self.counts["turn"] += 1
        return response

    def _fault(self, inbound: Inbound, code: str, error: str, text: str) -> web.Response:
        self.counts[code] += 1
        _log.error("a turn came to nothing: %s in %r %r", error, inbound.type, inbound.name)
        if not inbound.is_invoke:
            return web.Response(status=200)
        return _json(InvokeAnswer.fault(code, text, status=500))


def application(route: Route) -> web.Application:
    """What serves it. Its runner should wait `DRAIN_S` at the end."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post(PATH, route.messages)
    app.router.add_get("/healthz", route.health)
    app.router.add_get("/readyz", route.readiness)
    app.on_shutdown.append(route.drain)
    return app


async def _body(request: web.Request) -> bytes:
    """The body as it is, whole and within bounds. Raises `RefusedError`."""
    if (
        request.content_type != "application/json"
        or (request.charset or "utf-8").lower() != "utf-8"
    ):
        raise RefusedError(Refusal.BODY_TYPE, "Content-Type: must be application/json in UTF-8")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        # What it would unpack to is not bounded by what it is.
        raise RefusedError(Refusal.BODY_TYPE, "Content-Encoding: must be identity")
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise RefusedError(
            Refusal.BODY_TOO_LARGE, f"the body is over {MAX_BODY_BYTES} bytes"
        ) from None
    except (TimeoutError, ConnectionError, web.HTTPException):
        raise RefusedError(Refusal.BODY_MALFORMED, "the body did not come whole") from None


def _answered(inbound: Inbound, answer: InvokeAnswer | None, words: Wording) -> web.Response:
    if not inbound.is_invoke:
        return web.Response(status=200)
    if answer is not None and answer.body:
        return _json(answer)
    unknown = InvokeAnswer.fault("turn.unknown", words.unknown)
    return _json(unknown, status=200 if inbound.name == CARD_ACTION else 501)


def _json(answer: InvokeAnswer, *, status: int = 200) -> web.Response:
    data = json.dumps(dict(answer.body), ensure_ascii=False, separators=(",", ":"))
    return web.Response(body=data.encode(), status=status, content_type="application/json")
