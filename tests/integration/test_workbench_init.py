"""`countersign policy init`, as a new author types it: it passes, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

import realparts
from countersign.config import shipped_policy
from countersign.workbench.beginning import packs, settings_of
from workbench_world import Author

SETTINGS = """# Yours.
holidays: []

# Of the packs.
packs:
  # Where exports may go.
  export:
    company_buckets: [a]
  sql:
    max_rows: 7
"""


def test_a_project_passes_its_own_tests_and_check(tmp_path: Path) -> None:
    ann = Author(tmp_path)
    made = ann.types("init", "--pack", "export", "--pack", "sql")
    assert made.code == 0, made.err
    assert "policy/rules/tickets.rego" in made.out
    tested = ann.types("test", "--verbose")
    assert tested.code == 0, tested.out + tested.err
    assert "ok   closing a ticket runs on its own  (policy/rules/tickets_cases" in tested.out
    checked = ann.types("check", "--questions", "200")
    assert checked.code == 0, checked.out


def test_each_pack_is_listed_and_only_those_wanted_are_written(tmp_path: Path) -> None:
    ann = Author(tmp_path)
    listed = ann.types("init", "--list").out.split()
    assert {"deploy", "export", "iam", "key", "payment", "shell", "sql"} <= set(listed)
    assert listed == list(packs(shipped_policy()))
    ann.types("init", "--pack", "sql")
    names = {path.name for path in ann.policy.rglob("*.rego")}
    assert {"sql.rego", "tickets.rego", "decision.rego"} <= names
    assert not {"export.rego", "payment.rego"} & names


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    ann = Author(tmp_path)
    ann.writes("mine.rego", "package mine\n")
    said = ann.types("init")
    assert said.code == 2
    assert "policy is there already [policy.exists]" in said.err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mine.rego"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--pack", "exprt"), "--pack exprt: there is no such pack [policy.no_such_pack]"),
        (("file/project",), ": Not a directory [policy.unwritable]"),
        (("--pakc", "export"), "No such option: --pakc"),
    ],
)
def test_wrong_usage_writes_nothing(tmp_path: Path, words: tuple[str, ...], problem: str) -> None:
    (tmp_path / "file").touch()
    said = Author(tmp_path).types("init", *words)
    assert said.code == 2
    assert problem in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_settings_hold_no_pack_that_is_not_there() -> None:
    assert settings_of(SETTINGS, ["export", "sql"]) == SETTINGS
    only = settings_of(SETTINGS, ["sql"])
    assert only.endswith("# Of the packs.\npacks:\n  sql:\n    max_rows: 7\n")
    assert settings_of(SETTINGS, []).endswith("# Of the packs.\npacks: {}\n")
    assert settings_of("holidays: []\n", []) == "holidays: []\n"


def test_the_recipe_in_the_manual_is_the_one_that_is_written(tmp_path: Path) -> None:
    Author(tmp_path).types("init")
    written = (tmp_path / ".github" / "workflows" / "policy.yml").read_bytes()
    shown = realparts.ROOT / "docs" / "examples" / "github-actions-policy.yml"
    assert shown.read_bytes() == written
