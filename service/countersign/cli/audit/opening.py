"""`audit open`: whether *this* is what was approved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from countersign.audit.commitments import opens, salt_of
from countersign.audit.contents import parse
from countersign.audit.story import tell
from countersign.audit.verdict import Verdict
from countersign.cli import output
from countersign.cli.audit.chosen import (
    Given,
    KeyOption,
    LogOption,
    TenantOption,
    TrustOption,
    read_file,
)
from countersign.cli.audit.proving import proof_of
from countersign.cli.context_file import read_context
from countersign.cli.operator import ConfigOption, JsonOption

app = typer.Typer()

_ANSWERS: Final = {
    True: ("YES", "this context, with this salt, is what the record commits to", Verdict.WHOLE),
    False: ("NO", "it commits to another context, or the salt is another", Verdict.TAMPERED),
    None: ("UNKNOWN", "the record commits to no context", Verdict.UNKNOWN),
}


@app.command("open")
def open_commitment(
    seq: Annotated[int, typer.Option(help="The record's number.", min=0)],
    context: Annotated[Path, typer.Option(help="The context you were shown, a JSON file.")],
    salt: Annotated[
        str, typer.Option(help="Its salt in hex, or a file with it, such as of `check --save`.")
    ],
    log: LogOption = None,
    key: KeyOption = "",
    trust: TrustOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Was this what was approved? Exit code 0 yes, 1 no, 4 the record commits to nothing."""
    chosen = Given(log=log, key=key, trust=trust, tenant=tenant, config=config).choose()
    given = read_file("--salt", Path(salt)) if Path(salt).is_file() else salt.encode()
    wanted, salt_bytes = read_context(context), salt_of(given)
    proof = proof_of(seq, chosen, with_record=True)
    record = parse(proof.record) or {}
    found = opens(record, wanted.canonical_bytes, salt_bytes)
    word, what, verdict = _ANSWERS[found]
    told = tell(record)
    if as_json:
        output.as_json({"opens": found, "seq": seq, "record": record})
    else:
        print(f"{word}: {what}")
        output.field("record", f"{seq}, {told.kind}, {told.time}; proven to be in the log")
        output.field("says", told.title)
        for label, value in told.facts:
            output.field(label, value)
    return verdict.exit_code
