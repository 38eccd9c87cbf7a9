"""A log against what witnesses have cosigned: anchors that its own key cannot move."""

import asyncio
import dataclasses

import pytest

from audit_world import LOG_ID, SIGNER, START_US, VKEY, MemorySource, publish, written
from countersign.audit.directory import Directory
from countersign.audit.note import Note, open_checkpoint
from countersign.audit.plan import checkpoint_name, witnessed_name
from countersign.audit.seen import MAX_SKEW_S, newest_cosigned
from countersign.audit.verdict import Verdict, line, not_checked, verdict
from countersign.audit.verify import verify
from countersign.model import SECOND_US
from witness_world import WITNESS, Tree, cosign

START_S = START_US // SECOND_US
KEY = WITNESS.public
HOUR_S = 3600


def codes(result):
    return {finding.code for finding in result.findings}


def demanded(log, **more):
    return verify(log, VKEY, witnesses=[KEY], **more)


def test_the_last_line_names_who_saw_how_much_and_when(tmp_path):
    log = written(tmp_path, 10, 300, 203)
    for size in (10, 310, 513):
        cosign(log, size, START_S + size + 5)
    result = demanded(log)
    assert result.ok, result.findings
    assert "the cosigned checkpoint of size 513" in result.anchors
    (sight,) = result.witnesses
    assert (sight.size, sight.first_size) == (513, 10)
    assert (
        "SEEN: witness.example/w1 saw 513 record(s) by 2026-11-18T11:15:18Z, "
        "the first 10 by 2026-11-18T11:06:55Z. NOT CHECKED: locks"
    ) in line(result)
    assert "truncation and forks" not in line(result)
    assert verify(log, VKEY).ok, "whoever demands no witness is not told of any"
    assert verify(log, VKEY).witnesses == ()


def test_what_a_witness_has_not_seen_yet_is_missing_and_counted(tmp_path):
    log = written(tmp_path, 10, 20)
    cosign(log, 10, START_S + 12)
    result = demanded(log)
    assert codes(result) == {"witness.missing"}
    assert "but that of size 10: copy again" in result.findings[0].message
    assert verdict(result) is Verdict.INCOMPLETE
    said = "the newest 20 record(s), which witness.example/w1 has not cosigned yet"
    assert said in not_checked(result)


@pytest.mark.parametrize("size", [10, 12, 13])
def test_a_history_rewritten_after_a_witness_saw_another_is_a_fork(tmp_path, size):
    """Whoever has the log's key signs everything anew; what the witness signed stays."""
    log = written(tmp_path, 13)
    cosign(log, size, START_S + 20, note=Tree.of(size, b"first").note(size))
    for result in (demanded(log), verify(log, VKEY)):
        assert verdict(result) is Verdict.TAMPERED
    assert "log.forked" in codes(demanded(log))
    assert demanded(log).findings[-1].file.startswith("witnessed/") or size != 13


def test_what_is_cut_behind_a_cosigned_checkpoint_is_noticed(tmp_path):
    source = MemorySource(10)
    log = asyncio.run(publish(source, tmp_path / "short"))
    longer = written(tmp_path / "long", 10, 5)
    cosign(longer, 15, START_S + 20)
    kept = longer / witnessed_name(15, KEY.key_id)
    (log / "witnessed").mkdir()
    (log / witnessed_name(15, KEY.key_id)).write_bytes(kept.read_bytes())
    assert "log.truncated" in codes(demanded(log))
    assert "log.truncated" in codes(verify(log, VKEY)), "it is signed by the log all the same"


def test_a_record_cannot_be_of_later_than_a_witness_saw_it(tmp_path):
    log = written(tmp_path, 10)
    cosign(log, 10, START_S + 9 - MAX_SKEW_S)
    assert demanded(log).ok, "clocks differ"
    cosign(log, 10, START_S + 9 - MAX_SKEW_S - 1)
    result = demanded(log)
    assert codes(result) == {"witness.time"}
    assert result.findings[0].seq == 9


