"""Teams as its people see it: chats and channels, a bot in them, and one page a user.

    with Cloud() as cloud, Teams(cloud, "http://127.0.0.1:3978/api/messages") as teams:
        teams.install("alice")
        card = teams.until(lambda: teams.messages("alice"))[-1]
        teams.press("alice", card, "approve")

What a page does (`page_server`), a test may do without a browser by the methods here.
All of them may be called from any thread but the cloud's own.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from simulators.teams.cloud import Cloud
from simulators.teams.connector import Connector
from simulators.teams.feed import Conversation, Feed, Kind, Message
from simulators.teams.line import BOT_NAME, Answer, Line
from simulators.teams.people import CAST, Person

_T = TypeVar("_T")
PATIENCE_S: Final = 30.0
CHANNELS: Final = {
    "data-approvals": ("alice", "bob", "carol", "dave", "alice-guest", "eve", "robot"),
    "general": ("alice", "bob", "carol", "dave"),
}
"""Who is where unless a test says otherwise."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One click, for several at once."""

    user: str
    message: Message
    verb: str
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    card: dict[str, Any] | None = None


class Teams:
    """One tenant's Teams with one bot that may be installed in it."""

    def __init__(
        self,
        cloud: Cloud,
        bot_url: str,
        *,
        people: Sequence[Person] = CAST,
        channels: Mapping[str, Sequence[str]] = CHANNELS,
    ) -> None:
        self.cloud = cloud
        self.feed = Feed(people, cloud.tenant_id)
        self.connector = Connector(cloud, self.feed)
        self.line = Line(cloud, bot_url)
        for name, members in channels.items():
            self.feed.add_channel(name, members)
        for each in people:
            if not each.application:
                self.feed.chat(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cloud.loop.run(self.line.close())

    # --- the bot comes and goes -----------------------------------------------------

    def install(self, place: str, *, by: str = "") -> None:
        """Put the bot into a user's chat or a channel, and tell it so."""
        self.cloud.loop.run(self.do_install(self.feed.place(place), self._user(place, by)))

    def uninstall(self, place: str, *, by: str = "") -> None:
        """Take it out again, and tell it so."""
        self.cloud.loop.run(self.do_uninstall(self.feed.place(place), self._user(place, by)))

    async def do_install(self, conversation: Conversation, author: Person) -> None:
        """See `install`; in the cloud's loop."""
        conversation.installed = True
        self.feed.touch()
        await self._tell_membership(conversation, author, "membersAdded", "add")

    async def do_uninstall(self, conversation: Conversation, author: Person) -> None:
        """See `uninstall`; in the cloud's loop."""
        conversation.installed = False
        self.feed.touch()
        await self._tell_membership(conversation, author, "membersRemoved", "remove")

    async def _tell_membership(
        self, conversation: Conversation, author: Person, change: str, action: str
    ) -> None:
        update = self.line.activity("conversationUpdate", author, conversation)
        update[change] = [{"id": self.line.bot_account["id"]}]
        if conversation.kind is Kind.CHANNEL:
            event = "teamMemberAdded" if action == "add" else "teamMemberRemoved"
            update["channelData"]["eventType"] = event
        await self.line.post(update)
        await self.line.post(
            self.line.activity("installationUpdate", author, conversation, action=action)
        )

    # --- what people do -------------------------------------------------------------

    def say(self, user: str, text: str, place: str = "", *, mention: bool = True) -> None:
        """Write to the bot: in the user's chat, or in a channel with a mention."""
        conversation = self.feed.place(place or user)
        self.cloud.loop.run(
            self.do_say(self.feed.people[user], text, conversation, mention=mention)
        )

    async def do_say(
        self,
        author: Person,
        text: str,
        conversation: Conversation,
        *,
        mention: bool,
        value: Any = None,
        reply_to: Message | None = None,
    ) -> int:
        """See `say`; with a value, what an Action.Submit sends. The bot's HTTP status."""
        channel = conversation.kind is Kind.CHANNEL
        root_id = reply_to.root_id if reply_to else ""
        if value is None:
            shown = {"text": f"@{BOT_NAME} {text}" if channel and mention else text}
            posted = self.feed.post(conversation, shown, author=author, root_id=root_id)
            root_id = posted.root_id
        if not conversation.installed or (channel and not mention and value is None):
            return 0
        activity = self.line.activity("message", author, conversation, root_id=root_id)
        if value is not None:
            activity |= {"value": value}
        elif channel:
            at = f"<at>{BOT_NAME}</at>"
            entity = {"type": "mention", "text": at, "mentioned": self.line.bot_account}
            activity |= {"text": f"{at} {text}", "textFormat": "plain", "entities": [entity]}
        else:
            activity |= {"text": text, "textFormat": "plain"}
        if reply_to is not None:
            activity["replyToId"] = reply_to.id
        status, _, _ = await self.line.post(activity)
        return status

    def press(
        self,
        user: str,
        message: Message,
        verb: str,
        *,
        card: dict[str, Any] | None = None,
        trigger: str = "manual",
        **inputs: Any,
    ) -> Answer:
        """Press the button of that verb, on the card that stands there or on a view of it."""
        press = Press(user=user, message=message, verb=verb, inputs=inputs, card=card)
        return self.cloud.loop.run(self._press(press, trigger))

    def press_together(self, *presses: Press) -> list[Answer]:
        """Several people press in the same moment."""

        async def together() -> list[Answer]:
            return await asyncio.gather(*(self._press(each, "manual") for each in presses))

        return self.cloud.loop.run(together())

    def refresh(self, user: str, message: Message) -> Answer:
        """What a card shows this user of its own accord."""
        action = message.card["refresh"]["action"]
        return self.cloud.loop.run(
            self.do_invoke(self.feed.people[user], message, action, trigger="automatic")
        )

    def submit(self, user: str, message: Message, verb: str, **inputs: Any) -> int:
        """Press that button in an old client, which knows Action.Submit only."""
        action = action_of(message.card, verb)["fallback"]
        assert action["type"] == "Action.Submit", action
        return self.cloud.loop.run(
            self.do_submit(self.feed.people[user], message, action.get("data", {}) | inputs)
        )

    async def _press(self, press: Press, trigger: str) -> Answer:
        action = action_of(press.card or press.message.card, press.verb)
        action = action | {"data": action.get("data", {}) | dict(press.inputs)}
        return await self.do_invoke(
            self.feed.people[press.user], press.message, action, trigger=trigger
        )

    async def do_invoke(
        self, author: Person, message: Message, action: dict[str, Any], *, trigger: str
    ) -> Answer:
        """One click on a message; in the cloud's loop."""
        conversation = self.feed.conversations[message.conversation_id]
        activity = self.line.card_action(author, conversation, message, action, trigger=trigger)
        return await self.line.invoke(activity)

    async def do_submit(self, author: Person, message: Message, value: Any) -> int:
        """One click in an old client; in the cloud's loop."""
        conversation = self.feed.conversations[message.conversation_id]
        return await self.do_say(
            author, "", conversation, mention=True, value=value, reply_to=message
        )

    def forward(self, user: str, message: Message, place: str) -> Message:
        """Post what a message shows elsewhere, as this user's own message."""

        async def forward() -> Message:
            return self.do_forward(self.feed.people[user], message, self.feed.place(place))

        return self.cloud.loop.run(forward())

    def do_forward(self, author: Person, message: Message, conversation: Conversation) -> Message:
        """See `forward`; in the cloud's loop."""
        return self.feed.post(conversation, message.activity, author=author)

    # --- what is seen ---------------------------------------------------------------

    def messages(self, place: str) -> list[Message]:
        """What stands in a user's chat or a channel, the oldest first."""
        return [each for each in list(self.feed.place(place).messages.values()) if not each.deleted]

    def cards(self, place: str) -> list[Message]:
        """Those that carry a card."""
        return [each for each in self.messages(place) if each.cards]

    def until(self, condition: Callable[[], _T], *, within_s: float = PATIENCE_S) -> _T:
        """The first true value of a condition on what is seen or was called."""

        async def wait() -> _T:
            async with asyncio.timeout(within_s):
                value: _T = await self.feed.until(condition)
                return value

        return self.cloud.loop.run(wait(), within_s=within_s + 10)

    def _user(self, place: str, by: str) -> Person:
        return self.feed.people[by or (place if place in self.feed.people else "alice")]


def actions_of(card: Any) -> Iterator[dict[str, Any]]:
    """Every action of a card, those of its inner cards included; `fallback` is none."""
    if isinstance(card, list):
        for each in card:
            yield from actions_of(each)
    elif isinstance(card, dict):
        if str(card.get("type", "")).startswith("Action."):
            yield card
        for name, each in card.items():
            if name not in ("fallback", "data", "refresh"):
                yield from actions_of(each)


def action_of(card: dict[str, Any], verb: str) -> dict[str, Any]:
    """The Action.Execute of that verb. Raises `LookupError` if there is none."""
    for action in actions_of(card):
        if action["type"] == "Action.Execute" and action.get("verb") == verb:
            return action
    raise LookupError(f"the card has no {verb}")
