"""`countersign policy explain`: which rules decided and why, for a context and for a record."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from countersign.credentials import write_credential
from service import COMMAND, Service, eventually
from typed import types as typed
from workbench_world import Author, author

CONTEXT = {
    "action": "db.export",
    "actor": "export-agent",
    "environment": "production",
    "resource": {"type": "table", "id": "crm.customers"},
    "arguments": {
        "columns": ["email", "plan"],
        "destination": "s3://elsewhere-exports/x.csv",
        "row_count": 5000,
    },
}
STRICT = """package countersign.rules.strict

needs contains {
	"code": "strict.all",
	"message": "every export of this company",
	"stages": [{"name": "data owner", "groups": ["data-owners"], "quorum": 2}],
	"approve_within_s": 600,
} if {
	input.context.action == "db.export"
}
"""


@pytest.fixture(scope="module")
def ann(tmp_path_factory: pytest.TempPathFactory) -> Author:
    made = author(tmp_path_factory.mktemp("explain"), examples=True)
    made.writes("strict.rego", STRICT)
    (made.home / "context.json").write_text(json.dumps(CONTEXT))
    other = {**CONTEXT, "action": "db.exprot"}
    (made.home / "other.json").write_text(json.dumps(other))
    return made


def test_what_applied_is_told_with_what_it_looked_at(ann: Author) -> None:
    said = ann.types("explain", "context.json")
    assert said.code == 0, said.err
    lines = [line.strip() for line in said.out.splitlines()]
    assert lines[0].startswith("db.export: needs_approval (policy sha256:")
    at = lines.index("needs   export.personal: export of personal data")
    assert lines[at + 1].startswith("policy/")
    assert lines[at + 1].endswith(", Data export")
    assert lines[at + 2 : at + 6] == [
        "holds   not lib.dev",
        'context.environment is "production"',
        "holds   lib.personal_data",
        'findings.classes is ["contact", "personal"]',
    ]


def test_what_did_not_apply_is_told_with_the_first_condition_that_failed(ann: Author) -> None:
    lines = [line.strip() for line in ann.types("explain", "context.json").out.splitlines()]
    at = lines.index("allow   export.dev: internal export of development data")
    assert lines[at + 2 : at + 4] == ["fails   lib.dev", 'context.environment is "production"']
    at = lines.index("needs   export.large: export of many rows")
    assert lines[at + 2].startswith('fails   not lib.below("rows", ')
    assert lines[at + 3].startswith("findings.facts.rows is")
    assert not [line for line in lines if "sql." in line]


def test_the_merge_names_what_each_term_is_because_of(ann: Author) -> None:
    told = json.loads(ann.types("explain", "context.json", "--json").out)
    terms = {term["name"]: term for term in told["merged"]}
    assert terms["stage data owner"]["value"] == "2 of group data-owners"
    assert terms["stage data owner"]["because"] == ["strict.all"]
    assert "export.personal" in terms["stage data owner"]["weaker"]
    assert terms["approve_within_s"]["value"] == "600"
    assert terms["approve_within_s"]["weaker"] == ["export.external"]
    assert terms["require_reason"]["because"] == ["export.external"]
    assert {"needs", "mask"} == {held["set"] for held in told["held"]}


def test_an_action_that_no_rule_knows_is_told_the_nearest(ann: Author) -> None:
    said = ann.types("explain", "other.json")
    assert said.code == 0
    assert 'no rule for "db.exprot"; nearest "db.export"' in said.out


def test_at_claim_is_explained_as_a_claim(ann: Author) -> None:
    told = json.loads(ann.types("explain", "context.json", "--at-claim", "--json").out)
    counting = next(each for each in told["stopped"] if each["code"] == "export.many")
    assert counting["condition"]["text"] == "not lib.at_claim"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("explain",), "give a context file, the id of a decision, or --seq"),
        (("explain", "context.json", "--seq", "1"), "give a context file, the id of a decision"),
        (("explain", "contxt.json"), "contxt.json: there is no such file, and it is no id"),
        (("explain", "policy/strict.rego"), "policy/strict.rego"),
        (("explain", "context.json", "--policy", "polcy"), "polcy: does not exist"),
        (("explain", "--seq", "1", "--log", "nowhere"), "there is no log at nowhere"),
    ],
)
def test_wrong_usage_is_a_sentence_and_another_exit_code(
    ann: Author, words: tuple[str, ...], problem: str
) -> None:
    said = ann.types(*words)
    assert said.code == 2
    assert problem in " ".join(said.err.split())


def test_a_decision_of_a_service_is_explained_from_its_log(tmp_path: Path) -> None:
    with Service(tmp_path / "first") as service:
        for who, group in (("alice", "security"), ("bob", "data-owners"), ("kim", "security")):
            service.person(who, group)
        service.caller("agent", "alice")
        service.start()
        write_credential(tmp_path / "agent.credential", service.credential("agent"))
        secret = "ann.smith@example.org"
        context = tmp_path / "context.json"
        context.write_text(json.dumps({**CONTEXT, "actor": "agent", "reason": f"for {secret}"}))
        asked = typed("check", context, "--json", "--credential", tmp_path / "agent.credential")
        decision = asked.json()["decision"]

        def explained(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [COMMAND, "policy", "explain", *words],
                cwd=service.directory,
                capture_output=True,
                text=True,
                check=False,
            )

        eventually(lambda: explained(decision).returncode == 0)
        told = explained(decision)
        assert "export.personal: export of personal data" in told.stdout
        assert "From a sanitized record: not known any more are" in told.stdout
        assert "This is not what was decided then" not in told.stdout
        seq = json.loads(explained(decision, "--json").stdout)["recorded"]["seq"]
        by_seq = explained("--seq", str(seq))
        assert by_seq.stdout == told.stdout
        assert secret not in told.stdout
        nothing = explained("--seq", "99999")
        assert nothing.returncode == 2
        assert "the log has no record 99999" in nothing.stderr
