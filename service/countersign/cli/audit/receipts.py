"""`audit check-receipt`: whether what was promised is in the log."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from countersign.audit.merkle import leaf_hash
from countersign.audit.note import Verifier
from countersign.audit.receipt import Receipt
from countersign.audit.verdict import Verdict
from countersign.cli import output
from countersign.cli.audit.chosen import (
    Given,
    KeyOption,
    Log,
    LogOption,
    TenantOption,
    TrustOption,
    key_of,
    read_file,
)
from countersign.cli.audit.proving import proof_of
from countersign.cli.operator import ConfigOption
from countersign.errors import LogError

app = typer.Typer()


@app.command("check-receipt")
def check_receipt(
    receipt: Annotated[Path, typer.Argument(help="A receipt, as a caller kept it.")],
    receipt_key: Annotated[
        str, typer.Option("--receipt-key", help="The key of receipts, or a file holding it.")
    ],
    log: LogOption = None,
    key: KeyOption = "",
    trust: TrustOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> int:
    """Check a promise. Exit code 0 kept, 1 broken, 3 its time is not over yet."""
    promise = _opened(receipt, key_of(receipt_key))
    chosen = Given(log=log, key=key, trust=trust, tenant=tenant, config=config).choose()
    found = _judged(promise, chosen, now_s=time.time())
    by = datetime.fromtimestamp(promise.include_by_s, UTC)
    words = {
        Verdict.WHOLE: f"KEPT: record {promise.seq} is in the log, as it was promised.",
        Verdict.TAMPERED: f"BROKEN: record {promise.seq} was promised by {by:%Y-%m-%d %H:%M:%S} "
        "UTC and is not in the log. The receipt proves it: its signature fits.",
        Verdict.INCOMPLETE: f"NOT YET: record {promise.seq} is promised by "
        f"{by:%Y-%m-%d %H:%M:%S} UTC and is not published yet.",
    }
    print(words[found])
    return found.exit_code


def _opened(path: Path, verifier: Verifier) -> Receipt:
    return Receipt.open(read_file("RECEIPT", path), verifier)


def _judged(promise: Receipt, chosen: Log, *, now_s: float) -> Verdict:
    if promise.log_id != chosen.keys.name:
        raise LogError(
            "log.receipt_invalid",
            f"the receipt is of {output.safe(promise.log_id)}, the log is another",
            advice="Name the log that the receipt is of.",
        )
    try:
        proof = proof_of(promise.seq, chosen, with_record=True)
    except LogError as error:
        if error.code not in {"log.not_included", "log.empty"}:
            raise
        return Verdict.TAMPERED if now_s > promise.include_by_s else Verdict.INCOMPLETE
    same = leaf_hash(proof.record) == promise.leaf_hash
    return Verdict.WHOLE if same else Verdict.TAMPERED
