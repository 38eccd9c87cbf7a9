"""How often impact analysis is right, and how often it says *depends* for nothing.

    python scripts/impact_accuracy.py [--decisions 12] [--contexts 300] [--seed one] [EDIT …]

Contexts with planted personal data and secrets go through the real flow, sanitizer
and OPA; each edited policy is then judged from the records alone, and by brute
force over the raw input and over values drawn in place of what is masked. Prints a
line an edit, and the sum. Exit code 1 when a *same* or *changed* was wrong, or
*depends* exceeded brute force by more than a tenth of the decisions.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import realparts  # noqa: E402
from countersign.policy.sources.directory import snapshot  # noqa: E402
from impact_brute import Score  # noqa: E402
from impact_edits import EDITS  # noqa: E402
from impact_trial import tried  # noqa: E402
from impact_world import past  # noqa: E402

MAX_EXCESS = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--decisions", type=int, default=12, help="judged with each edit")
    parser.add_argument("--contexts", type=int, default=300, help="sent before that")
    parser.add_argument("--seed", default="one")
    parser.add_argument("edits", nargs="*", choices=[*EDITS, []], help="default: all")
    given = parser.parse_args()
    gc.disable()  # traces are trees
    total = asyncio.run(_measured(given))
    print(f"\n{total}")
    excess = len(total.needless) / max(total.decisions, 1)
    return 1 if total.wrong or excess > MAX_EXCESS else 0


async def _measured(given: argparse.Namespace) -> Score:
    opa, rego = realparts.opa(), ROOT / "rego"
    with tempfile.TemporaryDirectory() as home:
        made = await past(Path(home), opa, rego, count=given.contexts, seed=given.seed)
    total, files = Score(), dict(snapshot(rego).files)
    for name in given.edits or EDITS:
        began = time.perf_counter()
        score = await tried(opa, files, name, made, count=given.decisions, seed=given.seed)
        print(f"{name:<32} {time.perf_counter() - began:6.1f} s  {score}", flush=True)
        for each in score.wrong:
            print(f"  WRONG     {each}")
        for each in score.needless:
            print(f"  needless  {each}")
        total.add(score)
    return total


if __name__ == "__main__":
    sys.exit(main())
