"""`audit reconcile`: claims against outcomes, and receipts against records."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from countersign.audit.promises import Promise, Standing
from countersign.audit.reading import read_records
from countersign.audit.reconcile import reconcile
from countersign.audit.verdict import Verdict
from countersign.cli import moments, output
from countersign.cli.audit.chosen import Given, KeyOption, LogOption, TenantOption, TrustOption
from countersign.cli.audit.receipts import Promises, ReceiptKeyOption, receipt_key_of
from countersign.cli.operator import ConfigOption, JsonOption

app = typer.Typer()
_Judged = list[tuple[str, Promise]]


@app.command("reconcile")
def reconcile_log(
    receipts: Annotated[
        Path | None,
        typer.Option(help="Receipts that somebody kept: a file of them, or a directory."),
    ] = None,
    receipt_key: ReceiptKeyOption = "",
    as_of: Annotated[
        str, typer.Option(metavar="TIME", help="When the log was copied; default: now.")
    ] = "",
    log: LogOption = None,
    key: KeyOption = "",
    trust: TrustOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Hold claims against outcomes, receipts against records.

    Exit code 0 all accounted for, 1 not, 3 only receipts that are not due yet.
    """
    given = Given(log=log, key=key, trust=trust, tenant=tenant, config=config)
    judged: _Judged = []
    if receipts is not None:
        now = datetime.now(UTC)
        at = moments.moment("--as-of", as_of, now=now).timestamp() if as_of else time.time()
        chosen = given.choose()
        promises = Promises(chosen, receipt_key_of(receipt_key, chosen), now_s=at)
        judged = list(promises.all_of(receipts))
    sums = reconcile(read_records(given.source()))
    broken = [each for each in judged if each[1].standing not in _FINE]
    code = _code(bool(sums.found or broken), judged)
    if as_json:
        output.as_json({**dataclasses.asdict(sums), "receipts": [_plain(*each) for each in judged]})
        return code
    count = len(sums.found) + len(broken)
    print(f"{'NOT RECONCILED' if count else 'RECONCILED'}: {count} exception(s)")
    output.field("claims", f"{sums.claims}, {sums.reported} reported, {sums.open} not due yet")
    output.field("allowed", f"{sums.allowed} at once, {sums.allowed_reported} reported")
    for item in sums.found:
        output.field("exception", f"{item.code}: record {item.seq}: {item.message} ({item.about})")
    if receipts is not None:
        _print_receipts(judged)
    print("As recorded: what was never logged is in the executors' own logs; `verify` proves.")
    return code


_FINE = frozenset({Standing.KEPT, Standing.PENDING})


def _code(exceptions: bool, judged: _Judged) -> int:
    if exceptions:
        return Verdict.TAMPERED.exit_code
    pending = any(promise.standing is Standing.PENDING for _, promise in judged)
    return (Verdict.INCOMPLETE if pending else Verdict.WHOLE).exit_code


def _print_receipts(judged: _Judged) -> None:
    sums = Counter(promise.standing for _, promise in judged)
    counts = ", ".join(f"{sums[standing]} {standing.value}" for standing in Standing)
    output.field("receipts", f"{len(judged)}: {counts}")
    for where, promise in judged:
        if promise.standing is not Standing.KEPT:
            said = f"{promise.standing.value}: {where}: {promise.message}"
            output.field("receipt", output.safe(said))


def _plain(where: str, promise: Promise) -> dict[str, object]:
    return {"file": where, **dataclasses.asdict(promise), "standing": promise.standing.value}
