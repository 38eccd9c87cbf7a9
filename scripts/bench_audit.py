"""What a large log costs an auditor: time to verify it, size and time of a proof.

The records of a real run again and again, numbered and dated onwards, planned as the
publisher plans them and written down without waiting for any disk. Part of
`make bench-audit`.
"""

from __future__ import annotations

import dataclasses
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign.audit.cosignature import WitnessSigner
from countersign.audit.directory import Directory
from countersign.audit.note import Note, Signer
from countersign.audit.plan import File, Publication, plan
from countersign.audit.prove import Proof, prove, record_at
from countersign.audit.publisher import PublisherSettings
from countersign.audit.source import reader_of
from countersign.audit.tiles import Tail
from countersign.audit.verify import verify
from countersign.canonical import encode
from countersign.model import SECOND_US, Instant, JsonObject, StoredRecord, rfc3339

ORIGIN: Final = "bench.local/default"
SIGNER: Final = Signer(name=ORIGIN, key=Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
WITNESS: Final = WitnessSigner(
    name="witness.example/w1", key=Ed25519PrivateKey.from_private_bytes(bytes([7] * 32))
)
CHECKER: Final = Path(__file__).resolve().parents[1] / "tools" / "check_proof.py"
MAX_PROOF_BYTES: Final = 1_500
_START_US: Final = 1_795_000_000 * SECOND_US
_PROVEN: Final = 200


def print_large(bodies: list[JsonObject], records: int) -> None:
    """Build a log of that many records, and measure."""
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "log"
        cpu = time.process_time()
        written = _write(log, bodies, records)
        cpu = time.process_time() - cpu
        print(f"{records:,} records, offline:")
        _print_size(written, records, cpu)
        _print_verified(log, records)
        _print_proofs(log, records, Path(place))


def _write(log: Path, bodies: list[JsonObject], records: int) -> dict[str, Counter[str]]:
    """Write the log; how many files of each kind, and their bytes."""
    written: dict[str, Counter[str]] = {"files": Counter(), "bytes": Counter()}
    tail = Tail()
    for batch in _batches(_records(bodies, records)):
        done: Publication = plan(tail, batch, SIGNER)
        tail = done.tail
        written["bytes"]["lines"] += sum(len(each.body) + 1 for each in batch)
        for file in (done.segment, *done.tiles, done.checkpoint, done.pointer):
            _put(log, file)
            kind = "pointer" if "/" not in file.name else file.name.partition("/")[0]
            written["files"][kind] += 1
            written["bytes"][kind] += len(file.data)
    pointer = log / "checkpoint"
    note = Note.parse(pointer.read_bytes())
    seen = WITNESS.cosign(note, (_START_US + records * SECOND_US) // SECOND_US)
    pointer.write_bytes(Note(text=note.text, signatures=(*note.signatures, seen)).encode())
    return written


def _put(log: Path, file: File) -> None:
    path = log / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.data)


def _records(bodies: list[JsonObject], records: int) -> Iterator[StoredRecord]:
    chance = random.Random(records)  # noqa: S311 - no secret
    for seq in range(records):
        moment = Instant(_START_US + seq * SECOND_US // 100)
        body = bodies[seq % len(bodies)]
        # What differs between any two records of real life, and is what does not compress.
        body |= {"decision": f"dec_{chance.randbytes(16).hex()}", "commitment": _hex(chance)}
        body |= {"seq": seq, "log_id": ORIGIN, "time": rfc3339(moment)}
        yield StoredRecord(seq=seq, body=encode(body), time=moment)


def _hex(chance: random.Random) -> str:
    return chance.randbytes(32).hex()


def _batches(records: Iterator[StoredRecord]) -> Iterator[list[StoredRecord]]:
    """Full segments, as a busy publisher takes them."""
    bounds, batch, size = PublisherSettings(), list[StoredRecord](), 0
    for record in records:
        size += len(record.body) + 1
        if batch and (len(batch) == bounds.max_segment_records or size > bounds.max_segment_bytes):
            yield batch
            batch, size = [], len(record.body) + 1
        batch.append(record)
    if batch:
        yield batch


def _print_size(written: dict[str, Counter[str]], records: int, cpu_s: float) -> None:
    files, sizes = written["files"], written["bytes"]
    puts = sum(files.values()) / records * 1e6
    locked = (files["records"] + files["checkpoints"]) / records * 1e6
    print(f"  {sizes['lines'] / records:.0f} bytes a record as JSON, in full segments")
    print(f"  {sizes['records'] / records:.0f} bytes a record compressed and locked")
    print(f"  {sizes['tile'] / records:.0f} bytes a record in tiles and entry bundles")
    print(f"  {puts:,.0f} PUT a million records, {locked:,.0f} of them locked")
    print(f"  written in {cpu_s / records * 1e6:.0f} µs CPU a record")


def _print_verified(log: Path, records: int) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    result = verify(log, str(SIGNER.verifier), witnesses=[WITNESS.public])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if not result.ok or result.size != records:
        sys.exit(f"bench: the log does not verify: {result.findings[:3]}")
    print(
        f"  verified in {cpu:.1f} s CPU ({wall:.1f} s), {cpu / records * 1e6:.0f} µs a record, "
        f"{records / cpu:,.0f} a second of CPU"
    )


def _print_proofs(log: Path, records: int, place: Path) -> None:
    read = reader_of(Directory(log))
    note = read("checkpoint") or b""
    places = [int(records * number / _PROVEN) for number in range(_PROVEN)]
    made: list[Proof] = []
    bodies: list[bytes] = []
    proving = _timed(lambda seq: made.append(prove(seq, note, read)), places)
    fetching = _timed(lambda seq: bodies.append(record_at(seq, records, read)), places)
    checking = _timed(lambda at: made[at].verify(bodies[at], SIGNER.verifier), range(_PROVEN))
    largest = max(len(each.encode()) for each in made)
    if largest > MAX_PROOF_BYTES:
        sys.exit(f"bench: a proof has {largest} bytes, more than {MAX_PROOF_BYTES}")
    print(f"  a proof with checkpoint and one witness: {largest} bytes at most")
    print(f"  made in {proving:.2f} ms, its record found in {fetching:.2f}, ", end="")
    print(f"checked in {checking:.2f} ms (CPU, p50)")
    carried = dataclasses.replace(made[_PROVEN // 2], record=bodies[_PROVEN // 2])
    (place / "one.proof").write_bytes(carried.encode())
    (place / "key").write_text(str(SIGNER.verifier))
    wall = time.perf_counter()
    command = [sys.executable, "-I", "-S", CHECKER, "--key", place / "key", place / "one.proof"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(
        f"  tools/check_proof.py: {(time.perf_counter() - wall) * 1e3:.0f} ms, Python's start too"
    )


def _timed(act: Callable[[int], Any], places: Any) -> float:
    """Milliseconds of CPU, the middle one."""
    took = []
    for at in places:
        cpu = time.process_time()
        act(at)
        took.append((time.process_time() - cpu) * 1e3)
    return statistics.median(took)


def main() -> int:
    """Alone, with the records of a log that is at hand: for a quick look."""
    bodies = [json.loads(line) for line in sys.stdin]
    print_large(bodies, int(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
