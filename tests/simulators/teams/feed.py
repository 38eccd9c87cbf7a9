"""What stands where in this Teams: conversations, their members and messages.

Changed in the cloud's loop only, and by functions that are short; whoever waits for
a change is woken by `changed`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from simulators.teams.people import Person


class Kind(enum.Enum):
    """`conversationType` of the protocol."""

    PERSONAL = "personal"
    CHANNEL = "channel"


@dataclasses.dataclass(slots=True, kw_only=True)
class Message:
    """One message as its readers see it."""

    id: str
    conversation_id: str
    author: Person | None
    """`None`: the bot."""
    activity: dict[str, Any]
    root_id: str
    """The message whose thread it stands in; its own id when it began one."""
    edition: int = 1
    deleted: bool = False
    sent_at: float = dataclasses.field(default_factory=time.time)

    @property
    def cards(self) -> list[dict[str, Any]]:
        """Its adaptive cards."""
        return [
            each["content"]
            for each in self.activity.get("attachments") or []
            if each.get("contentType") == "application/vnd.microsoft.card.adaptive"
        ]

    @property
    def card(self) -> dict[str, Any]:
        """Its one card."""
        (card,) = self.cards
        return card

    @property
    def text(self) -> str:
        return str(self.activity.get("text") or "")


@dataclasses.dataclass(slots=True, kw_only=True)
class Conversation:
    """A chat with the bot, or a channel that it may be in."""

    id: str
    kind: Kind
    name: str
    tenant_id: str
    members: list[Person]
    installed: bool = False
    team_id: str = ""
    messages: dict[str, Message] = dataclasses.field(default_factory=dict)


class Feed:
    """Everything that anybody sees."""

    def __init__(self, people: Sequence[Person], tenant_id: str) -> None:
        self.people = {person.user: person for person in people}
        self.tenant_id = tenant_id
        self.conversations: dict[str, Conversation] = {}
        self.version = 0
        self._ids = itertools.count(int(time.time() * 1000))
        self._news: set[asyncio.Event] = set()

    # --- places ---

    def add_channel(self, name: str, members: Sequence[str]) -> Conversation:
        """A channel of a team of its own."""
        thread = f"19:{uuid.uuid4().hex}@thread.tacv2"
        made = Conversation(
            id=thread,
            kind=Kind.CHANNEL,
            name=name,
            tenant_id=self.tenant_id,
            members=[self.people[user] for user in members],
            team_id=f"19:{uuid.uuid4().hex}@thread.tacv2",
        )
        self.conversations[made.id] = made
        self.touch()
        return made

    def chat(self, person: Person) -> Conversation:
        """The one chat between a person and the bot, whether the bot is there or not."""
        for each in self.conversations.values():
            if each.kind is Kind.PERSONAL and each.members == [person]:
                return each
        made = Conversation(
            id=f"a:1{uuid.uuid4().hex}{uuid.uuid4().hex}",
            kind=Kind.PERSONAL,
            name=person.name,
            tenant_id=person.tenant_id,
            members=[person],
        )
        self.conversations[made.id] = made
        return made

    def place(self, name: str) -> Conversation:
        """By its id (with `;messageid=` or without), a channel's name, or a user's chat."""
        if found := self.conversations.get(name.partition(";")[0]):
            return found
        if name in self.people:
            return self.chat(self.people[name])
        return next(
            each
            for each in self.conversations.values()
            if each.kind is Kind.CHANNEL and each.name == name
        )

    def find_person(self, id: str) -> Person | None:
        """By the id towards the bot, or the object id."""
        return next((one for one in self.people.values() if id in (one.mri, one.object_id)), None)

    # --- messages ---

    def post(
        self,
        conversation: Conversation,
        activity: dict[str, Any],
        *,
        author: Person | None = None,
        root_id: str = "",
    ) -> Message:
        """One more message; its id looks like those of Teams."""
        name = str(next(self._ids))
        if conversation.kind is Kind.PERSONAL:
            name = f"1:{uuid.uuid4().hex}" if author is None else f"f:{name}"
        message = Message(
            id=name,
            conversation_id=conversation.id,
            author=author,
            activity=activity,
            root_id=root_id or name,
        )
        conversation.messages[name] = message
        self.touch()
        return message

    def edit(self, message: Message, activity: dict[str, Any]) -> None:
        """Show this instead."""
        message.activity = activity
        message.edition += 1
        self.touch()

    def delete(self, message: Message) -> None:
        """Show it no longer."""
        message.deleted = True
        self.touch()

    def message(self, id: str) -> Message:
        """Wherever it stands. Raises `KeyError`."""
        for conversation in self.conversations.values():
            if id in conversation.messages:
                return conversation.messages[id]
        raise KeyError(id)

    # --- news ---

    def touch(self) -> None:
        """Something changed: wake whoever waits."""
        self.version += 1
        for event in self._news:
            event.set()

    async def changed(self, since: int) -> int:
        """The version, when it is no longer `since`."""
        event = asyncio.Event()
        self._news.add(event)
        try:
            while self.version == since:
                event.clear()
                await event.wait()
        finally:
            self._news.discard(event)
        return self.version

    async def until(self, condition: Callable[[], Any]) -> Any:
        """The first true value of a condition on what stands here."""
        while not (value := condition()):
            await self.changed(self.version)
        return value
