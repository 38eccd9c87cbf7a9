"""Proofs made from a published log, and checked without it."""

import contextlib
import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_world import LOG_ID, SIGNER, written
from countersign.audit.local import LocalSink
from countersign.audit.merkle import verify_consistency
from countersign.audit.note import open_checkpoint
from countersign.audit.plan import checkpoint_name
from countersign.audit.prove import Proof, prove, prove_extends, record_at
from countersign.errors import LogError

SIZE = 700


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    root = tmp_path_factory.mktemp("log")
    written(root, 300, 400)
    return functools.partial(LocalSink(root).read, LOG_ID)


@given(seq=st.integers(0, SIZE - 1))
def test_any_record_is_proven_and_its_proof_stands_alone(read, seq):
    note = read("checkpoint")
    proof = prove(seq, note, read)
    text = proof.encode()
    assert len(text) < 1_500
    assert Proof.parse(text) == proof
    record = record_at(seq, SIZE, read)
    assert b'"seq":%d,' % seq in record
    assert Proof.parse(text).verify(record, SIGNER.verifier).size == SIZE
    with pytest.raises(LogError) as caught:
        proof.verify(record + b" ", SIGNER.verifier)
    assert caught.value.code == "log.proof_invalid"


def test_an_older_checkpoint_is_still_proven_under(read):
    note = read(checkpoint_name(300))
    proof = prove(299, note, read)
    assert proof.verify(record_at(299, 300, read), SIGNER.verifier).size == 300
    with pytest.raises(LogError) as caught:
        prove(300, note, read)
    assert caught.value.code == "log.not_included"


def test_the_newer_checkpoint_extends_the_older(read):
    old = open_checkpoint(read(checkpoint_name(300)), SIGNER.verifier)
    new = open_checkpoint(read("checkpoint"), SIGNER.verifier)
    path = prove_extends(old.size, new.size, read)
    verify_consistency(old.size, new.size, old.root, new.root, path)


@pytest.mark.parametrize("seq", [-1, SIZE])
def test_what_is_not_there_has_no_record(read, seq):
    with pytest.raises(LogError) as caught:
        record_at(seq, SIZE, read)
    assert caught.value.code == "log.not_included"


def test_a_proof_of_one_record_is_not_one_of_another(read):
    proof = prove(5, read("checkpoint"), read)
    for seq in (4, 6):
        with pytest.raises(LogError):
            proof.verify(record_at(seq, SIZE, read), SIGNER.verifier)


def test_extra_data_is_carried_by_the_format_and_ignored(read):
    text = prove(5, read("checkpoint"), read).encode()
    with_extra = text.replace(b"\nindex", b"\nextra AAAA\nindex")
    assert Proof.parse(with_extra) == Proof.parse(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"tlog-proof@v1", b"tlog-proof@v2"),
        (b"index 5", b"index 05"),
        (b"index 5", b"index -5"),
        (b"index 5\n", b""),
        (b"=\n", b"\n"),
        (b"\n\n", b"\n"),
        (b"index", b"\xff"),
    ],
)
def test_a_malformed_proof_is_refused(read, old, new):
    text = prove(5, read("checkpoint"), read).encode()
    with pytest.raises(LogError) as caught:
        Proof.parse(text.replace(old, new)).verify(record_at(5, SIZE, read), SIGNER.verifier)
    assert caught.value.code in ("log.proof_invalid", "log.note_invalid")


@given(st.binary(max_size=200))
def test_parsing_a_proof_never_fails_otherwise(data):
    text = b"c2sp.org/tlog-proof@v1\nindex 5\n" + data
    with contextlib.suppress(LogError):
        assert Proof.parse(text).encode() == text
