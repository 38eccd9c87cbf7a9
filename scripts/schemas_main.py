"""Writes what is generated from the types of policy's input and answer; see `scripts/schemas`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from countersign.policy import schema
from countersign.workbench import reference

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    return {
        ROOT / "rego" / "schemas" / "input.json": schema.text(schema.question()),
        ROOT / "docs" / "reference" / "policy-decision.schema.json": schema.text(schema.decision()),
        ROOT / "docs" / "reference" / "policy-schema.md": reference.page(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/schemas", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    check = parser.parse_args().check
    stale = [
        (path, text)
        for path, text in generated().items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]
    for path, text in stale:
        if check:
            print(f"error: {path.relative_to(ROOT)} is not what the code says", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    if check and stale:
        print("run `make schemas` and commit", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
