"""A record as one flat row, for tables: what `search` shows and `export` writes.

Pure. The columns are stable: new ones come last, none changes its meaning. A row
is for finding and counting; the record itself stays in the log, under its `seq`.
"""

from __future__ import annotations

from typing import Final

from countersign.model import JsonObject, JsonValue

COLUMNS: Final[dict[str, str]] = {
    "seq": "seq",
    "time": "time",
    "kind": "kind",
    "tenant": "tenant",
    "log_id": "log_id",
    "caller": "caller",
    "actor": "actor.id",
    "action": "action",
    "environment": "environment",
    "resource_type": "resource.type",
    "resource_id": "resource.id",
    "decision": "decision",
    "review": "review",
    "effect": "effect",
    "reason": "reasons.code",
    "policy_revision": "policy.revision",
    "requester": "chain.proven",
    "data_classes": "findings.classes",
    "person": "vote.person",
    "choice": "vote.choice",
    "assurance": "vote.assurance",
    "refused": "refusal.code",
    "review_state": "review_state.state",
    "outcome": "outcome.outcome",
    "permit": "permit.jti",
    "changed_by": "change.by",
    "commitment": "commitment",
    "session": "session",
    "trace": "trace",
}
"""Column to the place in the record; a list becomes its items with spaces between."""

_MAX_SEQ: Final = 2**63 - 1
_EMPTY: Final[dict[str, str | int | None]] = dict.fromkeys(COLUMNS)
_TOP: Final = frozenset(column for column, place in COLUMNS.items() if "." not in place)
_BELOW: Final = tuple(
    (column, *place.split(".")) for column, place in COLUMNS.items() if "." in place
)


def flat(record: JsonObject) -> dict[str, str | int | None]:
    """The row of a record; what it does not say, or not as text, is None."""
    row = _EMPTY.copy()
    for name, value in record.items():
        if name in _TOP:
            row[name] = _text(value)
    for column, part, field in _BELOW:
        value = record.get(part)
        if isinstance(value, dict):
            row[column] = _text(value.get(field))
        elif isinstance(value, list):
            row[column] = _text([item.get(field) for item in value if isinstance(item, dict)])
    seq = record.get("seq")
    row["seq"] = seq if type(seq) is int and 0 <= seq <= _MAX_SEQ else None
    return row


def _text(value: JsonValue) -> str | None:
    if isinstance(value, list):
        value = " ".join(item for item in value if isinstance(item, str)) or None
    if not isinstance(value, str):
        return None
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
