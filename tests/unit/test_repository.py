"""What must hold of the repository itself, whatever the code does."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import realparts

ROOT = realparts.ROOT
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file()]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def touches_the_environment(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in ENVIRONMENT:
                return True
            case ast.ImportFrom(module="os", names=names):
                if ENVIRONMENT & {alias.name for alias in names}:
                    return True
    return False


def test_only_config_reads_the_environment() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in tracked("service/**.py", "bot/**.py", "tests/**.py")
        if touches_the_environment(path.read_text(encoding="utf-8"))
    }
    # exec passes names of its own environment on, and must do without the server's settings.
    exec_too = "service/countersign/cli/exec.py"
    # The bot is a program of its own.
    bot_too = "bot/countersign_bot/settings.py"
    assert readers <= {"service/countersign/config.py", exec_too, bot_too, "tests/realparts.py"}


@pytest.mark.parametrize(
    "source",
    ["import os\nos.environ['A']", "import os\nos.getenv('A')", "from os import environ as e"],
)
def test_reading_the_environment_is_noticed(source: str) -> None:
    assert touches_the_environment(source)


def locked() -> dict[str, str]:
    """Every locked distribution and its version."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", read("requirements.lock"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def declared() -> list[Requirement]:
    """Every requirement of pyproject.toml that the lock must meet."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    texts = [*project["dependencies"], *(text for extra in extras for text in extra)]
    requirements = [Requirement(text) for text in texts]
    return [wanted for wanted in requirements if wanted.name != project["name"]]


def test_the_lock_meets_what_pyproject_asks() -> None:
    pins = locked()
    unmet = [
        str(wanted)
        for wanted in declared()
        if not wanted.specifier.contains(pins.get(canonicalize_name(wanted.name), "0.dev0"))
    ]
    assert not unmet, "run `make lock`"


def test_the_lock_names_hashes_and_no_host() -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", read("requirements.lock"))[1:]
    assert blocks
    assert all("--hash=sha256:" in block for block in blocks)
    for path in tracked("*.lock", "*package-lock.json", "requirements*"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"https?://|^-{1,2}(extra-|index|find|trusted|i\b|f\b)", text, re.MULTILINE
        ), path


def test_no_file_names_a_place_on_one_machine() -> None:
    here, home = f"{ROOT}{os.sep}", f"{Path.home()}{os.sep}"
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        assert here not in text, path
        # Test data may speak of anyone's home directory, this one's among them.
        assert home not in text or path.is_relative_to(ROOT / "tests"), path


def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9]+):", read("Makefile"), re.MULTILINE))


def test_every_make_command_written_down_exists() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        named = set(re.findall(r"(?:`|^\$? *)make ([a-z0-9]+)", read(page), re.MULTILINE))
        assert named <= targets(), page


def test_no_make_target_is_hidden_by_a_file_of_its_name() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == targets()


def test_continuous_integration_runs_the_two_commands_with_every_real_part() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    script = read(".ci/run")
    assert "export COUNTERSIGN_REQUIRE_REAL_PARTS=1" in script
    assert "make lint" in script
    assert "make test" in script


def test_the_changelog_leads_with_what_is_unreleased() -> None:
    sections = re.findall(r"^## (.*)$", read("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == "[Unreleased]"
