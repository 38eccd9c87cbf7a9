"""The Rego library and policy packs, judged by the real OPA.

What `opa fmt`, `check`, `test` and `build` say of `rego/`, and what a few
requests get as one bundle, decoded by the service's own contract.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import realparts
from countersign import model
from countersign.policy import contract

REGO = realparts.ROOT / "rego"
FORBIDDEN = re.compile(r"http\.send|net\..*|opa\.runtime|rand\.intn|uuid\.rfc4122|time\.now_ns")

ACTIONS = (
    "db.export",
    "iam.escalate",
    "iam.grant",
    "iam.revoke",
    "iam.policy_update",
    "key.rotate",
    "infra.apply",
    "infra.destroy",
    "k8s.request",
    "deploy.release",
    "deploy.rollback",
    "payment.transfer",
    "sql.execute",
    "shell.run",
)
EXPORT_FACTS = {
    "rows": {"at_least": 1000, "bucket": "1k-10k"},
    "columns": {"total": 3, "contact": 2, "personal": 3},
    "columns_unread": 0,
    "destination": {
        "domain": "analytics-exports",
        "domains": ["analytics-exports"],
        "scheme": "s3",
        "internal": False,
        "count": 1,
        "unread": 0,
    },
}
COUNTED = ("checks", "allow", "deny", "needs_approval", "claimed", "rows", "amount")
DECISION_KEYS = {"effect", "reasons", "mask"}
REQUIREMENT_KEYS = {
    "stages",
    "must_show",
    "approve_within_s",
    "use_within_s",
    "report_within_s",
    "claim_by",
    "channel",
    "profiles",
    "exclude",
    "require_reason",
    "min_assurance",
    "durability",
    "batch",
    "break_glass",
}


def run(*arguments: str | Path, given: object = None) -> str:
    """What OPA prints; its complaint fails the test."""
    done = subprocess.run(
        [realparts.opa(), *arguments],
        check=False,
        cwd=realparts.ROOT,
        input="" if given is None else json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def capabilities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What OPA can do, less the clock, chance and the network."""
    everything = json.loads(run("capabilities", "--current"))
    kept = [b for b in everything["builtins"] if not FORBIDDEN.fullmatch(b["name"])]
    assert len(kept) < len(everything["builtins"])
    path = tmp_path_factory.mktemp("opa") / "capabilities.json"
    path.write_text(json.dumps(everything | {"builtins": kept, "allow_net": []}))
    return path


