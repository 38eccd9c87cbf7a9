"""The built-in rules, by what they find. Order means nothing: the strongest kind wins."""

from typing import Final

from countersign.sanitize.rules import network, personal, providers, secrets
from countersign.sanitize.rules.rule import Rule

BUILT_IN: Final = (*secrets.RULES, *providers.RULES, *personal.RULES, *network.RULES)

__all__ = ["BUILT_IN", "Rule"]
