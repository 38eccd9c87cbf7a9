"""What can be found in a context, how strong each find is, how it is shown.

A kind decides three things: the data classes policy reads, which of two
overlapping finds wins (the stronger), and whether a masked value shows a tag.
Secrets and values with few possibilities (cards, phones, dates) show none: a
tag would let the holder of the key guess them. Used by every other module here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One sort of sensitive value; `name` is what stands in the brackets."""

    name: str
    strength: int
    """The larger wins where two finds overlap."""
    classes: tuple[str, ...] = ()
    tagged: bool = False
    partly: Callable[[bytes], str] | None = None
    """What may be shown of a value in place of a tag, or nothing: an operator's wish."""
    whole: bool = False
    """A find hides all of the text it stands in."""

    def __hash__(self) -> int:
        """Quick: kinds are asked for often, and few share a name."""
        return hash(self.name)

    @property
    def placeholder(self) -> str:
        """The masked value without a tag."""
        return f"[{self.name}]"


# Ways of masking that are no find in the data: never counted as entities.
POLICY: Final = Kind(name="POLICY", strength=100)
TOO_LONG: Final = Kind(name="TOO_LONG", strength=99)
UNREADABLE: Final = Kind(name="UNREADABLE", strength=98)
GUARD: Final = Kind(name="GUARDED", strength=97)
TEXT: Final = Kind(name="TEXT", strength=96)
CUT: Final = Kind(name="CUT", strength=95)
UNEXAMINED: Final = Kind(name="UNEXAMINED", strength=94)

SECRET: Final = Kind(name="SECRET", strength=90, classes=("secret",))
CREDIT_CARD: Final = Kind(name="CREDIT_CARD", strength=80, classes=("financial",))
US_SSN: Final = Kind(name="US_SSN", strength=79, classes=("government_id", "personal"))
GOVERNMENT_ID: Final = Kind(
    name="GOVERNMENT_ID", strength=77, classes=("government_id", "personal")
)
IBAN: Final = Kind(name="IBAN", strength=78, classes=("financial",), tagged=True)
FINANCIAL: Final = Kind(name="FINANCIAL", strength=76, classes=("financial",))
WALLET: Final = Kind(name="CRYPTO_WALLET", strength=76, classes=("financial",), tagged=True)
HEALTH: Final = Kind(name="HEALTH", strength=75, classes=("health", "personal"))
DATE_OF_BIRTH: Final = Kind(name="DATE_OF_BIRTH", strength=74, classes=("personal",))
EMAIL: Final = Kind(name="EMAIL", strength=60, classes=("contact", "personal"), tagged=True)
PHONE: Final = Kind(name="PHONE", strength=59, classes=("contact", "personal"))
ADDRESS: Final = Kind(name="ADDRESS", strength=58, classes=("contact", "personal"), tagged=True)
LOCATION: Final = Kind(name="LOCATION", strength=57, classes=("personal",))
VEHICLE: Final = Kind(name="VEHICLE", strength=56, classes=("personal",))
PERSON: Final = Kind(name="PERSON", strength=50, classes=("personal",), tagged=True)
USER_ID: Final = Kind(name="USER_ID", strength=45, classes=("personal",), tagged=True)
MAC_ADDRESS: Final = Kind(name="MAC_ADDRESS", strength=41, classes=("network",), tagged=True)
IP_ADDRESS: Final = Kind(name="IP_ADDRESS", strength=40, classes=("network",), tagged=True)
RANDOM: Final = Kind(name="SECRET", strength=15, classes=("secret",))
"""Looks like a secret by nothing but its letters: any better name for it wins."""
LITERAL: Final = Kind(name="LITERAL", strength=10)

NOT_ENTITIES: Final = frozenset(
    {POLICY, TOO_LONG, UNREADABLE, GUARD, TEXT, CUT, UNEXAMINED, LITERAL}
)
"""Masked because of where it stood, not because of what was found in it."""

ENTITIES: Final = {
    kind.name: kind
    for kind in (
        *(SECRET, CREDIT_CARD, US_SSN, GOVERNMENT_ID, IBAN, FINANCIAL, WALLET, HEALTH),
        *(DATE_OF_BIRTH, EMAIL, PHONE, ADDRESS, LOCATION, VEHICLE, PERSON, USER_ID),
        *(MAC_ADDRESS, IP_ADDRESS),
    )
}
"""Everything that can be found, by name."""

PLACEHOLDER: Final = (
    r"\[(?:"
    + "|".join(sorted({*ENTITIES, *(kind.name for kind in NOT_ENTITIES)}))
    + r")(?::[0-9a-f]{4,16})?\]"
)
"""What stands for a masked value: an expression. An operator's own kinds are weaker than secrets,
so none of theirs stands alone where a secret would."""


def is_secret(kind: Kind) -> bool:
    """Whether nothing may ever show a value of it."""
    return kind.name == SECRET.name
