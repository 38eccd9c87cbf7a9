"""`countersign bot doctor`: whether the bot reaches Teams and the service, and whom it reaches.

Asks everything the bot needs, once, with its real credentials; changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

from countersign.cli.finding import Finding
from countersign.errors import CountersignError
from countersign.v1 import deliveries_pb2
from countersign_bot.service import Service
from countersign_bot.settings import Settings
from countersign_bot.wire import Wire

_WITHIN_S: Final = 20.0
_ENTRA: Final = (
    "Let the bot reach login.microsoftonline.com, or its cloud's, by https; see that app.id and "
    "app.tenant are the registration's and that its secret or certificate is still good."
)


async def examine(settings: Settings) -> list[Finding]:
    """Everything, in the order in which it is needed."""
    found = [_settings(settings)]
    try:
        async with Wire(settings) as wire:
            if not settings.is_open:
                found.append(_signatures(wire))
                found.append(await _token(wire))
    except CountersignError as error:
        found.append(_failed("wire", error))
    try:
        credential = settings.credential()
    except CountersignError as error:
        return [*found, _failed("credential", error)]
    service = Service(credential)
    try:
        found += await _service(service)
    finally:
        await service.close()
    return found


def _settings(settings: Settings) -> Finding:
    app = "no app id: for development only" if settings.is_open else f"app {settings.app.id}"
    served = ", ".join(settings.tenants)
    return Finding(
        name="settings", ok=True, detail=f"{app}, {settings.app.cloud}; tenants {served}"
    )


async def _service(service: Service) -> list[Finding]:
    try:
        listed = await asyncio.wait_for(service.endpoints(), _WITHIN_S)
    except TimeoutError:
        return [
            Finding(
                name="service",
                ok=False,
                detail="no answer in time",
                remedy="See that `countersign serve` runs at the credential's endpoint.",
            )
        ]
    except CountersignError as error:
        return [_failed("service", error)]
    found = [Finding(name="service", ok=True, detail="knows this bot")]
    found += [_endpoint(each) for each in listed.endpoints]
    found += [
        Finding(
            name="conversation",
            ok=False,
            detail=f"{name}: the bot was never seen there",
            remedy="Add the bot to the team, mention it once in that channel, and compare the id.",
        )
        for name in listed.unbound
    ]
    return found


def _endpoint(endpoint: deliveries_pb2.Endpoint) -> Finding:
    there = endpoint.state == deliveries_pb2.ENDPOINT_STATE_INSTALLED
    if endpoint.address.HasField("account"):
        name, who = "person", endpoint.person_id or f"{endpoint.address.account.subject} (nobody)"
    else:
        name, who = "conversation", endpoint.name or f"{endpoint.address.conversation_id} (no name)"
    if there:
        return Finding(name=name, ok=True, detail=f"{who}: reached")
    return Finding(
        name=name,
        ok=False,
        detail=f"{who}: the bot is not installed",
        remedy="Have them install it, or deploy it by an app setup policy.",
    )


def _signatures(wire: Wire) -> Finding:
    if wire.gate.ready:
        return Finding(name="signatures", ok=True, detail="the Bot Framework's keys are here")
    return Finding(
        name="signatures",
        ok=False,
        detail=wire.keys.failure or "the Bot Framework's keys cannot be read",
        remedy="Let the bot reach login.botframework.com, or the host of its cloud, by https.",
    )


async def _token(wire: Wire) -> Finding:
    try:
        await asyncio.wait_for(wire.credentials.token(), _WITHIN_S)
    except TimeoutError:
        return Finding(name="Entra", ok=False, detail="no answer in time", remedy=_ENTRA)
    except CountersignError as error:
        return Finding(
            name="Entra", ok=False, detail=f"{error.message} [{error.code}]", remedy=_ENTRA
        )
    return Finding(name="Entra", ok=True, detail="gave the bot a token")


def _failed(name: str, error: CountersignError) -> Finding:
    return Finding(
        name=name, ok=False, detail=f"{error.message} [{error.code}]", remedy=error.advice
    )
