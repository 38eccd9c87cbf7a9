"""The recipe for pull requests says only what the commands understand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from countersign.cli.root import app
from realparts import ROOT

RECIPE = ROOT / "docs" / "examples" / "github-actions-policy.yml"
OWN = ("check", "test", "impact")


def commands() -> dict[str, list[str]]:
    """The arguments of each `countersign policy` command that the recipe runs, by its verb."""
    steps = yaml.safe_load(RECIPE.read_text())["jobs"]["policy"]["steps"]
    lines = [re.sub(r"\\\n", " ", step["run"]) for step in steps if "run" in step]
    found = {}
    for line in "\n".join(lines).splitlines():
        words = shlex.split(line.partition(">")[0])
        if words[:2] == ["countersign", "policy"]:
            found[words[2]] = words[3:]
    return found


def test_the_recipe_runs_check_test_and_impact() -> None:
    assert tuple(commands()) == OWN


@pytest.mark.parametrize("verb", OWN)
def test_each_command_of_the_recipe_is_understood(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy").mkdir()
    monkeypatch.chdir(tmp_path)
    policy = typer.main.get_command(app).get_command(None, "policy")  # type: ignore[attr-defined]
    context = policy.get_command(None, verb).make_context(verb, commands()[verb])
    assert context.params
