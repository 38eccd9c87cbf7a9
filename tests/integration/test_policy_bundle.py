"""Building bundles with real OPA: what goes in, what is refused, what it is called."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import pytest

import realparts
from countersign.errors import ConfigurationError
from countersign.policy.admission import is_machine
from countersign.policy.binary import (
    FORBIDDEN_BUILTINS,
    capabilities,
    check_version,
    find_opa,
    run_opa,
)
from countersign.policy.bundle import Bundle
from countersign.policy.bundle import build as compiled
from countersign.policy.snapshot import Snapshot
from countersign.policy.sources.directory import snapshot

ALLOW = 'package countersign\n\ndecision := {"effect": "allow"}\n'
# OPA leaves `print` out of what it compiles unless it may be called, without a word.
SILENT = {"internal.print", "print"}


def build(opa: Path, directory: Path) -> Bundle:
    return compiled(opa, snapshot(directory))


@pytest.fixture
def source(tmp_path) -> Path:
    directory = tmp_path / "policy"
    directory.mkdir()
    (directory / "main.rego").write_text(ALLOW)
    return directory


def inside(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {m.name.lstrip("/"): tar.extractfile(m).read() for m in tar.getmembers()}


def refused(source: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        build(realparts.opa(), source)
    assert caught.value.advice
    return caught.value


def test_a_bundle_owns_every_path_and_holds_no_tests(source):
    (source / "main_test.rego").write_text("package countersign_test\n\ntest_it if false\n")
    (source / "data.json").write_text('{"limits": {"rows": 10}}')
    (source / "notes.json").write_text('{"not": "policy"}')
    (source / ".manifest").write_text('{"roots": ["elsewhere"]}')
    (source / ".hidden").mkdir()
    (source / ".hidden" / "x.rego").write_text("package hidden\n")
    bundle = build(realparts.opa(), source)
    files = inside(bundle.archive)
    assert set(files) == {"data.json", "main.rego", ".manifest"}
    manifest = json.loads(files[".manifest"])
    assert manifest["roots"] == [""]
    assert manifest["revision"] == bundle.revision
    assert json.loads(files["data.json"]) == {"limits": {"rows": 10}}


def test_the_same_content_is_the_same_bundle(source, tmp_path):
    first = build(realparts.opa(), source)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "main.rego").write_text(ALLOW)
    assert build(realparts.opa(), copy) == first
    assert first.revision.startswith("sha256:")
    assert len(first.revision) == 7 + 16
    (copy / "main.rego").write_text(ALLOW + "# a word\n")
    assert build(realparts.opa(), copy).revision != first.revision


def test_mounted_files_that_are_links_are_read(source, tmp_path):
    # How Kubernetes mounts a ConfigMap: links into a hidden directory.
    mount = tmp_path / "mount"
    (mount / "..2026").mkdir(parents=True)
    (source / "main.rego").rename(mount / "..2026" / "main.rego")
    (mount / "main.rego").symlink_to(Path("..2026", "main.rego"))
    assert set(inside(build(realparts.opa(), mount).archive)) >= {"main.rego"}


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Kim", "-c", "user.email=kim@example.org"]
    return subprocess.run(
        [realparts.program("git", package="git"), *identity, *arguments],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
        env={"HOME": str(directory), "PATH": os.defpath},
    ).stdout.strip()


def test_a_clean_commit_names_the_bundle_and_any_change_takes_the_name_away(
    source, tmp_path, monkeypatch
):
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("ignored.rego\n")
    git(tmp_path, "add", ".")
    assert build(realparts.opa(), source).revision.startswith("sha256:"), "no commit yet"
    git(tmp_path, "commit", "-q", "-m", "policy")
    commit = git(tmp_path, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")  # as inside of another tree's hook
    assert build(realparts.opa(), source).revision == commit
    (tmp_path / "outside.txt").write_text("another file of the tree")
    assert build(realparts.opa(), source).revision == commit
    (source / "ignored.rego").write_text("package ignored\n")
    assert build(realparts.opa(), source).revision.startswith("sha256:"), "git does not know it"
    (source / "ignored.rego").unlink()
    (source / "main.rego").write_text(ALLOW + "# changed\n")
    assert build(realparts.opa(), source).revision.startswith("sha256:")


@pytest.mark.parametrize("builtin", sorted(FORBIDDEN_BUILTINS - SILENT))
def test_built_ins_that_reach_out_or_cannot_be_replayed_are_refused(source, builtin):
    declared = json.loads(run_opa(realparts.opa(), ["capabilities", "--current"], cwd=source))
    (found,) = [b for b in declared["builtins"] if b["name"] == builtin]
    operands = ", ".join("input.x" for _ in found["decl"].get("args", []))
    (source / "net.rego").write_text(f"package net\n\nreach := {builtin}({operands})\n")
    error = refused(source)
    assert error.code == "policy.not_compiled"
    assert f"net.rego:3: rego_type_error: undefined function {builtin}" in error.message


def test_what_opa_calls_nondeterministic_is_never_in_the_capabilities(source):
    allowed = json.loads(capabilities(realparts.opa()))
    assert allowed["allow_net"] == []
    assert not [b["name"] for b in allowed["builtins"] if b.get("nondeterministic")]
    assert not FORBIDDEN_BUILTINS & {b["name"] for b in allowed["builtins"]}


def test_syntax_errors_come_with_file_and_line(source):
    (source / "broken.rego").write_text("package broken\n\nx y z\n")
    error = refused(source)
    assert error.code == "policy.not_compiled"
    assert "broken.rego:3: rego_parse_error" in error.message


@pytest.mark.parametrize(
    "other", ["package other\n\ndecision := 1\n", "package countersign\n\ndecisions := 1\n"]
)
def test_a_policy_without_the_entry_point_is_refused(source, other):
    (source / "main.rego").write_text(other)
    error = refused(source)
    assert (error.code, error.message) == (
        "policy.no_entrypoint",
        "no rule defines data.countersign.decision",
    )


@pytest.mark.parametrize(
    "names",
    [
        ("a.rego", "a.rego/b.rego"),
        ("a.rego/b.rego", "a.rego"),
        ("é" * 200 + ".rego",),
        (os.fsdecode(b"\xff.rego"),),
    ],
    ids=["above", "below", "long", "bytes"],
)
def test_names_that_cannot_be_files_are_the_policys_fault(names):
    """And not this machine's, which would be tried again for ever."""
    files = {PurePosixPath(name): ALLOW.encode() for name in names}
    with pytest.raises(ConfigurationError) as caught:
        compiled(realparts.opa(), Snapshot(files=files, revision="r", version="v", origin="o"))
    assert caught.value.code == "policy.not_compiled"
    assert not is_machine(caught.value)


def test_a_directory_without_policy_is_refused(source):
    (source / "main.rego").rename(source / "main_test.rego")
    assert refused(source).code == "policy.empty"


def test_a_directory_that_is_not_there_is_refused(source):
    assert refused(source / "missing").code == "policy.unreadable"
    assert refused(source / "main.rego").code == "policy.unreadable"


def test_a_dangling_link_is_refused(source):
    (source / "gone.rego").symlink_to("nowhere.rego")
    assert refused(source).code == "policy.unreadable"


def test_a_temporary_directory_that_cannot_be_used_is_told(source, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert refused(source).code == "policy.not_built"


def test_opa_is_found_and_its_version_told(tmp_path):
    opa = realparts.opa()
    assert find_opa(opa, []) == opa
    assert find_opa(None, [tmp_path / "missing", opa]) == opa
    assert check_version(opa).startswith("1.")
