"""Bundles: a directory of Rego and data, compiled with restricted capabilities.

What is built is a snapshot of the directory, so that the revision names exactly
the bytes inside, and a file that changes meanwhile changes nothing. The
snapshot never holds a `.manifest`, so the bundle owns every path, and OPA
refuses all writes by itself. Called by `opa`. Blocking: call it from a thread.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from countersign.errors import ConfigurationError
from countersign.policy.binary import CommandError, capabilities, run_opa, run_program

ENTRYPOINT: Final = "data.countersign.decision"
_DATA_FILES: Final = ("data.json", "data.yaml", "data.yml")
_FIX_AND_RETRY: Final = "Correct the policy, then try again; the active one is untouched."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A compiled bundle. Holds policy only, never input."""

    revision: str
    """A git commit, or `sha256:` and 16 hex digits of the directory's content."""
    archive: bytes = dataclasses.field(repr=False)
    """The `.tar.gz` that OPA loads."""
    sha256: str
    """Of the archive, in lower-case hex."""


def build(opa: Path, directory: Path) -> Bundle:
    """Compile a policy directory. Raises `ConfigurationError` in OPA's own words."""
    commit = _clean_commit(directory)
    files = _read(directory)
    if commit is not None and _clean_commit(directory) != commit:
        commit = None  # it changed while it was read
    revision = commit or content_revision(files)
    try:
        with tempfile.TemporaryDirectory(prefix="countersign-build-") as scratch:
            archive = _compile(opa, Path(scratch), files, revision)
    except OSError as error:
        raise ConfigurationError(
            "policy.not_built",
            f"a policy bundle cannot be written: {error.strerror}",
            advice="Make room in the temporary directory, or make it writable.",
        ) from error
    return Bundle(revision=revision, archive=archive, sha256=hashlib.sha256(archive).hexdigest())


def content_revision(files: Mapping[PurePosixPath, bytes]) -> str:
    """`sha256:` and 16 hex digits over names and contents in sorted order."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (os.fsencode(name), files[name]):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return f"sha256:{digest.hexdigest()[:16]}"


def _read(directory: Path) -> dict[PurePosixPath, bytes]:
    """Every file that belongs into a bundle: no tests, nothing hidden."""
    files: dict[PurePosixPath, bytes] = {}

    def refuse(error: OSError) -> None:
        raise ConfigurationError(
            "policy.unreadable",
            f"the policy directory {directory} cannot be read: {error.strerror}",
            advice="Name a directory of Rego files that this process may read.",
        ) from error

    for folder, subfolders, names in os.walk(directory, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            if _belongs(name):
                path = Path(folder, name)
                try:
                    files[PurePosixPath(path.relative_to(directory))] = path.read_bytes()
                except OSError as error:
                    refuse(error)
    if not any(name.suffix == ".rego" for name in files):
        raise ConfigurationError(
            "policy.empty",
            f"the policy directory {directory} has no Rego file",
            advice=f"Add a rule for {ENTRYPOINT}.",
        )
    return files


def _belongs(name: str) -> bool:
    if name.startswith("."):
        return False
    return name in _DATA_FILES or (name.endswith(".rego") and not name.endswith("_test.rego"))


def _compile(
    opa: Path, scratch: Path, files: Mapping[PurePosixPath, bytes], revision: str
) -> bytes:
    source, target, rules = scratch / "source", scratch / "bundle.tar.gz", scratch / "rules.json"
    for name, content in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    try:
        rules.write_bytes(capabilities(opa))
        arguments = ["--bundle", ".", "--capabilities", str(rules), "--revision", revision]
        run_opa(opa, ["build", *arguments, "--output", str(target)], cwd=source)
        told = run_opa(opa, ["deps", "--bundle", ".", "--format", "json", ENTRYPOINT], cwd=source)
    except CommandError as error:
        raise ConfigurationError(
            "policy.not_compiled",
            f"policy does not compile: {error.message}",
            advice=_FIX_AND_RETRY,
        ) from error
    if not json.loads(told).get("virtual"):
        raise ConfigurationError(
            "policy.no_entrypoint", f"no rule defines {ENTRYPOINT}", advice=_FIX_AND_RETRY
        )
    return target.read_bytes()


def _clean_commit(directory: Path) -> str | None:
    """The commit that holds the directory exactly as it is, if there is one."""
    try:
        state = _git(directory, "status", "--porcelain", "--ignored", "--", ".")
        tracked = _git(directory, "ls-tree", "--name-only", "HEAD", "--", ".")
        commit = _git(directory, "rev-parse", "--verify", "HEAD")
    except CommandError:
        return None  # no git, or not under it: the content is its own name
    return commit.strip() if tracked.strip() and not state.strip() else None


def _git(directory: Path, *arguments: str) -> str:
    # An environment of our own: a hook's GIT_DIR would answer for another tree.
    environment = {"PATH": f"/usr/local/bin:{os.defpath}", "LC_ALL": "C"}
    command = ["git", "--no-optional-locks", *arguments]
    return run_program(command, cwd=directory, environment=environment)
