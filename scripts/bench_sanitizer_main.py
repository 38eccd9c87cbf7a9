"""`make bench-sanitizer`: what the sanitizer hides, what it costs a reader, how fast it is.

Data made here, or your own: `--data FILE.jsonl`, a line each with `text` or
`context` and with `values` (what must go) or, for a text, `spans` (pairs of
offsets). Own data is never printed, only the number of the line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import bench_sanitizer_benign as benign_texts
import bench_sanitizer_measure as measure
import bench_sanitizer_report as report
from bench_sanitizer_cases import HELD_OUT, TUNING, Case, Set, cases
from bench_sanitizer_data import DataError, read
from bench_sanitizer_measure import Measure
from bench_sanitizer_report import Count, Tally, Target
from bench_sanitizer_speed import Speed, speed
from bench_sanitizer_useful import Answer, answers

HEADS: Final = ("tuning", "encoded", "held-out", "encoded", "over-masked")


class Failures(logging.Handler):
    """What failed inside the sanitizer: it then masks everything, which is no success here."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.counts: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.counts[message] = self.counts.get(message, 0) + 1


def main() -> int:
    """Measure and print. A missed target is told; with `--check` it fails."""
    chosen = _arguments()
    failures = Failures()
    log = logging.getLogger("countersign")
    log.addHandler(failures)
    log.propagate = False
    try:
        status = own_data(chosen.data) if chosen.data else made_data(chosen)
    except DataError as error:
        sys.exit(f"error: {error}")
    finally:
        log.removeHandler(failures)
        log.propagate = True
    if failures.counts:
        print("FAILURES inside the sanitizer. It then masks all, so the figures are too good:")
        for message, count in failures.counts.items():
            print(f"  {count} times: {message}")
        return 1
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what the sanitizer hides and costs.")
    parser.add_argument("--quick", action="store_true", help="some seconds, rough")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--markdown", action="store_true", help="tables for docs/sanitizer.md")
    parser.add_argument(
        "--examples", type=int, default=0, metavar="N",
        help="show N of each class of the tuning set that survives",
    )  # fmt: skip
    parser.add_argument("--entity", metavar="NAME", help="cases of this entity only")
    parser.add_argument("--no-speed", action="store_true", help="quality only")
    parser.add_argument("--data", type=Path, metavar="FILE.jsonl", help="your own data instead")
    return parser.parse_args()


def made_data(chosen: argparse.Namespace) -> int:
    """Everything, on the made-up sets."""
    begun = time.monotonic()
    asked = Measure()
    rounds = 2 if chosen.quick else 6
    show = _Examples(chosen.examples)
    tuning = _tally(asked, TUNING, rounds, chosen.entity, show.add)
    held_out = _tally(asked, HELD_OUT, rounds, chosen.entity, None)
    benign = _benign(asked, 40 if chosen.quick else 120, show.add_benign)
    useful = list(answers(asked.sanitizer))
    seen = None
    if not chosen.no_speed:
        logging.disable()  # hostile contexts are meant to be refused
        seen = speed(rounds=150 if chosen.quick else 600, looks=1 if chosen.quick else 3)
        logging.disable(logging.NOTSET)
    targets = report.quality_targets(held_out, benign[True]) + (
        report.speed_targets(seen) if seen else []
    )
    _print_targets(targets, asked, markdown=chosen.markdown)
    _print_classes(tuning, held_out, benign, markdown=chosen.markdown)
    _print_useful(useful, markdown=chosen.markdown)
    if seen:
        _print_speed(seen, markdown=chosen.markdown)
    show.print()
    missed = sum(not target.met for target in targets)
    total = sum(count.cases for each in (tuning, held_out) for count in each.counts.values())
    print(
        f"{total} cases in {time.monotonic() - begun:.0f} s;"
        f" {missed} of {len(targets)} targets missed"
    )
    return 1 if missed and chosen.check else 0


def _tally(
    asked: Measure,
    chosen: Set,
    rounds: int,
    entity: str | None,
    look: Callable[[Case, measure.Outcome], None] | None,
) -> Tally:
    tally = Tally()
    for case in cases(chosen, rounds=rounds):
        if entity not in {None, case.entity}:
            continue
        raw = measure.context(case.arguments, case.reason)
        around = "\x00".join(measure.texts(list(case.around)))
        outcome = asked.of(raw, {case.value: case.written}, around)
        tally.add(case, outcome)
        if look is not None and outcome.survives:
            look(case, outcome)
    return tally


def _benign(
    asked: Measure, count: int, look: Callable[[str, Any], None]
) -> dict[bool, dict[str, Count]]:
    """Characters masked where there is nothing to mask; held out or not, by corpus."""
    found: dict[bool, dict[str, Count]] = {False: {}, True: {}}
    for name, held_out, arguments in benign_texts.texts(count):
        raw = measure.context(arguments)
        shown = asked.leaving(raw)["record"].get("arguments")
        before, after = arguments, shown
        if name == "SQL":
            before, after = (
                {"sql": benign_texts.without_literals(str(each.get("sql")))}
                for each in (arguments, shown)
            )
        masked = measure.lost(before, after)
        total = found[held_out].setdefault(name, Count())
        total.cases += 1
        total.benign += measure.length(before)
        total.masked += masked
        if masked and not held_out:
            look(name, shown)
    return found


