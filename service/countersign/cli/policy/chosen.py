"""What the author's commands are given: a directory, an OPA, and how they end.

Exit codes of all of them: 0 clean, 1 something was found, 2 wrong usage or a
part is missing. A message on wrong usage names the option and the remedy.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from countersign.audit.plan import OBJECTS
from countersign.audit.source import Source, UnsafeFileError
from countersign.cli import output
from countersign.config import Config, config_path, load, opa_candidates
from countersign.errors import ConfigurationError, CountersignError
from countersign.policy.binary import find_opa
from countersign.policy.snapshot import Snapshot
from countersign.policy.sources.directory import snapshot
from countersign.sanitize import Sanitizer

_P = ParamSpec("_P")

DirectoryArgument = Annotated[Path, typer.Argument(help="The policy: a directory of Rego.")]


def judged(command: Callable[_P, int]) -> Callable[_P, int]:
    """A command whose exit code 1 says that it judged a policy; whatever stops it is 2."""

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> int:
        try:
            return command(*args, **kwargs)
        except CountersignError as error:
            print(f"countersign: {output.safe(str(error))}", file=sys.stderr)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            print(f"countersign: {output.safe(f'{where}{error.strerror}')}", file=sys.stderr)
        return output.WRONG_USAGE

    return run


def settings(config: Path | None) -> Config:
    """The settings, where there are any: an author needs none."""
    path = config_path(config)
    return load(path) if config or path.exists() else Config()


def opa(config: Config) -> Path:
    """The OPA that the settings name, else the one at hand."""
    configured = config.path(config.policy.opa) if config.policy.opa else None
    return find_opa(configured, opa_candidates())


def policy_in(directory: Path) -> Snapshot:
    """What a directory holds. Raises `ConfigurationError` in words about the argument."""
    if not directory.is_dir():
        what = "is a file" if directory.exists() else "does not exist"
        raise ConfigurationError(
            "policy.no_directory",
            f"{directory}: {what}; the policy is a directory",
            advice="Name it, or make one: countersign policy init DIR",
        )
    return snapshot(directory)


def shown(directory: Path, place: str) -> str:
    """A place below the policy's directory as whoever typed its name would write it."""
    return str(directory / place) if place else str(directory)


def sanitizer(config: Config) -> Sanitizer:
    """The detector as the service has it, less recognizers beside its rules."""
    return Sanitizer(
        internal_domains=config.sanitizer.internal_domains, custom=config.custom_rules()
    )


def objects_of(source: Source) -> Callable[[str], bytes | None]:
    """What reads the objects that records of a log name; None for one that is not there."""

    def read(name: str) -> bytes | None:
        try:
            return source.read(f"{OBJECTS}{name}")
        except UnsafeFileError:
            return None

    return read
