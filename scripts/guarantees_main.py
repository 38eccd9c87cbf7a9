"""`make guarantees`: every guard must have tests that fail without it.

For each guard of `guarantees_table`: change it in a private copy of the tree, run the
tests named there against that copy, put it back. A guard is killed when every named
test fails. It SURVIVED when one passes; it is NOT APPLIED when the text to change does
not stand exactly once in the named function, and BROKEN when the tests could not run.
Each of these ends this with 1. The tree itself is only read.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from guarantees_guard import Guard
from guarantees_table import GUARDS

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ("service", "bot")
COPIED: Final = (*SOURCES, "tests", "rego", "pyproject.toml", "opa.version")
RUNNER: Final = Path(__file__).with_name("guarantees_run.py")
OPA: Final = ROOT / ".tools" / "opa"
MAX_RUN_S: Final = 120.0
WORKERS: Final = 2
"""Guards that are taken away at a time, each in a copy of its own."""
FAILED: Final = 1
"""pytest's exit code when tests ran and some failed."""


class DoesNotApplyError(Exception):
    """The guard is not where, or not what, the table says."""


def source_of(copy: Path, guard: str) -> tuple[str, tuple[str, ...]]:
    """The file of a dotted name, and the names inside it that lead to the guard."""
    if guard.endswith(".sql"):
        return f"service/{guard}", ()
    parts = guard.split(".")
    for length in range(len(parts), 0, -1):
        for stem in (Path(source, *parts[:length]) for source in SOURCES):
            for path in (stem.with_suffix(".py"), stem / "__init__.py"):
                if (copy / path).is_file():
                    return path.as_posix(), tuple(parts[length:])
    raise DoesNotApplyError(f"there is no module of {guard}")


def span(source: str, names: tuple[str, ...]) -> tuple[int, int]:
    """Where the function or class starts and ends in the text; all of it without names."""
    lines = source.splitlines(keepends=True)
    first, last = 0, len(lines)
    body: list[ast.stmt] = ast.parse(source).body if names else []
    for name in names:
        found = [
            node
            for node in body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and node.name == name
        ]
        if len(found) != 1:
            raise DoesNotApplyError(f"there is no single {name}")
        body, first, last = found[0].body, found[0].lineno - 1, found[0].end_lineno or 0
    return len("".join(lines[:first])), len("".join(lines[:last]))


def mutated(source: str, guard: Guard, names: tuple[str, ...]) -> str:
    """The source with the guard changed. Raises `DoesNotApplyError`."""
    start, end = span(source, names)
    inside = source[start:end]
    count = inside.count(guard.old)
    if count != 1:
        raise DoesNotApplyError(f"its text stands there {count} times")
    changed = source[:start] + inside.replace(guard.old, guard.new) + source[end:]
    if names:
        ast.parse(changed)
    return changed


def run(copy: Path, tests: list[str], *, keep_bytecode: bool = False) -> tuple[int, set[str], str]:
    """Pytest's exit code, the tests that failed, and the end of what was printed."""
    result = copy / "result.json"
    result.unlink(missing_ok=True)
    path = os.pathsep.join(str(copy / source) for source in SOURCES)
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if OPA.is_file():  # the copy has no tools of its own
        environment.setdefault("OPA", str(OPA))
    if not keep_bytecode:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        done = subprocess.run(
            [sys.executable, str(RUNNER), str(copy), str(result), *tests],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=MAX_RUN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, set(), f"did not end within {MAX_RUN_S:.0f} s"
    failed = set(json.loads(result.read_text("utf-8"))) if result.exists() else set()
    return done.returncode, failed, (done.stdout + done.stderr)[-2000:]


def verdict(copy: Path, guard: Guard) -> tuple[str, str]:
    """One word on a guard, and what explains it."""
    try:
        name, names = source_of(copy, guard.guard)
        target = copy / name
        original = target.read_text(encoding="utf-8")
        changed = mutated(original, guard, names)
    except DoesNotApplyError as error:
        return "NOT APPLIED", str(error)
    stat = target.stat()
    target.write_text(changed, encoding="utf-8")
    try:
        code, failed, printed = run(copy, list(guard.tests))
    finally:
        target.write_text(original, encoding="utf-8")
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its bytecode fits again
    missed = [test for test in guard.tests if test not in failed]
    if code == FAILED and not missed:
        return "killed", ""
    if code in (0, FAILED):
        return "SURVIVED", "passes without it: " + ", ".join(missed)
    return "BROKEN", printed


def verdicts(copies: list[Path], guards: list[Guard]) -> Iterator[tuple[str, str]]:
    """The word on each guard, in their order; no copy is used for two at a time."""
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for copy in copies:
        free.put(copy)

    def judged(guard: Guard) -> tuple[str, str]:
        copy = free.get()
        try:
            return verdict(copy, guard)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        yield from pool.map(judged, guards)


def copy_tree(copy: Path) -> None:
    """What the tests need, without anything that was made here."""
    copy.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
            shutil.copytree(source, copy / name, ignore=ignored)
        else:
            shutil.copy2(source, copy / name)


def main() -> int:
    """Judge the guards and print the table; 1 unless every one was killed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("word", nargs="?", default="", help="only guards whose name holds it")
    wanted = parser.parse_args().word
    guards = [guard for guard in GUARDS if wanted in guard.guard]
    if not guards:
        sys.exit(f"error: no guard's name holds {wanted}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="countersign-guards-") as made:
        copies = [Path(made).resolve() / str(number) for number in range(WORKERS)]
        copy_tree(copies[0])
        tests = sorted({test for guard in guards for test in guard.tests})
        code, _, printed = run(copies[0], tests, keep_bytecode=True)
        if code != 0:
            print(printed, file=sys.stderr)
            sys.exit("error: the tests must pass before any guard is taken away")
        for copy in copies[1:]:
            shutil.copytree(copies[0], copy)  # with its bytecode, which fits by time and size
        print(f"{len(tests)} tests pass with every guard in place; now without each one\n")
        bad = 0
        for guard, (word, why) in zip(guards, verdicts(copies, guards), strict=True):
            bad += word != "killed"
            print(f"{word:<11} {guard.invariant:>2}  {guard.guard}: {guard.what}", flush=True)
            if why:
                print(f"{'':<15} {why}", flush=True)
    spent_s = time.monotonic() - started
    print(f"\n{len(guards) - bad} of {len(guards)} guards killed in {spent_s:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
