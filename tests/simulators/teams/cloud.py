"""A fake cloud for a bot in its unmodified production configuration.

One TLS server on loopback, under an authority made at the start, plays Bot Framework's
login, Entra and the connector hosts; a CONNECT proxy beside it takes exactly those
names to it and refuses all others. A process with `environment()` and nothing else
changed runs its real MSAL, OpenID, JWT and connector code against it:

    with Cloud() as cloud:
        bot = subprocess.Popen([...], env=cloud.environment())
        token = cloud.framework.token(audience=cloud.bot.app_id, service_url=SERVICE_URL)

It serves from a thread of its own. What it does can be changed at any time by
`trouble`, and what was asked of it is counted in `hits` by `host/path`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
import tempfile
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Self

from aiohttp import web
from cryptography import x509

from certificates import Authority
from simulators.teams.counting import Counting
from simulators.teams.entra import Application, Entra
from simulators.teams.framework import BotFramework
from simulators.teams.loop import Loop
from simulators.teams.proxy import Proxy
from simulators.teams.realm import PUBLIC, Realm

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

TENANT_ID = "5f1d3a52-0f0a-4c0b-9a3e-7d3f5d0c1a11"
BOT_APP_ID = "0c8b7e0e-3d5c-4a55-8a35-0b0f4f6f2b22"
BOT_SECRET = "only-the-fake-cloud-knows-this-secret"
SERVICE_URL = "https://smba.trafficmanager.net/emea/"
"""Where Teams in the public cloud lets itself be answered, for Europe."""
_LIFETIME_S = 7 * 86_400  # somebody may look at it for days


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with a host. Each part works alone."""

    delay_s: float = 0.0
    status: int = 0
    """Answer with this instead."""
    body: bytes = b""
    drop: bool = False
    """Close the connection instead of answering."""
    hold: threading.Event | None = None
    """Answer only when this is set."""


class Cloud:
    """The hosts of one realm, from `with` to its end."""

    def __init__(
        self,
        *,
        realm: Realm = PUBLIC,
        tenant_id: str = TENANT_ID,
        bot: Application | None = None,
    ) -> None:
        self.realm = realm
        self.tenant_id = tenant_id
        self.bot = bot or Application(app_id=BOT_APP_ID, tenant_id=tenant_id, secret=BOT_SECRET)
        self.hits = Counting()
        self.framework = BotFramework(realm)
        self._identity_header = uuid.uuid4().hex
        self.entra = Entra(realm, self._identity_header)
        self.entra.tenants.add(tenant_id)
        self.entra.register(self.bot)
        self._troubles: dict[str, Trouble] = {}
        self._hosts: dict[str, Answer] = {
            realm.login_host: self.entra.answer,
            realm.framework_host: self.framework.answer,
        }

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._authority = Authority(directory, "fake-cloud", lifetime_s=_LIFETIME_S)
            names = [x509.DNSName(host) for host in self.realm.hosts]
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._authority.issue("microsoft-hosts", *names))
            self.loop = Loop("fake-cloud")
            stack.callback(self.loop.stop)
            self.loop.run(self._start(context))
            stack.callback(lambda: self.loop.run(self._stop()))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for trouble in self._troubles.values():
            if trouble.hold is not None:
                trouble.hold.set()
        self._stack.close()

    @property
    def certificate(self) -> Path:
        """The authority to trust, as a PEM file."""
        return self._authority.file

    def serve(self, host: str, answer: Answer) -> None:
        """Have a host of the realm answer so."""
        assert host in self.realm.hosts, host
        self._hosts[host] = answer

    # --- what a bot is started with -------------------------------------------------

    def environment(self) -> dict[str, str]:
        """What a bot's process needs to live in this cloud; it has nothing of this process."""
        proxy = f"http://127.0.0.1:{self.proxy.port}"
        return {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.certificate),
            "SSL_CERT_FILE": str(self.certificate),
        }

    def app_service(self) -> dict[str, str]:
        """What a process with a managed identity finds in App Service, to be added."""
        return {
            "IDENTITY_ENDPOINT": f"{self._identity_url()}/msi/token",
            "IDENTITY_HEADER": self._identity_header,
        }

    def virtual_machine(self) -> dict[str, str]:
        """The same on a virtual machine or in a pod."""
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self._identity_url()}

    # --- what goes wrong --------------------------------------------------------------

    def trouble(self, place: str, trouble: Trouble) -> None:
        """From now on, at `host` or `host/path`; the longest name counts."""
        self._troubles[place] = trouble

    def peace(self, place: str | None = None) -> None:
        """No more trouble there, or anywhere."""
        for name in [place] if place else list(self._troubles):
            self._troubles.pop(name, None)

    @contextlib.contextmanager
    def holding(self, place: str) -> Iterator[threading.Event]:
        """Let every request there wait until the block ends or the event is set."""
        released = threading.Event()
        self.trouble(place, Trouble(hold=released))
        try:
            yield released
        finally:
            released.set()
            self.peace(place)

    # --- serving ------------------------------------------------------------------------

    async def _start(self, context: ssl.SSLContext) -> None:
        self._runner = _runner(self._answer)
        self._identity = _runner(self.entra.answer_identity)
        for runner, tls in ((self._runner, context), (self._identity, None)):
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.port = int(self._runner.addresses[0][1])
        self.proxy = Proxy(self.realm.hosts, self.port)
        await self.proxy.start()

    async def _stop(self) -> None:
        await self.proxy.stop()
        await self._runner.cleanup()
        await self._identity.cleanup()

    def _identity_url(self) -> str:
        return f"http://127.0.0.1:{self._identity.addresses[0][1]}"

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        host = (request.host or "").removesuffix(":443")
        place = host + request.path
        self.hits.add(place)
        trouble = self._trouble_at(place)
        if trouble.hold is not None:
            await asyncio.to_thread(trouble.hold.wait)
        if trouble.delay_s:
            await asyncio.sleep(trouble.delay_s)
        if trouble.drop and request.transport is not None:
            request.transport.abort()
            return web.Response(status=500)
        if trouble.status:
            return web.Response(status=trouble.status, body=trouble.body)
        answer = self._hosts.get(host)
        return await answer(request) if answer else web.Response(status=421)

    def _trouble_at(self, place: str) -> Trouble:
        matching = [name for name in self._troubles if place.startswith(name)]
        return self._troubles[max(matching, key=len)] if matching else Trouble()


def _runner(answer: Answer) -> web.ServerRunner:
    return web.ServerRunner(web.Server(answer), shutdown_timeout=0)
