"""Whether a masked review can still be judged: who, what, where, how much, to whom.

Contexts an agent might send for every action of the example policies, and those
written down in the documentation. For each action it is laid down here where an
answer has to be found. An answer counts as

- shown: the field is there as it was sent, or the fact says something definite;
- by tag: what is left is `[IBAN:69ad]`, which tells whether it is the same as
  elsewhere and not which it is;
- missing: anything else.

Used by `bench_sanitizer_main`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer

ROOT: Final = Path(__file__).resolve().parent.parent
QUESTIONS: Final = ("who", "what", "where", "how much", "to whom")
_VAGUE: Final = frozenset({"unreadable", "other", "multiple", "[OTHER]", ""})
_TAGGED: Final = re.compile(r"\[[A-Z_]+:[0-9a-f]+\]")
_MASKED: Final = re.compile(r"\[[A-Z][A-Z_]*(?::[0-9a-f]+)?\]")
_BLOCK: Final = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ACTION: Final = re.compile(r"input\.context\.action (?:==|in) (\{[^}]*\}|\"[^\"]*\")")
_KNOWN: Final = frozenset({"alice", "ada", "kim"})

WHERE_TO_LOOK: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "db.export": {
        "what": ("/arguments/columns", "facts:columns.total"),
        "how much": ("facts:rows.bucket",),
        "to whom": ("facts:destination.domain",),
    },
    "sql.execute": {
        "what": ("facts:sql.verb",),
        "where": ("facts:sql.tables",),
        "how much": ("facts:sql.predicate", "facts:sql.limit"),
    },
    "shell.run": {"what": ("facts:shell.programs",), "how much": ("facts:shell.flags",)},
    "iam.grant": {"what": ("facts:grants.added",), "to whom": ("/arguments/principal",)},
    "iam.revoke": {"what": ("facts:grants.removed",), "to whom": ("/arguments/principal",)},
    "iam.escalate": {"what": ("/arguments/role",), "how much": ("/arguments/duration_s",)},
    "iam.policy_update": {"what": ("facts:grants.added", "facts:grants.removed")},
    "key.rotate": {"what": ("/arguments/mode",)},
    "infra.apply": {
        "what": ("/arguments/plan/resource_changes/0/address",),
        "where": ("/arguments/plan/resource_changes/0/name",),
        "how much": ("/arguments/plan/destroy",),
    },
    "infra.destroy": {"where": ("/resource/type",)},
    "k8s.request": {
        "what": ("facts:kubernetes.verb", "facts:kubernetes.kinds"),
        "where": ("facts:kubernetes.namespaces",),
    },
    "deploy.release": {"what": ("/arguments/version",)},
    "deploy.rollback": {"what": ("/arguments/version",)},
    "payment.transfer": {
        "how much": ("facts:amount.bucket",),
        "to whom": ("/arguments/to", "facts:destination.domain"),
    },
    "payment.refund": {
        "how much": ("facts:amount.bucket",),
        "to whom": ("/arguments/customer",),
    },
}
"""Any of these answers the question, beside what answers it for every action. What was
never sent is not asked for."""
_ALWAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "who": ("/actor/id",),
    "what": ("/action",),
    "where": ("/environment", "/resource/id"),
}
"""All of these have to be shown."""

_EXAMPLES: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("db.export", "table/crm.customers", {"columns": ["plan", "created_at"], "row_count": 5210,
        "destination": "s3://analytics-exports/customers.csv", "format": "csv"}),
    ("db.export", "table/crm.customers", {"columns": ["name", "email", "phone"], "row_count": 84000,
        "destination": "https://files.partner.example/upload?key=4f1c",
        "sample": [{"name": "Ada Example", "email": "ada@example.com", "phone": "+49 30 000000"}]}),
    ("db.export", "table/crm.customers", {"columns": ["email"], "row_count": 12,
        "destination": "mailto:audit@example.org"}),
    ("sql.execute", "database/billing", {"sql": "DELETE FROM invoices WHERE customer_id = 4711"}),
    ("sql.execute", "database/billing", {"sql": "UPDATE users SET mail = 'a@b.test' WHERE true"}),
    ("sql.execute", "database/crm", {"sql": "SELECT email FROM people WHERE town = 'Ulm' LIMIT 5"}),
    ("sql.execute", "database/crm", {"sql": "DROP TABLE sessions_2024"}),
    ("shell.run", "host/web-3", {"command": "rm -rf /var/cache/app", "cwd": "/srv"}),
    ("shell.run", "host/web-3", {"command": "systemctl restart nginx.service"}),
    ("shell.run", "host/web-3", {"command": "curl -H 'Authorization: Bearer abcdef01' https://x.test"}),
    ("iam.grant", "project/billing", {"principal": "kim", "role": "reader"}),
    ("iam.grant", "project/billing", {"principal": "group:platform", "roles_added": ["admin"]}),
    ("iam.grant", "project/billing", {"principal": "user:dana@example.org", "role": "viewer"}),
    ("iam.revoke", "project/billing", {"principal": "kim", "roles_removed": ["owner"]}),
    ("iam.escalate", "cluster/eu-1", {"role": "admin", "duration_s": 3600}),
    ("iam.policy_update", "policy/readers", {"permissions_added": ["s3:GetObject"],
        "permissions_removed": ["s3:PutObject"]}),
    ("key.rotate", "key/alias-billing", {"mode": "scheduled"}),
    ("key.rotate", "key/alias-billing", {"mode": "emergency"}),
    ("infra.apply", "workspace/payments-eu", {"plan": {"create": 2, "update": 1, "destroy": 0}}),
    ("infra.apply", "workspace/payments-eu", {"plan": {"create": 0, "update": 0, "destroy": 7}}),
    ("infra.apply", "workspace/payments-eu", {"plan": {"create": 0, "update": 0, "destroy": 1,
        "resource_changes": [{"address": "module.reports.aws_db_instance.replica[1]",
            "type": "aws_db_instance", "name": "replica", "change": {"actions": ["delete"]}}]}}),
    ("infra.destroy", "database/reports-replica-2", {"snapshot": True}),
    ("k8s.request", "cluster/eu-1", {"verb": "apply", "manifest": {"apiVersion": "apps/v1",
        "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}}),
    ("deploy.release", "deployment/billing-worker", {"version": "2026.11.3"}),
    ("deploy.release", "deployment/billing-worker", {"version": "sha256:" + "4f2a91c0" * 8}),
    ("deploy.rollback", "deployment/billing-worker", {"version": "v1.42.0"}),
    ("payment.transfer", "account/operations", {"amount": 1200, "currency": "EUR",
        "to": "DE89370400440532013000", "reference": "INV-2026-118"}),
    ("payment.transfer", "account/operations", {"amount": 40, "currency": "USD",
        "to": "supplier-118", "reference": "PO 5518"}),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one context says to one question."""

    action: str
    question: str
    how: str
    """`shown`, `by tag` or `missing`."""
    looked_at: tuple[str, ...]


