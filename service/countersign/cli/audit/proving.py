"""`audit prove` and `audit check-proof`: one record, provable without the log."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from countersign.audit.contents import parse
from countersign.audit.note import Checkpoint, Note
from countersign.audit.plan import POINTER, checkpoint_name
from countersign.audit.prove import Proof, prove, record_at
from countersign.audit.seen import newest_cosigned
from countersign.audit.source import reader_of
from countersign.audit.trust import TrustedLog
from countersign.audit.verdict import Verdict
from countersign.cli import output
from countersign.cli.audit.chosen import (
    Given,
    KeyOption,
    Log,
    LogOption,
    TenantOption,
    TrustOption,
    read_file,
    write_file,
)
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.errors import ConfigurationError, LogError

app = typer.Typer()


@app.command("prove")
def prove_record(
    seq: Annotated[int, typer.Argument(help="The record's number.", min=0)],
    out: Annotated[Path | None, typer.Option(help="Write here; default: standard output.")] = None,
    with_record: Annotated[
        bool, typer.Option("--with-record", help="Carry the record in the proof.")
    ] = False,
    log: LogOption = None,
    key: KeyOption = "",
    trust: TrustOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Prove that one record is in the log: a small text that stands alone."""
    chosen = Given(log=log, key=key, trust=trust, tenant=tenant, config=config).choose()
    made = proof_of(seq, chosen, with_record=with_record).encode()
    if out is None:
        sys.stdout.write(made.decode())
    else:
        write_file("--out", out, made)
        print(f"Wrote {out}: {len(made)} bytes. Check it with `countersign audit check-proof`.")


def proof_of(seq: int, log: Log, *, with_record: bool, note: bytes | None = None) -> Proof:
    """A proof under a checkpoint, checked before anybody sees it; the newest if none is given."""
    source, keys = log.source, log.keys
    read = reader_of(source)
    note = note or head_of(log, seq)
    size = keys.open(note).size
    record = record_at(seq, size, read)
    made = prove(seq, note, read)
    made.verify(record, keys)
    return Proof(
        index=made.index, path=made.path, note=made.note, record=record if with_record else b""
    )


def head_of(log: Log, seq: int = 0) -> bytes:
    """The newest signed checkpoint; where witnesses are trusted, the newest they all cosigned.

    Not what the pointer shows alone: it may have been rolled back.
    """
    if log.witnesses:
        cosigned = newest_cosigned(log.source, log.keys, log.witnesses, seq)
        if cosigned is not None:
            return cosigned
    read = reader_of(log.source)
    sizes = log.source.inventory().checkpoints
    found: tuple[int, bytes] | None = None
    failed: LogError | None = None
    for name in (POINTER, *(checkpoint_name(size) for size in sizes[-1:])):
        note = read(name)
        try:
            size = log.keys.open(note).size if note is not None else -1
        except LogError as error:
            failed = error
            continue
        if note is not None and (found is None or size > found[0]):
            found = size, note
    if found is None:
        raise failed or LogError(
            "log.empty", "the log has no checkpoint", advice="Copy the log again."
        )
    return found[1]


@app.command("check-proof")
def check_proof(
    proof: Annotated[Path, typer.Argument(help="A proof, as `audit prove` writes it.")],
    record: Annotated[
        Path | None, typer.Option(help="The record's bytes; default: those in the proof.")
    ] = None,
    key: KeyOption = "",
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check a proof, offline. Exit code 0 proven, 1 not, 4 it holds no record."""
    if not key and trust is None:
        raise ConfigurationError(
            "audit.key_missing",
            "--trust, --key: a proof is checked with the log's key",
            advice="Get the key from a place that whoever sent the proof cannot change.",
        )
    data = read_file("PROOF", proof)
    given = Given(log=None, key=key, trust=trust)
    trusted = given.trusted_under(_claims(data))
    try:
        parsed = Proof.parse(data)
        body = read_file("--record", record).removesuffix(b"\n") if record else parsed.record
        if not body:
            print("UNKNOWN: the proof holds no record; name it with --record.")
            return Verdict.UNKNOWN.exit_code
        head = _verified(parsed, body, trusted)
    except LogError as error:
        print(f"NOT PROVEN: {output.safe(error.message)} [{error.code}]")
        return Verdict.TAMPERED.exit_code
    said = parse(body)
    if as_json:
        told = {"proven": True, "origin": head.origin, "size": head.size, "root": head.root.hex()}
        output.as_json({**told, "seq": parsed.index, "record": said})
    else:
        print(f"PROVEN: record {parsed.index} of {head.size} in {output.safe(head.origin)}")
        print(output.safe(json.dumps(said, indent=2, ensure_ascii=False)))
    return Verdict.WHOLE.exit_code


def _claims(data: bytes) -> str | None:
    """The origin that a proof names, unproven; None when it is no proof."""
    try:
        return Checkpoint.parse(Note.parse(Proof.parse(data).note).text).origin
    except LogError:
        return None


def _verified(proof: Proof, record: bytes, trusted: TrustedLog) -> Checkpoint:
    """The checkpoint that covers the record, cosigned as the trust file demands."""
    head = proof.verify(record, trusted.keys)
    for witness in trusted.witnesses:
        if witness.cosigned_s(Note.parse(proof.note)) is None:
            raise LogError(
                "log.signature_invalid", f"the witness {witness.name} did not cosign this"
            )
    said = parse(record) or {}
    if said.get("seq") != proof.index or said.get("log_id") != head.origin:
        raise LogError("log.proof_invalid", "the record names another place or log")
    return head
