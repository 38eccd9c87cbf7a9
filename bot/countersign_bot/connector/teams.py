"""Teams by the SDK's own `ConnectorClient`, with its models and addresses.

What stands around it is ours: where it may go and by which connection (`sender`), how
fast (`pace`), how often (`retry`), and what a failure means (`failures`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from botbuilder.schema import (
    Activity,
    ActivityTypes,
    Attachment,
    ChannelAccount,
    ConversationParameters,
    TextFormatTypes,
)
from botframework.connector.aio import ConnectorClient
from botframework.connector.aiohttp_bf_pipeline import AsyncBfPipeline
from msrest.exceptions import ClientException
from msrest.pipeline import SansIOHTTPPolicy

from countersign.model import JsonValue
from countersign_bot.connector.credentials import Credentials
from countersign_bot.connector.errors import PassingError, RefusedError, TooLargeError
from countersign_bot.connector.failures import Doing, failure
from countersign_bot.connector.pace import Pace
from countersign_bot.connector.protocol import Member
from countersign_bot.connector.reference import Reference
from countersign_bot.connector.retry import Retries
from countersign_bot.connector.sender import SEND_WITHIN_S, AnsweredError, Sender
from countersign_bot.inbound.clouds import ServiceHosts
from countersign_bot.outgoing import Outgoing

MAX_CARD_BYTES: Final = 20 * 1024
MAX_TEXT_CHARACTERS: Final = 8_000
_CARD_TYPE: Final = "application/vnd.microsoft.card.adaptive"
_MAX_CLIENTS: Final = 16
_T = TypeVar("_T")


class BotFrameworkConnector:
    """The `Connector` of production."""

    def __init__(
        self,
        *,
        bot_id: str,
        outgoing: Outgoing,
        credentials: Credentials,
        hosts: ServiceHosts,
        pace: Pace,
        retries: Retries | None = None,
        send_within_s: float = SEND_WITHIN_S,
    ) -> None:
        self._bot_id = bot_id
        self._hosts = hosts
        self._pace = pace
        self._retries = retries or Retries()
        self._sender = Sender(outgoing, credentials, hosts, send_within_s)
        self._clients: dict[str, ConnectorClient] = {}

    async def post(
        self,
        reference: Reference,
        card: Mapping[str, JsonValue],
        *,
        summary: str,
        text: str = "",
        alert: bool = False,
    ) -> str:
        activity = _message(card, summary, text)
        if alert:
            activity.channel_data = {"notification": {"alert": True}}
        return await self._post(reference, activity)

    async def say(self, reference: Reference, text: str) -> str:
        activity = Activity(
            type=ActivityTypes.message,
            text=text[:MAX_TEXT_CHARACTERS],
            text_format=TextFormatTypes.plain,
        )
        return await self._post(reference, activity)

    async def update(
        self,
        reference: Reference,
        message_id: str,
        card: Mapping[str, JsonValue],
        *,
        summary: str,
        text: str = "",
    ) -> None:
        activity = _message(card, summary, text)
        activity.id = message_id
        await self._do(
            Doing.UPDATE,
            reference,
            lambda client: client.conversations.update_activity(
                reference.conversation_id, message_id, activity
            ),
        )

    async def member(self, reference: Reference, user_id: str) -> Member:
        found = await self._do(
            Doing.MEMBER,
            reference,
            lambda client: client.conversations.get_conversation_member(
                reference.conversation_id, user_id
            ),
        )
        return _member(found)

    async def create_personal(self, *, service_url: str, tenant: str, user_id: str) -> Reference:
        reference = Reference(
            service_url=service_url,
            conversation_id="",
            conversation_type="personal",
            tenant=tenant,
            bot_id=self._bot_id,
            user_id=user_id,
        )
        wanted = ConversationParameters(
            is_group=False,
            bot=ChannelAccount(id=self._bot_id),
            members=[ChannelAccount(id=user_id)],
            tenant_id=tenant,
            channel_data={"tenant": {"id": tenant}},
        )
        made = await self._do(
            Doing.CREATE,
            reference,
            lambda client: client.conversations.create_conversation(wanted),
        )
        return Reference(
            service_url=service_url,
            conversation_id=_id_of(made),
            conversation_type="personal",
            tenant=tenant,
            bot_id=self._bot_id,
            user_id=user_id if user_id.startswith("29:") else "",
        )

    async def _post(self, reference: Reference, activity: Activity) -> str:
        root = f";messageid={reference.thread_root}" if reference.thread_root else ""
        activity.from_property = ChannelAccount(id=reference.bot_id)
        posted = await self._do(
            Doing.POST,
            reference,
            lambda client: client.conversations.send_to_conversation(
                reference.conversation_id + root, activity
            ),
        )
        return _id_of(posted)

    async def _do(
        self,
        doing: Doing,
        reference: Reference,
        request: Callable[[ConnectorClient], Awaitable[_T]],
    ) -> _T:
        """One request, at its pace and again if that may help. Raises `ConnectorError`."""
        reference.require_allowed(self._hosts)
        client = self._client(reference.service_url)
        writes = doing in {Doing.POST, Doing.UPDATE}

        async def attempt() -> _T:
            await self._pace.turn(reference.tenant, reference.conversation_id if writes else None)
            try:
                return await request(client)
            except AnsweredError as error:
                raise failure(doing, error.reply) from None
            except (ClientException, ValueError) as error:
                code = "teams.answer" if isinstance(error, ClientException) else "teams.sdk"
                raise PassingError(code, "the SDK could not read what Teams answered") from None

        return await self._retries.run(attempt)

    def _client(self, service_url: str) -> ConnectorClient:
        client = self._clients.get(service_url)
        if client is None:
            if len(self._clients) >= _MAX_CLIENTS:
                self._clients.clear()
            client = self._clients[service_url] = ConnectorClient(
                _NO_CREDENTIALS,
                base_url=service_url,
                pipeline_type=AsyncBfPipeline,
                sender=self._sender,
            )
        return client


class _NoCredentials(SansIOHTTPPolicy):  # type: ignore[misc]
    """The SDK demands some; the token is the sender's business."""


