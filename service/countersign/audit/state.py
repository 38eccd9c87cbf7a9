"""What an auditor keeps between two verifications of the same log.

Pure. The size, the Merkle frontier and the signed checkpoint of what was found
whole: enough to go on from there, and to notice a log that was rolled back or
rewritten meanwhile. It is the auditor's own file, as trusted as a checkpoint
they kept. Written only after a verification without findings.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Final, Self

from countersign.audit.logkeys import Keys
from countersign.audit.merkle import Frontier
from countersign.errors import ConfigurationError, LogError

FORMAT: Final = "countersign/audit-state/v1"
MAX_BYTES: Final = 262_144
_UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    LogError,
)
"""What anything else than a state may raise while it is read as one."""
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)?", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A log as it was when it was last found whole."""

    key: str
    """The verifier key it was verified under."""
    frontier: Frontier
    time: str
    """Of the newest record, so that a later one cannot be dated before it."""
    checkpoint: bytes
    """The signed note of that size: proof of what the log once said."""

    @property
    def size(self) -> int:
        """How many records that were."""
        return self.frontier.size

    def encode(self) -> bytes:
        """As a file."""
        body = {
            "format": FORMAT,
            "key": self.key,
            "size": self.size,
            "root": self.frontier.root().hex(),
            "frontier": [item.hex() for item in self.frontier.hashes],
            "time": self.time,
            "checkpoint": self.checkpoint.decode(),
        }
        return json.dumps(body, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, keys: Keys) -> Self:
        """Read a file back. Raises `ConfigurationError`; never quotes a value."""
        try:
            body: dict[str, Any] = json.loads(data[: MAX_BYTES + 1])
            if body["format"] != FORMAT:
                raise _bad("is of another format")
            state = cls(
                key=str(body["key"]),
                frontier=Frontier(
                    tuple(bytes.fromhex(item) for item in body["frontier"]), int(body["size"])
                ),
                time=body["time"],
                checkpoint=body["checkpoint"].encode(),
            )
            if not _TIME.fullmatch(state.time) or state.frontier.root().hex() != body["root"]:
                raise _bad("contradicts itself")
        except _UNREADABLE:
            raise _bad("is not a state that `verify` wrote") from None
        state._check(keys)
        return state

    def _check(self, keys: Keys) -> None:
        if not keys.knows(self.key):
            raise _bad("is of a log with another key")
        try:
            head = keys.open(self.checkpoint)
        except LogError:
            raise _bad("holds no checkpoint that this log's key signed") from None
        if (head.size, head.root) != (self.size, self.frontier.root()):
            raise _bad("contradicts its own checkpoint")


def _bad(problem: str) -> ConfigurationError:
    return ConfigurationError(
        "audit.state_invalid",
        f"--state: the file {problem}",
        advice="Name another file and verify from the start, or restore this one.",
    )
