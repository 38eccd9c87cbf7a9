"""The Bot Framework's JSON as values of ours, or a refusal.

The tenant is read from both places where Teams says it, from the raw JSON, because
the SDK's model loses one of them: a request whose places differ, or name a tenant
that is not served, is refused. Pure. Whether the sender may say any of this, `token`
has judged before.

The form is that of "Activity" in the Bot Framework's protocol, with what the Teams
channel adds in `channelData`.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Collection, Mapping
from typing import Final, TypeVar

from countersign.canonical import StrictJsonError, parse_object
from countersign.model import JsonObject, JsonValue
from countersign_bot.inbound.clouds import ServiceHosts
from countersign_bot.inbound.refusal import Refusal, RefusedError

MAX_BODY_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 24
MAX_ID_CHARACTERS: Final = 512
MAX_NAME_CHARACTERS: Final = 256
MAX_TEXT_CHARACTERS: Final = 8_000
MAX_MEMBERS: Final = 200
CHANNEL: Final = "msteams"
_ACTING: Final = frozenset({"message", "invoke"})
"""Types in which somebody does something: who, has to be known."""
_BOT_PREFIX: Final = "28:"
_ROOT: Final = ";messageid="
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A member who came or went."""

    user_id: str
    subject: str
    """Entra object id, lower-case; empty when not told, as for a bot."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One activity of Teams, from a sender who proved to be the Bot Framework."""

    type: str
    """`message`, `invoke`, `conversationUpdate`, `installationUpdate`, or another."""
    name: str
    """Of an invoke: `adaptiveCard/action`."""
    activity_id: str
    service_url: str
    """Where to answer; https, on a host of the cloud."""
    tenant: str
    """Entra tenant id, lower-case; one that is served."""
    subject: str
    """Entra object id of who acts, lower-case; never empty in a message or an invoke."""
    user_id: str
    """Their id in Teams: `29:…`. Never empty in a message or an invoke."""
    user_name: str
    """As they call themselves: never to be trusted."""
    conversation_id: str
    """Without the thread's root."""
    conversation_type: str
    """`personal`, `groupChat` or `channel`."""
    thread_root: str
    """Id of the message that started the thread in a channel; empty otherwise."""
    reply_to_id: str
    """In an invoke: id of the message that holds the card."""
    recipient_id: str
    """`28:` and our own app id."""
    value: Mapping[str, JsonValue]
    """What a click sends, or nothing. Untrusted."""
    text: str
    """Without mentions of the bot, and trimmed. Untrusted."""
    locale: str
    """BCP 47, or empty."""
    members_added: tuple[Account, ...] = ()
    members_removed: tuple[Account, ...] = ()
    action: str = ""
    """Of an installationUpdate: `add`, `remove`, `add-upgrade`, `remove-upgrade`."""
    team_id: str = ""
    channel_id: str = ""

    @property
    def issuer(self) -> str:
        """Whose account `subject` is, as the directory names it."""
        return f"teams:{self.tenant}"

    @property
    def from_app(self) -> bool:
        """Whether no person acts: an app's identity, or nobody. The roster knows more."""
        return not self.user_id.startswith("29:")

    @property
    def is_invoke(self) -> bool:
        """Whether an answer with a body is due."""
        return self.type == "invoke"


def read(data: bytes, *, app_id: str, tenants: Collection[str], hosts: ServiceHosts) -> Inbound:
    """The activity in a request's body. Raises `RefusedError`.

    An empty `app_id`, which is for development only, takes any recipient.
    """
    if len(data) > MAX_BODY_BYTES:
        raise RefusedError(Refusal.BODY_TOO_LARGE, f"the body is over {MAX_BODY_BYTES} bytes")
    try:
        activity = parse_object(data, max_depth=MAX_DEPTH)
    except StrictJsonError as error:
        raise RefusedError(Refusal.BODY_MALFORMED, f"the body: {error.problem}") from None
    return _inbound(activity, app_id=app_id, tenants=tenants, hosts=hosts)


def _inbound(
    activity: JsonObject, *, app_id: str, tenants: Collection[str], hosts: ServiceHosts
) -> Inbound:
    if _text(activity, "channelId", required=True) != CHANNEL:
        raise RefusedError(Refusal.PROOF_CHANNEL, f"channelId: only {CHANNEL} is served")
    service_url = _text(activity, "serviceUrl", required=True)
    if not hosts.allow(service_url):
        raise RefusedError(
            Refusal.HOST_FOREIGN, "serviceUrl: not https on a connector host of this cloud"
        )
    conversation = _object(activity, "conversation", required=True)
    data = _object(activity, "channelData")
    tenant = _tenant(conversation, data, tenants)
    recipient = _object(activity, "recipient", required=True)
    recipient_id = _text(recipient, "id", "recipient.", required=True)
    if app_id and recipient_id.lower() != _BOT_PREFIX + app_id.lower():
        raise RefusedError(Refusal.RECIPIENT_FOREIGN, "recipient.id: not this bot")
    kind = _text(activity, "type", required=True, limit=64)
    sender = _sender(activity, required=kind in _ACTING)
    conversation_id, _, root = _text(conversation, "id", "conversation.", required=True).partition(
        _ROOT
    )
    if not conversation_id:
        raise _malformed("conversation.id", "is empty")
    return Inbound(
        type=kind,
        name=_text(activity, "name", limit=128),
        activity_id=_text(activity, "id"),
        service_url=service_url,
        tenant=tenant,
        subject=sender.subject,
        user_id=sender.user_id,
        user_name=_text(_object(activity, "from"), "name", "from.", cut=MAX_NAME_CHARACTERS),
        conversation_id=conversation_id,
        conversation_type=_text(conversation, "conversationType", "conversation.", limit=64),
        thread_root=root,
        reply_to_id=_text(activity, "replyToId"),
        recipient_id=recipient_id,
        value=_value(activity),
        text=_words(activity, recipient_id),
        locale=_locale(activity),
        members_added=_members(activity, "membersAdded"),
        members_removed=_members(activity, "membersRemoved"),
        action=_text(activity, "action", limit=64) if kind == "installationUpdate" else "",
        team_id=_text(_object(data, "team", "channelData."), "id", "channelData.team."),
        channel_id=_text(_object(data, "channel", "channelData."), "id", "channelData.channel."),
    )


