"""What somebody may do to a log: each attack, at any place, and who may do it.

The log has 315 records in three segments, with a policy bundle (named by record 0)
and two large clean contexts (records 4 and 312) beside it. `test_audit_matrix` and
`test_audit_matrix_s3` tell what must be said of each attack.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_world import LOG_ID, SIGNER, START_US, MemorySource, publish, record
from countersign.audit.merkle import Frontier, leaf_hash
from countersign.audit.note import Checkpoint, Note, Signer, sign
from countersign.audit.plan import compress, decompress
from countersign.audit.tiles import decode_entries, encode_entries
from typed import Typed

MALLORY = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
SIZES = (10, 310, 315)
TILES = ("tile/0/000", "tile/0/001.p/59", "tile/1/000.p/1")
BUNDLES = ("tile/entries/000", "tile/entries/001.p/59")
BUNDLE, FIRST, LAST = b"a policy bundle", b"a large context", b"another large context"
OBJECTS = {hashlib.sha256(data).hexdigest(): data for data in (BUNDLE, FIRST, LAST)}
_BUNDLE, _FIRST, _LAST = OBJECTS
_NAMES = {
    0: {"kind": "policy.changed", "change": {"revision": "r1", "bundle": _BUNDLE}},
    4: {"clean": {"object": _FIRST}},
    312: {"clean": {"object": _LAST}},
}


def rows(*, start_us: int = START_US, late: int = -1, **more: object) -> list[object]:
    """The records; `late` is one that is dated an hour before the one before it."""
    return [
        record(
            seq,
            start_us=start_us - (3_600_000_000 if seq == late else 0),
            **{**more, **_NAMES.get(seq, {})},
        )
        for seq in range(SIZES[-1])
    ]


def published(root: Path, records: list[object], signer: Signer = SIGNER) -> Path:
    """Those records as a log's directory, in three segments."""
    source = MemorySource()
    source.kept = dict(OBJECTS)
    for size in SIZES:
        source.rows = records[:size]
        directory: Path = asyncio.run(publish(source, root, signer=signer))
    return directory


def short(name: str) -> str:
    """A file's name without zeros and hours."""
    name = re.sub(r"records/.*/0*(\d+)-0*(\d+)\.jsonl\.gz", r"\1-\2", name)
    return re.sub(r"checkpoints/0*(\d+)", r"checkpoints/\1", name)


def said(done: Typed) -> set[tuple[str, int | None, str]]:
    """The findings of a `verify --json`: code, record, file."""
    assert "Traceback" not in done.err
    return {
        (found["code"], found["seq"], short(found["file"])) for found in done.json()["findings"]
    }


# --- places -----------------------------------------------------------------------------


def segment(log: Path, number: int) -> Path:
    return sorted(log.glob("records/*/*/*.gz"), key=lambda path: path.name)[number]


def segment_of(log: Path, seq: int) -> tuple[Path, int]:
    """The segment that holds a record, and at which line."""
    number = next(number for number, size in enumerate(SIZES) if seq < size)
    return segment(log, number), seq - (0, *SIZES)[number]


def lines_of(path: Path) -> list[bytes]:
    return decompress(path.read_bytes(), 1 << 24).split(b"\n")[:-1]


