"""What Presidio calls an entity, and which of our kinds it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from countersign.sanitize import kinds
from countersign.sanitize.kinds import Kind

ENTITY_NAME: Final = "[A-Z][A-Z0-9_]{1,30}"
"""As a placeholder can hold it."""

_SAME: Final[Mapping[str, Kind]] = {
    "CREDIT_CARD": kinds.CREDIT_CARD,
    "CRYPTO": kinds.WALLET,
    "DATE_OF_BIRTH": kinds.DATE_OF_BIRTH,
    "EMAIL_ADDRESS": kinds.EMAIL,
    "IBAN_CODE": kinds.IBAN,
    "IP_ADDRESS": kinds.IP_ADDRESS,
    "LOCATION": kinds.LOCATION,
    "MAC_ADDRESS": kinds.MAC_ADDRESS,
    "MEDICAL_LICENSE": kinds.GOVERNMENT_ID,
    "PERSON": kinds.PERSON,
    "PHONE_NUMBER": kinds.PHONE,
    "STREET_ADDRESS": kinds.ADDRESS,
    "US_BANK_NUMBER": kinds.FINANCIAL,
    "US_SSN": kinds.US_SSN,
}
_STRENGTH: Final = 46
"""Of an entity that only Presidio knows: what our rules find is named better."""

PRESIDIO_NAMES: Final[Mapping[str, str]] = {kind.name: name for name, kind in _SAME.items()} | {
    kinds.GOVERNMENT_ID.name: kinds.GOVERNMENT_ID.name
}
"""How Presidio's users know our kinds, where they have a name for it."""


def kinds_of(entities: Iterable[str], own: Mapping[str, Kind]) -> dict[str, Kind]:
    """The kind of each entity; `own` are those of an operator's rules, by name.

    What a recognizer of personal data finds and nobody here knows is personal data.
    """
    return {name: _kind(name, own) for name in entities}


def _kind(name: str, own: Mapping[str, Kind]) -> Kind:
    same = _SAME.get(name) or kinds.ENTITIES.get(name)
    if same is not None:
        return same
    return own.get(name) or Kind(name=name, strength=_STRENGTH, classes=("personal",))
