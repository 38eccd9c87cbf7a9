"""One request's way from headers and bytes to an `Inbound`, or to a refusal."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from countersign_bot.inbound.activity import CHANNEL, Inbound, read
from countersign_bot.inbound.clouds import ServiceHosts
from countersign_bot.inbound.keys import Keys
from countersign_bot.inbound.token import Verified, bearer, verify


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Who may come in at all."""

    app_id: str
    tenants: Collection[str]
    hosts: ServiceHosts


class Gate(Protocol):
    """What the route asks: first who sends, and only then what is sent."""

    @property
    def ready(self) -> bool:
        """Whether anybody could be let in now."""
        ...

    async def sender(self, authorization: Sequence[str]) -> Verified | None:
        """Who sends, by all `Authorization` headers. Raises `RefusedError`."""
        ...

    def admit(self, sender: Verified | None, body: bytes) -> Inbound:
        """What they send. Raises `RefusedError`."""
        ...


class BotFrameworkGate:
    """Lets in what the Bot Framework signed for this bot. The only one in production."""

    def __init__(
        self, served: Served, *, issuer: str, keys: Keys, now: Callable[[], float] = time.time
    ) -> None:
        self._served = served
        self._issuer = issuer
        self._keys = keys
        self._now = now

    @property
    def ready(self) -> bool:
        return self._keys.ready

    async def sender(self, authorization: Sequence[str]) -> Verified | None:
        token = bearer(authorization)
        key = await self._keys.find(token.kid)
        return verify(
            token, key, issuer=self._issuer, app_id=self._served.app_id, now_s=self._now()
        )

    def admit(self, sender: Verified | None, body: bytes) -> Inbound:
        inbound = _read(self._served, body)
        if sender is None:
            raise TypeError("a body without a sender")
        sender.require(service_url=inbound.service_url, channel=CHANNEL)
        return inbound


class DevelopmentGate:
    """Believes everybody: for a simulator on this machine, and never beyond loopback."""

    ready = True

    def __init__(self, served: Served) -> None:
        self._served = served

    async def sender(self, authorization: Sequence[str]) -> Verified | None:  # noqa: ARG002
        return None

    def admit(self, sender: Verified | None, body: bytes) -> Inbound:  # noqa: ARG002
        return _read(self._served, body)


def _read(served: Served, body: bytes) -> Inbound:
    return read(body, app_id=served.app_id, tenants=served.tenants, hosts=served.hosts)