def _tenant(conversation: JsonObject, data: JsonObject, tenants: Collection[str]) -> str:
    """The one tenant both places name, if it is served."""
    told = _text(
        _object(data, "tenant", "channelData.", required=True), "id", "channelData.tenant.",
        required=True,
    ).lower()  # fmt: skip
    if told != _text(conversation, "tenantId", "conversation.", required=True).lower():
        raise RefusedError(
            Refusal.TENANT_CONFLICT, "channelData.tenant.id and conversation.tenantId differ"
        )
    if told not in tenants:
        raise RefusedError(Refusal.TENANT_FOREIGN, "channelData.tenant.id: not served here")
    return told


def _sender(activity: JsonObject, *, required: bool) -> Account:
    sender = _object(activity, "from", required=required)
    user_id = _text(sender, "id", "from.", required=required)
    subject = _text(sender, "aadObjectId", "from.", required=required)
    if not subject:
        return Account(user_id=user_id, subject="")
    return Account(user_id=user_id, subject=_uuid(subject, "from.aadObjectId"))


def _value(activity: JsonObject) -> JsonObject:
    """What a click sends; anything else than an object is nothing of ours."""
    value = activity.get("value")
    return value if isinstance(value, dict) else {}


def _words(activity: JsonObject, bot_id: str) -> str:
    """What was typed, without the mentions by which a bot is called in a channel."""
    text = _text(activity, "text", cut=MAX_TEXT_CHARACTERS)
    for entity in _list(activity, "entities"):
        if not isinstance(entity, dict) or entity.get("type") != "mention":
            continue
        mentioned, called = entity.get("mentioned"), entity.get("text")
        if isinstance(mentioned, dict) and mentioned.get("id") == bot_id:
            text = text.replace(called, " ") if isinstance(called, str) and called else text
    return " ".join(text.replace("&nbsp;", " ").split())


def _locale(activity: JsonObject) -> str:
    locale = _text(activity, "locale")
    return locale if _LOCALE.fullmatch(locale) else ""


def _members(activity: JsonObject, key: str) -> tuple[Account, ...]:
    listed = _list(activity, key)
    if len(listed) > MAX_MEMBERS:
        raise _malformed(key, f"has over {MAX_MEMBERS} members")
    found = []
    for number, member in enumerate(listed):
        if not isinstance(member, dict):
            raise _malformed(f"{key}[{number}]", "is no object")
        subject = _text(member, "aadObjectId", f"{key}[{number}].")
        found.append(
            Account(
                user_id=_text(member, "id", f"{key}[{number}].", required=True),
                subject=_uuid(subject, f"{key}[{number}].aadObjectId") if subject else "",
            )
        )
    return tuple(found)


def _uuid(text: str, field: str) -> str:
    try:
        value = str(uuid.UUID(text))
    except ValueError:
        value = ""
    if value != text.lower():  # UUID also reads braces, urn: and text without hyphens
        raise _malformed(field, "is no object id")
    return value


def _text(
    item: JsonObject,
    key: str,
    under: str = "",
    *,
    required: bool = False,
    limit: int = MAX_ID_CHARACTERS,
    cut: int = 0,
) -> str:
    """A string; absent or null is empty. With `cut`, more of it is left away, not refused."""
    value = _of(item, key, str, "", under, required=required)
    if required and not value:
        raise _malformed(under + key, "is empty")
    if cut:
        return value[:cut]
    if len(value) > limit:
        raise _malformed(under + key, f"is over {limit} characters")
    return value


def _object(item: JsonObject, key: str, under: str = "", *, required: bool = False) -> JsonObject:
    return _of(item, key, dict, {}, under, required=required)


def _list(item: JsonObject, key: str) -> list[JsonValue]:
    return _of(item, key, list, [], "", required=False)


def _of(
    item: JsonObject, key: str, kind: type[_T], nothing: _T, under: str, *, required: bool
) -> _T:
    value = item.get(key)
    if value is None:
        if required:
            raise _malformed(under + key, "is missing")
        return nothing
    if not isinstance(value, kind):
        raise _malformed(under + key, f"is no {_NAMES[kind]}")
    return value


_NAMES: Final[Mapping[type, str]] = {str: "string", dict: "object", list: "list"}


def _malformed(field: str, problem: str) -> RefusedError:
    return RefusedError(Refusal.BODY_MALFORMED, f"{field}: {problem}")
