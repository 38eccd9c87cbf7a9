"""`init`: a policy project to start from: the library, packs, a first rule with its tests.

Everything is planned before anything is written, and nothing is overwritten.
Called by the command line.
"""

from __future__ import annotations

import contextlib
import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from countersign.errors import ConfigurationError

_LIBRARY: Final = ("countersign", "schemas", "settings")
"""Folders of what is shipped that every policy wants."""
_OWN: Final = ("tickets.rego", "tickets_test.rego", "tickets_cases.yaml")
_SETTINGS: Final = PurePosixPath("policy", "settings", "data.yaml")
_WORKFLOW: Final = "github-actions-policy.yml"


def packs(shipped: Path) -> dict[str, list[Path]]:
    """The packs that are shipped: the files of each."""
    return {
        folder.name: [each for each in sorted(folder.rglob("*")) if each.is_file()]
        for folder in sorted((shipped / "packs").iterdir())
        if folder.is_dir()
    }


def plan(shipped: Path, chosen: Sequence[str]) -> dict[PurePosixPath, bytes]:
    """The files of a project, by path. Raises `ConfigurationError` for a pack there is not."""
    known = packs(shipped)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ConfigurationError(
            "policy.no_such_pack",
            f"--pack {unknown[0]}: there is no such pack",
            advice=f"There are {', '.join(known)}.",
        )
    files: dict[PurePosixPath, bytes] = {}
    for name in _LIBRARY:
        wanted = [path for path in sorted((shipped / name).rglob("*")) if path.is_file()]
        files |= _below_policy(shipped, wanted)
    if _SETTINGS in files:
        files[_SETTINGS] = settings_of(files[_SETTINGS].decode(), chosen).encode()
    if chosen:  # what packs share
        files |= _below_policy(shipped, sorted((shipped / "packs").glob("*.rego")))
    for name in chosen:
        files |= _below_policy(shipped, known[name])
    return {**files, **_own()}


def settings_of(text: str, chosen: Sequence[str]) -> str:
    """The settings without the sections of packs that are not there.

    `packs:` is the last key, and each pack a key below it: the library refuses
    settings of a pack that it does not have.
    """
    head, found, sections = text.partition("\npacks:\n")
    if not found:
        return text
    kept, before, keeps = "", "", False
    for line in sections.splitlines(keepends=True):
        if line.startswith("  #"):
            before += line  # of the section that follows
            continue
        if not line.startswith("   ") and line.strip():
            keeps = line.strip().partition(":")[0] in chosen
        kept += before + line if keeps else ""
        before = ""
    return f"{head}{found}{kept}" if kept else f"{head}\npacks: {{}}\n"


def _below_policy(shipped: Path, paths: Sequence[Path]) -> dict[PurePosixPath, bytes]:
    return {
        PurePosixPath("policy", path.relative_to(shipped).as_posix()): path.read_bytes()
        for path in paths
    }


def _own() -> dict[PurePosixPath, bytes]:
    project = importlib.resources.files("countersign.workbench").joinpath("project")
    files = {
        PurePosixPath("policy", "rules", name): project.joinpath(name).read_bytes() for name in _OWN
    }
    workflow = PurePosixPath(".github", "workflows", "policy.yml")
    return {**files, workflow: project.joinpath(_WORKFLOW).read_bytes()}


def write(directory: Path, files: Mapping[PurePosixPath, bytes]) -> None:
    """Write a whole project, or nothing. Raises `ConfigurationError` where something is."""
    for name in ("policy", ".github/workflows/policy.yml"):
        if (directory / name).exists():
            raise ConfigurationError(
                "policy.exists",
                f"{directory / name} is there already",
                advice="Name another directory; nothing was changed.",
            )
    written: list[Path] = []
    try:
        for place, content in files.items():
            path = directory / place
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(path)
            path.write_bytes(content)
    except OSError as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        raise ConfigurationError(
            "policy.unwritable",
            f"{error.filename}: {error.strerror}",
            advice="Name a directory that this user may write to.",
        ) from None
