"""In from Teams: who really sent this, and what it says.

`route` takes a request, `token` and `keys` judge who sent it, `activity` reads what it
says. What a click means and may do, others decide: they get an `Inbound` and give an
`InvokeAnswer`.
"""

from countersign_bot.inbound.activity import Account, Inbound
from countersign_bot.inbound.answer import CARD_ACTION, InvokeAnswer
from countersign_bot.inbound.clouds import CLOUDS, Cloud, CloudName, ServiceHosts
from countersign_bot.inbound.refusal import Refusal, RefusedError

__all__ = [
    "CARD_ACTION",
    "CLOUDS",
    "Account",
    "Cloud",
    "CloudName",
    "Inbound",
    "InvokeAnswer",
    "Refusal",
    "RefusedError",
    "ServiceHosts",
]
