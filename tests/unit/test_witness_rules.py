"""What a witness may cosign: one history of each log, and only forwards."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit_world import LOG_ID, SIGNER
from countersign.audit.cosignature import WitnessKey, WitnessSigner
from countersign.audit.note import MAX_NOTE_BYTES, Signer, encode_base64
from countersign.audit.witness.request import MAX_PROOF, Request, decode_size, encode_size
from countersign.audit.witness.rules import Doubt, judge
from countersign.errors import LogError
from witness_world import WITNESS, Tree

MOST = 40
TREE = Tree.of(MOST)
KEY = SIGNER.verifier
SIZES = st.integers(0, MOST)


def status(request, seen=None, key=KEY):
    refusal = judge(request, key, seen)
    return 200 if refusal is None else int(refusal.status)


# --- what is asked ---


@given(SIZES, SIZES)
def test_a_request_is_read_as_it_was_written(old, new):
    request = TREE.request(old, new)
    assert Request.parse(request.encode()) == request


@pytest.mark.parametrize(
    ("what", "by"),
    [
        (b"old 5\n", b"old 05\n"),
        (b"old 5\n", b"old -5\n"),
        (b"old 5\n", b"old 5 \n"),
        (b"old 5\n", b"old 9223372036854775808\n"),
        (b"old 5\n", b""),
        (b"old 5\n", b"old 5\nAAAA\n"),
        (b"old 5\n", b"old 5\nnot base64 at all\n"),
        (b"old 5\n", b"old 5\n\xff\n"),
        (b"old 5\n", b"old 5\n" + (encode_base64(bytes(32)).encode() + b"\n") * (MAX_PROOF + 1)),
        (b"\n9\n", b"\nnine\n"),
        (b"\n\n\xe2", b"\n\xe2"),
    ],
)
def test_what_is_malformed_is_refused_before_anything_is_judged(what, by):
    body = TREE.request(5, 9).encode()
    assert what in body
    with pytest.raises(LogError):
        Request.parse(body.replace(what, by, 1))


@given(st.binary(max_size=300))
def test_nothing_that_is_sent_does_more_than_be_refused(body):
    with pytest.raises(LogError):
        Request.parse(body)


def test_a_body_and_a_note_are_bounded():
    body = TREE.request(5, 9).encode()
    for size in (MAX_NOTE_BYTES, 10 * MAX_NOTE_BYTES):
        with pytest.raises(LogError):
            Request.parse(body + b"x" * size)


@given(st.integers(0, 2**63 - 1))
def test_a_size_is_told_and_read(size):
    assert decode_size(encode_size(size)) == size


@pytest.mark.parametrize("body", [b"", b"5", b"05\n", b"5\n\n", b"-1\n", b"9223372036854775808\n"])
def test_what_is_no_size_is_not_taken_for_one(body):
    assert decode_size(body) is None


# --- what is answered ---


@given(SIZES, SIZES, SIZES)
def test_only_what_is_proven_to_extend_the_cosigned_checkpoint_is_cosigned(seen, old, new):
    """For every size that was seen, claimed and offered: the codes of the specification."""
    found = status(TREE.request(old, new), TREE.head(seen))
    if old > new:
        assert found == 400
    elif old != seen:
        assert found == 409
    else:
        assert found == 200


@given(SIZES.filter(bool), SIZES, st.data())
def test_no_proof_leads_to_another_history(seen, fork, data):
    """A log that forked before what was cosigned gets nothing, whatever it sends as a proof."""
    at = min(fork, seen - 1)
    other = TREE.forked_at(at, MOST)
    new = data.draw(st.integers(seen, MOST))
    proofs = [other.proof(seen, new), TREE.proof(seen, new), (), TREE.proof(at, new)]
    proof = data.draw(st.sampled_from(proofs))
    refusal = judge(other.request(seen, new, proof=proof), KEY, TREE.head(seen))
    assert refusal is not None
    if new == seen:
        assert (refusal.status, refusal.size, refusal.doubt) == (409, seen, Doubt.FORK)
    else:
        assert (refusal.status, refusal.doubt) == (422, Doubt.UNPROVEN)


@given(SIZES.filter(bool), st.data())
def test_a_proof_with_any_hash_changed_added_or_left_out_is_refused(seen, data):
    new = data.draw(st.integers(seen, MOST))
    proof = list(TREE.proof(seen, new))
    at = data.draw(st.integers(0, len(proof)))
    changed = [*proof[:at], bytes(32), *proof[at + data.draw(st.integers(0, 1)) :]]
    assert status(TREE.request(seen, new, proof=tuple(changed)), TREE.head(seen)) == 422
    if proof:
        assert status(TREE.request(seen, new, proof=tuple(proof[1:])), TREE.head(seen)) == 422


@given(SIZES, st.lists(SIZES, max_size=12))
def test_whatever_comes_cosigned_checkpoints_only_grow_and_agree(fork, sizes):
    """Two histories take turns; those that are cosigned are one chain."""
    other = TREE.forked_at(fork, MOST)
    seen, chain = None, []
    for turn, size in enumerate(sizes):
        tree = (TREE, other)[turn % 2]
        request = tree.request(seen.size if seen else 0, size)
        if judge(request, KEY, seen) is None:
            seen = request.head
            chain.append(seen)
    assert [head.size for head in chain] == sorted(head.size for head in chain)
    assert all(head == TREE.head(head.size) for head in chain) or all(
        head == other.head(head.size) for head in chain
    )


def test_the_first_checkpoint_is_believed_without_a_proof_and_an_empty_log_is_empty():
    assert status(TREE.request(0, 7)) == 200
    assert status(TREE.request(0, 0)) == 200
    assert status(TREE.request(0, 7, proof=(bytes(32),))) == 422
    wrong = TREE.request(0, 0)
    assert status(Request.parse(wrong.encode().replace(b"47DEQ", b"57DEQ"))) in (403, 422)


def test_only_a_known_log_with_its_own_key_is_judged_at_all():
    stranger = Signer(name="log.example/other", key=SIGNER.key)
    foreign = TREE.request(0, 7, signer=stranger, origin="log.example/other")
    assert status(foreign, key=None) == 404
    assert status(foreign) == 404
    imposter = Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert status(TREE.request(0, 7, signer=imposter)) == 403
    signed = TREE.request(0, 7).encode()
    assert status(Request.parse(signed.replace(b"\n7\n", b"\n8\n"))) == 403


def test_another_log_under_the_same_key_cannot_borrow_the_name():
    borrowed = TREE.request(0, 7, signer=SIGNER, origin="log.example/other")
    assert status(borrowed) == 404


# --- the cosignature ---


def test_a_cosignature_is_what_the_verifier_takes_for_one():
    note = TREE.note(7)
    line = WITNESS.cosign(note, 1_795_000_000)
    cosigned = type(note)(text=note.text, signatures=(*note.signatures, line))
    assert WITNESS.public.cosigned_s(cosigned) == 1_795_000_000
    assert WITNESS.public.cosigned_s(note) is None
    moved = type(note)(text=TREE.note(8).text, signatures=cosigned.signatures)
    with pytest.raises(LogError):
        WITNESS.public.cosigned_s(moved)


def test_a_witness_key_is_read_as_it_was_written_and_strictly():
    made = WitnessSigner.generate("witness.example/w2")
    text = made.encode()
    assert str(WitnessSigner.parse(text + "\n").public) == str(made.public)
    assert str(WitnessKey.parse(str(made.public))) == str(made.public)
    parts = text.split("+")
    for bad in (
        "",
        "+".join(parts[:4]),
        text.replace("PRIVATE", "PUBLIC"),
        text + "=",
        SIGNER.encode(),
    ):
        with pytest.raises(LogError) as refused:
            WitnessSigner.parse(bad)
        assert refused.value.code == "log.key_invalid"
        assert not parts[4] or parts[4] not in str(refused.value)
    for name in ("", "two words", "a+b"):
        with pytest.raises(LogError):
            WitnessSigner.generate(name)
