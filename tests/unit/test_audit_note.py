"""Signed notes and checkpoints against the published examples.

PeterNeumann and EnochRoot are the examples of golang.org/x/mod/sumdb/note
(`example_test.go`, Copyright The Go Authors, BSD-3-Clause); the poem is the one
of c2sp.org/signed-note (CC BY 4.0).
"""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from countersign.audit import note
from countersign.audit.note import Checkpoint, Note, Signer, Verifier
from countersign.errors import LogError

SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNED = (
    TEXT + "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg"
    "KvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
ENOCH = (
    "\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwn"
    "WLox33WWd1RvMc+QQ=\n"
).encode()
POEM = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\n"
    "ed \u00e8 subito sera.\n\n\u2014 quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
).encode()

PETER = Verifier.parse(VKEY)
LOG = Signer(name="log.example/acme", key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
HEAD = Checkpoint(origin="log.example/acme", size=7, root=bytes(range(32)))


def code_of(call, *arguments):
    with pytest.raises(LogError) as caught:
        call(*arguments)
    return caught.value.code


def test_the_example_is_signed_byte_for_byte():
    assert note.sign(TEXT, [Signer.parse(SKEY)]).encode() == SIGNED


def test_the_example_opens():
    opened = Note.parse(SIGNED)
    assert opened.text == TEXT
    assert opened.verify(PETER) == (PETER,)


def test_a_second_signature_is_added_as_in_the_example():
    enoch = Signer(name="EnochRoot", key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    both = Note.parse(SIGNED).with_signature(enoch)
    assert both.encode() == SIGNED + ENOCH
    assert both.verify(enoch.verifier, PETER) == (PETER, enoch.verifier)
    assert both.with_signature(enoch).encode() == SIGNED + ENOCH


def test_keys_survive_their_text_form():
    assert str(PETER) == VKEY
    assert Signer.parse(SKEY).encode() == SKEY
    assert str(Signer.parse(SKEY).verifier) == VKEY


def test_a_signer_does_not_show_its_key():
    assert "key" not in repr(Signer.parse(SKEY)).lower()


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "PeterNeumann",
        VKEY.replace("PeterNeumann", "PeterNeumanm"),
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("c74f20a3", "C74F20A3"),
        VKEY.replace("AR", "AS"),
        VKEY.replace("ARpc", "AR pc"),
        VKEY[:-1] + "X",
        VKEY + "AA",
        VKEY.replace("PeterNeumann", "Peter Neumann"),
    ],
)
def test_a_mangled_verifier_key_is_refused(vkey):
    assert code_of(Verifier.parse, vkey) == "log.key_invalid"


@pytest.mark.parametrize("skey", ["", SKEY[8:], SKEY.replace("c74f20a3", "00000000"), SKEY + "="])
def test_a_mangled_signer_key_is_refused(skey):
    assert code_of(Signer.parse, skey) == "log.key_invalid"


def test_an_unknown_signer_is_carried_and_ignored():
    both = Note.parse(SIGNED + ENOCH)
    assert len(both.signatures) == 2
    assert both.verify(PETER) == (PETER,)


def test_a_note_by_unknown_keys_only_is_refused():
    assert code_of(Note.parse(POEM).verify, PETER) == "log.signature_invalid"


def test_the_text_ends_at_the_last_empty_line():
    assert Note.parse(POEM).text.endswith("sole:\n\ned \u00e8 subito sera.\n")


def test_a_known_name_with_another_key_id_is_unknown():
    other = Signer(name="PeterNeumann", key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert code_of(note.sign(TEXT, [other]).verify, PETER) == "log.signature_invalid"


def test_one_bad_signature_by_a_known_key_spoils_the_note():
    enoch = Signer(name="EnochRoot", key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    spoiled = Note.parse(SIGNED.replace(b"problem is.", b"problem iz.")).with_signature(enoch)
    assert code_of(spoiled.verify, PETER, enoch.verifier) == "log.signature_invalid"
    assert spoiled.verify(enoch.verifier) == (enoch.verifier,)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        TEXT.encode(),
        SIGNED[:-1],
        SIGNED.replace(b"problem,", b"problem\x00"),
        SIGNED.replace(b"problem,", b"problem\t"),
        SIGNED.replace(b"problem,", b"problem\xff"),
        SIGNED.replace("\u2014".encode(), b"--"),
        SIGNED.replace(b" x08g", b" *08g"),
        SIGNED.replace(b"nAM=", b"nAN="),
        SIGNED.replace(b"PeterNeumann x", "Peter\u2003Neumann x".encode()),
        SIGNED.replace(b"PeterNeumann x", b"Peter+Neumann x"),
        SIGNED.replace(b"PeterNeumann x", b"PeterNeumann  x"),
        TEXT.encode() + b"\n" + "\u2014 a AAAA\n".encode(),
        TEXT.encode() + b"\n" + ENOCH * 101,
        TEXT.encode() * 1000 + b"\n" + ENOCH,
    ],
)
def test_a_malformed_note_is_refused(data):
    assert code_of(Note.parse, data) == "log.note_invalid"


@given(st.binary(max_size=300))
def test_parsing_never_fails_otherwise(data):
    for candidate in (data, SIGNED + data, data + SIGNED):
        try:
            parsed = Note.parse(candidate)
        except LogError:
            continue
        assert parsed.encode() == candidate


def test_a_text_without_newline_is_not_signed():
    assert code_of(note.sign, "no newline", [LOG]) == "log.note_invalid"


def test_a_checkpoint_is_three_lines():
    root = base64.b64encode(bytes(range(32))).decode()
    assert HEAD.text() == f"log.example/acme\n7\n{root}\n"
    assert Checkpoint.parse(HEAD.text()) == HEAD
    extended = Checkpoint.parse(HEAD.text() + "extra\n")
    assert extended.extensions == ("extra",)
    assert extended.text() == HEAD.text() + "extra\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n",
        HEAD.text()[:-1],
        HEAD.text().replace("\n7\n", "\n07\n"),
        HEAD.text().replace("\n7\n", "\n-7\n"),
        HEAD.text().replace("\n7\n", "\n7 \n"),
        HEAD.text().replace("\n7\n", "\n\u0667\n"),
        HEAD.text().replace("\n7\n", "\n9223372036854775808\n"),
        HEAD.text().replace("\n7\n", "\n" + "9" * 5000 + "\n"),
        HEAD.text().replace("AAEC", "AAE"),
        HEAD.text() + "\n",
        HEAD.text().replace("log.example/acme", ""),
    ],
)
def test_a_malformed_checkpoint_is_refused(text):
    assert code_of(Checkpoint.parse, text) == "log.checkpoint_invalid"


def test_a_checkpoint_opens_under_its_own_key_only():
    signed = note.sign(HEAD.text(), [LOG]).encode()
    assert note.open_checkpoint(signed, LOG.verifier) == HEAD
    assert code_of(note.open_checkpoint, signed, PETER) == "log.signature_invalid"


def test_a_checkpoint_of_another_log_with_the_same_key_is_refused():
    other = note.sign(HEAD.text().replace("acme", "evil"), [LOG]).encode()
    assert code_of(note.open_checkpoint, other, LOG.verifier) == "log.checkpoint_invalid"
