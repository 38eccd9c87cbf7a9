"""Real programs for tests: where they are, and whether they are the right ones.

Each function returns the path of a program that was seen to run, or skips the
test with the remedy. With COUNTERSIGN_REQUIRE_REAL_PARTS=1 (as `.ci/run` sets
it) nothing is skipped: a missing part fails. This file is the one place in the
tests that reads the environment.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"


def opa() -> Path:
    """OPA of the version this project is tested with, or a later 1.x."""
    return _required(_find("opa"), "no OPA of a good version: run `make opa`, or set OPA to one")


def fsck() -> Path:
    """Tessera's fsck, the outside checker of tlog-tiles logs."""
    return _required(_find("fsck"), "no Tessera fsck: run `make fsck`")


def minio() -> Path:
    """MinIO, a real S3 server with Object Lock. A test server only, never shipped."""
    return _required(_find("minio"), "no MinIO: run `make minio`, or set MINIO to one")


def go() -> Path:
    """A Go tool chain, for checkers written in Go."""
    return _required(_find("go"), "no Go: install it, or run `scripts/go`")


def program(name: str, *, package: str) -> Path:
    """Any other program on PATH; `package` is the Debian package that has it."""
    found = shutil.which(name)
    return _required(Path(found) if found else None, f"no {name}: apt-get install {package}")


def chromium() -> Path:
    """A browser."""
    return program("chromium", package="chromium")


def card_renderer() -> Path:
    """The directory of the built adaptive card renderer, of the version that is locked."""
    at = TOOLS / "teams"
    lock = ROOT / "tests" / "simulators" / "teams" / "parts" / "package-lock.json"
    stamp = at / "installed"
    found = stamp.is_file() and stamp.read_bytes() == lock.read_bytes()
    renderer = at / "node_modules" / "adaptivecards" / "dist"
    return _required(renderer if found else None, "no card renderer: run `make teams-parts`")


def opa_pin() -> tuple[int, ...]:
    """The version in `opa.version`, as numbers."""
    text = (ROOT / "opa.version").read_text(encoding="utf-8")
    found = re.search(r"^version (\d+\.\d+\.\d+)$", text, re.MULTILINE)
    assert found, "opa.version has no line `version X.Y.Z`"
    return _numbers(found[1])


def _required(found: Path | None, remedy: str) -> Path:
    if found is not None:
        return found
    if os.environ.get("COUNTERSIGN_REQUIRE_REAL_PARTS") == "1":
        pytest.fail(f"a real part is required: {remedy}", pytrace=False)
    pytest.skip(remedy)


@functools.cache
def _find(name: str) -> Path | None:
    """The first usable one of $NAME, .tools/NAME in this checkout, PATH."""
    named = os.environ.get(name.upper())
    places = [named] if named else [str(TOOLS / name), shutil.which(name)]
    for place in filter(None, places):
        path = Path(place).absolute()
        if os.access(path, os.X_OK) and path.is_file() and _CHECKS[name](path):
            return path
    return None


def _is_good_opa(path: Path) -> bool:
    found = re.search(r"^Version: (\d+\.\d+\.\d+)$", _output(path, "version"), re.MULTILINE)
    return found is not None and opa_pin() <= _numbers(found[1]) < (2,)


def _is_tessera_fsck(path: Path) -> bool:
    # Every Unix has another `fsck`, the file system's: it is told apart by its usage.
    return "-storage_url" in _output(path, "-h")


def _is_minio(path: Path) -> bool:
    return _output(path, "--version").startswith("minio version ")


def _output(path: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [path, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _is_go(path: Path) -> bool:
    return _output(path, "version").startswith("go version go1.")


_CHECKS = {"opa": _is_good_opa, "fsck": _is_tessera_fsck, "go": _is_go, "minio": _is_minio}
