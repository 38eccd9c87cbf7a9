"""The contexts that are measured: what an agent might really send, 1.2 KB each.

Two actions of the shipped example policy. A release to staging is allowed, a
roll-back in production needs a person, and both are the same JSON otherwise, so
that what differs between their costs is the review. A SQL statement and a
nested document of 4 KB stand for what costs the sanitizer most.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from countersign.v1 import context_pb2, decisions_pb2

CALLER = "deploy-agent"


def allowed() -> context_pb2.Context:
    """A release to staging: policy says ALLOW."""
    return _deployment("deploy.release", "staging", "2026.11.3-rc.4")


def needs_approval(number: int = 0) -> context_pb2.Context:
    """A roll-back in production, another one for each number: NEEDS_APPROVAL."""
    return _deployment("deploy.rollback", "production", f"2026.11.2-{number}")


def statement() -> context_pb2.Context:
    """A read of one production row by SQL: policy says ALLOW."""
    context = _deployment("sql.execute", "production", "2026.11.3")
    context.resource.type, context.resource.id = "database", "billing"
    names = ", ".join(f"{name}_{number}" for name in ("state", "sum") for number in range(20))
    context.arguments_json = _json(
        {
            "sql": f"SELECT id, {names} FROM invoices WHERE id = 918273 LIMIT 1",  # noqa: S608
            "database": "billing",
            "schema": "support",
        }
    )
    return context


def document() -> context_pb2.Context:
    """4 KB, nested, with personal data, a credential and prose in it."""
    context = _deployment("db.export", "production", "2026.11.3")
    people = [
        {
            "id": 918_273 + number,
            "contact": {"email": f"person.{number}@example.org", "phone": "+1 415 555 0132"},
            "address": {"street": f"{number} Example Road", "city": "Springfield"},
            "note": "Asked to be called back on Monday about the renewal of the contract.",
            "tags": ["renewal", "priority", f"segment-{number}"],
        }
        for number in range(14)
    ]
    context.arguments_json = _json(
        {
            "table": "crm.customers",
            "destination": "s3://analytics-exports/2026/11/customers.csv",
            "rows": people,
            "client": {"api_key": "not-a-real-key-7f1c2e9a44d04b7c", "endpoint": "https://x.test"},
        }
    )
    return context


def check(context: context_pb2.Context) -> bytes:
    """A Check without request id, as it goes over the wire: never a replay."""
    return decisions_pb2.CheckRequest(context=context).SerializeToString()


def batch(contexts: Iterable[context_pb2.Context]) -> bytes:
    """A BatchCheck of these."""
    items = [decisions_pb2.CheckRequest(context=context) for context in contexts]
    return decisions_pb2.BatchCheckRequest(items=items).SerializeToString()


def _deployment(action: str, environment: str, version: str) -> context_pb2.Context:
    return context_pb2.Context(
        actor=context_pb2.Principal(type="workload", id=CALLER),
        action=action,
        resource=context_pb2.Resource(
            type="deployment",
            id="billing-worker",
            owner="alice",
            attributes_json=_json({"cluster": "eu-1", "namespace": "billing", "tier": 2}),
        ),
        environment=environment,
        arguments_json=_json(
            {
                "version": version,
                "image": f"images.example.test/billing/worker:{version}",
                "strategy": {"kind": "rolling", "max_surge": 2, "max_unavailable": 0},
                "replicas": {"from": 6, "to": 6},
                "changes": [
                    {
                        "path": f"services/worker/{name}",
                        "kind": "modified",
                        "lines": {"added": added, "removed": removed},
                    }
                    for name, added, removed in (
                        ("retry.go", 41, 12),
                        ("queue/consumer.go", 118, 64),
                        ("queue/consumer_test.go", 203, 8),
                        ("invoice/state.go", 9, 31),
                    )
                ],
                "checks": {"unit": "passed", "integration": "passed", "lint": "passed"},
                "limits": {"cpu": "750m", "memory": "512Mi"},
                "health": {"path": "/healthz", "interval_s": 5, "failures": 3},
                "window": {"days": ["monday", "tuesday"], "hours": {"from": 8, "until": 16}},
                "ticket": "BILL-2291",
            }
        ),
        reason="Retries of the invoice queue pile up after a time-out; this bounds them and"
        " restores the previous back-off. Watched by the team that is on duty today.",
        session="run-7c41b0",
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
