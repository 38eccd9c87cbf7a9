"""One guard, as `make guarantees` takes it away.

`old` must stand exactly once in the function that `guard` names (in the whole file,
for SQL); `new` is what the code would say without the guard.
"""

from __future__ import annotations

import dataclasses
from typing import Final

UNIT: Final = "tests/unit"
INTEGRATION: Final = "tests/integration"
STORE: Final = "tests/conformance/test_store_conformance.py::TestStore"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One guard, and what becomes of it."""

    invariant: int
    """The number in docs/explanation/invariants.md it serves first."""
    guard: str
    """Dotted name of the function that holds it, or a file of SQL below `service`."""
    what: str
    """What happens without it."""
    old: str
    new: str
    tests: tuple[str, ...]
    """Each must fail without it."""
