"""Addresses of machines."""

from __future__ import annotations

from typing import Final

from countersign.sanitize import checks, kinds
from countersign.sanitize.rules.rule import Rule

# Octets with which no address of anybody begins (0, 127, 255) begin none here either.
_FIRST_OCTET: Final = r"(?:25[0-4]|2[0-4][0-9]|1[013-9][0-9]|12[0-689]|0?[1-9][0-9]|0{0,2}[1-9])"
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})"

RULES: Final = (
    Rule(
        id="ipv4",
        kind=kinds.IP_ADDRESS,
        pattern=rf"\b{_FIRST_OCTET}(?:\.{_OCTET}){{3}}\b",
    ),
    Rule(
        id="mac",
        kind=kinds.MAC_ADDRESS,
        pattern=r"(?i)\b(?:[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}"
        r"|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})\b",
        check=checks.mac,
    ),
    Rule(
        id="ipv6",
        kind=kinds.IP_ADDRESS,
        pattern=r"(?i)(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
        r"|[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6}::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?)",
        check=checks.ipv6,
    ),
)
