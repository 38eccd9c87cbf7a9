"""Commands typed in this process, through the whole command line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import sys
from typing import Any

from countersign.cli.root import run


@dataclasses.dataclass(frozen=True)
class Typed:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def types(*words: object) -> Typed:
    """Type `countersign` and these words."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["countersign", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = run()
            except SystemExit as ended:
                code = int(ended.code or 0)
    finally:
        sys.argv = before
    return Typed(code=code, out=out.getvalue(), err=err.getvalue())
