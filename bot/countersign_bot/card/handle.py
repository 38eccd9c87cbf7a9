"""What stands behind a card's buttons: which card this is, and what it shows.

Nothing of the review but names for it: no policy, nobody's id, no arguments.
On the way back it is anybody's word. `read` takes only what `data` makes, with
the texts that were typed in beside it; whether such a card exists and is the
one clicked on is for the service to say. Pure.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Mapping
from typing import Any, Final

from countersign.v1 import reviews_pb2

_VERSION: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}", re.ASCII)
_HASH: Final = re.compile(r"(?:[0-9a-f]{64})?", re.ASCII)
_MAX_REVISION: Final = 2**31 - 1
MAX_TEXT_BYTES: Final = 4096
"""Longest reason or question the service takes, in UTF-8."""


class Verb(enum.StrEnum):
    """What a button asks for."""

    APPROVE = "approve"
    DENY = "deny"
    INFO = "info"
    REFRESH = "refresh"
    REVOKE = "revoke"


INPUTS: Final = {
    Verb.APPROVE: "approve_reason",
    Verb.DENY: "deny_reason",
    Verb.INFO: "question",
    Verb.REVOKE: "revoke_reason",
}
"""Id of the input whose text belongs to a verb; ids are unique on a card."""


class HandleError(ValueError):
    """Data that no button of ours sends. Says which field is wrong, never its value."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A card and what it shows."""

    review_id: str
    card_id: str
    revision: int
    preview_hash: str
    """SHA-256 of the preview on the card in hex; empty when it shows none."""
    profile: str
    nonce: str

    @classmethod
    def of(cls, review: reviews_pb2.Review, *, card_id: str, nonce: str) -> Handle:
        """The handle of a card that shows this review now."""
        profile = profile_shown(review)
        return cls(
            review_id=review.status.review_id,
            card_id=card_id,
            revision=review.status.revision,
            preview_hash=review.previews[profile].hash.hex() if profile else "",
            profile=profile,
            nonce=nonce,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """What came back from a button."""

    verb: Verb
    handle: Handle
    text: str
    """The reason or question that was typed; may be empty."""


def profile_shown(review: reviews_pb2.Review) -> str:
    """The profile of the preview that a card shows; empty when the reader may see none."""
    return min(review.previews, default="")


def data(handle: Handle, verb: Verb) -> dict[str, Any]:
    """The `data` of an action."""
    return {
        "countersign": _VERSION,
        "verb": verb.value,
        "review": handle.review_id,
        "card": handle.card_id,
        "revision": handle.revision,
        "profile": handle.profile,
        "preview": handle.preview_hash,
        "nonce": handle.nonce,
    }


_FIELDS: Final = frozenset(
    ("countersign", "verb", "review", "card", "revision", "profile", "preview", "nonce")
)
_BESIDE: Final = frozenset((*INPUTS.values(), "msteams"))
"""What clients put beside it: inputs of the whole card, and their own."""


def read(sent: object, *, verb: str | None = None) -> Click:
    """What an action sent. `verb` is what an Action.Execute says it is, beside its data.

    Raises `HandleError` for anything that `data` does not make.
    """
    if not isinstance(sent, Mapping):
        raise HandleError("data: not an object")
    if not _FIELDS <= sent.keys() or not sent.keys() <= _FIELDS | _BESIDE:
        raise HandleError("data: not the fields of a card's button")
    if type(sent["countersign"]) is not int or sent["countersign"] != _VERSION:
        raise HandleError("countersign: not a version this bot reads")
    said = _verb(sent["verb"])
    if verb is not None and verb != said.value:
        raise HandleError("verb: the action and its data name different ones")
    handle = Handle(
        review_id=_name(sent, "review"),
        card_id=_name(sent, "card"),
        revision=_revision(sent["revision"]),
        preview_hash=_matching(sent, "preview", _HASH),
        profile=_name(sent, "profile") if sent["profile"] != "" else "",
        nonce=_name(sent, "nonce"),
    )
    return Click(verb=said, handle=handle, text=_text(sent, said))


def _verb(said: object) -> Verb:
    try:
        return Verb(said if isinstance(said, str) else "")
    except ValueError:
        raise HandleError("verb: none that a card has") from None


def _revision(said: object) -> int:
    if isinstance(said, float) and said.is_integer():  # some clients know one kind of number
        said = int(said)
    if type(said) is not int or not 0 <= said <= _MAX_REVISION:
        raise HandleError("revision: not a number of one")
    return said


def _name(sent: Mapping[str, Any], field: str) -> str:
    return _matching(sent, field, _NAME)


def _matching(sent: Mapping[str, Any], field: str, form: re.Pattern[str]) -> str:
    value = sent[field]
    if not isinstance(value, str) or not form.fullmatch(value):
        raise HandleError(f"{field}: not as a card has it")
    return value


def _text(sent: Mapping[str, Any], verb: Verb) -> str:
    field = INPUTS.get(verb, "")
    text = sent.get(field, "")
    if not isinstance(text, str):
        raise HandleError(f"{field}: not a text")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise HandleError(f"{field}: not well-formed text") from None
    if size > MAX_TEXT_BYTES:
        raise HandleError(f"{field}: longer than {MAX_TEXT_BYTES} bytes")
    return text.strip()
