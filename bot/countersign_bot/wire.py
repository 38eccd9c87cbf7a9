"""The bot's wire, put together from its settings: Teams in, Teams out.

Nothing of reviews is here. Whoever runs the bot opens a wire, gives it a turn, and
serves:

    async with Wire(settings) as wire:
        async with wire.serving(turn) as port:
            ...                                 # deliveries, through wire.connector
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import errno
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Self

from aiohttp import web

from countersign.errors import ConfigurationError
from countersign_bot.connector.credentials import (
    Credentials,
    MsalCredentials,
    NoCredentials,
    managed_identity,
    single_tenant,
)
from countersign_bot.connector.pace import Pace, Rate
from countersign_bot.connector.protocol import Connector
from countersign_bot.connector.teams import BotFrameworkConnector
from countersign_bot.inbound.activity import Inbound
from countersign_bot.inbound.gate import BotFrameworkGate, DevelopmentGate, Gate, Served
from countersign_bot.inbound.keys import Keys, fetch
from countersign_bot.inbound.route import DRAIN_S, Route, Turn, Wording, application
from countersign_bot.outgoing import Outgoing
from countersign_bot.settings import Settings


class Wire:
    """Open from `async with` to its end. Raises `ConfigurationError` before it opens."""

    connector: Connector
    gate: Gate
    keys: Keys
    counts: collections.Counter[str]
    """Requests by what became of them; see `Route.counts`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.credentials = _credentials(settings)
        self._outgoing = Outgoing()
        self.counts = collections.Counter()

    async def __aenter__(self) -> Self:
        settings = self._settings
        async with contextlib.AsyncExitStack() as stack:
            outgoing = await stack.enter_async_context(self._outgoing)
            self.keys = Keys(
                lambda: fetch(outgoing, settings.cloud.metadata_url), clock=time.monotonic
            )
            stack.push_async_callback(self.keys.close)
            self.gate = self._gate()
            self.connector = BotFrameworkConnector(
                bot_id=settings.bot_id,
                outgoing=outgoing,
                credentials=self.credentials,
                hosts=settings.hosts(),
                pace=_pace(settings),
            )
            if not settings.is_open:
                await self.keys.start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @contextlib.asynccontextmanager
    async def serving(
        self, turn: Turn, *, wording: Callable[[Inbound], Wording] | None = None
    ) -> AsyncIterator[int]:
        """Listen; the port. At the end no more is taken, and running turns end first."""
        listen = self._settings.listen
        route = Route(self.gate, turn, counts=self.counts, wording=wording)
        runner = web.AppRunner(application(route), access_log=None, shutdown_timeout=DRAIN_S)
        await runner.setup()
        try:
            site = web.TCPSite(
                runner, listen.host, listen.port, ssl_context=await self._server_tls()
            )
            await _listening(site, listen.address)
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()

    def _gate(self) -> Gate:
        settings = self._settings
        served = Served(
            app_id=settings.app.id, tenants=frozenset(settings.tenants), hosts=settings.hosts()
        )
        if settings.is_open:
            return DevelopmentGate(served)
        return BotFrameworkGate(served, issuer=settings.cloud.issuer, keys=self.keys)

    async def _server_tls(self) -> ssl.SSLContext | None:
        listen = self._settings.listen
        if not listen.tls_certificate:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            await asyncio.to_thread(
                context.load_cert_chain,
                self._settings.path(listen.tls_certificate),
                self._settings.path(listen.tls_key),
            )
        except OSError:
            raise ConfigurationError(
                "bot.settings",
                "listen.tls_certificate, listen.tls_key: cannot be used",
                advice="Name a certificate and its key, both PEM, that this user may read.",
            ) from None
        return context


async def _listening(site: web.TCPSite, address: str) -> None:
    """Raises `ConfigurationError`."""
    try:
        await site.start()
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else "cannot be listened on"
        raise ConfigurationError(
            "bot.listen",
            f"listen.address: {address} {why}",
            advice="End what listens there, or name another address of this machine; "
            "the messaging endpoint in Azure, or the proxy, must lead to it.",
        ) from None


def _credentials(settings: Settings) -> Credentials:
    """How the bot proves itself to Entra. Raises `ConfigurationError`."""
    if settings.is_open:
        return NoCredentials()
    app, cloud = settings.app, settings.cloud
    if app.type == "managed_identity":
        acquire = managed_identity(client_id=app.id, scope=cloud.scope)
    else:
        acquire = single_tenant(
            app_id=app.id,
            authority=cloud.login_url + app.tenant,
            scope=cloud.scope,
            proof=settings.proof(),
        )
    return MsalCredentials(acquire, clock=time.monotonic)


def _pace(settings: Settings) -> Pace:
    limits = settings.limits
    return Pace(
        conversation=Rate(per_s=limits.conversation_per_s, burst=limits.conversation_burst),
        tenant=Rate(per_s=limits.tenant_per_s, burst=limits.tenant_burst),
        clock=time.monotonic,
    )