def put(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(compress(b"".join(line + b"\n" for line in lines)))


def root_of(records: list[object]) -> bytes:
    return Frontier().extend([leaf_hash(row.body) for row in records]).root()


def signed(size: int, root: bytes, signer: Signer = SIGNER) -> bytes:
    return sign(Checkpoint(origin=LOG_ID, size=size, root=root).text(), [signer]).encode()


# --- on records ---------------------------------------------------------------------------


Attack = Callable[[Path], object]


def on_lines(seq: int, change: Callable[[list[bytes], int], None]) -> Attack:
    def attack(log: Path) -> None:
        path, at = segment_of(log, seq)
        lines = lines_of(path)
        change(lines, at)
        put(path, lines)

    return attack


def edited(line: bytes) -> bytes:
    return line.replace(b'"tenant":"acme"', b'"tenant":"acne"')


def flip_record(seq: int) -> Attack:
    def change(lines: list[bytes], at: int) -> None:
        lines[at] = edited(lines[at])

    return on_lines(seq, change)


def drop_record(seq: int) -> Attack:
    return on_lines(seq, lambda lines, at: lines.pop(at))


def duplicate_record(seq: int) -> Attack:
    return on_lines(seq, lambda lines, at: lines.insert(at, lines[at]))


def swap_records(seq: int, other: int) -> Attack:
    def change(lines: list[bytes], at: int) -> None:
        to = at + other - seq
        lines[at], lines[to] = lines[to], lines[at]

    return on_lines(seq, change)


def edit_along(seq: int, *, tile: bool = False, bundle: bool = False) -> Attack:
    """The record edited, and what the tools of others read edited to match."""

    def attack(log: Path) -> None:
        path, at = segment_of(log, seq)
        new = edited(lines_of(path)[at])
        flip_record(seq)(log)
        if tile:
            name = log / "tile/0/000"
            data = name.read_bytes()
            name.write_bytes(data[: seq * 32] + leaf_hash(new) + data[seq * 32 + 32 :])
        if bundle:
            name = log / "tile/entries/000"
            entries = list(decode_entries(name.read_bytes()))
            name.write_bytes(encode_entries([*entries[:seq], new, *entries[seq + 1 :]]))

    return attack


# --- on files -----------------------------------------------------------------------------


def on_file(name: str | int, change: Callable[[bytes], bytes]) -> Attack:
    """Change a file by its name, or a segment by its number."""

    def attack(log: Path) -> None:
        path = log / name if isinstance(name, str) else segment(log, name)
        path.write_bytes(change(path.read_bytes()))

    return attack


def flip(name: str | int, at: int = -20) -> Attack:
    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[at] ^= 1
        return bytes(changed)

    return on_file(name, change)


def truncate(name: str | int) -> Attack:
    return on_file(name, lambda data: data[: len(data) // 2])


def drop(name: str | int) -> Attack:
    return lambda log: (log / name if isinstance(name, str) else segment(log, name)).unlink()


def swap(name: str | int, other: str | int) -> Attack:
    def attack(log: Path) -> None:
        paths = [
            log / each if isinstance(each, str) else segment(log, each) for each in (name, other)
        ]
        one, two = (path.read_bytes() for path in paths)
        paths[0].write_bytes(two)
        paths[1].write_bytes(one)

    return attack


def copy_to(name: str | int, to: str) -> Attack:
    def attack(log: Path) -> None:
        path = log / name if isinstance(name, str) else segment(log, name)
        target = log / to / path.name if isinstance(name, int) else log / to
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)

    return attack


# --- by whoever has a key -----------------------------------------------------------------


def write(name: str, data: Callable[[], bytes]) -> Attack:
    return lambda log: (log / name).write_bytes(data())


def resign(*names: str) -> Attack:
    """The same heads under another key of the same name; all of them if none is named."""

    def attack(log: Path) -> None:
        paths = [log / name for name in names] or [log / "checkpoint", *log.glob("checkpoints/*")]
        for path in paths:
            path.write_bytes(sign(Note.parse(path.read_bytes()).text, [MALLORY]).encode())

    return attack


def remade(signer: Signer = SIGNER, **more: object) -> Attack:
    """Another history in place of this one, tiles and heads and all, signed by that key."""

    def attack(log: Path) -> None:
        other = published(log.parent / "remade", rows(**more), signer)
        shutil.rmtree(log)
        other.rename(log)

    return attack


def roll_back(log: Path) -> None:
    """The last segment and its head gone, the pointer on the head before: a careful one."""
    segment(log, 2).unlink()
    (log / f"checkpoints/{315:020}").unlink()
    shutil.copy(log / f"checkpoints/{310:020}", log / "checkpoint")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One attack at one place."""

    attack: str
    place: str
    do: Attack
    names: frozenset[tuple[str, int | None, str]]
    """Each finding: code, record, and the file in short."""
    code: int = 1

    @property
    def id(self) -> str:
        return f"{self.attack}: {self.place}".replace(" ", "-")
