"""Detect what is sensitive, mask it, say what is known of the rest.

`Sanitizer` is the whole public surface; the flow and whoever writes text or
detail for people or records call it. Pure: no IO, no clock, no environment.
"""

from countersign.sanitize.free import Find, Scrubbed
from countersign.sanitize.quantities import Quantity
from countersign.sanitize.sanitizer import Clean, Findings, Sanitizer

__all__ = ["Clean", "Find", "Findings", "Quantity", "Sanitizer", "Scrubbed"]