@pytest.fixture(scope="module")
def bundle(capabilities: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`rego/` built as the service builds it."""
    path = tmp_path_factory.mktemp("bundle") / "bundle.tar.gz"
    run("build", "--bundle", REGO, "--capabilities", capabilities, "--revision", "r1", "-o", path)
    return path


def decide(bundle: Path, request: object) -> dict[str, Any]:
    """The decision as JSON, which is how the service sees it."""
    out = run(
        "eval",
        "-b",
        bundle,
        "--stdin-input",
        "-f",
        "json",
        "data.countersign.decision",
        given=request,
    )
    decision: dict[str, Any] = json.loads(out)["result"][0]["expressions"][0]["value"]
    return decision


def request(**changes: Any) -> dict[str, Any]:
    """The production export of the tutorial, as the service would put it to policy."""
    counts = dict.fromkeys(COUNTED, 0)
    context = {
        "action": "db.export",
        "actor": {"type": "workload", "id": "export-agent"},
        "arguments": {
            "table": "crm.customers",
            "columns": ["name", "email", "phone"],
            "format": "csv",
            "destination": "s3://analytics-exports/customers.csv",
            "row_count": 5210,
            "sample": [{"name": "Ada Example", "email": "ada@example.com", "phone": "+49 30 1"}],
        },
        "environment": "production",
        "on_behalf_of": [],
        "reason": "monthly report",
        "resource": {"type": "table", "id": "crm.customers", "owner": "", "attributes": {}},
        "session": "",
    }
    return {
        "context": context | changes.pop("context", {}),
        "findings": {
            "entities": {"EMAIL": 1, "PERSON": 1, "PHONE": 1},
            "classes": ["contact", "personal"],
            "facts": EXPORT_FACTS,
            "complete": True,
            "quantity": {"rows": 5210, "amount": 0},
        }
        | changes.pop("findings", {}),
        "verified": {
            "tenant": "acme",
            "caller": "export-agent",
            "owners": ["ada"],
            "users": [],
            "parent": None,
            "person": None,
            "claimant": None,
        },
        "approval": None,
        "recent": {"hour": counts, "day": counts},
        "time": "2026-11-25T12:00:00.000000Z",
    } | changes


# --- the sources -------------------------------------------------------------


def test_sources_are_formatted() -> None:
    assert run("fmt", "--list", "--fail", REGO) == ""


def test_sources_pass_the_strict_check_without_forbidden_builtins(capabilities: Path) -> None:
    schema = REGO / "schemas"
    run("check", "--strict", "--schema", schema, "--bundle", REGO, "--capabilities", capabilities)


@pytest.mark.parametrize(
    "typo",
    ["input.context.acton", "input.findings.facts.sqll", "input.recent.day.allowed", "input.now"],
)
def test_a_misspelt_input_is_found_in_any_rule_package(tmp_path: Path, typo: str) -> None:
    policy = tmp_path / "rego"
    shutil.copytree(REGO, policy)
    rule = f'allow contains {{"code": "a", "message": "b"}} if {typo} == "x"\n'
    (policy / "own.rego").write_text(f"package countersign.rules.own\n\n{rule}")
    with pytest.raises(AssertionError, match="rego_type_error: undefined ref"):
        run("check", "--strict", "--schema", policy / "schemas", "--bundle", policy)


def test_the_policy_tests_pass_and_cover_the_sources(capabilities: Path) -> None:
    run("test", "--bundle", REGO, "--capabilities", capabilities)
    report = json.loads(run("test", "--bundle", REGO, "--coverage", "--format", "json"))
    assert report["coverage"] >= 95
    tested = {Path(name).name for name in report["files"]}
    # Constants alone have nothing to cover.
    assert {path.name for path in REGO.rglob("*.rego")} - tested == set()


def test_a_rule_that_needs_the_clock_does_not_build(capabilities: Path, tmp_path: Path) -> None:
    (tmp_path / "clock.rego").write_text("package clock\n\nnow := time.now_ns()\n")
    with pytest.raises(AssertionError, match=r"undefined function time\.now_ns"):
        run("build", "-b", tmp_path, "--capabilities", capabilities, "-o", tmp_path / "b.tar.gz")


def test_no_rule_negates_a_call_on_input() -> None:
    """`not f(input.x)` is undefined where input.x is absent: the rule is skipped."""
    negated_call = re.compile(r"\bnot\s+[a-z_.]+\([^)]*\binput\.")
    assert negated_call.search("not is_string(input.context.reason)")
    for source in REGO.rglob("*.rego"):
        code = re.sub(r"#.*", "", source.read_text(encoding="utf-8"))
        assert not negated_call.search(code), source.name


def test_every_package_of_the_library_and_the_packs_is_described() -> None:
    report = json.loads(run("inspect", "--annotations", "--format", "json", REGO))
    packages = {
        name
        for name in report["namespaces"]
        if not name.startswith(("data.countersign.tests", "data.settings"))
    }
    described = {
        ".".join(part["value"] for part in entry["path"])
        for entry in report["annotations"]
        if entry["annotations"]["scope"] == "package" and entry["annotations"]["description"]
    }
    assert packages - described == set()


def test_what_the_guide_shows_is_formatted_compiles_and_passes(tmp_path: Path) -> None:
    guide = (realparts.ROOT / "docs/how-to/write-a-policy.md").read_text(encoding="utf-8")
    modules = re.findall(r"^```rego\n(package .*?)^```$", guide, re.MULTILINE | re.DOTALL)
    assert len(modules) == 5
    for index, module in enumerate(modules):
        kind = "_test" if "countersign.tests." in module else ""
        (tmp_path / f"guide_{index}{kind}.rego").write_text(module, encoding="utf-8")

    assert run("fmt", "--list", "--fail", tmp_path) == ""
    run("check", "--strict", tmp_path, REGO)
    told = run("test", "--run", "refund", tmp_path, REGO / "countersign")
    assert told == "PASS: 2/2\n"


def test_the_guide_names_every_helper_of_the_library() -> None:
    guide = (realparts.ROOT / "docs/how-to/write-a-policy.md").read_text(encoding="utf-8")
    for source in (REGO / "countersign" / "lib").glob("*.rego"):
        if source.stem.endswith("_test"):
            continue
        rules = re.findall(
            r"^(?:default )?([a-z]\w*)\b(?!\s*import)", source.read_text(), re.MULTILINE
        )
        for rule in set(rules) - {"package", "import", "default"}:
            assert re.search(rf"`{rule}\b", guide), rule


# --- the decisions -----------------------------------------------------------


def test_the_tutorials_export_needs_the_data_owner(bundle: Path) -> None:
    decision = decide(bundle, request())

    assert set(decision) == DECISION_KEYS | {"requirement"}
    assert set(decision["requirement"]) == REQUIREMENT_KEYS
    said = contract.decode(decision, "r1")
    assert said.effect is model.Effect.NEEDS_APPROVAL
    assert [reason.code for reason in said.reasons] == ["export.personal"]
    assert said.requirement == model.Requirement(
        stages=(model.Stage(name="data owner", groups=("data-owners",), quorum=1),),
        must_show=("/arguments/destination", "/resource", "facts:rows"),
        channel="teams:data-approvals",
    )


def plain_export(**changes: Any) -> dict[str, Any]:
    """An export nobody has to be asked about."""
    return request(
        context={
            "arguments": {
                "columns": ["plan", "created_at"],
                "destination": "s3://analytics-exports/plans.csv",
            }
        },
        findings={
            "entities": {},
            "classes": [],
            "facts": EXPORT_FACTS | {"columns": {"total": 2}},
        },
        **changes,
    )


def test_the_same_export_without_personal_data_is_allowed(bundle: Path) -> None:
    decision = decide(bundle, plain_export())

    assert set(decision) == DECISION_KEYS
    assert contract.decode(decision, "r1").effect is model.Effect.ALLOW


@pytest.mark.parametrize(
    ("day", "code"),
    [
        ({"allow": 99, "rows": 100_000}, "export.internal"),
        ({"allow": 100, "rows": 100_000}, "export.many_today"),
        ({"allow": 46, "rows": 46 * 5210}, "export.internal"),
        ({"allow": 47, "rows": 47 * 5210}, "export.adds_up"),
    ],
)
def test_the_101st_small_export_of_a_day_meets_the_aggregate_rule(
    bundle: Path, day: dict[str, int], code: str
) -> None:
    counts = dict.fromkeys(COUNTED, 0)

    said = contract.decode(
        decide(bundle, plain_export(recent={"hour": counts, "day": counts | day})), "r1"
    )

    assert [reason.code for reason in said.reasons] == [code]
    assert (said.effect is model.Effect.ALLOW) == (code == "export.internal")


def test_a_batch_an_escalation_and_an_emergency_are_what_the_contract_knows(bundle: Path) -> None:
    rollback = request(context={"action": "deploy.rollback", "arguments": {"version": "1.2.2"}})
    release = request(context={"action": "deploy.release", "arguments": {"version": "1.2.3"}})

    back = contract.decode(decide(bundle, rollback), "r1").requirement
    forward = contract.decode(decide(bundle, release), "r1").requirement

    assert back is not None
    assert forward is not None
    assert back.stages[0].escalate == (
        model.Escalation(after_s=300, groups=("engineering-managers",)),
    )
    assert back.break_glass == model.BreakGlass(groups=("on-call",), review_groups=("platform",))
    assert not back.batch
    assert forward.batch
    assert forward.break_glass is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"findings": {"classes": ["secret"]}}, "export.secret"),
        ({"findings": {"complete": False}}, "findings.incomplete"),
        ({"context": {"action": "unheard.of"}}, "policy.no_rule"),
    ],
)
def test_refusals_name_their_rule(bundle: Path, changes: dict[str, Any], code: str) -> None:
    decision = decide(bundle, request(**changes))

    assert set(decision) == DECISION_KEYS
    said = contract.decode(decision, "r1")
    assert said.effect is model.Effect.DENY
    assert [reason.code for reason in said.reasons] == [code]


@pytest.mark.parametrize("broken", [{}, {"context": {}}, {"findings": None}, [], "text", None])
def test_what_is_no_request_is_denied(bundle: Path, broken: object) -> None:
    said = contract.decode(decide(bundle, broken), "r1")

    assert said.effect is model.Effect.DENY


def test_every_pack_keeps_the_contract_in_every_environment(bundle: Path) -> None:
    arguments = {"role": "admin", "duration_s": 3600, "version": "1.2.3", "command": "make"}
    asked = [
        request(context={"action": action, "environment": environment, "arguments": arguments})
        for action in ACTIONS
        for environment in ("dev", "staging", "production")
    ]
    query = """decisions := {sprintf("%d", [i]): decision |
        some i, item in input.items
        decision := data.countersign.decision with input as item
    }"""
    out = run("eval", "-b", bundle, "--stdin-input", query, given={"items": asked})
    decisions = json.loads(out)["result"][0]["bindings"]["decisions"]

    assert len(decisions) == len(asked)
    for decision in decisions.values():
        contract.decode(decision, "r1")
    assert {decision["effect"] for decision in decisions.values()} == set(model.Effect)


def test_every_pack_has_tests_a_table_and_a_page() -> None:
    packs = [path for path in (REGO / "packs").glob("*/*.rego") if not path.stem.endswith("_test")]
    assert len(packs) == 9
    for pack in packs:
        assert pack.with_name(f"{pack.stem}_test.rego").is_file(), pack
        assert pack.with_name(f"{pack.stem}_cases.yaml").is_file(), pack
        page = realparts.ROOT / "docs/policy/packs" / f"{pack.parent.name}.md"
        told = page.read_text("utf-8")
        shape = r"^defaults := \{(.*?)^\}|^defaults := \{(.*?)\}$"
        settings = re.search(shape, pack.read_text(), re.MULTILINE | re.DOTALL)
        assert settings, pack
        for name in re.findall(r'"(\w+)":', settings[1] or settings[2]):
            assert f"`{name}`" in told, name
