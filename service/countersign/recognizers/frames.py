"""Messages between the service and its child: four bytes of length, then JSON. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

LENGTH_BYTES: Final = 4
MAX_BYTES: Final = 32 << 20
"""A context of the largest size there is, escaped."""


def encode(message: object) -> bytes:
    """The bytes of a message."""
    data = json.dumps(message, separators=(",", ":")).encode()
    return len(data).to_bytes(LENGTH_BYTES) + data


def length(head: bytes) -> int:
    """How long the rest is. Raises `ValueError` when it is more than anybody sends."""
    size = int.from_bytes(head)
    if len(head) != LENGTH_BYTES or size > MAX_BYTES:
        raise ValueError("no frame")
    return size


def decode(data: bytes) -> Any:
    """The message. Raises `ValueError`."""
    return json.loads(data)
