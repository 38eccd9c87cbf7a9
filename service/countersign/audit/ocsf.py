"""Records as OCSF events: API Activity (class 6003), schema version 1.3.0.

Pure. OCSF has no class for an authorization decision; API Activity is the one
that others map theirs to. What has no place in it stays in `unmapped`, flat and
with our column names. The mapping is in docs/auditing.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from countersign import __version__
from countersign.audit.flat import flat
from countersign.model import JsonObject

VERSION: Final = "1.3.0"
CLASS_UID: Final = 6003
_CREATE, _READ, _UPDATE, _OTHER = 1, 2, 3, 99
_ACTIVITIES: Final = {
    "decision": (_CREATE, "Create"),
    "review.created": (_CREATE, "Create"),
    "delegation.given": (_CREATE, "Create"),
    "claim": (_UPDATE, "Update"),
    "vote": (_UPDATE, "Update"),
    "break_glass": (_UPDATE, "Update"),
    "outcome": (_UPDATE, "Update"),
    "review.updated": (_UPDATE, "Update"),
    "review.closed": (_UPDATE, "Update"),
    "review.escalated": (_UPDATE, "Update"),
    "after_review.closed": (_UPDATE, "Update"),
    "delegation.ended": (_UPDATE, "Update"),
    "policy.changed": (_UPDATE, "Update"),
    "directory.changed": (_UPDATE, "Update"),
    "config.changed": (_UPDATE, "Update"),
    "keys.changed": (_UPDATE, "Update"),
}
_FAILED: Final = ("vote.refused", "admin.refused")
_INFORMATIONAL, _HIGH = 1, 4


def event(record: JsonObject) -> dict[str, Any]:
    """One record as an OCSF event."""
    row = flat(record)
    kind = str(row["kind"] or "unknown")
    activity, name = _ACTIVITIES.get(kind, (_OTHER, "Other"))
    failed = kind in _FAILED or row["effect"] == "deny" or row["outcome"] == "failed"
    used = ("time", "kind", "seq", "log_id", "actor", "caller", "action", "person", "tenant")
    told: dict[str, Any] = {
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": CLASS_UID,
        "class_name": "API Activity",
        "activity_id": activity,
        "activity_name": name,
        "type_uid": CLASS_UID * 100 + activity,
        "severity_id": _HIGH if kind == "break_glass" else _INFORMATIONAL,
        "time": _milliseconds(row["time"]),
        "status_id": 2 if failed else 1,
        "status": "Failure" if failed else "Success",
        "status_code": row["refused"] or row["reason"],
        "status_detail": row["effect"],
        "message": kind,
        "metadata": {
            "version": VERSION,
            "uid": f"{row['log_id']}/{row['seq']}",
            "sequence": row["seq"],
            "original_time": row["time"],
            "event_code": kind,
            "correlation_uid": row["review"] or row["decision"],
            "log_name": row["log_id"],
            "tenant_uid": row["tenant"],
            "product": {
                "name": "Countersign",
                "vendor_name": "Countersign",
                "version": __version__,
            },
        },
        "actor": {
            "app_name": row["actor"] or row["caller"] or "countersign",
            "app_uid": row["caller"],
            "user": {"uid": row["person"], "type_id": 1} if row["person"] else None,
        },
        "api": {
            "operation": row["action"] or kind,
            "service": {"name": "countersign.v1"},
            "request": {"uid": row["decision"]} if row["decision"] else None,
        },
        "src_endpoint": {"name": row["caller"] or "countersign"},
        "resources": [_resource(row)] if row["resource_id"] else None,
        "unmapped": {name: value for name, value in row.items() if name not in used},
    }
    return _without_nothing(told)


def _resource(row: dict[str, str | int | None]) -> dict[str, Any]:
    return {"type": row["resource_type"], "uid": row["resource_id"]}


def _milliseconds(time: str | int | None) -> int:
    try:
        return int(datetime.fromisoformat(str(time)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def _without_nothing(value: dict[str, Any]) -> dict[str, Any]:
    """Absent attributes are left out, as OCSF wants."""
    return {
        name: _without_nothing(item) if isinstance(item, dict) else item
        for name, item in value.items()
        if item is not None
    }
