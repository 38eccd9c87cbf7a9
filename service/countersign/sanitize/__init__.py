"""Detect what is sensitive, mask it, say what is known of the rest.

`Sanitizer` is the whole public surface; the flow and whoever writes text or
detail for people or records call it. Pure: no IO, no clock, no environment.
"""

from countersign.sanitize.custom import CustomRules
from countersign.sanitize.custom_file import parse as custom_rules
from countersign.sanitize.free import Find, Scrubbed
from countersign.sanitize.manifest import weaker
from countersign.sanitize.quantities import Quantity
from countersign.sanitize.sanitizer import Clean, Findings, Sanitizer

__all__ = [
    "Clean",
    "CustomRules",
    "Find",
    "Findings",
    "Quantity",
    "Sanitizer",
    "Scrubbed",
    "custom_rules",
    "weaker",
]
