"""`countersign policy check`, as an author types it: each finding is a line with a place."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from workbench_world import Author, author

RULE = """package countersign.rules.pay

import data.countersign.lib

needs contains {
	"code": "pay.large",
	"message": "a large payment",
	"stages": [{"name": "finance", "groups": ["finance"], "quorum": 2}],
} if {
	input.context.action == "pay.out"
	not lib.below("amount", 12345)
}
"""


@pytest.fixture
def ann(tmp_path: Path) -> Author:
    made = author(tmp_path)
    made.writes("pay.rego", RULE)
    return made


def test_a_clean_policy_is_said_to_be_clean(ann: Author) -> None:
    said = ann.types("check")
    assert said.code == 0, said.out + said.err
    assert " is clean, 1000 questions included." in said.out


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            "input.context.action",
            "input.context.actoin",
            "policy/pay.rego:10 undefined ref: input.context.actoin; did you mean action?",
        ),
        (
            'lib.below("amount", 12345)',
            'lib.below("amount", 12345)\n\tinput.findings.facts.amount.atleast > 1',
            "policy/pay.rego:12 undefined ref: input.findings.facts.amount.atleast; did you",
        ),
        (
            'lib.below("amount", 12345)',
            'lib.below("amount", 12345)\n\tinput.approval.vots[_].person == input.verified.person',
            "policy/pay.rego:12 undefined ref: input.approval.vots[_].person; did you mean votes?",
        ),
        (
            "not lib.below",
            "time.now_ns() > 1\n\tnot lib.below",
            "policy/pay.rego:11 time.now_ns may not be called: a decision has no network",
        ),
        ('"quorum": 2', '"quorum": 0', "policy/pay.rego:8 requirement.stages[0].quorum: 0, must"),
        ('"code": "pay.large"', '"cod": "pay.large"', "policy/pay.rego:5 package countersign.rule"),
        ("\tnot lib", "    not lib", "policy/pay.rego:11 is not written as `opa fmt --write` wri"),
        ("not lib.below", "unused := 1\n\tnot lib.below", "policy/pay.rego:11 assigned var unused"),
        (
            "import data",
            "import dtaa",
            "policy/pay.rego:3 unexpected import path, must begin with one of",
        ),
    ],
)
def test_each_mistake_is_a_line_with_its_place(
    ann: Author, before: str, after: str, words: str
) -> None:
    assert before in RULE
    ann.writes("pay.rego", RULE.replace(before, after, 1))
    said = ann.types("check", "policy", "--questions", "200")
    assert said.code == 1, said.out
    assert f"  {words}" in said.out


@pytest.mark.parametrize(
    ("file", "settings", "place", "setting"),
    [
        ("settings/data.yaml", "freezs: []\n", "settings/data.yaml", "freezs"),
        ("settings/data.yaml", "packs: {exprt: {rows: 1}}\n", "settings/data.yaml", "packs.exprt"),
        ("settings/data.yaml", "packs:\npay: {rows: 1}\n", "settings/data.yaml", "pay"),
        (
            "settings/data.yaml",
            "packs: {pay: {rows: ten}}\n",
            "settings/data.yaml",
            "packs.pay.rows",
        ),
        (
            "settings/packs/pay/data.yaml",
            "row: 1\n",
            "settings/packs/pay/data.yaml",
            "packs.pay.row",
        ),
    ],
)
def test_a_setting_that_would_deny_everything_is_not_clean(
    ann: Author, file: str, settings: str, place: str, setting: str
) -> None:
    ann.writes("pay.rego", f'{RULE}\ndefaults := {{"rows": 5}}\n')
    ann.writes("settings/data.yaml", "environments: {lab: dev}\n")
    assert ann.types("check", "--questions", "10").code == 0
    ann.writes(file, settings)
    said = ann.types("check", "--questions", "10")
    assert said.code == 1, said.out
    assert f"  policy/{place} {setting} is malformed, missing or no setting" in said.out


def test_what_scripts_read_says_the_same(ann: Author) -> None:
    ann.writes("pay.rego", RULE.replace('"quorum": 2', '"quorum": 0'))
    said = ann.types("check", "--json", "--questions", "100")
    told = json.loads(said.out)
    assert (said.code, told["ok"], told["questions"]) == (1, False, 100)
    (finding,) = told["findings"]
    assert finding == {
        "group": "contract",
        "place": "policy/pay.rego:8",
        "message": "requirement.stages[0].quorum: 0, must be ≥ 1",
    }


def test_regal_is_asked_where_it_is_on_the_path(ann: Author, monkeypatch) -> None:
    """A stand-in that answers in Regal's format: Regal itself cannot be had everywhere."""
    answer = {
        "violations": [
            {
                "title": "prefer-x",
                "description": "Prefer x",
                "location": {"file": "pay.rego", "row": 5},
            }
        ]
    }
    regal = ann.home / "bin" / "regal"
    regal.parent.mkdir()
    regal.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    regal.chmod(regal.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{regal.parent}:/usr/bin:/bin")
    said = ann.types("check", "--questions", "1")
    assert said.code == 1
    assert "regal lint:\n  policy/pay.rego:5 Prefer x [prefer-x]" in said.out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("check", "polcy"), "polcy: does not exist; the policy is a directory"),
        (("check", "policy/pay.rego"), "policy/pay.rego: is a file; the policy is a directory"),
        (("check", "empty"), "the policy directory empty has no Rego file"),
        (("check", "--questions", "many"), "'--questions': Input should be a valid integer"),
        (("check", "--config", "none.toml"), "none.toml"),
        (("chekc",), "No such command 'chekc'"),
    ],
)
def test_wrong_usage_is_a_sentence_and_another_exit_code(
    ann: Author, words: tuple[str, ...], problem: str
) -> None:
    (ann.home / "empty").mkdir()
    said = ann.types(*words)
    assert said.code == 2
    assert problem in " ".join(said.err.split())


def test_without_opa_it_says_how_to_get_one(ann: Author) -> None:
    (ann.home / "countersign.toml").write_text('[policy]\nopa = "nowhere/opa"\n')
    said = ann.types("check")
    assert said.code == 2
    assert "there is no OPA" in said.err
    assert "make opa" in said.err
