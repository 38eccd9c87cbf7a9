"""Raw action contexts with personal data and secrets planted in them, drawn from a seed.

Shapes that agents send for the actions of the example policy: plain ones, and ones
with an address in a list, a name in the reason, an account that is a number, a key
that is somebody's address, JSON inside a text, a credential in a URL. Values come
from small pools, so that some of them meet what rules compare with.
"""

from __future__ import annotations

import json
import random
from typing import Any

from countersign.model import ActionContext, Principal, Resource

PEOPLE = ("Maria Gonzales", "Peter Schneider", "Ada Lovelace", "Johannes Vermeer")
EMAILS = ("maria.gonzales@example.org", "p.schneider@example.net", "ada@example.com")
IBANS = ("DE89370400440532013000", "FR1420041010050500013M02606")
PHONES = ("+49 30 901820", "+1 415 555 0132")
SECRETS = ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "AKIAIOSFODNN7EXAMPLE")
REASONS = (
    "monthly report",
    "urgent",
    "asked for by Maria Gonzales",
    "see the mail of p.schneider@example.net about it",
    "",
)


class Contexts:
    """Draws contexts; the same ones from the same seed."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)
        self._count = 0

    def draw(self, actor: str) -> ActionContext:
        """One more, never the same as another: its session counts."""
        pick = self._chance.choice
        self._count += 1
        action, arguments, resource = pick(_SHAPES)(self._chance)
        for extra in (self._extra_argument, self._extra_argument):
            if self._chance.random() < 0.35:
                arguments.update(extra())
        behalf = ()
        if self._chance.random() < 0.25:
            behalf = (Principal(type="external", id=pick((*EMAILS, "partner-7"))),)
        return ActionContext(
            actor=Principal(type="workload", id=actor),
            on_behalf_of=behalf,
            action=action,
            resource=Resource(
                type=resource[0],
                id=resource[1],
                owner=pick(("", "alice", *EMAILS)),
                attributes=pick(
                    ({}, {"tier": 1}, {"contact": pick(EMAILS)}, {"owner": pick(PEOPLE)})
                ),
            ),
            environment=pick(("production", "production", "staging")),
            arguments=json.loads(json.dumps(arguments)),
            reason=pick(REASONS),
            session=f"run-{self._count}",
        )

    def _extra_argument(self) -> dict[str, Any]:
        pick = self._chance.choice
        return pick(
            (
                {"contact": pick(EMAILS)},
                {"phone": 4930901820},
                {"note": f"for {pick(PEOPLE)}, call {pick(PHONES)}"},
                {"recipients": [pick(EMAILS), "ops", pick(EMAILS)]},
                {pick(EMAILS): pick((1, "x", {"role": "admin"}))},
                {"payload": json.dumps({"email": pick(EMAILS), "n": 3})},
                {"api_key": pick(SECRETS)},
                {"customer": {"name": pick(PEOPLE), "plan": pick(("basic", "gold"))}},
                {"ticket": pick(("OPS-1", "OPS-2"))},
                {"customer_ids": [11, 12, 13]},
                {"diagnosis": pick((True, "asthma"))},
            )
        )


def _export(chance: random.Random) -> tuple[str, dict[str, Any], tuple[str, str]]:
    columns = chance.choice((["plan", "region"], ["plan", "email"], ["id", chance.choice(EMAILS)]))
    destination = chance.choice(
        (
            "s3://analytics-exports/x.csv",
            "s3://elsewhere/x.csv",
            f"mailto:{chance.choice(EMAILS)}",
            chance.choice(EMAILS),
            f"https://user:{SECRETS[0]}@files.example.org/x",
        )
    )
    arguments = {"table": "crm.customers", "columns": columns, "destination": destination}
    if chance.random() < 0.7:
        arguments["row_count"] = chance.choice((5, 50, 900, 99_000, 260_000))
    return "db.export", arguments, ("table", "crm.customers")


def _payment(chance: random.Random) -> tuple[str, dict[str, Any], tuple[str, str]]:
    arguments = {
        "amount": chance.choice((5, 40, 999, 1_500, 40_000, "12.50")),
        "currency": "EUR",
        "to": chance.choice(IBANS),
        "reference": chance.choice(("invoice 7", f"for {chance.choice(PEOPLE)}")),
    }
    return "payment.transfer", arguments, ("account", "main")


def _grant(chance: random.Random) -> tuple[str, dict[str, Any], tuple[str, str]]:
    who = chance.choice(("agent-bot", "somebody", *EMAILS))
    if chance.random() < 0.5:
        return (
            "iam.grant",
            {"principal": who, "role": chance.choice(("reader", "admin"))},
            (
                "project",
                "billing",
            ),
        )
    return (
        "iam.escalate",
        {"role": chance.choice(("reader", "admin")), "duration_s": chance.choice((600, 90_000))},
        ("project", "billing"),
    )


def _sql(chance: random.Random) -> tuple[str, dict[str, Any], tuple[str, str]]:
    statement = chance.choice(
        (
            "SELECT id, plan FROM customers WHERE id = 7 LIMIT 1",
            f"SELECT id FROM customers WHERE email = '{chance.choice(EMAILS)}'",
            f"UPDATE customers SET name = '{chance.choice(PEOPLE)}' WHERE id = 9",
            "DELETE FROM customers",
        )
    )
    return "sql.execute", {"sql": statement, "database": "billing"}, ("database", "billing")


def _shell(chance: random.Random) -> tuple[str, dict[str, Any], tuple[str, str]]:
    command = chance.choice(
        ("ls -l /srv", f"curl -u admin:{SECRETS[0]} https://x.example.org", "rm -rf /srv/old")
    )
    return "shell.run", {"command": command, "cwd": "/srv"}, ("host", "web-1")


def _deploy(chance: random.Random) -> tuple[str, dict[str, Any], tuple[str, str]]:
    action = chance.choice(("deploy.release", "deploy.rollback"))
    return (
        action,
        {"version": chance.choice(("2026.11.3", "rc4"))},
        ("deployment", "billing-worker"),
    )


def _key(chance: random.Random) -> tuple[str, dict[str, Any], tuple[str, str]]:
    return "key.rotate", {"mode": chance.choice(("scheduled", "emergency"))}, ("key", "signing")


def _infra(chance: random.Random) -> tuple[str, dict[str, Any], tuple[str, str]]:
    plan = {"create": 1, "update": 2, "destroy": chance.choice((0, 0, 3))}
    return "infra.apply", {"plan": plan, "workspace": "main"}, ("workspace", "main")


_SHAPES = (
    _export,
    _export,
    _export,
    _payment,
    _payment,
    _grant,
    _grant,
    _sql,
    _shell,
    _deploy,
    _key,
    _infra,
)
