"""The agent of `make teams`: asks, answers questions, acts only with permission.

A process of its own with its own credential; tells the story one JSON line a step.
"""

from __future__ import annotations

import sys
from pathlib import Path

from demo_agent import export, export_context, refusal, tell

from countersign.client import Client, Outcome, ReviewState

ANSWER = "It is for the quarterly churn report. The file stays on this machine."


def main(credential: str, exports: str) -> None:
    """Ask once, and do what was decided."""
    target = Path(exports).absolute() / "customers.csv"
    context = export_context(target)
    with Client.from_credential(credential) as client:
        decision = client.check(context)
        tell("checked", effect=decision.effect.value)
        pending = decision.pending
        if pending is None:
            return
        status = client.wait(pending, on_question=lambda _: ANSWER)
        tell("decided", state=status.state.value)
        if status.state is not ReviewState.APPROVED:
            return
        grant = client.claim(pending, context)
        grant.require_fresh()
        rows = export(target)
        client.report(grant, Outcome.SUCCEEDED, {"rows": rows})
        tell("acted", file=str(target), rows=rows)
        tell("again", **refusal(lambda: client.claim(pending.review_id, context)))


if __name__ == "__main__":
    main(*sys.argv[1:])
