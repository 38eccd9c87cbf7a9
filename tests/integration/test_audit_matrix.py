"""What the verifier says of each attack, at each place: the matrix of docs/auditing.md.

From a copy that was moved elsewhere, and a trust file. Each row gives every finding, so
that a vague or a wrong one fails too. `test_audit_matrix_s3` is the same on a live bucket.
"""

import shutil

import pytest

from audit_attacks import (
    BUNDLES,
    MALLORY,
    OBJECTS,
    SIZES,
    TILES,
    Row,
    copy_to,
    drop,
    drop_record,
    duplicate_record,
    edit_along,
    flip,
    flip_record,
    published,
    remade,
    resign,
    roll_back,
    rows,
    said,
    signed,
    swap,
    swap_records,
    truncate,
    write,
)
from audit_world import VKEY
from typed import types

SPANS = ("0-9", "10-309", "310-314")
NAMED = dict(zip(OBJECTS, (0, 4, 312), strict=True))
"""Objects (the policy bundle, two large contexts) and the record that names each."""
RECORDS = ((0, "0-9"), (150, "10-309"), (314, "310-314"))


def head(size):
    return f"checkpoints/{size:020}"


def row(attack, place, do, *names, code=1):
    return Row(attack=attack, place=place, do=do, names=frozenset(names), code=code)


def on_records():
    for seq, span in RECORDS:
        place = f"record {seq}"
        yield row("flip", place, flip_record(seq), ("record.edited", seq, span))
        yield row("drop", place, drop_record(seq), ("record.missing", seq, span))
        yield row("duplicate", place, duplicate_record(seq), ("record.duplicated", seq, span))
    for one, other, span in ((0, 9, "0-9"), (100, 200, "10-309"), (310, 314, "310-314")):
        moved = [("record.reordered", seq, span) for seq in (one, other)]
        yield row("swap", f"records {one} and {other}", swap_records(one, other), *moved)
    yield row(
        "swap", "records 0 and 1", swap_records(0, 1), ("record.reordered", 1, "0-9")
    )  # which of two neighbours moved nobody can say


def on_segments():
    for number, span in enumerate(SPANS):
        first = int(span.partition("-")[0])
        place = f"segment {span}"
        bad = ("segment.unreadable", first, span)
        gone = ("log.truncated" if number == 2 else "segment.missing", first, "")
        again = copy_to(number, "records/dt=2026-11-19/hour=00")
        yield row("flip", place, flip(number), bad)
        yield row("truncate", place, truncate(number), bad)
        yield row("drop", place, drop(number), gone, code=3)
        yield row("duplicate", place, again, ("segment.overlap", first, span))
    for number, first, span in ((0, 0, "0-9"), (1, 10, "10-309")):
        both = (("segment.misplaced", first, span), ("segment.misplaced", 310, "310-314"))
        yield row("swap", f"segments {span} and 310-314", swap(number, 2), *both)


def on_tiles():
    for name in (*TILES, *BUNDLES):
        kind = "bundle" if name in BUNDLES else "tile"
        entry = {BUNDLES[0]: 255, BUNDLES[1]: 314}.get(name)
        yield row("flip", name, flip(name), (f"{kind}.differs", entry, name))
        yield row("truncate", name, truncate(name), (f"{kind}.differs", None, name))
        yield row("drop", name, drop(name), (f"{kind}.missing", None, name), code=3)
    both = [("tile.differs", None, name) for name in TILES[:2]]
    yield row("swap", "two tiles", swap(*TILES[:2]), *both)
    both = [("bundle.differs", 256 * at, name) for at, name in enumerate(BUNDLES)]
    yield row("swap", "two entry bundles", swap(*BUNDLES), *both)
    yield row(
        *("duplicate", "a tile over another", copy_to(TILES[0], TILES[1])),
        ("tile.differs", None, TILES[1]),
    )


def on_checkpoints():
    for size in SIZES:
        name, short = head(size), f"checkpoints/{size}"
        unsigned = ("checkpoint.signature", size, short)
        yield row("flip", short, flip(name, 40), unsigned)
        yield row("re-sign, another key", short, resign(name), unsigned)
        yield row("truncate", short, truncate(name), ("checkpoint.invalid", size, short))
        yield row("drop", short, drop(name), ("checkpoint.missing", size, short), code=3)
    both = [("checkpoint.invalid", size, f"checkpoints/{size}") for size in SIZES[:2]]
    yield row("swap", "two checkpoints", swap(head(10), head(310)), *both)
    yield row(
        *("duplicate", "a checkpoint", copy_to(head(10), head(11))),
        ("checkpoint.invalid", 11, "checkpoints/11"),
    )
    unsigned = ("checkpoint.signature", None, "checkpoint")
    yield row("flip", "the pointer", flip("checkpoint", 40), unsigned)
    yield row("re-sign, another key", "the pointer", resign("checkpoint"), unsigned)
    bad = ("checkpoint.invalid", None, "checkpoint")
    yield row("truncate", "the pointer", truncate("checkpoint"), bad)
    yield row("flip", "the pointer's origin", flip("checkpoint", 0), unsigned)
    gone = ("checkpoint.missing", None, "checkpoint")
    yield row("drop", "the pointer", drop("checkpoint"), gone, code=3)