_NO_CREDENTIALS: Final = _NoCredentials()


def _message(card: Mapping[str, JsonValue], summary: str, text: str) -> Activity:
    """A message that is one card. Raises `TooLargeError`."""
    size = len(json.dumps(dict(card), ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_CARD_BYTES:
        raise TooLargeError("teams.card_size", f"the card has {size} bytes of {MAX_CARD_BYTES}")
    return Activity(
        type=ActivityTypes.message,
        attachments=[Attachment(content_type=_CARD_TYPE, content=dict(card))],
        summary=summary,
        text=text or None,
        text_format=TextFormatTypes.plain if text else None,
    )


def _id_of(answer: Any) -> str:
    """The id in a `ResourceResponse`. Raises `PassingError`."""
    found = getattr(answer, "id", None)
    if not isinstance(found, str) or not found:
        raise PassingError("teams.answer", "Teams did not say which message or conversation it is")
    return found


def _member(account: Any) -> Member:
    """One line of the roster; what the SDK's model does not know is in its extra fields."""
    extra = getattr(account, "additional_properties", None) or {}

    def told(*names: str) -> str:
        values = [getattr(account, name, None) or extra.get(name) for name in names]
        return next((value for value in values if isinstance(value, str)), "")

    if not told("id"):
        raise RefusedError("teams.answer", "Teams did not say who the member is")
    return Member(
        user_id=told("id"),
        subject=told("aad_object_id", "objectId").lower(),
        tenant=told("tenantId").lower(),
        role=told("userRole", "role").lower(),
        principal_name=told("userPrincipalName"),
    )
