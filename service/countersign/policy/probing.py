"""Questions a candidate is asked before any caller may ask it.

Plausible inputs, one for each sort of action there are examples for and one that
nobody has a rule for, each as a first Check and as a Claim. What policy answers
must be what the contract allows; that it has no rule is no breach. Called by
`admission` on the candidate's own OPA.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from countersign import canonical
from countersign.errors import PolicyError
from countersign.model import JsonObject, JsonValue
from countersign.policy.client import OpaClient
from countersign.policy.contract import decode

MAX_BREACHES: Final = 50
_ACTIONS: Final[Mapping[str, tuple[str, JsonObject]]] = {
    "db.export": (
        "table",
        {
            "table": "crm.customers",
            "columns": ["name", "plan"],
            "destination": "s3://exports/c.csv",
            "row_count": 5210,
        },
    ),
    "sql.execute": ("database", {"statement": "DELETE FROM orders WHERE id = 1"}),
    "shell.run": ("host", {"command": "systemctl restart web"}),
    "iam.grant": ("role", {"principal": "user:kim", "role": "admin"}),
    "key.rotate": ("key", {"key": "signing"}),
    "deploy.apply": ("service", {"version": "1.2.3", "replicas": 3}),
    "deploy.rollback": ("service", {"to": "1.2.2"}),
    "payment.create": ("account", {"amount": 1200, "currency": "EUR", "to": "supplier-7"}),
    "infra.apply": ("cluster", {"plan": {"resource_changes": []}}),
    "countersign.policy.activate": ("policy", {"from": "a", "to": "b", "changed": []}),
    "no.rule_knows_this": ("thing", {}),
}
_FINDINGS: Final[tuple[JsonObject, ...]] = (
    {
        "entities": {},
        "classes": [],
        "facts": {},
        "complete": True,
        "quantity": {"rows": 0, "amount": 0},
    },
    {
        "entities": {"EMAIL": 3, "PERSON": 1},
        "classes": ["contact", "personal"],
        "facts": {"rows": {"at_least": 1000, "bucket": "1k-10k"}},
        "complete": True,
        "quantity": {"rows": 5210, "amount": 1200},
    },
)
_QUIET: Final[JsonObject] = {
    "checks": 0,
    "allow": 0,
    "deny": 0,
    "needs_approval": 0,
    "claimed": 0,
    "rows": 0,
    "amount": 0,
}
_VOTE: Final[JsonObject] = {
    "person": "probe-reviewer",
    "choice": "approve",
    "assurance": "channel",
    "groups": [],
    "at": "2026-11-25T11:59:00.000000Z",
}
_APPROVAL: Final[JsonObject] = {
    "review": "rev_probe",
    "revision": 1,
    "approved_at": "2026-11-25T11:59:00.000000Z",
    "votes": [_VOTE],
}


async def probe(client: OpaClient, *, deadline_s: float) -> Sequence[str]:
    """Every breach of the contract that was found, each once, in an author's words.

    Raises `PolicyError` `policy.unavailable` when one answer did not come in time.
    """
    breaches: dict[str, None] = {}
    for question in questions():
        try:
            value = await client.decide(canonical.encode(question), deadline_s=deadline_s)
            decode(value, "")
        except PolicyError as error:
            if error.code == "policy.undefined":
                continue
            if error.retryable:
                raise
            found = error.detail.splitlines() or [error.message]
            breaches.update(dict.fromkeys(found))
    return list(breaches)[:MAX_BREACHES]


def questions() -> Iterator[JsonObject]:
    """The inputs: each action, with and without findings, as a Check and as a Claim."""
    for action, (kind, arguments) in _ACTIONS.items():
        for environment, findings in zip(("dev", "production"), _FINDINGS, strict=True):
            for approval in (None, _APPROVAL):
                yield _question(action, kind, arguments, environment, findings, approval)


def _question(
    action: str,
    kind: str,
    arguments: JsonObject,
    environment: str,
    findings: JsonObject,
    approval: JsonObject | None,
) -> JsonObject:
    behind: list[JsonValue] = [{"type": "person", "id": "probe-person"}]
    return {
        "context": {
            "action": action,
            "actor": {"type": "workload", "id": "probe"},
            "arguments": arguments,
            "environment": environment,
            "on_behalf_of": behind,
            "reason": "a question before the activation",
            "resource": {"type": kind, "id": f"{kind}-1", "owner": "", "attributes": {}},
            "session": "",
        },
        "findings": findings,
        "verified": {
            "tenant": "default",
            "caller": "probe",
            "owners": ["probe-owner"],
            "users": [],
            "parent": None,
            "person": None,
            "claimant": "probe" if approval else None,
        },
        "approval": approval,
        "recent": {"hour": _QUIET, "day": _QUIET},
        "time": "2026-11-25T12:00:00.000000Z",
    }
