"""What may come of writing to Teams, as far as the difference matters.

ConnectorError
├── NotInstalledError   the bot is not in that conversation
├── MessageGoneError    somebody deleted the message
├── NotMemberError      whoever was asked about is not in the conversation
├── TooLargeError       more than a message may hold
├── PassingError        it may work later
└── RefusedError        it never will
"""

from __future__ import annotations

from countersign.errors import CountersignError


class ConnectorError(CountersignError):
    """Teams did not do it. `code` is short and stable: `teams.403`, `teams.timeout`."""


class NotInstalledError(ConnectorError):
    """The bot is not installed there, or was removed."""


class MessageGoneError(ConnectorError):
    """The message to be changed is not there any more."""


class NotMemberError(ConnectorError):
    """Whoever was asked about is not in that conversation."""


class TooLargeError(ConnectorError):
    """The message is larger than Teams, or our own bound, allows."""


class PassingError(ConnectorError):
    """It may work later: throttled, down, or too slow."""

    def __init__(self, code: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s
        """What Teams asked for; None when it named no time."""


class RefusedError(ConnectorError):
    """It never will: a credential, a permission or what was sent is wrong."""
