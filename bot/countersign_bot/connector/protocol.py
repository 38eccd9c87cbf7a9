"""What the rest of the bot asks of Teams, without knowing how it is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final, Protocol

from countersign.model import JsonValue
from countersign_bot.connector.reference import Reference

_GUEST_MARK: Final = "#ext#"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One line of a conversation's roster, as Teams tells it."""

    user_id: str
    """`29:…`"""
    subject: str
    """Entra object id, lower-case; empty when Teams tells none."""
    tenant: str
    """Of the account itself, lower-case; empty when Teams tells none."""
    role: str
    """`userRole`, lower-case: `user`, `guest`, `anonymous`, … or empty."""
    principal_name: str = ""
    """User principal name: looked at for the mark of a guest, never to know somebody by."""

    @property
    def is_app(self) -> bool:
        """A bot, or anything that is no account of Entra."""
        return not self.user_id.startswith("29:") or self.role in {"bot", "skill"}

    @property
    def is_guest(self) -> bool:
        """From outside, or not signed in."""
        return self.role in {"guest", "anonymous"} or _GUEST_MARK in self.principal_name.lower()

    def is_human_of(self, tenant: str, subject: str) -> bool:
        """Whether this is that account, a person's, and at home in that tenant.

        What Teams does not tell is not assumed: without a role, an object id or a
        tenant it is not.
        """
        return (
            self.role == "user"
            and not self.is_app
            and not self.is_guest
            and bool(subject)
            and self.subject == subject
            and self.tenant == tenant
        )


class Connector(Protocol):
    """Each raises `ConnectorError`; see `errors`."""

    async def post(
        self,
        reference: Reference,
        card: Mapping[str, JsonValue],
        *,
        summary: str,
        text: str = "",
        alert: bool = False,
    ) -> str:
        """Post a card; the message's id. `alert` asks Teams to notify whoever sees it.

        `summary` is what a notification says; `text` stands above the card.
        """
        ...

    async def update(
        self,
        reference: Reference,
        message_id: str,
        card: Mapping[str, JsonValue],
        *,
        summary: str,
        text: str = "",
    ) -> None:
        """Put another card in the place of what the message shows."""
        ...

    async def say(self, reference: Reference, text: str) -> str:
        """Post plain text, shown as it stands; the message's id."""
        ...

    async def member(self, reference: Reference, user_id: str) -> Member:
        """Who that is in the conversation, asked anew.

        Raises `NotMemberError` when they are not in it.
        """
        ...

    async def create_personal(self, *, service_url: str, tenant: str, user_id: str) -> Reference:
        """The conversation with one person alone; it exists afterwards.

        `user_id` is `29:…` or an Entra object id. Raises `NotInstalledError` when
        they do not have the bot.
        """
        ...
