"""How to reach a conversation, as it is kept by the service: small, and checked each time.

What is stored is not believed because we stored it: a reference whose host is not on
the list, or whose tenant is not served, is refused when it is read as when it came in,
since the bot's token goes where it points.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from typing import Final, Self

from countersign.canonical import StrictJsonError, parse_object
from countersign.model import JsonObject
from countersign_bot.connector.errors import RefusedError
from countersign_bot.inbound.activity import MAX_ID_CHARACTERS, Inbound
from countersign_bot.inbound.clouds import ServiceHosts

MAX_REFERENCE_BYTES: Final = 4096
_VERSION: Final = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A conversation that the bot can write to. Raises `RefusedError` for a field too long."""

    service_url: str
    conversation_id: str
    """Without a thread's root."""
    conversation_type: str
    """`personal`, `groupChat`, `channel`, or empty."""
    tenant: str
    bot_id: str
    """`28:` and the app id."""
    user_id: str = ""
    """`29:…` in a personal conversation."""
    thread_root: str = ""
    """Write into this thread of a channel; empty: start a new one."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if len(getattr(self, field.name)) > MAX_ID_CHARACTERS:
                raise _refused(f"{field.name} is over {MAX_ID_CHARACTERS} characters")

    @classmethod
    def of(cls, inbound: Inbound) -> Self:
        """Where this activity came from, not bound to its thread."""
        personal = inbound.conversation_type == "personal"
        return cls(
            service_url=inbound.service_url,
            conversation_id=inbound.conversation_id,
            conversation_type=inbound.conversation_type,
            tenant=inbound.tenant,
            bot_id=inbound.recipient_id,
            user_id=inbound.user_id if personal else "",
        )

    def in_thread(self, root: str) -> Reference:
        """The same conversation, in that thread."""
        return dataclasses.replace(self, thread_root=root)

    def encode(self) -> bytes:
        """JSON of at most 4,096 bytes. Raises `RefusedError` when it would be more."""
        fields = {name: text for name, text in dataclasses.asdict(self).items() if text}
        data = json.dumps({"v": _VERSION, **fields}, ensure_ascii=False, sort_keys=True).encode()
        if len(data) > MAX_REFERENCE_BYTES:
            raise _refused(f"is over {MAX_REFERENCE_BYTES} bytes")
        return data

    @classmethod
    def decode(cls, data: bytes, *, hosts: ServiceHosts, tenants: Collection[str]) -> Reference:
        """What `encode` made, checked anew. Raises `RefusedError`, never showing it."""
        if len(data) > MAX_REFERENCE_BYTES:
            raise _refused(f"is over {MAX_REFERENCE_BYTES} bytes")
        try:
            fields = parse_object(data, max_depth=2)
        except StrictJsonError as error:
            raise _refused(error.problem) from None
        reference = _from_fields(fields)
        reference.require_allowed(hosts)
        if reference.tenant not in tenants:
            raise _refused("names a tenant that is not served")
        return reference

    def require_allowed(self, hosts: ServiceHosts) -> None:
        """Raises `RefusedError` when the bot's token must not go there."""
        if not hosts.allow(self.service_url):
            raise _refused("points to a host that is not on the list")


def _from_fields(fields: JsonObject) -> Reference:
    version = fields.pop("v", None)
    if version != _VERSION:
        raise _refused("is of another version")
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    if len(texts) < len(fields):
        raise _refused("holds something that is no string")
    names = {field.name for field in dataclasses.fields(Reference)}
    if not texts.keys() <= names:
        raise _refused("has an unknown field")
    texts.setdefault("conversation_type", "")
    try:
        reference = Reference(**texts)
    except TypeError:
        raise _refused("lacks a field") from None
    if not (reference.conversation_id and reference.bot_id):
        raise _refused("lacks a field")
    return reference


def _refused(problem: str) -> RefusedError:
    return RefusedError("teams.reference", f"the stored reference {problem}")
