"""Out to Teams: the one seam over the Bot Framework SDK, its faults covered."""

from countersign_bot.connector.errors import (
    ConnectorError,
    MessageGoneError,
    NotInstalledError,
    NotMemberError,
    PassingError,
    RefusedError,
    TooLargeError,
)
from countersign_bot.connector.protocol import Connector, Member
from countersign_bot.connector.reference import MAX_REFERENCE_BYTES, Reference
from countersign_bot.connector.teams import MAX_CARD_BYTES, BotFrameworkConnector

__all__ = [
    "MAX_CARD_BYTES",
    "MAX_REFERENCE_BYTES",
    "BotFrameworkConnector",
    "Connector",
    "ConnectorError",
    "Member",
    "MessageGoneError",
    "NotInstalledError",
    "NotMemberError",
    "PassingError",
    "Reference",
    "RefusedError",
    "TooLargeError",
]
