"""From raw arguments through facts and the policy packs: what must not be allowed is not.

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


CHANGE = {"address": "aws_instance.web", "type": "aws_instance", "change": {"actions": ["create"]}}
PLAN = {"resource_changes": [CHANGE]}
DELETE = {**CHANGE, "change": {"actions": ["delete"]}}
PLANS = [
    {"plan": "tfplan.bin", "module": PLAN},
    {"plan": {"resource_changes": [CHANGE, DELETE]}},
    {"plan": {"resource_changes": [CHANGE], "Resource-Changes": [DELETE]}},
    {"plan": {"resource_changes": [CHANGE], "then": json.dumps({"resource_changes": [DELETE]})}},
    {"plan": json.dumps({"resource_changes": [CHANGE, DELETE]})},
    {"plan": {"resource_changes": [{**CHANGE, "change": {"actions": ["no-op", "delete"]}}]}},
    {"plan": {"resource_changes": [{**CHANGE, "change": {"actions": ["Delete"]}}]}},
    {"plan": {"resource_changes": [{**CHANGE, "change": {}}]}},
    {"plan": {"resource_changes": [{**CHANGE, "type": "aws_iam_role"}]}},
    {"plan": {"resource_changes": [{**CHANGE, "type": "aws\u200b_iam_role"}]}},
    {"plan": {"resource_changes": [{**CHANGE, "type": None}]}},
    {"plan": {"resource_changes": [CHANGE] * 60}},
    {"plan": PLAN, "args": ["-destroy"]},
    {"plan": PLAN, "workspace": "eu-1 -destroy"},
    {"plan": {"create": 1, "destroy": 0}},
    {"plan": '{"resource_changes": [], "resource_changes": [{"change": {"actions": ["delete"]}}]}'},
]
OBJECT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop"},
}
APPLY = {"verb": "apply", "manifest": OBJECT}
REQUESTS = [
    {**APPLY, "manifest": {**OBJECT, "kind": "ClusterRole"}},
    {**APPLY, "manifest": {**OBJECT, "Kind": "ClusterRole"}},
    {**APPLY, "manifest": "kind: ClusterRole\napiVersion: v1\n"},
    {**APPLY, "manifests": [OBJECT, "kind: ClusterRole"]},
    {**APPLY, "manifest": json.dumps({**OBJECT, "kind": "Secret"})},
    {**APPLY, "manifest": {"kind": "List", "apiVersion": "v1", "items": [OBJECT]}},
    {**APPLY, "manifest": {**OBJECT, "metadata": {"name": "web"}}, "namespace": "shop"},
    {**APPLY, "manifest": {**OBJECT, "metadata": {"namespace": "kube-system"}}},
    {**APPLY, "manifest": {**OBJECT, "metadata": {"namespace": "default"}}},
    {**APPLY, "Verb": "delete"},
    {**APPLY, "verb": ["apply", "delete"]},
    {**APPLY, "verb": "exec"},
    {**APPLY, "verb": None},
    {**APPLY, "as": "system:masters"},
    {**APPLY, "name": "web --all-namespaces"},
    {"verb": "get", "kind": "secrets", "namespace": "shop"},
    {"verb": "get", "kind": "Secret", "namespace": "shop"},
    {"verb": "get", "kind": "Pod", "flags": "--raw"},
    {"verb": "apply", "kind": "Deployment", "namespace": "shop", "patch": "x"},
]
GRANT = {"principal": "kim", "role": "reader"}
GRANTS = [
    {**GRANT, "principal": "agent"},
    {**GRANT, "principal": "AGENT"},
    {**GRANT, "principal": "agent\u200b"},
    {**GRANT, "principal": ["kim", "agent"]},
    {**GRANT, "role": "reader,admin"},
    {**GRANT, "role": "\u0430dmin"},
    {**GRANT, "role": {"name": "reader", "also": "admin"}},
    {**GRANT, "roles": ["*"]},
    {**GRANT, "permissions": ["x:*"]},
    {**GRANT, "rights": ["admin"]},
    {"principal": "kim"},
]
RELEASE = {"version": "1.2.3"}
RELEASES = [
    {"version": "latest"},
    {"version": "web:latest"},
    {"version": ["1.2.3", "2.0.0"]},
    {**RELEASE, "image": "web:latest"},
    {**RELEASE, "service": {"image": "web:latest"}},
    {**RELEASE, "notes": {"image": "web:latest"}},
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
        request("infra.apply", "staging", {"plan": PLAN, "workspace": "eu-1"}),
        request("infra.apply", "staging", {"plan": json.dumps(PLAN)}),
        request("k8s.request", "staging", APPLY),
        request("k8s.request", "staging", {**APPLY, "manifest": json.dumps(OBJECT)}),
        request("k8s.request", "production", {"verb": "get", "kind": "Pod", "namespace": "shop"}),
        request("iam.grant", "dev", GRANT),
        request("deploy.release", "staging", RELEASE),
    ]
    assert allowed(plain) == list(range(len(plain)))


def test_no_attack_is_allowed():
    asked = [
        *(request("db.export", "production", arguments) for arguments in EXPORTS),
        *(request("sql.execute", "production", {"sql": sql}) for sql in STATEMENTS),
        *(request("shell.run", "staging", {"command": line}) for line in COMMANDS),
        *(request("infra.apply", "staging", arguments) for arguments in PLANS),
        *(request("k8s.request", "dev", arguments) for arguments in REQUESTS),
        *(request("iam.grant", "dev", arguments) for arguments in GRANTS),
        *(request("deploy.release", "staging", arguments) for arguments in RELEASES),
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
