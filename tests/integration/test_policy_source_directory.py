"""A watched directory: what is read, when, and what is still being written."""

from __future__ import annotations

import os
import subprocess
import threading
import types

import pytest

from countersign.errors import ConfigurationError
from countersign.policy.sources import directory as module
from countersign.policy.sources import stamps
from countersign.policy.sources.directory import DirectorySource
from policy_places import ALLOW, DENY, Git, written


@pytest.fixture
def reads(monkeypatch):
    """How often the directory was read whole."""
    found = []
    real = module.read

    def counted(directory):
        found.append(directory)
        return real(directory)

    monkeypatch.setattr(module, "read", counted)
    return found


@pytest.fixture
def at_once(monkeypatch):
    """Stamps are believed at once: the files' times are told apart by more than a tick."""
    monkeypatch.setattr(stamps, "SETTLED_NS", -1)


def test_while_nothing_changes_nothing_is_read(tmp_path, reads, at_once):
    source = DirectorySource(written(tmp_path / "p", sub__data_json="{}"))
    version = source.fetch("").version
    reads.clear()
    for _ in range(3):
        assert source.fetch(version) is None
    assert reads == []


@pytest.mark.parametrize(
    "change",
    [
        lambda policy: written(policy, main_rego=DENY),
        lambda policy: written(policy, sub__more_rego="package more\n"),
        lambda policy: policy.joinpath("sub", "data.json").unlink(),
        lambda policy: policy.joinpath("sub").rename(policy / "other"),
        lambda policy: policy.joinpath("sub", "data.json").replace(policy / "data.json"),
    ],
    ids=["edited", "added", "removed", "folder renamed", "moved"],
)
def test_every_change_is_found(tmp_path, at_once, change):
    policy = written(tmp_path / "p", sub__data_json="{}")
    source = DirectorySource(policy)
    first = source.fetch("")
    assert source.fetch(first.version) is None
    change(policy)
    second = source.fetch(first.version)
    assert second.files != first.files
    assert second.version != first.version
    assert source.fetch(second.version) is None


def test_a_young_stamp_proves_nothing(tmp_path, reads):
    """Two edits within a tick of the file system's clock leave one stamp."""
    policy = written(tmp_path / "p")
    source = DirectorySource(policy)
    first = source.fetch("")
    seen = policy.joinpath("main.rego").stat()
    policy.joinpath("main.rego").write_text(ALLOW.replace("allow", "deny!"))
    os.utime(policy / "main.rego", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert source.fetch(first.version).version != first.version


def test_a_commit_of_the_same_files_is_a_new_version(tmp_path, at_once):
    git = Git(tmp_path / "repo")
    written(git.path, main_rego=ALLOW)
    source = DirectorySource(git.path)
    before = source.fetch("")
    assert before.revision.startswith("sha256:")
    assert source.fetch(before.version) is None
    commit = git.commit()
    after = source.fetch(before.version)
    assert (after.revision, after.files) == (commit, before.files)
    assert source.fetch(after.version) is None
    empty = git.commit("nothing but words")
    assert source.fetch(after.version).revision == empty


def test_what_is_still_being_written_is_left_for_the_next_look(tmp_path, monkeypatch):
    policy = written(tmp_path / "p")
    source = DirectorySource(policy)
    first = source.fetch("")
    path = policy / "main.rego"
    path.write_text(ALLOW)  # the editor has emptied it and is at its first rule
    written(policy, more_rego="package more\n")

    def go_on(seconds: float) -> None:
        assert seconds > 0
        path.write_text(DENY)

    monkeypatch.setattr(module, "time", types.SimpleNamespace(sleep=go_on))
    assert source.fetch(first.version) is None
    second = source.fetch(first.version)
    assert DENY.encode() in second.files.values()


def test_a_pipe_or_a_hidden_file_is_no_part_of_it(tmp_path):
    policy = written(tmp_path / "p")
    written(policy / ".git", main_rego="package hidden\n")
    policy.joinpath(".swap.rego").write_text("package hidden\n")
    assert {str(path) for path in DirectorySource(policy).fetch("").files} == {"main.rego"}


def test_a_directory_that_goes_is_said_and_found_again(tmp_path, at_once):
    policy = written(tmp_path / "p")
    source = DirectorySource(policy)
    version = source.fetch("").version
    policy.rename(tmp_path / "gone")
    with pytest.raises(ConfigurationError, match="policy directory"):
        source.fetch(version)
    (tmp_path / "gone").rename(policy)
    assert source.fetch(version) is None


def test_another_thread_may_look_while_it_is_edited(tmp_path):
    policy = written(tmp_path / "p")
    source = DirectorySource(policy)
    version, done = source.fetch("").version, threading.Event()

    def edit() -> None:
        for number in range(30):
            written(policy, main_rego=f"{ALLOW}# {number}\n", data_json="{}")
            policy.joinpath("data.json").unlink()
        done.set()

    editor = threading.Thread(target=edit)
    editor.start()
    try:
        while not done.is_set():
            found = _fetched(source, version)
            version = found.version if found else version
    finally:
        editor.join()
    final = _fetched(source, version)
    assert (final.version if final else version) == DirectorySource(policy).fetch("").version


def _fetched(source, version):
    """A file that vanishes while it is read is an error of that look, and of no other."""
    try:
        return source.fetch(version)
    except ConfigurationError as error:
        if error.code != "policy.unreadable":
            raise
        return None


def test_git_of_another_tree_in_the_environment_is_not_asked(tmp_path, monkeypatch):
    git = Git(tmp_path / "repo")
    git.commit()
    monkeypatch.setenv("GIT_DIR", str(git.path / ".git"))
    policy = written(tmp_path / "p")
    assert DirectorySource(policy).fetch("").revision.startswith("sha256:")
    assert subprocess.run(["git", "rev-parse", "HEAD"], check=False).returncode == 0
