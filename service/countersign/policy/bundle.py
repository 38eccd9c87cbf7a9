"""Bundles: a snapshot of Rego and data, compiled with restricted capabilities.

What is compiled never holds a `.manifest`, so the bundle owns every path, and
OPA refuses all writes by itself. Called by `opa`. Blocking: call it from a
thread.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from countersign.errors import ConfigurationError
from countersign.policy.binary import CommandError, UnusableError, capabilities, run_opa
from countersign.policy.snapshot import Snapshot

ENTRYPOINT: Final = "data.countersign.decision"
_OF_NAMES: Final = frozenset(
    {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EILSEQ}
)
"""What the names of a policy's files bring about, and no trying again mends."""
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


def build(opa: Path, snapshot: Snapshot) -> Bundle:
    """Compile a snapshot. Raises `ConfigurationError` in OPA's own words."""
    try:
        with tempfile.TemporaryDirectory(prefix="countersign-build-") as scratch:
            archive = _compile(opa, Path(scratch), snapshot.compiled(), snapshot.revision)
    except OSError as error:
        raise ConfigurationError(
            "policy.not_built",
            f"a policy bundle cannot be written: {error.strerror}",
            advice="Make room in the temporary directory, or make it writable.",
        ) from error
    digest = hashlib.sha256(archive).hexdigest()
    return Bundle(revision=snapshot.revision, archive=archive, sha256=digest)


def _compile(
    opa: Path, scratch: Path, files: Mapping[PurePosixPath, bytes], revision: str
) -> bytes:
    source, target, rules = scratch / "source", scratch / "bundle.tar.gz", scratch / "rules.json"
    try:
        _write(source, files)
    except OSError as error:
        if error.errno not in _OF_NAMES:
            raise
        raise ConfigurationError(
            "policy.not_compiled",
            f"policy has a file whose name cannot be one here: {error.strerror}",
            advice=_FIX_AND_RETRY,
        ) from error
    rules.write_bytes(allowed(opa))
    try:
        arguments = ["--bundle", ".", "--capabilities", str(rules), "--revision", revision]
        run_opa(opa, ["build", *arguments, "--output", str(target)], cwd=source)
        told = run_opa(opa, ["deps", "--bundle", ".", "--format", "json", ENTRYPOINT], cwd=source)
    except UnusableError as error:
        raise unusable(error) from error
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


def _write(source: Path, files: Mapping[PurePosixPath, bytes]) -> None:
    for name, content in files.items():
        if not _is_text(str(name)):  # git keeps any bytes; records and people cannot
            raise OSError(errno.EILSEQ, "it is not UTF-8")
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def allowed(opa: Path) -> bytes:
    """The capabilities file. That OPA does not tell is never the policy's fault."""
    try:
        return capabilities(opa)
    except CommandError as error:
        raise unusable(error) from error


def unusable(error: CommandError) -> ConfigurationError:
    """OPA could not be run to its end, whatever the policy: that may pass."""
    return ConfigurationError(
        "opa.unusable",
        f"OPA could not do its work: {error.message}",
        advice="Check that OPA is installed, and that it has memory, disk and time.",
    )