def test_a_log_dated_back_is_dated_by_whoever_saw_it_first(tmp_path):
    """All signed today and dated a month ago: the witness's time cannot be had for the asking."""
    log = written(tmp_path, 10)
    today = START_S + 30 * 24 * HOUR_S
    cosign(log, 10, today)
    result = demanded(log)
    assert result.ok
    assert "saw 10 record(s) by 2026-12-18T11:06:40Z" in line(result)


def test_a_wrong_cosignature_is_named_with_its_file(tmp_path):
    log = written(tmp_path, 10)
    forger = dataclasses.replace(WITNESS, key=SIGNER.key)
    path = cosign(log, 10, START_S + 12, signer=forger)
    result = demanded(log)
    assert codes(result) == {"witness.signature"}
    assert result.findings[0].file == str(path.relative_to(log))
    assert verdict(result) is Verdict.TAMPERED


def test_files_among_the_cosigned_that_are_none_are_named(tmp_path):
    log = written(tmp_path, 10, 5)
    path = cosign(log, 10, START_S + 12)
    path.rename(path.with_name(f"{15:020}-{KEY.key_id.hex()}"))
    assert codes(demanded(log)) == {"checkpoint.invalid", "witness.missing"}
    (log / "witnessed" / "more").write_text("x")
    assert "segment.unexpected" in codes(demanded(log))


def test_a_cosigned_checkpoint_outlives_the_plain_one_and_tells_that_it_is_gone(tmp_path):
    log = written(tmp_path, 10, 5)
    cosign(log, 10, START_S + 12)
    cosign(log, 15, START_S + 20)
    (log / checkpoint_name(10)).unlink()
    result = demanded(log)
    assert [finding.code for finding in result.findings] == ["checkpoint.missing"]


# --- from where the last time ended ---


def test_going_on_later_the_witness_counts_from_before(tmp_path):
    log = written(tmp_path, 300, 213)
    cosign(log, 300, START_S + 500)
    kept = verify(log, VKEY).state
    again = demanded(log, earlier=kept)
    assert codes(again) == {"witness.missing"}
    assert [sight.size for sight in again.witnesses] == [300]
    cosign(log, 513, START_S + 600)
    again = demanded(log, earlier=kept)
    assert again.ok, again.findings
    assert again.resumed_at == 513


def test_a_cosigned_checkpoint_of_other_early_records_is_found_later_too(tmp_path):
    log = written(tmp_path, 300, 213)
    cosign(log, 513, START_S + 600)
    first = demanded(log)
    cosign(log, 300, START_S + 500, note=Tree.of(300, b"first").note(300))
    (log / witnessed_name(513, KEY.key_id)).unlink()
    result = demanded(log, earlier=first.state)
    assert "log.forked" in codes(result)


def test_a_damaged_tile_is_not_called_a_fork(tmp_path):
    log = written(tmp_path, 300, 213)
    cosign(log, 300, START_S + 500)
    first = verify(log, VKEY)
    tile = log / "tile/0/001"
    tile.write_bytes(bytes(len(tile.read_bytes())))
    result = demanded(log, earlier=first.state)
    assert "tile.differs" in codes(result)
    assert "log.forked" not in codes(result)


# --- proofs ---


def test_a_proof_is_made_under_the_newest_checkpoint_that_all_witnesses_saw(tmp_path):
    log = written(tmp_path, 10, 5, 5)
    source = Directory(log)
    find = lambda seq: newest_cosigned(source, SIGNER.verifier, [KEY], seq)  # noqa: E731
    assert find(3) is None
    for size in (10, 15):
        cosign(log, size, START_S + size)
    note = find(12)
    assert open_checkpoint(note, SIGNER.verifier).size == 15
    assert KEY.cosigned_s(Note.parse(note)) == START_S + 15
    assert find(17) is None, "nobody saw that one yet"
    cosign(log, 20, START_S + 30, pointer=True)
    assert open_checkpoint(find(12), SIGNER.verifier).size == 20
    other = dataclasses.replace(WITNESS, name="witness.example/w2").public
    assert newest_cosigned(source, SIGNER.verifier, [KEY, other], 3) is None
    assert LOG_ID in find(3).decode()
