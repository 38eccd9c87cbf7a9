"""A real browser before the pages of this Teams, driven by Playwright.

    with Browser(pages, realparts.chromium()) as browser:
        bob = browser.page_of("bob")
        bob.card("Export a table").click("Approve")

Each user has a window of their own that shares nothing with the others. Every method
waits for what it needs and fails when it does not come; none sleeps. It may be used in
tests of either kind, since it runs in a loop of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    ViewportSize,
    async_playwright,
)
from playwright.async_api import Page as Window

from simulators.teams.feed import Message
from simulators.teams.loop import Loop
from simulators.teams.page_server import PageServer

_T = TypeVar("_T")
PATIENCE_S: Final = 15.0
_SIZE: Final = ViewportSize(width=1180, height=860)
_FLAGS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One browser process; pages are opened when they are first asked for."""

    def __init__(self, pages: PageServer, chromium: Path) -> None:
        self._pages = pages
        self._chromium = chromium
        self._windows: dict[str, Page] = {}

    def __enter__(self) -> Self:
        self._loop = Loop("browser")
        try:
            self._loop.run(self._start())
        except BaseException:
            self._loop.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.stop()

    async def _start(self) -> None:
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(
            executable_path=self._chromium,
            args=[*_FLAGS],
            # As root Chromium cannot have one.
            chromium_sandbox=os.geteuid() != 0,
        )

    async def _stop(self) -> None:
        await self._browser.close()
        await self._playwright.stop()

    @property
    def pages(self) -> list[Page]:
        """Those that were opened."""
        return list(self._windows.values())

    def page_of(self, user: str, *, old_client: bool = False) -> Page:
        """The page of a user, the same one each time."""
        key = f"{user} old" if old_client else user
        if key not in self._windows:
            address = self._pages.page(user, old_client=old_client)
            self._windows[key] = self._loop.run(self._open(address))
        return self._windows[key]

    async def _open(self, address: str) -> Page:
        context = await self._browser.new_context(
            viewport=_SIZE, locale="en-US", timezone_id="Europe/Berlin", reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_S * 1000)
        window = await context.new_page()
        page = Page(self._loop, window, context)
        await window.goto(address)
        await window.wait_for_selector("body[data-version]")
        return page


def _exactly(text: str) -> re.Pattern[str]:
    """A text alone would also be found in other letters: "Approved" in "Carol approved"."""
    return re.compile(re.escape(text))


class Place:
    """A part of a page: what it says, and what can be done there."""

    def __init__(self, loop: Loop, at: Locator) -> None:
        self._loop = loop
        self._at = at

    def click(self, name: str) -> None:
        """Press a button or follow a link of that name."""
        button = self._at.get_by_role("button", name=name, exact=True)
        self._run(button.or_(self._at.get_by_role("link", name=name, exact=True)).click())

    def fill(self, label: str, text: str) -> None:
        """Type into the field of that label, in place of what it holds."""
        self._run(self._at.get_by_label(label).locator("visible=true").fill(text))

    def wait_for_text(self, text: str) -> None:
        """Until it is to be read here, in these letters."""
        self._run(self._at.get_by_text(_exactly(text)).locator("visible=true").first.wait_for())

    def wait_until_gone(self, text: str) -> None:
        """Until it is nowhere to be read here."""
        self._run(self._gone(self._at.get_by_text(_exactly(text))))

    def wait_for_button(self, name: str, *, gone: bool = False) -> None:
        """Until there is a button of that name, or none any more."""
        button = self._at.get_by_role("button", name=name, exact=True)
        state: Literal["hidden", "visible"] = "hidden" if gone else "visible"
        self._run(button.wait_for(state=state))

    def alert(self) -> str:
        """What it warns of, when it does."""
        return self._run(self._at.get_by_role("alert").inner_text())

    def text(self) -> str:
        """Everything that is to be read here."""
        return self._run(self._at.inner_text())

    def buttons(self) -> list[str]:
        """Names of the buttons that are to be seen here."""
        return self._run(self._button_names())

    def screenshot(self, path: Path) -> Path:
        """A picture of it, as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._run(self._at.screenshot(path=path, animations="disabled"))
        return path

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a JavaScript function says of the element; for what no one can see."""
        return self._run(self._at.evaluate(function, argument))

    async def _gone(self, what: Locator) -> None:
        await what.locator("visible=true").first.wait_for(state="hidden")

    async def _button_names(self) -> list[str]:
        found = await self._at.get_by_role("button").locator("visible=true").all()
        return [await each.inner_text() for each in found]

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._loop.run(work)


class Page(Place):
    """A user's page."""

    def __init__(self, loop: Loop, window: Window, context: BrowserContext) -> None:
        super().__init__(loop, window.locator("body"))
        self._window = window
        self._context = context
        self.complaints: list[str] = []
        """Errors that the browser told in its console."""
        window.on("console", self._hear)
        window.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self, name: str) -> None:
        """Go to the chat with the bot, or to a channel."""
        nav = self._at.get_by_role("navigation", name="Conversations")
        self._run(nav.get_by_role("button", name=name).click())
        self._run(self._at.get_by_role("heading", level=1, name=name).wait_for())

    def card(self, what: str | Message) -> Place:
        """The newest card with that text, or the one of that message."""
        articles = self._at.get_by_role("article").filter(has=self._window.locator(".card"))
        if isinstance(what, Message):
            return Place(self._loop, self._window.locator(f'article[data-id="{what.id}"]'))
        return Place(self._loop, articles.filter(has_text=what).last)

    def message(self, text: str) -> Place:
        """The newest message with that text, without a card."""
        plain = self._at.get_by_role("article").filter(has_not=self._window.locator(".card"))
        return Place(self._loop, plain.filter(has_text=text).last)

    def say(self, text: str) -> None:
        """Write in the place that is open; `@Countersign …` in a channel is for the bot."""
        self._run(self._at.get_by_label("Type a message").fill(text))
        self._run(self._at.get_by_role("button", name="Send").click())

    def size(self, width: int, height: int) -> None:
        """Make the window so big."""
        self._run(self._window.set_viewport_size({"width": width, "height": height}))

    def reload(self) -> None:
        """As F5."""
        self._run(self._window.reload())
        self._run(self._window.wait_for_selector("body[data-version]"))
