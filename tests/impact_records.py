"""Records of decisions as the flow writes them, made by the real sanitizer from one raw context."""

from __future__ import annotations

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer

SANITIZER = Sanitizer()


def record(arguments=None, *, mask=(), reason="because", **changes):
    """A record as the flow writes one, by the real sanitizer."""
    context = ActionContext(
        actor=Principal(type="workload", id="bot"),
        on_behalf_of=(),
        action="db.export",
        resource=Resource(type="table", id="crm", owner="", attributes={}),
        environment="production",
        arguments=arguments or {},
        reason=reason,
        session="",
    )
    findings = SANITIZER.detect(context, known=lambda _name: False)
    shown = SANITIZER.clean(context, findings, policy_mask=mask, tag_key=b"k" * 32)
    clean = dict(shown.context)
    head = {name: clean.pop(name) for name in ("actor", "action", "resource", "environment")}
    return {
        "kind": "decision",
        "seq": 7,
        "time": "2026-11-23T00:00:00.000000Z",
        "decision": "dec_1",
        **head,
        "clean": clean,
        "mask_report": shown.report,
        "findings": findings.to_record(),
        "effect": "allow",
        "reasons": [{"code": "x.fine", "message": "fine"}],
        "policy": {
            "effect": "allow",
            "revision": "r1",
            "verified": {},
            "approval": None,
            "recent": {},
            "time": "2026-11-23T00:00:00.000000Z",
        },
        **changes,
    }
