"""`countersign policy test`, as an author types it: tests in Rego and decision tables."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import realparts
from countersign.workbench.plain import APPROVED, PLAIN
from workbench_world import COUNTERSIGN, EXPORT_CASES, Author, author

WRONG = EXPORT_CASES.replace("[plan]", "[email]")
FIXTURE = "[data.countersign.testing.given({}), data.countersign.testing.approved]"
BUT = "got needs_approval (export.personal: export of personal data)"
FAILING = """package countersign.tests.mine

import data.countersign.testing

test_it_is_allowed if {
	decision := testing.decide({"context": {"action": "db.export"}})
	decision.effect == "allow"
}
"""


@pytest.fixture
def ann(tmp_path: Path) -> Author:
    return author(tmp_path, examples=True)


def test_the_plain_question_is_the_fixture_of_tests_in_rego(ann: Author) -> None:
    done = subprocess.run(
        [realparts.opa(), "eval", "-b", ann.policy, "--format", "json", FIXTURE],
        check=True,
        capture_output=True,
    )
    plain, approved = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    del plain["findings"]
    assert (plain, approved) == (PLAIN, APPROVED)


def test_tests_and_tables_pass_together(ann: Author) -> None:
    ann.writes("export_cases.yaml", EXPORT_CASES)
    said = ann.types("test", "--verbose")
    assert said.code == 0, said.out + said.err
    place = "policy/export_cases.yaml:5"
    assert f"ok   an internal export without personal data runs  ({place})" in said.out
    assert " passed in sha256:" in said.out


def test_what_differs_is_said_with_the_name_of_the_case(ann: Author) -> None:
    ann.writes("export_cases.yaml", WRONG)
    said = ann.types("test", "--run", "^data export")
    assert said.code == 1
    assert said.out.splitlines()[:3] == [
        "data export",
        "  FAIL an internal export without personal data runs  (policy/export_cases.yaml:5)",
        f"         effect: expected allow, {BUT}",
    ]
    assert "0 passed, 1 failed" in said.out


def test_a_test_in_rego_that_fails_says_at_which_condition(ann: Author) -> None:
    ann.writes("mine_test.rego", FAILING)
    said = ann.types("test", "--run", "test_it_is_allowed")
    assert said.code == 1
    assert 'mine_test.rego:7 does not hold: decision.effect == "allow"' in said.out


def test_results_for_scripts_and_for_ci(ann: Author) -> None:
    ann.writes("export_cases.yaml", WRONG)
    said = ann.types("test", "--json", "--junit", "out.xml", "--coverage")
    told = json.loads(said.out)
    failed = [each for each in told["tests"] if each["result"] == "fail"]
    assert (said.code, told["ok"]) == (1, False)
    assert [each["place"] for each in failed] == ["policy/export_cases.yaml:5"]
    assert told["coverage"]["percent"] > 90
    suites = ET.parse(ann.home / "out.xml").getroot()
    assert suites.get("failures") == "1"
    (failure,) = suites.iter("failure")
    assert str(failure.get("message")).startswith("effect: expected allow, got needs_approval")


def test_a_table_alone_counts_towards_coverage(tmp_path: Path) -> None:
    ann = author(tmp_path)
    ann.writes(
        "close.rego",
        "package countersign.rules.close\n\n"
        'allow contains {"code": "t.close", "message": "harmless"} if {\n'
        '\tinput.context.action == "t.close"\n}\n\n'
        'deny contains {"code": "t.open", "message": "no"} if {\n'
        '\tinput.context.action == "t.open"\n}\n',
    )
    ann.writes(
        "close_cases.yaml",
        "table: tickets\ngiven: {context: {action: t.close}}\n"
        "cases: [{name: closing, expect: {effect: allow}}]\n",
    )
    said = ann.types("test", "--coverage", "--threshold", "99.9")
    assert said.code == 1
    assert "not reached: policy/close.rego: 7" in said.out
    assert "% of the rows of the rules (at least 99.9 % wanted)." in said.out


@pytest.mark.parametrize(
    ("files", "words", "problem"),
    [
        (
            {"x_cases.yaml": EXPORT_CASES.replace("effect:", "efect:")},
            ("test",),
            "x_cases.yaml:9 expect: unknown key efect; there are effect, reasons",
        ),
        ({"x.rego": "package x\n\ny := \n"}, ("test",), "policy does not compile"),
        ({}, ("test", "--run", "("), "--run: is no regular expression"),
        ({}, ("test", "--watch", "--json"), "--watch, --json: give one of them"),
        ({}, ("test", "--watch", "polcy"), "polcy: does not exist"),
        ({}, ("test", "--threshold", "101"), "'--threshold': Input should be less"),
    ],
)
def test_wrong_usage_is_a_sentence_and_another_exit_code(
    ann: Author, files: dict[str, str], words: tuple[str, ...], problem: str
) -> None:
    for name, text in files.items():
        ann.writes(name, text)
    said = ann.types(*words)
    assert said.code == 2
    assert problem in " ".join(said.err.split())


def test_nothing_to_run_is_no_success(ann: Author) -> None:
    said = ann.types("test", "--run", "no such test")
    assert said.code == 1
    assert "There is nothing to run" in said.out


def test_watching_runs_again_when_a_file_changes(ann: Author) -> None:
    ann.writes("export_cases.yaml", WRONG)
    command = [COUNTERSIGN, "policy", "test", "--watch", "--run", "^data export"]
    with subprocess.Popen(
        command, cwd=ann.home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None

            def told() -> str:
                """Until it waits for a change again."""
                lines = []
                for line in process.stdout:
                    lines.append(line)
                    if line.startswith("Waiting for a change"):
                        break
                return "".join(lines)

            assert "0 passed, 1 failed" in told()
            ann.writes("export_cases.yaml", EXPORT_CASES)
            assert "1 passed" in told()
            ann.writes("export_cases.yaml", "table: [")
            assert "export_cases.yaml:1 " in told()
            ann.writes("export_cases.yaml", EXPORT_CASES)
            assert "1 passed" in told()
        finally:
            process.kill()
