"""`audit evidence`: a folder that an assessor can check without us."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from countersign.audit.contents import MAX_DELAY_S
from countersign.audit.controls import chosen as controls_of
from countersign.audit.criteria import Criteria
from countersign.audit.evidence import MAX_SAMPLE, Evidence, Rows, gather
from countersign.audit.plan import POINTER
from countersign.audit.reading import Covered
from countersign.audit.report import Pack, render
from countersign.audit.result import Result
from countersign.audit.source import reader_of
from countersign.audit.trust import Trust, TrustedLog
from countersign.audit.verdict import line, verdict
from countersign.audit.verify import verify
from countersign.cli.audit.chosen import (
    DelayOption,
    Given,
    KeyOption,
    Log,
    LogOption,
    TenantOption,
    TrustOption,
    examined,
    read_file,
)
from countersign.cli.audit.finding import FromOption, ToOption, past
from countersign.cli.audit.proving import proof_of
from countersign.cli.audit.verifying import plain, progress_bar
from countersign.cli.operator import ConfigOption
from countersign.errors import ConfigurationError, LogError

app = typer.Typer()


@app.command()
def evidence(
    out: Annotated[Path, typer.Option(help="The new folder.")],
    since: FromOption = "",
    until: ToOption = "",
    controls: Annotated[str, typer.Option(help="Tables to add: soc2, fedramp.")] = "soc2,fedramp",
    sample: Annotated[
        int, typer.Option(help="How many acts to prove.", min=0, max=MAX_SAMPLE)
    ] = 25,
    seed: Annotated[
        str, typer.Option(help="Your own word, told to nobody before; default: the log's root.")
    ] = "",
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint you kept: finds truncation and forks.")
    ] = None,
    max_delay_s: DelayOption = MAX_DELAY_S,
    log: LogOption = None,
    key: KeyOption = "",
    trust: TrustOption = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> int:
    """Verify, count, sample and prove, into a folder with a report. Exit codes as `verify`."""
    frameworks = controls_of([name.strip() for name in controls.split(",")])
    chosen = Given(log=log, key=key, trust=trust, tenant=tenant, config=config).choose()
    period = Criteria(since=past("--from", since), until=past("--to", until, end_of_day=True))
    kept = read_file("--checkpoint", checkpoint) if checkpoint else None
    with progress_bar() as progress:
        result = verify(
            chosen.source,
            chosen.keys,
            checkpoint=kept,
            store=chosen.store,
            witnesses=chosen.witnesses,
            progress=progress,
            max_delay_s=max_delay_s,
        )
    result = examined(result, chosen.source)
    # What no checkpoint covers is not verified, and no part of the population.
    covered = Covered(chosen.source, result.size)
    found = gather(covered, period, seed=seed or result.root.hex(), size=sample)
    if result.ok and covered.root() != result.root:
        raise LogError(
            "log.changed",
            "the log changed while it was read",
            advice="Make a copy that nobody writes to, and try again.",
        )
    folder = _new_folder(out)
    trusted = TrustedLog(
        verifier=chosen.keys.current, retired=chosen.keys.retired, witnesses=chosen.witnesses
    )
    proofs = dict(_proofs(folder, found, chosen))
    pack = Pack(trusted=trusted, result=result, evidence=found, controls=frameworks, proofs=proofs)
    _write(folder, pack, reader_of(chosen.source)(POINTER) or b"")
    print(f"Wrote {out}: {found.records} record(s) of the period, {len(proofs)} proof(s).")
    print(line(result))
    return verdict(result).exit_code


def _new_folder(path: Path) -> Path:
    try:
        path.mkdir()
        (path / "sample").mkdir()
    except OSError as error:
        raise ConfigurationError(
            "audit.unwritable",
            f"--out: {path}: {error.strerror}",
            advice="Name a new folder in a directory that this user may write.",
        ) from None
    return path


def _proofs(folder: Path, found: Evidence, log: Log) -> Iterator[tuple[int, str]]:
    """A proof for each sampled record; what cannot be proven stays without."""
    for row in found.sample:
        seq = row["seq"]
        if not isinstance(seq, int):
            continue
        try:
            proof = proof_of(seq, log, with_record=True)
        except LogError:
            continue
        (folder / "sample" / f"{seq}.proof").write_bytes(proof.encode())
        yield seq, hashlib.sha256(proof.record).hexdigest()


def _write(folder: Path, pack: Pack, checkpoint: bytes) -> None:
    found = pack.evidence
    (folder / "report.html").write_text(render(pack), encoding="utf-8")
    (folder / "trust.toml").write_text(Trust(logs=(pack.trusted,)).encode(), encoding="utf-8")
    (folder / "checkpoint").write_bytes(checkpoint)
    _json(folder / "verification.json", plain(pack.result))
    _json(folder / "population.json", _population(pack.result, found))
    _json(folder / "reconciliation.json", dataclasses.asdict(found.reconciliation))
    for name in ("refused", "changes", "emergencies"):
        _jsonl(folder / f"{name}.jsonl", getattr(found, name))
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def _population(result: Result, found: Evidence) -> dict[str, object]:
    return {
        "origin": result.origin,
        "tree_size": result.size,
        "root": result.root.hex(),
        "from": found.since,
        "to": found.until,
        "records": found.records,
        "first": (found.first or {}).get("seq"),
        "last": (found.last or {}).get("seq"),
        "gapless": found.gapless,
        "kinds": dict(sorted(found.kinds.items())),
        "effects": dict(sorted(found.effects.items())),
        "policy_revisions": dict(sorted(found.revisions.items())),
        "reviewers": dict(sorted(found.reviewers.items())),
        "assurances": dict(sorted(found.assurances.items())),
        "unauthenticated_calls": dict(sorted(found.unauthenticated.items())),
        "refused_calls": dict(sorted(found.refused_calls.items())),
        "longest_silence_s": found.longest_silence_s,
        "refused": found.refused.count,
        "changes": found.changes.count,
        "emergencies": found.emergencies.count,
        "acts": found.acts,
        "seed": found.seed,
        "sample": [row["seq"] for row in found.sample],
        "permit_keys": sorted(found.permit_keys),
    }


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows.kept), encoding="utf-8")
