"""`audit check-receipt`: whether what was promised is in the log; all of them for `reconcile`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from countersign.audit.merkle import leaf_hash
from countersign.audit.note import Verifier
from countersign.audit.promises import Promise, Standing, judge, split
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
from countersign.cli.audit.proving import head_of, proof_of
from countersign.cli.operator import ConfigOption
from countersign.errors import ConfigurationError, LogError

app = typer.Typer()

ReceiptKeyOption = Annotated[
    str,
    typer.Option(
        "--receipt-key", help="The key of receipts, or its file; default: the trust file's."
    ),
]
_WORDS: Final = {
    Standing.KEPT: ("KEPT", Verdict.WHOLE),
    Standing.OMITTED: ("BROKEN", Verdict.TAMPERED),
    Standing.PENDING: ("NOT YET", Verdict.INCOMPLETE),
    Standing.FORGED: ("FORGED", Verdict.TAMPERED),
    Standing.OTHER_LOG: ("OTHER LOG", Verdict.UNKNOWN),
}


@app.command("check-receipt")
def check_receipt(
    receipt: Annotated[Path, typer.Argument(help="A receipt, as a caller kept it.")],
    receipt_key: ReceiptKeyOption = "",
    log: LogOption = None,
    key: KeyOption = "",
    trust: TrustOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> int:
    """Check a promise. Exit code 0 kept, 1 broken or forged, 3 not due yet, 4 of another log."""
    chosen = Given(log=log, key=key, trust=trust, tenant=tenant, config=config).choose()
    judged = Promises(chosen, receipt_key_of(receipt_key, chosen), now_s=time.time())
    promise = judged.judge(read_file("RECEIPT", receipt))
    word, verdict = _WORDS[promise.standing]
    print(f"{word}: {output.safe(promise.message)}.")
    if promise.standing is Standing.OMITTED:
        print("Its signature fits: it proves that the log does not hold what was promised.")
    return verdict.exit_code


def receipt_key_of(given: str, log: Log) -> Verifier:
    """The key of receipts: as typed, or as the trust file says. Raises `ConfigurationError`."""
    found = key_of(given, "--receipt-key") if given else log.receipts
    if found is None:
        raise ConfigurationError(
            "audit.key_missing",
            "--receipt-key: receipts are signed with a key of their own",
            advice="`countersign keys show` and `Trust.GetKeys` tell it; give it here, or write "
            "it into the trust file: `countersign audit trust --receipt-key`.",
        )
    return found


class Promises:
    """Judges receipts against one log, under its newest checkpoint."""

    def __init__(self, log: Log, key: Verifier, *, now_s: float) -> None:
        self._log = log
        self._key = key
        self._now_s = now_s
        self._note = head_of(log)
        self._size = log.keys.open(self._note).size

    def judge(self, note: bytes) -> Promise:
        """Judge one receipt. Raises `LogError` when the log itself cannot prove what it holds."""
        return judge(note, self._key, self._size, self._leaf, now_s=self._now_s)

    def all_of(self, path: Path) -> Iterator[tuple[str, Promise]]:
        """The receipts of a file, or of all files of a directory, each with where it stands."""
        for file in _files(path):
            for number, note in enumerate(split(read_file("--receipts", file)), 1):
                yield f"{file.name}:{number}", self.judge(note)

    def _leaf(self, seq: int) -> bytes:
        try:
            proof = proof_of(seq, self._log, with_record=True, note=self._note)
        except LogError as error:
            raise LogError(
                error.code,
                f"record {seq} cannot be proven: {error.message}",
                advice="Run `countersign audit verify` first: it names what is wrong.",
            ) from None
        return leaf_hash(proof.record)


def _files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        with os.scandir(path) as entries:
            names = sorted(each.name for each in entries if each.is_file(follow_symlinks=False))
    except OSError as error:
        raise ConfigurationError(
            "audit.unreadable",
            f"--receipts: {path}: {error.strerror}",
            advice="Name a file of receipts, or a directory of such files.",
        ) from None
    if not names:
        # Where nothing was judged, nothing may look as if it added up.
        raise ConfigurationError(
            "audit.no_receipts",
            f"--receipts: {path}: there is no file in it",
            advice="Name the directory that holds the receipts themselves; it is not searched "
            "below.",
        )
    return [path / name for name in names]
