"""What an answer of the connector that is no success means for what was tried.

Its statuses and codes are those of "Status codes from bot conversational APIs" in the
Teams documentation.
"""

from __future__ import annotations

import email.utils
import enum
import json
import time
from typing import Final

from countersign_bot.connector.errors import (
    ConnectorError,
    MessageGoneError,
    NotInstalledError,
    NotMemberError,
    PassingError,
    RefusedError,
    TooLargeError,
)
from countersign_bot.outgoing import Reply

MAX_RETRY_AFTER_S: Final = 3600.0
_PASSING: Final = frozenset({408, 409, 412, 425, 429})
"""Beside every 5xx. 401 is passing, too: the next request brings a new token."""
_ABSENT_CODES: Final = frozenset({"botnotinconversationroster", "conversationnotfound"})
_TOO_LARGE_CODES: Final = frozenset({"messagesizetoobig"})


class Doing(enum.Enum):
    """What was tried."""

    POST = "post"
    UPDATE = "update"
    MEMBER = "member"
    CREATE = "create"


def failure(doing: Doing, reply: Reply) -> ConnectorError:
    """The error that an answer other than success is.

    403 without a code that says so is no sign of absence where a message is to be
    changed: Teams also answers it for a message that is not the bot's own.
    """
    status, said = reply.status, _code(reply.body)
    code = f"teams.{status}"
    if status == 401 or status in _PASSING or status >= 500:
        return PassingError(
            code, f"Teams answers {status} for now", retry_after_s=retry_after_s(reply)
        )
    if status == 413 or said in _TOO_LARGE_CODES:
        return TooLargeError(code, "the message is larger than Teams takes")
    if said in _ABSENT_CODES or (status == 403 and doing is not Doing.UPDATE):
        return NotInstalledError(code, "the bot is not installed there")
    if status == 404:
        return _not_found(doing, code)
    return RefusedError(code, f"Teams refuses it with {status}")


def _not_found(doing: Doing, code: str) -> ConnectorError:
    if doing is Doing.UPDATE:
        return MessageGoneError(code, "the message is not there any more")
    if doing is Doing.MEMBER:
        return NotMemberError(code, "they are not in that conversation")
    return NotInstalledError(code, "the bot is not installed there")


def retry_after_s(reply: Reply) -> float | None:
    """`Retry-After` (RFC 9110 section 10.2.3) in seconds; None without a usable one."""
    told = reply.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit():
        return min(float(told[:10]), MAX_RETRY_AFTER_S)
    try:
        at = email.utils.parsedate_to_datetime(told).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, at - time.time()), MAX_RETRY_AFTER_S)


def _code(body: bytes) -> str:
    """`error.code`, in lower case; empty when there is none."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    error = told.get("error") if isinstance(told, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code.lower() if isinstance(code, str) else ""
