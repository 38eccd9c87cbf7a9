"""The story: check, await, decide, claim, report, against protocols only.

Each verb is one module. All of them read a snapshot of what is outside the
store (directory, policy, sanitizer), then run one command in the store's
transaction, where the rules of `countersign.review` judge. Nothing is answered
before its record is committed (invariant 1), and every failure of a part is a
denial or a typed error (invariant 2).

`Flow` puts the verbs together; the edge calls it and nothing else.
"""

from countersign.flow.parts import Floor, Limits, Parts, Quota
from countersign.flow.service import Flow

__all__ = ["Floor", "Flow", "Limits", "Parts", "Quota"]
