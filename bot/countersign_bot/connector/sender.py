"""How the SDK's requests leave this process: the one place that adds the bot's token.

The SDK would send it to whatever address it is given, in a thread, for 100 s, following
redirects. Here the host is looked at once more beside the token, whatever was checked
before, and the request goes out as `Outgoing` sends them.
"""

from __future__ import annotations

import json
from typing import Any, Final

from msrest.pipeline import AsyncHTTPSender, Request, Response
from msrest.universal_http import ClientRequest
from msrest.universal_http.async_abc import AsyncClientResponse

from countersign_bot.connector.credentials import Credentials
from countersign_bot.connector.errors import PassingError, RefusedError
from countersign_bot.inbound.clouds import ServiceHosts
from countersign_bot.outgoing import Outgoing, OutgoingError, Reply, TooLateError

SEND_WITHIN_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 256 * 1024
_LEFT_OUT: Final = frozenset({"Content-Length", "Authorization"})


class AnsweredError(Exception):
    """Teams answered with a status that is no success."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"the connector answers {reply.status}")
        self.reply = reply


class Sender(AsyncHTTPSender):  # type: ignore[misc]
    """The last stage of the SDK's pipeline."""

    def __init__(
        self,
        outgoing: Outgoing,
        credentials: Credentials,
        hosts: ServiceHosts,
        within_s: float = SEND_WITHIN_S,
    ) -> None:
        self._outgoing = outgoing
        self._credentials = credentials
        self._hosts = hosts
        self._within_s = within_s

    async def __aexit__(self, *_: object) -> None:
        """The connections are others'."""

    async def send(self, request: Request, **_: Any) -> Response:
        """Raises `AnsweredError` and `ConnectorError`."""
        return Response(request, _Received(request.http_request, await self._sent(request)))

    async def _sent(self, request: Request) -> Reply:
        sent = request.http_request
        self._require_allowed(sent.url)
        token = await self._credentials.token()
        # The length is that of what the SDK wrote, not of what is sent.
        headers = {name: text for name, text in sent.headers.items() if name not in _LEFT_OUT}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            reply = await self._outgoing.send(
                sent.method,
                sent.url,
                headers=headers,
                body=None if sent.data is None else _compact(sent.data),
                within_s=self._within_s,
                max_bytes=MAX_ANSWER_BYTES,
            )
        except TooLateError:
            raise PassingError("teams.timeout", "Teams did not answer in time") from None
        except OutgoingError:
            raise PassingError("teams.unreachable", "Teams cannot be reached") from None
        if reply.status == 401:
            self._credentials.refuse(token)
        if not 200 <= reply.status < 300:
            raise AnsweredError(reply)
        return reply

    def _require_allowed(self, url: str) -> None:
        """The base of a whole URL, whose path the SDK has encoded."""
        base = "/".join(url.split("/", 3)[:3])
        if not self._hosts.allow(base):
            raise RefusedError("teams.host", "the bot's token must not go to that host")


class _Received(AsyncClientResponse):  # type: ignore[misc]
    """An answer as the SDK reads it."""

    def __init__(self, request: ClientRequest, reply: Reply) -> None:
        super().__init__(request, reply)
        self._body = reply.body
        self.status_code = reply.status
        self.headers = dict(reply.headers)
        self.reason = ""

    def body(self) -> bytes:
        return self._body

    def text(self, encoding: str | None = None) -> str:
        return self._body.decode(encoding or "utf-8", "replace")

    def raise_for_status(self) -> None:
        """A failure never comes so far."""


def _compact(data: str | bytes) -> bytes:
    """The SDK writes ASCII with blanks, up to three times what Teams measures."""
    value = json.loads(data)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
