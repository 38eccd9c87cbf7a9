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
    """The `data` of an action: a list, since each stands on a card several times."""
    return {
        _KEY: [
            _VERSION,
            verb.value,
            handle.review_id,
            handle.card_id,
            handle.revision,
            handle.profile,
            handle.preview_hash,
            handle.nonce,
        ]
    }


_KEY: Final = "countersign"
_LENGTH: Final = 8
_BESIDE: Final = frozenset((*INPUTS.values(), "msteams"))
"""What clients put beside it: inputs of the whole card, and their own."""


def read(sent: object, *, verb: str | None = None) -> Click:
    """What an action sent. `verb` is what an Action.Execute says it is, beside its data.

    Raises `HandleError` for anything that `data` does not make.
    """
    if not isinstance(sent, Mapping) or not sent.keys() <= {_KEY, *_BESIDE}:
        raise HandleError("data: not what a card's button sends")
    named = sent.get(_KEY)
    if not isinstance(named, list) or len(named) != _LENGTH:
        raise HandleError("data: not a handle")
    version, said_verb, review, card, revision, profile, preview, nonce = named
    if type(version) is not int or version != _VERSION:
        raise HandleError("version: not one this bot reads")
    said = _verb(said_verb)
    if verb is not None and verb != said.value:
        raise HandleError("verb: the action and its data name different ones")
    handle = Handle(
        review_id=_matching("review", review, _NAME),
        card_id=_matching("card", card, _NAME),
        revision=_revision(revision),
        preview_hash=_matching("preview", preview, _HASH),
        profile=_matching("profile", profile, _NAME) if profile != "" else "",
        nonce=_matching("nonce", nonce, _NAME),
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


def _matching(field: str, value: object, form: re.Pattern[str]) -> str:
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
