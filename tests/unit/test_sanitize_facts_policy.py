"""From raw arguments through facts and the example policies: what must not be allowed is not.

The real OPA judges what the real sanitizer computed.
"""

import json
import subprocess

import pytest

import realparts
from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer

SANITIZER = Sanitizer(internal_domains=["localhost"])
OURS = "s3://analytics-exports/a"
EXPORT = {"destination": OURS, "columns": ["id"], "row_count": 5}
READ = "SELECT a FROM customers WHERE id = 1"

EXPORTS = [
    {**EXPORT, "destination": "//evil.example/u", "to": OURS},
    {**EXPORT, "destination": "[2001:db8::1]:443/x", "to": OURS},
    {**EXPORT, "destination": "https:/evil.example/x", "to": OURS},
    {**EXPORT, "destination": "s3://" + "a" * 2025 + "@analytics-exports-evil/x"},
    {**EXPORT, "destination": "s3://analytics-exports/../evil/x"},
    {**EXPORT, "destination": {"url": OURS, "x": "https://evil.example"}},
    {**EXPORT, "columns": ["*"], "fields": ["id"]},
    {**EXPORT, "columns": ["(ssn)", "email||''"], "x": {"fields": ["id", "k"]}},
    {**EXPORT, "columns": ["id", "id||ssn"]},
    {**EXPORT, "query": "select * from customers"},
    {**EXPORT, "query": "customers | project *"},
    {**EXPORT, "row_count": "all", "limit": 5},
    {**EXPORT, "row_count": "9000000000000000000000", "limit": 5},
    {**EXPORT, "row_count": -1},
    {**EXPORT, "row_count": [10**9]},
    {"destination": OURS, "columns": ["id"], "view": {"limit": 5}},
    {**EXPORT, "mirror": "https://evil.example/"},
]
STATEMENTS = [
    f"{READ} AND substring('a' from 1 for 1)='b' OR true",
    "SELECT a FROM customers WHERE ts > 0 LIMIT 0, 100000000",
    "SELECT b.* FROM a, customers b WHERE a.id = 5",
    "SELECT b.* FROM a JOIN customers b ON true WHERE a.id = 5",
    f"{READ} AND 1=1 DROP TABLE customers",
    f"{READ} AND 1 XOR 1",
    f"{READ} AND 1 || 1",
    f"{READ} AND offset = 5 OR 1=1",
    "SELECT query_to_xml('delete from c returning *', true, false, '') FROM a WHERE id = 5",
    "SELECT * INTO OUTFILE '/tmp/x' FROM customers WHERE id = 1",
    "SELECT * INTO newt FROM customers WHERE id = 1",
    "SELECT a FROM customers WHERE tenant_id = 5",
    "DELETE FROM customers WHERE id = 1 AND substring('a' from 1 for 1) = 'b' OR true",
]
COMMANDS = [
    "/tmp/evil/ls",
    ["/tmp/ls"],
    "~/ls",
    "LD_PRELOAD=/tmp/e.so ls",
    "PATH=/tmp/evil ls",
    "find / -delete",
    "ls & rm x",
    "ls\rrm b",
]


def request(action, environment, arguments):
    context = ActionContext(
        actor=Principal(type="workload", id="agent"),
        on_behalf_of=(),
        action=action,
        resource=Resource(type="table", id="x", owner="", attributes={}),
        environment=environment,
        arguments=arguments,
        reason="",
        session="",
    )
    counted = ("checks", "allow", "deny", "needs_approval", "claimed", "rows", "amount")
    counts = dict.fromkeys(counted, 0)
    findings = SANITIZER.detect(context, known=lambda _: False).to_policy()
    return {
        "context": context.to_json(),
        "findings": findings,
        "verified": {},
        "approval": None,
        "recent": {"hour": counts, "day": counts},
        "time": "2026-11-25T12:00:00.000000Z",
    }


def decide(requests):
    """All decisions in one run of the real OPA."""
    query = """decisions := [decision |
        some item in input.items
        decision := data.countersign.decision with input as item
    ]"""
    done = subprocess.run(
        [realparts.opa(), "eval", "-b", realparts.ROOT / "rego", "--stdin-input", query],
        input=json.dumps({"items": requests}),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return json.loads(done.stdout)["result"][0]["bindings"]["decisions"]


def allowed(requests):
    decisions = decide(requests)
    assert len(decisions) == len(requests)
    return [n for n, decision in enumerate(decisions) if decision["effect"] == "allow"]


def test_what_the_attacks_pretend_to_be_is_allowed():
    plain = [
        request("db.export", "production", EXPORT),
        request("sql.execute", "production", {"sql": READ}),
        request("sql.execute", "production", {"sql": "SELECT a FROM t WHERE b > 1 LIMIT 5"}),
        request("shell.run", "staging", {"command": "ls -l /srv | wc -l"}),
        request("shell.run", "staging", {"command": ["ls", "-l"]}),
    ]
    assert allowed(plain) == list(range(len(plain)))


def test_no_attack_is_allowed():
    asked = [
        *(request("db.export", "production", arguments) for arguments in EXPORTS),
        *(request("sql.execute", "production", {"sql": sql}) for sql in STATEMENTS),
        *(request("shell.run", "staging", {"command": line}) for line in COMMANDS),
    ]
    assert allowed(asked) == []


@pytest.mark.parametrize(
    ("action", "environment", "arguments"),
    [
        ("db.export", "production", EXPORT),
        ("sql.execute", "production", {"sql": READ}),
        ("sql.execute", "staging", {"sql": READ}),
        ("shell.run", "staging", {"command": "ls"}),
        ("shell.run", "dev", {"command": "ls"}),
    ],
)
def test_an_argument_nobody_expects_is_asked_about(action, environment, arguments):
    extras = [{"x": 1}, {"env": {"A": "b"}}, {"query": READ}, {"to": OURS}, {"Sql": READ}]
    assert allowed([request(action, environment, {**arguments, **more}) for more in extras]) == []


def test_the_same_arguments_in_another_order_get_the_same_answer():
    decoyed = {"url": OURS, "destination": "https://evil.example/u", "columns": ["id"], "limit": 5}
    one, other = decide(
        [
            request("db.export", "production", decoyed),
            request("db.export", "production", dict(reversed(decoyed.items()))),
        ]
    )
    assert one == other
    assert "facts:destination.domain" in one["requirement"]["must_show"]


def test_an_export_of_people_to_a_local_file_is_put_to_its_owner():
    arguments = {
        "columns": ["name", "email", "phone"],
        "destination": "file://localhost/srv/exports/customers.csv",
        "row_count": 5000,
        "notify": "jane.roe@example.org",
    }
    (decision,) = decide([request("db.export", "production", arguments)])
    assert [reason["code"] for reason in decision["reasons"]] == ["export.personal"]