def contexts() -> Iterator[ActionContext]:
    """The examples, and every context of the documentation."""
    for action, resource, arguments in _EXAMPLES:
        kind, _, name = resource.partition("/")
        yield _context(
            {"action": action, "resource": {"type": kind, "id": name}, "arguments": arguments,
             "environment": "production", "actor": "bench-agent"}
        )  # fmt: skip
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for block in _BLOCK.findall(page.read_text("utf-8")):
            if (found := _documented(block)) is not None:
                yield _context(found)


def actions_of_policies() -> set[str]:
    """Every action a policy pack is about."""
    found: set[str] = set()
    for path in (ROOT / "rego" / "packs").rglob("*.rego"):
        if not path.stem.endswith("_test"):
            for named in _ACTION.findall(path.read_text("utf-8")):
                found |= set(re.findall(r"[a-z][a-z0-9_]*\.[a-z_.]+", named))
    return found


def answers(sanitizer: Sanitizer) -> Iterator[Answer]:
    """Every question that makes sense of every context."""
    for raw in contexts():
        known = {raw.actor.id, *_KNOWN}.__contains__
        found = sanitizer.detect(raw, known=known)
        preview = sanitizer.preview(
            raw, found, profile="reviewer", policy_mask=(), must_show=(), tag_key=bytes(32)
        )
        shown, facts = json.loads(preview.context_json), json.loads(preview.facts_json)
        sent = raw.to_json()
        for question in QUESTIONS:
            needed = _ALWAYS.get(question, ())
            any_of = tuple(
                place
                for place in WHERE_TO_LOOK.get(raw.action, {}).get(question, ())
                if place.startswith("facts:") or _at(sent, place.split("/")[1:]) is not None
            )
            if needed or any_of:
                states = [_look(shown, facts, place) for place in needed]
                if any_of:
                    states.append(min((_look(shown, facts, place) for place in any_of), key=_rank))
                yield Answer(
                    action=raw.action,
                    question=question,
                    how=max(states, key=_rank),
                    looked_at=(*needed, *any_of),
                )


_RANKS: Final = ("shown", "by tag", "missing")


def _rank(how: str) -> int:
    return _RANKS.index(how)


def _look(shown: Any, facts: Any, place: str) -> str:
    """What stands in a place: `facts:sql.verb` or a pointer."""
    is_fact = place.startswith("facts:")
    steps = place.removeprefix("facts:").split(".") if is_fact else place.split("/")[1:]
    value = _at(facts if is_fact else shown, steps)
    if value is None:
        return "missing"
    text = json.dumps(value)
    if not _MASKED.search(text):
        vague = (value == [] or (isinstance(value, str) and value in _VAGUE)) and is_fact
        return "missing" if vague and steps != ["shell", "flags"] else "shown"
    return "by tag" if _TAGGED.search(text) else "missing"


def _at(value: Any, steps: list[str]) -> Any:
    """What stands there, or None."""
    for step in steps:
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return None
    return value


def _documented(block: str) -> dict[str, Any] | None:
    try:
        found = json.loads(block)
    except ValueError:
        return None  # an excerpt
    if isinstance(found, dict):
        found = found.get("context", found)
        if isinstance(found, dict) and {"action", "resource", "arguments"} <= found.keys():
            return found
    return None


def _context(found: dict[str, Any]) -> ActionContext:
    actor = found["actor"]
    named = actor if isinstance(actor, dict) else {"type": "workload", "id": actor}
    resource = {"owner": "", "attributes": {}, **found["resource"]}
    return ActionContext(
        actor=Principal(**named),
        on_behalf_of=tuple(Principal(**each) for each in found.get("on_behalf_of", ())),
        action=found["action"],
        resource=Resource(**resource),
        environment=found["environment"],
        arguments=found["arguments"],
        reason=found.get("reason", ""),
        session=found.get("session", ""),
    )
