"""The bot, put together: Teams in, the service behind, cards out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable

from countersign_bot.card import catalogue
from countersign_bot.clicks import Clicks
from countersign_bot.courier import Courier
from countersign_bot.inbound.activity import Inbound
from countersign_bot.inbound.route import Wording
from countersign_bot.places import Places
from countersign_bot.roster import Roster
from countersign_bot.service import Service
from countersign_bot.settings import Settings
from countersign_bot.talk import Talk
from countersign_bot.turns import Turns
from countersign_bot.wire import Wire

log = logging.getLogger(__name__)


async def serve(settings: Settings, announce: Callable[[int], None]) -> int:
    """Run the bot until SIGTERM or SIGINT; the exit code.

    `announce(port)` is called once it listens. Raises `ConfigurationError` when it
    must not start.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, stopping.set)
    service = Service(settings.credential())
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(service.close)
        wire = await stack.enter_async_context(Wire(settings))
        roster = Roster(wire.connector)
        clicks = Clicks(service, wire.connector, roster, settings)
        stack.push_async_callback(clicks.close)
        courier = Courier(service, wire.connector, roster, settings, clicks.look)
        delivering = asyncio.create_task(courier.run(), name="courier")
        stack.push_async_callback(_ended, delivering)
        turns = Turns(clicks, Talk(service), Places(service), wire.connector)
        announce(await stack.enter_async_context(wire.serving(turns, wording=_wording)))
        await stopping.wait()
        log.info("stopping")
    return 0


async def _ended(task: asyncio.Task[None]) -> None:
    """No more is leased; what is on its way is delivered."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _wording(inbound: Inbound) -> Wording:
    """What is read where a turn came to nothing, in the reader's language."""
    words = catalogue.of(inbound.locale)
    return Wording(
        failed=words.say("turn.failed"),
        late=words.say("turn.late"),
        unknown=words.say("turn.unknown"),
    )
