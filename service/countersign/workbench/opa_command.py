"""OPA's commands over a copy of a policy's files, so that all of them see the same bytes.

Blocking: called by the other modules here, from a thread where there is a loop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from countersign.errors import ConfigurationError
from countersign.policy.binary import capabilities

_TIMEOUT_S: Final = 300
ALLOWED: Final = "capabilities.json"
"""The name of the capabilities file in a scratch directory."""
SOURCE: Final = "policy"
"""The name of the directory with the policy in it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a command said."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """What it printed as JSON, errors included; None when it is none."""
        for text in (self.stdout, self.stderr):
            with contextlib.suppress(ValueError):
                return json.loads(text)
        return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A copy of a policy's files, and the OPA that looks at them."""

    opa: Path
    path: Path

    @property
    def source(self) -> Path:
        return self.path / SOURCE

    @property
    def allowed(self) -> list[str]:
        """The option that gives OPA our capabilities."""
        return ["--capabilities", str(self.path / ALLOWED)]

    def run(self, *arguments: str, given: str = "") -> Output:
        """Run an OPA command in the policy's directory."""
        return run([str(self.opa), *arguments], cwd=self.source, given=given)


@contextlib.contextmanager
def workplace(opa: Path, files: Mapping[PurePosixPath, bytes]) -> Iterator[Workplace]:
    """A scratch directory with these files below `policy`; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="countersign-policy-") as scratch:
        place = Workplace(opa=opa.absolute(), path=Path(scratch))
        place.source.mkdir()
        for name, content in files.items():
            path = place.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (place.path / ALLOWED).write_bytes(capabilities(place.opa))
        yield place


def run(command: Sequence[str], *, cwd: Path, given: str = "") -> Output:
    """Run a program in an empty environment. Raises `ConfigurationError` if it cannot be run."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command; no shell
            command,
            cwd=cwd,
            env={},
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise ConfigurationError(
            "policy.tool_failed", f"cannot run {command[0]}: {error.strerror}"
        ) from error
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            "policy.tool_failed",
            f"{command[0]} {command[1]} did not finish in {_TIMEOUT_S} s",
            advice="Look for a rule or a test that grows with the square of a large list.",
        ) from None
    return Output(code=done.returncode, stdout=done.stdout, stderr=done.stderr)
