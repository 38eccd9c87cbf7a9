"""The built-in rules, by what they find. Order means nothing: the strongest kind wins."""

from typing import Final

from countersign.sanitize.rules import (
    identity,
    mentioned,
    network,
    personal,
    phones,
    places,
    providers,
    secrets,
)
from countersign.sanitize.rules.rule import Rule

BUILT_IN: Final = (
    *secrets.RULES,
    *providers.RULES,
    *personal.RULES,
    *phones.RULES,
    *identity.RULES,
    *mentioned.RULES,
    *places.RULES,
    *network.RULES,
)

__all__ = ["BUILT_IN", "Rule"]