class _Examples:
    """Some cases of the tuning set of which something survives. Held-out data stay unseen."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: dict[str, dict[str, list[str]]] = {}
        self._benign: dict[str, dict[str, None]] = {}

    def add(self, case: Case, outcome: measure.Outcome) -> None:
        """One more that survives."""
        where = case.shape if case.encoding == "plain" else case.encoding
        places = ", ".join(outcome.survives)
        line = f"    {case.value!r} in {places}: {outcome.shown[:240]}"
        self._found.setdefault(case.entity, {}).setdefault(where, []).append(line)

    def add_benign(self, corpus: str, shown: Any) -> None:
        """A text in which there is nothing to mask and something was."""
        text = json.dumps(shown, ensure_ascii=False)
        self._benign.setdefault(corpus, {})[f"    {text[:240]}"] = None

    def print(self) -> None:
        """The rare ones first: what is found nowhere is long, and known from its row."""
        if not self._most:
            return
        print("What survives, tuning set")
        by_number = sorted(self._found.items(), key=lambda each: sum(map(len, each[1].values())))
        for entity, wheres in by_number:
            for where, lines in wheres.items():
                print(f"  {entity}, {where}: {len(lines)}", *lines[: self._most], sep="\n")
        print("What is masked for nothing, tuning half")
        for corpus, texts in self._benign.items():
            print(f"  {corpus}: {len(texts)}", *itertools.islice(texts, self._most), sep="\n")


def _print_targets(targets: list[Target], asked: Measure, *, markdown: bool) -> None:
    worst_first = sorted(targets, key=lambda target: target.met)
    rows = [
        (each.what, each.goal, each.seen, report.MET if each.met else report.MISSED)
        for each in worst_first
    ]
    print(f"{asked.sanitizer.ruleset}, Python {platform.python_version()}\n")
    print(report.table("Targets", ("held-out data", "goal", "seen", ""), rows, markdown=markdown))


def _print_classes(
    tuning: Tally, held_out: Tally, benign: dict[bool, dict[str, Count]], *, markdown: bool
) -> None:
    for index, name in enumerate(("entity", "shape", "encoding")):
        rows = report.by_class(tuning, held_out, index)
        heads: report.Row = (name, *HEADS)
        if name != "entity":  # an encoding is always encoded, a shape is shown plain
            at = (1, 3, 5) if name == "shape" else (2, 4, 5)
            rows = [(row[0], *(row[i] or row[i - 1] for i in at)) for row in rows]
            heads = (name, "tuning", "held-out", "over-masked")
        title = f"Recall by {name}, worst first"
        print(report.table(title, heads, rows, markdown=markdown))
    if not markdown:  # for who works on it; it changes with every rule
        heads = ("entity", "where", "recall", "cases")
        title = "Worst of what is found elsewhere, held-out"
        print(report.table(title, heads, report.worst_cells(held_out, 20), markdown=False))
    heads = ("corpus", "characters", "tuning", "held-out")
    title = "Benign texts: characters masked"
    rows = report.benign_rows(benign[False], benign[True])
    print(report.table(title, heads, rows, markdown=markdown))


def _print_useful(useful: list[Answer], *, markdown: bool) -> None:
    heads = ("question", "asked", "shown", "by tag", "missing", "where it is not shown")
    title = "Answered by the preview, examples of policies and documentation"
    print(report.table(title, heads, report.useful_rows(useful), markdown=markdown))


def _print_speed(seen: Speed, *, markdown: bool) -> None:
    slowest = sorted(seen.hostile_ms.items(), key=lambda item: -item[1])
    rows = [
        (
            f"{seen.document_bytes} bytes nested, detect + mask for people: best",
            f"{seen.best_ms:.2f}",
        ),
        ("the same, p50", f"{seen.p50_ms:.2f}"),
        ("the same, p95", f"{seen.p95_ms:.2f}"),
        ("detect + mask for the record, p50", f"{seen.record_p50_ms:.2f}"),
        ("1 MiB of rows", f"{seen.megabyte_ms:.0f}"),
        ("cold start, wall time", f"{seen.start_ms:.0f}"),
        *((f"64 KiB: {name}", f"{ms:.1f}") for name, ms in itertools.islice(slowest, 8)),
    ]
    print(report.table("CPU", ("what", "ms"), rows, markdown=markdown))


# --- data of one's own ---------------------------------------------------------


def own_data(path: Path) -> int:
    """Lines in which something survives; never the data itself."""
    asked = Measure()
    counts: dict[str, Count] = {}
    leaks: list[tuple[int, str, tuple[str, ...]]] = []
    for line in read(path):
        outcome = asked.of(
            line.context, dict(zip(line.values, line.values, strict=True)), line.around
        )
        counts.setdefault(line.entity, Count()).add(outcome)
        if outcome.survives:
            leaks.append((line.number, line.entity, outcome.survives))
    rows = _rows(counts)
    print(
        report.table(str(path), ("entity", "lines", "recall", "over-masked"), rows, markdown=False)
    )
    for number, entity, places in leaks:
        print(f"line {number} ({entity}): survives in {', '.join(places)}")
    return 1 if leaks else 0


def _rows(counts: dict[str, Count]) -> Iterator[tuple[str, ...]]:
    for name, count in sorted(counts.items(), key=lambda item: item[1].recall):
        yield name, str(count.cases), f"{count.recall:.3f}", f"{count.over:.1%}"


if __name__ == "__main__":
    raise SystemExit(main())
