"""`countersign policy diff`: what a real OPA serves, held against a directory and a commit."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import realparts
from service import eventually
from workbench_world import Author

RULE = "package countersign.rules.t\n\nallow contains 1 if false\n"


@contextlib.contextmanager
def serving(bundle: Path) -> Iterator[str]:
    """An OPA that serves a bundle; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [realparts.opa(), "run", "--server", "--addr", address, "--bundle", bundle]
    quiet = ["--skip-version-check", "--log-level", "error"]
    with subprocess.Popen([*command, *quiet], stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: healthy(address))
            yield f"http://{address}"
        finally:
            process.kill()


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def ann(tmp_path_factory: pytest.TempPathFactory) -> Author:
    made = Author(tmp_path_factory.mktemp("diff"))
    made.types("init", "--pack", "sql")
    made.writes("limits/data.yaml", "rows: 1000\nnames: [a, b]\n")
    git = ["git", "-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *words], cwd=made.home, check=True)
    subprocess.run(["git", "tag", "v1"], cwd=made.home, check=True)
    return made


@pytest.fixture(scope="module")
def served(ann: Author) -> Iterator[str]:
    bundle = ann.home / "bundle.tar.gz"
    build = ["build", "--bundle", "policy", "--revision", "served-1", "--output", bundle]
    subprocess.run([realparts.opa(), *build], cwd=ann.home, check=True)
    with serving(bundle) as address:
        yield address


def test_what_is_served_and_here_is_the_same(ann: Author, served: str) -> None:
    said = ann.types("diff", "--opa", served, "--fail-on-difference", "--ref", "v1")
    assert said.code == 0, said.out + said.err
    assert "served: served-1 (bundle " in said.out
    assert re.search(r"^Nothing differs: \d+ policies the same\.$", said.out, re.MULTILINE)


def test_each_difference_is_named(ann: Author, served: str) -> None:
    rule = ann.policy / "rules" / "tickets.rego"
    before, moved = rule.read_text(), ann.policy / "rules" / "sql.rego"
    (sql,) = (path for path in ann.policy.rglob("sql.rego"))
    try:
        ann.writes("rules/new.rego", RULE)
        rule.write_text(before.replace("support-leads", "support"))
        sql.rename(moved)
        moved.rename(moved.with_name("other.rego"))
        ann.writes("limits/data.yaml", "rows: 5000\nnames: [a, b]\nmore: 1\n")
        said = ann.types("diff", "--opa", served)
        assert said.code == 0
        failing = ann.types("diff", "--opa", served, "--fail-on-difference", "--json")
        tagged = ann.types("diff", "--opa", served, "--ref", "v1", "--brief")
    finally:
        moved.with_name("other.rego").rename(sql)
        (ann.policy / "rules" / "new.rego").unlink()
        ann.writes("limits/data.yaml", "rows: 1000\nnames: [a, b]\n")
        rule.write_text(before)
    lines = said.out.splitlines()
    assert "added    rules/new.rego" in lines
    assert "added    rules/other.rego" in lines
    assert any(line.startswith("removed  ") and line.endswith("/sql.rego") for line in lines)
    assert "changed  rules/tickets.rego" in lines
    assert '    +\t"stages": [{"name": "support", "groups": ["support"]}],' in lines
    assert "data     data.limits.rows: differs" in lines
    assert "data     data.limits.more: is not served" in lines
    assert "5000" not in "".join(line for line in lines if line.startswith("data"))
    told = json.loads(failing.out)
    assert (failing.code, told["ok"]) == (1, False)
    assert told["served"].popitem()[1] == "served-1"
    assert "Nothing differs" in tagged.out


def test_status_lists_what_an_opa_serves(ann: Author, served: str) -> None:
    said = ann.types("status", "--opa", served)
    assert said.code == 0, said.err
    assert said.out.startswith("served: served-1 (bundle ")
    assert "/rules/tickets.rego" in said.out
    told = json.loads(ann.types("status", "--opa", served, "--json").out)
    assert list(told["revisions"].values()) == ["served-1"]
    assert ann.types("status", "--opa", "nowhere").code == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "--opa: must be given"),
        (("--opa", "127.0.0.1:8181"), "must be http:// or https:// with a host"),
        (("--opa", "http://127.0.0.1:1"), "gives no list of its policies (ConnectionError)"),
        (("--opa", "http://127.0.0.1:8181/opa"), "must have no path"),
        (("--opa", "http://a:secret@127.0.0.1:8181"), "must hold no credentials"),
        (("--opa", "http://127.0.0.1:1", "--ref", "v9"), "--ref v9: no such commit, branch or tag"),
        (("--opa", "http://127.0.0.1:1", "--ref=--help"), "--ref --help: is an option"),
        (("--opa", "http://127.0.0.1:1", "polcy"), "polcy: does not exist"),
    ],
)
def test_wrong_usage_is_a_sentence_and_another_exit_code(
    ann: Author, words: tuple[str, ...], problem: str
) -> None:
    said = ann.types("diff", *words)
    assert said.code == 2
    assert problem in " ".join(said.err.split())
    assert "secret" not in said.err
