"""A log is verified again: from where the last time ended, and against what was seen then."""

import asyncio
import contextlib
import json
import shutil
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_world import LOG_ID, SIGNER, VKEY, MemorySource, publish, record, written
from countersign.audit import plan
from countersign.audit.cosignature import WitnessKey, message
from countersign.audit.directory import Directory
from countersign.audit.note import Note, Signature, Signer
from countersign.audit.state import State
from countersign.audit.verdict import Verdict, line, not_checked, verdict
from countersign.audit.verify import verify
from countersign.errors import ConfigurationError, LogError

WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(bytes([7] * 32))
WITNESS = WitnessKey(name="witness.example/w1", key=WITNESS_KEY.public_key())


class Counting(Directory):
    """A directory that knows what was read."""

    def __init__(self, root):
        super().__init__(root)
        self.seen = []

    def read(self, name, *more):
        self.seen.append(name)
        return super().read(name, *more)


@pytest.fixture
def grown(tmp_path):
    """A log of 300 + 213 records as it was found whole, and then with 700 more."""
    log = written(tmp_path, 300, 213)
    kept = verify(log, VKEY).state
    source = MemorySource(513)
    source.published = 513
    source.frontier = kept.frontier.hashes
    source.add(400)

    asyncio.run(publish(source, tmp_path))
    source.add(300)
    asyncio.run(publish(source, tmp_path))
    return log, kept


def codes(result):
    return {finding.code for finding in result.findings}


def test_the_second_time_only_what_is_new_is_read(grown):
    log, kept = grown
    source = Counting(log)
    told = []
    result = verify(source, VKEY, earlier=kept, progress=lambda *at: told.append(at))
    assert result.ok, result.findings
    assert (result.size, result.resumed_at, result.segments) == (1213, 513, 2)
    assert told == [(913, 1213), (1213, 1213)]
    assert "the state of an earlier verification of size 513" in result.anchors
    segments = [name for name in source.seen if name.startswith("records/")]
    assert [plan.SegmentName.parse(name).first for name in segments] == [513, 913]
    assert not [name for name in source.seen if name == plan.checkpoint_name(300)]
    again = verify(log, VKEY)
    assert (again.root, again.state) == (result.root, result.state)


def test_what_was_verified_before_is_not_read_again_unless_asked(grown):
    log, kept = grown
    segment = min(log.glob("records/*/*/*.gz"))
    segment.write_bytes(plan.compress(plan.lines_of([record(seq) for seq in range(299)])))
    quick = verify(log, VKEY, earlier=kept)
    assert quick.ok
    assert "the bytes of the 513 records verified before" in not_checked(quick)
    whole = verify(log, VKEY, earlier=kept, from_start=True)
    assert codes(whole) == {"record.missing"}
    assert verdict(whole) is Verdict.TAMPERED
    assert whole.state is None, "what was found damaged is not remembered as whole"


def test_an_earlier_segment_that_is_gone_is_noticed_without_reading(grown):
    log, kept = grown
    min(log.glob("records/*/*/*.gz")).unlink()
    result = verify(log, VKEY, earlier=kept)
    assert codes(result) == {"segment.missing"}
    assert verdict(result) is Verdict.INCOMPLETE


def test_a_log_that_was_rewritten_since_does_not_extend_what_was_seen(grown, tmp_path):
    _, kept = grown
    other = tmp_path / "other"
    log = written(other, 513, 50, reason="another past")
    result = verify(log, VKEY, earlier=kept)
    assert "log.forked" in codes(result)
    assert verdict(result) is Verdict.TAMPERED


def test_a_log_that_was_rolled_back_is_shorter_than_what_was_seen(grown, tmp_path):
    _, kept = grown
    shorter = written(tmp_path / "shorter", 300)
    result = verify(shorter, VKEY, earlier=kept)
    assert codes(result) == {"log.truncated"}
    assert verdict(result) is Verdict.TAMPERED


def test_damaged_tiles_lead_back_to_the_start_which_names_them(grown):
    log, kept = grown
    (tile,) = log.glob("tile/0/002")
    tile.write_bytes(bytes(len(tile.read_bytes())))
    result = verify(log, VKEY, earlier=kept)
    assert result.resumed_at == 0
    assert codes(result) == {"tile.differs"}


def test_the_same_log_again_is_whole_and_empty_of_news(tmp_path):
    log = written(tmp_path, 10)
    kept = verify(log, VKEY).state
    again = verify(log, VKEY, earlier=kept)
    assert again.ok
    assert (again.size, again.segments, again.state) == (10, 0, kept)


def test_a_new_record_dated_before_what_was_seen_is_named(tmp_path):

    log = written(tmp_path, 5)
    kept = verify(log, VKEY).state
    source = MemorySource(5)
    source.published, source.frontier = 5, kept.frontier.hashes
    source.rows.append(record(5, step_us=-1_000_000))
    asyncio.run(publish(source, tmp_path))
    assert "record.backdated" in codes(verify(log, VKEY, earlier=kept))


def test_a_remembered_checkpoint_from_before_is_judged_all_the_same(grown, tmp_path):
    """It cannot be held against the middle of the log: everything is read."""
    log, kept = grown
    note = (log / plan.checkpoint_name(300)).read_bytes()
    result = verify(log, VKEY, earlier=kept, checkpoint=note)
    assert result.ok
    assert result.resumed_at == 0
    assert "the remembered checkpoint of size 300" in result.anchors
    later = (log / plan.checkpoint_name(913)).read_bytes()
    assert verify(log, VKEY, earlier=kept, checkpoint=later).resumed_at == 513


