"""`make fuzz`: look for inputs that crash, that get a planted value out, or that cost too much.

Guided by coverage with atheris, or where that cannot be had with hypothesis.
Each target runs in a process of its own. What is found is kept beside the
corpus and told; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

TARGETS: Final = {
    "sql": ("fuzz_lexers", "statements"),
    "shell": ("fuzz_lexers", "commands"),
    "settings": ("fuzz_lexers", "settings"),
    "readings": ("fuzz_lexers", "readings"),
    "names": ("fuzz_lexers", "people"),
    "anything": ("fuzz_planted", "anything"),
    "planted": ("fuzz_planted", "planted"),
    "in-text": ("fuzz_planted", "in_text"),
    "json": ("fuzz_decoders", "strict_json"),
    "request": ("fuzz_decoders", "request"),
    "policy": ("fuzz_decoders", "policy_answer"),
    "token": ("fuzz_decoders", "token"),
    "key-set": ("fuzz_decoders", "key_set"),
    "rules": ("fuzz_decoders", "rules"),
}
GROWTH: Final = "growth"
MAX_BYTES: Final = 2_000
HANGS_AFTER_S: Final = 20
_DONE: Final = re.compile(r"Done (\d+) runs|(\d+) runs by hypothesis")
_PROGRESS: Final = re.compile(r"#\d+\s|INFO: |MS: |0x|NEW_FUNC|\s*$")
"""What libFuzzer says on its way."""
_MOST_LINES: Final = 60
_STAT: Final = re.compile(r"^#(\d+)\s", re.MULTILINE)


def main() -> int:
    """Run the targets one after the other and tell what came of each."""
    chosen = _arguments()
    if chosen.run:
        return _run(chosen)
    guided = importlib.util.find_spec("atheris") is not None
    print("guided by coverage (atheris)" if guided else "no atheris here: hypothesis, not guided")
    failed = [name for name in chosen.targets if not _told(name, chosen)]
    print(f"{len(failed)} of {len(chosen.targets)} targets found something", *failed)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Look for inputs that break what reads them.")
    known = (*TARGETS, GROWTH)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(known)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=0, help="0: another each time")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="kept there (.fuzz)")
    parser.add_argument("--again", type=Path, metavar="FILE", help="only what was found there")
    parser.add_argument("--run", metavar="TARGET", choices=known, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.targets = chosen.targets or list(known)
    for name in chosen.targets:
        if name not in known:
            parser.error(f"there is no target {name}")
    chosen.seed = chosen.seed or time.time_ns() % 2**31
    return chosen


def _told(name: str, chosen: argparse.Namespace) -> bool:
    """Run one target in a process of its own; whether it found nothing."""
    command = [sys.executable, __file__, "--run", name, "--seconds", str(chosen.seconds)]
    command += ["--seed", str(chosen.seed), "--corpus", str(chosen.corpus)]
    command += ["--again", str(chosen.again)] if chosen.again else []
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    said = done.stdout + done.stderr
    runs = _DONE.search(said)
    counted = next(filter(None, runs.groups())) if runs else (_STAT.findall(said) or ["1"])[-1]
    took = time.monotonic() - begun
    print(
        f"{name:10} {counted:>9} runs {took:5.0f} s", "FOUND" if done.returncode else "", flush=True
    )
    told = [line for line in said.splitlines() if not _PROGRESS.match(line)]
    if done.returncode or name == GROWTH:
        print(*told[-_MOST_LINES:], sep="\n", flush=True)
    return done.returncode == 0


# --- in the process of a target ---------------------------------------------------


def _run(chosen: argparse.Namespace) -> int:
    """One target, until the time is up or something is found."""
    if chosen.run == GROWTH:
        return _grow(chosen)
    try:
        import atheris  # noqa: PLC0415 - where there is one
    except ImportError:
        return _by_hypothesis(_target(chosen.run), chosen)
    with atheris.instrument_imports(include=["countersign"]):
        target = _target(chosen.run)
    place = chosen.corpus / chosen.run
    place.mkdir(parents=True, exist_ok=True)
    found = chosen.corpus / f"found-{chosen.run}-"
    options = [f"-max_total_time={chosen.seconds}", f"-max_len={MAX_BYTES}", f"-seed={chosen.seed}"]
    options += ["-len_control=0"]  # a few bytes choose too little
    options += [f"-artifact_prefix={found}", f"-timeout={HANGS_AFTER_S}", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *options, str(chosen.again or place)], target)
    atheris.Fuzz()  # ends the process
    return 0


def _target(name: str) -> Callable[[bytes], None]:
    module, function = TARGETS[name]
    found: Callable[[bytes], None] = getattr(importlib.import_module(module), function)
    return found


def _by_hypothesis(target: Callable[[bytes], None], chosen: argparse.Namespace) -> int:
    """The same without guidance: many examples, and the smallest that fails."""
    import hypothesis  # noqa: PLC0415 - not where atheris is
    from hypothesis import strategies as st  # noqa: PLC0415

    if chosen.again:
        target(chosen.again.read_bytes())
        return 0
    ends_at = time.monotonic() + chosen.seconds
    runs = 0

    def one(data: bytes) -> None:
        nonlocal runs
        runs += 1
        target(data)

    while time.monotonic() < ends_at:
        quiet: dict[str, Any] = {"deadline": None, "database": None, "max_examples": 500}
        quiet["suppress_health_check"] = list(hypothesis.HealthCheck)
        drawn = hypothesis.given(data=st.binary(max_size=MAX_BYTES))(one)
        hypothesis.seed(chosen.seed + runs)(hypothesis.settings(**quiet)(drawn))()
    print(f"{runs} runs by hypothesis")
    return 0


def _grow(chosen: argparse.Namespace) -> int:
    import fuzz_growth  # noqa: PLC0415 - what it imports is not instrumented

    logging.disable()  # most of it is meant to be refused
    seen = fuzz_growth.search(chosen.seconds, chosen.seed)
    print(f"Done {seen.tried} runs\nsteepest: {seen.worst_ratio:.1f} times for {fuzz_growth.TIMES}")
    print(f"  {seen.worst_shape}\nslowest: {seen.slowest_s * 1000:.0f} ms\n  {seen.slowest_shape}")
    for shape, took in seen.found.items():
        print(f"too much: {took} {shape}")
    return 1 if seen.found else 0


if __name__ == "__main__":
    raise SystemExit(main())
