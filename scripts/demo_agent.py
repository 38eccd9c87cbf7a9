"""The demo's agent: asks before it exports, acts only with permission, reports.

A process of its own with its own credential; tells the story one JSON line a
step. It uses the public SDK and nothing else, and then tries what it must not.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import grpc

from countersign.client import (
    AlreadyClaimed,
    Client,
    Context,
    CountersignClientError,
    Denied,
    Outcome,
    Pending,
    Resource,
)
from countersign.credentials import read_credential
from countersign.v1 import reviews_pb2, reviews_pb2_grpc

CUSTOMERS = [
    {"name": "Jane Roe", "email": "jane.roe@example.org", "phone": "+1 415 555 0132"},
    {"name": "Ravi Patel", "email": "ravi.patel@example.net", "phone": "+44 20 7946 0958"},
    {"name": "Zoë Müller", "email": "zoe.mueller@example.de", "phone": "+49 30 901820"},
]


def main(credential: str, exports: str) -> None:
    """Play the agent."""
    target = Path(exports).absolute() / "customers.csv"
    context = export_context(target)
    with Client.from_credential(credential) as client:
        decision = client.check(context)
        pending = decision.pending
        tell(
            "checked",
            effect=decision.effect.value,
            reasons=[{"code": r.code, "message": r.message} for r in decision.reasons],
            review=pending.review_id if pending else "",
            seeded=[value for customer in CUSTOMERS for value in customer.values()],
        )
        if pending is None:
            return
        status = client.wait(pending)
        tell("approved", state=status.state.value)
        grant = client.claim(pending, context)
        assert grant.permit is not None
        tell("claimed", permit=grant.permit.id, expires_at=grant.permit.expires_at.isoformat())
        grant.require_fresh()
        rows = export(target)
        client.report(grant, Outcome.SUCCEEDED, {"rows": rows, "sent_to": CUSTOMERS[0]["email"]})
        tell("acted", file=str(target), rows=rows)
        misbehave(client, pending, target, credential)


def export_context(target: Path, limit: int = 5000) -> Context:
    """What it is about to do, personal data and all."""
    return Context(
        action="db.export",
        actor="export-agent",
        environment="production",
        resource=Resource("table", "crm.customers"),
        arguments={
            "table": "crm.customers",
            "columns": list(CUSTOMERS[0]),
            "format": "csv",
            "destination": f"file://localhost{target}",
            "row_count": limit,
            "sample": CUSTOMERS,
            "notify": CUSTOMERS[0]["email"],
        },
        reason=f"Quarterly churn analysis, asked for by {CUSTOMERS[0]['email']}",
    )


def export(target: Path) -> int:
    """The action itself: write the file that was asked for."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(CUSTOMERS[0]))
        writer.writeheader()
        writer.writerows(CUSTOMERS)
    return len(CUSTOMERS)


def misbehave(client: Client, spent: Pending, target: Path, credential: str) -> None:
    """Try what must be refused, and say how it was."""
    context = export_context(target)
    tell("second claim", **refusal(lambda: client.claim(spent.review_id, context)))
    again = client.check(export_context(target, limit=9999)).pending
    assert again is not None
    tell("checked again", review=again.review_id)
    sys.stdin.readline()
    tell("decided", **own_decision(credential, again.review_id))
    client.wait(again)
    changed = export_context(target, limit=10_000)
    tell("changed claim", **refusal(lambda: client.claim(again.review_id, changed)))
    tell("done", state=client.cancel(again).state.value)


def refusal(attempt: Any) -> dict[str, str]:
    """How an attempt was refused; "nothing" if it was not."""
    try:
        attempt()
    except Denied as denied:
        return {"refused": denied.reasons[0].code, "message": denied.reasons[0].message}
    except AlreadyClaimed as spent:
        return {"refused": spent.code, "message": "this approval has been claimed already"}
    except CountersignClientError as error:
        return {"refused": error.code, "message": str(error)}
    return {"refused": "nothing", "message": "it went through"}


def own_decision(credential: str, review: str) -> dict[str, str]:
    """Call Decide with the agent's own credential, past the SDK."""
    own = read_credential(Path(credential))
    request = reviews_pb2.DecideRequest(
        review_id=review,
        revision=1,
        profile="reviewer",
        preview_hash=bytes(32),
        vote=reviews_pb2.VOTE_APPROVE,
        request_id="agent-decides",
    )
    metadata = (("authorization", f"Bearer {own.token}"),)
    with grpc.insecure_channel(own.endpoint) as channel:
        try:
            reviews_pb2_grpc.ReviewsStub(channel).Decide(request, metadata=metadata, timeout=10)
        except grpc.RpcError as error:
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            known = b"caller.not_a_person" in details
            code = "caller.not_a_person" if known else error.code().name
            return {"refused": code, "message": error.details() or ""}
    return {"refused": "nothing", "message": "it went through"}


def tell(event: str, **facts: object) -> None:
    """One step, as a JSON line."""
    print(json.dumps({"event": event, **facts}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