def test_a_verification_that_is_interrupted_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("countersign.audit.verify._KEEP_EVERY", 2)
    log = written(tmp_path, 10, 300, 5, 20, 30)
    kept = []

    def interrupt(done, _total):
        if done > 315:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(log, VKEY, progress=interrupt, keep=kept.append)
    assert [state.size for state in kept] == [310]
    on = verify(log, VKEY, earlier=kept[0], keep=kept.append)
    assert on.ok, on.findings
    assert (on.resumed_at, on.segments, on.size) == (310, 3, 365)
    assert [state.size for state in kept] == [310, 335]
    again = []
    assert verify(log, VKEY, earlier=on.state, from_start=True, keep=again.append).ok
    assert again == [], "less than was seen before is not kept"
    min(log.glob("records/*/*/*.gz")).write_bytes(b"")
    assert not verify(log, VKEY, keep=again.append).ok
    assert again == [], "nor what is not whole"


# --- the state file ---


def test_a_state_is_read_back_as_it_was_written(grown):
    _, kept = grown
    assert State.parse(kept.encode(), SIGNER.verifier) == kept


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"size": 512},
        {"root": "00" * 32},
        {"frontier": []},
        {"frontier": None},
        {"time": "yesterday"},
        {"key": "other"},
        {"checkpoint": "no"},
        {"checkpoint": 5},
    ],
)
def test_a_state_that_contradicts_itself_is_refused(grown, change):
    _, kept = grown
    body = json.loads(kept.encode()) | change
    with pytest.raises(ConfigurationError) as refused:
        State.parse(json.dumps(body).encode(), SIGNER.verifier)
    assert refused.value.code == "audit.state_invalid"


ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_nothing_read_as_a_state_fails_otherwise(grown, data):
    _, kept = grown
    body = json.loads(kept.encode())
    body[data.draw(st.sampled_from(sorted(body)))] = data.draw(ANY)
    with contextlib.suppress(ConfigurationError):
        State.parse(json.dumps(body).encode(), SIGNER.verifier)
    with pytest.raises(ConfigurationError):
        State.parse(data.draw(st.binary(max_size=40)), SIGNER.verifier)


def test_a_state_of_another_size_than_its_checkpoint_is_refused(grown, tmp_path):
    _, kept = grown
    other = verify(written(tmp_path / "b", 4), VKEY).state
    body = json.loads(kept.encode()) | {"checkpoint": other.checkpoint.decode()}
    with pytest.raises(ConfigurationError):
        State.parse(json.dumps(body).encode(), SIGNER.verifier)


# --- witnesses ---


def cosigned(data, key=WITNESS_KEY, seconds=1_795_000_000, witness=WITNESS):
    note = Note.parse(data)
    signature = struct.pack(">Q", seconds) + key.sign(message(note, seconds))
    more = Signature(name=witness.name, key_id=witness.key_id, signature=signature)
    return Note(text=note.text, signatures=(*note.signatures, more)).encode()


def test_a_cosigned_checkpoint_satisfies_who_demands_the_witness(tmp_path):
    log = written(tmp_path, 10)
    pointer = log / "checkpoint"
    pointer.write_bytes(cosigned(pointer.read_bytes()))
    result = verify(log, VKEY, witnesses=[WITNESS])
    assert result.ok, result.findings
    (sight,) = result.witnesses
    assert (sight.name, sight.size, sight.time_s) == ("witness.example/w1", 10, 1_795_000_000)
    assert not [said for said in not_checked(result) if "witness" in said]


def test_a_missing_cosignature_is_incomplete_and_a_wrong_one_tampered(tmp_path):
    log = written(tmp_path, 10)
    missing = verify(log, VKEY, witnesses=[WITNESS])
    assert codes(missing) == {"witness.missing"}
    assert verdict(missing) is Verdict.INCOMPLETE
    pointer = log / "checkpoint"
    pointer.write_bytes(cosigned(pointer.read_bytes(), key=SIGNER.key))
    wrong = verify(log, VKEY, witnesses=[WITNESS])
    assert codes(wrong) == {"witness.signature"}
    assert verdict(wrong) is Verdict.TAMPERED


def test_witness_keys_are_read_strictly():
    text = str(WITNESS)
    assert str(WitnessKey.parse(text)) == text
    name, key_id, material = text.split("+", 2)
    for bad in ("", name, f"{name}+{key_id}", f"{name}+00000000+{material}", VKEY, text + "="):
        with pytest.raises(LogError) as refused:
            WitnessKey.parse(bad)
        assert refused.value.code == "log.key_invalid"


# --- what it amounts to ---


def test_each_verdict_has_its_exit_code_and_line(tmp_path):
    log = written(tmp_path, 10, 5)
    whole = verify(log, VKEY)
    assert verdict(whole).exit_code == 0
    assert line(whole).startswith("WHOLE: 15 record(s), root ")
    assert "NOT CHECKED: locks" in line(whole)
    assert "no remembered checkpoint" in line(whole)

    tile = log / "tile/0/000.p/15"
    shutil.move(tile, tmp_path / "kept")
    lost = verify(log, VKEY)
    assert (verdict(lost), verdict(lost).exit_code) == (Verdict.INCOMPLETE, 3)
    tile.write_bytes(bytes(480))
    changed = verify(log, VKEY)
    assert (verdict(changed), verdict(changed).exit_code) == (Verdict.TAMPERED, 1)

    other = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    unknown = verify(log, str(other.verifier))
    assert (verdict(unknown), verdict(unknown).exit_code) == (Verdict.UNKNOWN, 4)
    assert "UNKNOWN" in line(unknown)