def on_objects():
    words = ("policy bundle", "clean object, first", "clean object, last")
    for place, (digest, seq) in zip(words, NAMED.items(), strict=True):
        name = f"objects/{digest}"
        differs = ("object.differs", seq, name)
        yield row("flip", place, flip(name, 0), differs)
        yield row("truncate", place, truncate(name), differs)
        yield row("drop", place, drop(name), ("object.missing", seq, name), code=3)
    first, _, last = NAMED
    ends = [f"objects/{first}", f"objects/{last}"]
    both = [("object.differs", seq, name) for seq, name in zip((0, 312), ends, strict=True)]
    yield row("swap", "bundle and clean object", swap(*ends), *both)


def disagreeing():
    """Segment, tile and bundle, two of them changed alike; then all three."""
    for seq, span in ((0, "0-9"), (150, "10-309"), (255, "10-309")):
        place = f"record {seq}"
        edited = ("record.edited", seq, span)
        tile = ("tile.differs", None, TILES[0])
        bundle = ("bundle.differs", seq, BUNDLES[0])
        yield row("flip, its tile too", place, edit_along(seq, tile=True), edited, tile)
        yield row("flip, its bundle too", place, edit_along(seq, bundle=True), edited, bundle)
        heads = (10, 310) if seq < 10 else (310, 315)  # it is said twice, not for ever
        signed_otherwise = [("checkpoint.inconsistent", at, f"checkpoints/{at}") for at in heads]
        yield row(
            *("flip, tile and bundle too", place, edit_along(seq, tile=True, bundle=True)),
            *(*signed_otherwise, ("tile.differs", None, TILES[2])),
        )


def by_key_holders():
    all_heads = [("checkpoint.signature", size, f"checkpoints/{size}") for size in SIZES]
    unknown = (*all_heads, ("checkpoint.signature", None, "checkpoint"))
    none = ("checkpoint.missing", None, "")
    for place, do in (("all heads", resign()), ("all of it", remade(MALLORY, reason="never"))):
        yield row("re-sign, another key", place, do, *unknown, none, code=4)
    for seq, span in ((1, "0-9"), (150, "10-309"), (314, "310-314")):
        dated = ("record.backdated", seq, span)
        yield row("back-date, the log's key", f"record {seq}", remade(late=seq), dated)
    for size in SIZES:
        false = write(head(size), lambda size=size: signed(size, bytes(32)))
        said = {("checkpoint.inconsistent", size, f"checkpoints/{size}")}
        if size == 315:
            said.add(("log.forked", 315, "checkpoint"))
        yield row("fork, the log's key", f"the head of {size}", false, *said)
    yield row(
        *("fork, the log's key", "the pointer"),
        write("checkpoint", lambda: signed(315, bytes(32))),
        ("log.forked", 315, "checkpoint"),
        ("checkpoint.inconsistent", 315, "checkpoint"),
    )
    yield row(
        *("fork, the log's key", "after a common beginning of 310"),
        write(head(313), lambda: signed(313, bytes(32))),
        ("checkpoint.inconsistent", 313, "checkpoints/313"),
    )
    yield row(
        *("fork, the log's key", "beyond what is here"),
        write(head(320), lambda: signed(320, bytes(32))),
        ("log.truncated", 315, ""),
        code=3,
    )
    yield row(
        *("roll back", "the pointer, by two heads", copy_to(head(10), "checkpoint")),
        ("checkpoint.stale", 10, "checkpoint"),
        code=3,
    )


FROM_COPY = (
    *(*on_records(), *on_segments(), *on_tiles(), *on_checkpoints(), *on_objects()),
    *(*disagreeing(), *by_key_holders()),
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return published(tmp_path_factory.mktemp("log"), rows())


@pytest.fixture(scope="module")
def trust(tmp_path_factory):
    path = tmp_path_factory.mktemp("trust") / "acme.trust"
    assert types("audit", "trust", "--key", VKEY, "--out", path).code == 0
    return path


@pytest.mark.parametrize("attack", FROM_COPY, ids=lambda attack: attack.id)
def test_from_a_copy_it_is_caught_and_named(attack, pristine, trust, tmp_path):
    log = shutil.copytree(pristine, tmp_path / "moved" / "elsewhere")
    attack.do(log)
    done = types("audit", "verify", "--log", log, "--trust", trust, "--json")
    assert (said(done), done.code) == (attack.names, attack.code)


@pytest.mark.parametrize(
    ("do", "named"),
    [
        (roll_back, {"log.truncated", "segment.missing"}),
        (remade(reason="never"), {"log.forked"}),
        (resign(), {"log.truncated", "checkpoint.signature", "checkpoint.missing"}),
    ],
    ids=["roll back and truncate", "remade, same key", "re-signed, another key"],
)
def test_what_a_copy_cannot_show_an_anchor_from_outside_does(do, named, pristine, trust, tmp_path):
    """Each with the state that an earlier verification left, and with a kept checkpoint."""
    state, kept = tmp_path / "acme.state", pristine / "checkpoint"
    look = ("audit", "verify", "--trust", trust, "--log")
    assert types(*look, pristine, "--state", state).code == 0
    log = shutil.copytree(pristine, tmp_path / "moved" / "elsewhere")
    do(log)
    alone = types(*look, log)
    if alone.code == 0:
        assert "truncation and forks by whoever has the key" in alone.out.splitlines()[-1]
    after = types(*look, log, "--state", state, "--json")
    assert {code for code, _, _ in said(after)} == named
    assert (after.code, after.json()["verdict"]) == (1, "tampered")
    assert types(*look, log, "--checkpoint", kept).code == 1
