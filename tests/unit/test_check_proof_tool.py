"""The checker in one file: its Ed25519, its proofs, and what it refuses.

It shares no code with the log; here both judge the same proofs, and another
implementation of Ed25519 judges the same signatures.
"""

import ast
import functools
import importlib.util
import random
import shutil
import subprocess
import sys

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_world import LOG_ID, SIGNER, VKEY, written
from countersign.audit.local import LocalSink
from countersign.audit.merkle import Frontier, inclusion_proof, leaf_hash, perfect_root
from countersign.audit.note import Checkpoint, sign
from countersign.audit.plan import checkpoint_name
from countersign.audit.prove import Proof, prove, record_at
from realparts import ROOT

TOOL = ROOT / "tools" / "check_proof.py"
SIZE = 300


def load():
    spec = importlib.util.spec_from_file_location("check_proof", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load()


# --- Ed25519 ---

# RFC 8032, section 7.1: secret, public, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
]


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS)
def test_the_vectors_of_rfc_8032_verify(secret, public, message, signature):
    public, message, signature = map(bytes.fromhex, (public, message, signature))
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert key.public_key().public_bytes_raw() == public
    assert key.sign(message) == signature
    assert tool.ed25519_verifies(public, message, signature)
    assert not tool.ed25519_verifies(public, message + b"x", signature)


def agrees(public, message, signature):
    """Whether OpenSSL and the tool say the same; and what."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        theirs = False
    else:
        theirs = True
    ours = tool.ed25519_verifies(public, message, signature)
    assert ours == theirs, (public.hex(), message.hex(), signature.hex())
    return ours


def test_it_agrees_with_another_implementation_on_good_and_changed_signatures():
    chance = random.Random(8032)
    for _ in range(25):
        key = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
        public = key.public_key().public_bytes_raw()
        message = chance.randbytes(chance.randrange(80))
        signature = key.sign(message)
        assert agrees(public, message, signature)
        for data in (public, message or b"m", signature):
            changed = bytearray(data)
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            parts = [bytes(changed) if part is data else part for part in (public, message)]
            agrees(*parts, bytes(changed) if data is signature else signature)


def test_a_second_spelling_of_a_signature_is_refused():
    """S + L signs the same under a careless verifier; RFC 8032 wants S < L."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"m")
    s = int.from_bytes(signature[32:], "little")
    for larger in (s + tool.L, s + 2 * tool.L, 2**256 - 1):
        if larger < 2**256:
            assert not agrees(public, b"m", signature[:32] + larger.to_bytes(32, "little"))


SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_a_key_of_small_order_signs_nothing(public):
    """Under such a key, S = 0 and R = the identity verify for many messages."""
    public = bytes.fromhex(public)
    assert tool.is_identity(tool.multiply(8, tool.decompress(public)))
    for point in SMALL_ORDER:
        forged = bytes.fromhex(point) + bytes(32)
        assert not any(tool.ed25519_verifies(public, bytes([n]), forged) for n in range(8))


@pytest.mark.parametrize(
    "data",
    [
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = p
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = p + 1
        "0100000000000000000000000000000000000000000000000000000000000080",  # x = 0, negative
        "0200000000000000000000000000000000000000000000000000000000000000",  # not on the curve
        "01",
        "",
    ],
)
def test_what_is_no_point_in_its_one_spelling_is_refused(data):
    assert tool.decompress(bytes.fromhex(data)) is None
    assert not tool.ed25519_verifies(bytes.fromhex(data), b"m", bytes(64))


def test_the_base_point_is_the_curves():
    assert tool.is_identity(tool.multiply(tool.L, tool.BASE))
    assert tool.compress(tool.BASE).hex() == "58" + "66" * 31


# --- proofs ---


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    root = tmp_path_factory.mktemp("log")
    written(root, 200, 100)
    return functools.partial(LocalSink(root).read, LOG_ID)


def proof(read, seq, *, record=True):
    made = prove(seq, read("checkpoint"), read)
    body = record_at(seq, SIZE, read)
    return Proof(index=seq, path=made.path, note=made.note, record=body if record else b"").encode()


def test_it_proves_what_the_log_proves(read):
    for seq in (0, 1, 127, 128, 199, 200, 255, 256, 298, 299):
        text = proof(read, seq)
        origin, size, index, record = tool.check(text, VKEY)
        assert (origin, size, index) == (LOG_ID, SIZE, seq)
        assert Proof.parse(text).verify(record, SIGNER.verifier).size == SIZE
        bare = proof(read, seq, record=False)
        assert tool.check(bare, VKEY, record)[2] == seq
        with pytest.raises(tool.NotProven, match="holds no record"):
            tool.check(bare, VKEY)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 200])
def test_it_knows_trees_of_every_shape(size):
    leaves = [leaf_hash(b'{"log_id":"%s","seq":%d}' % (LOG_ID.encode(), n)) for n in range(size)]
    root = Frontier().extend(leaves).root()

    def subtree(level, index):
        return perfect_root(leaves[index << level : (index + 1) << level])

    for index in range(size):
        path = list(inclusion_proof(index, size, subtree))
        assert tool.root_of(leaves[index], index, size, path) == root
        with pytest.raises(tool.NotProven):
            tool.root_of(leaves[index], size, size, path)
        with pytest.raises(tool.NotProven, match="too long"):
            tool.root_of(leaves[index], index, size, [*path, root])
        if path:
            with pytest.raises(tool.NotProven, match="too short"):
                tool.root_of(leaves[index], index, size, path[:-1])


def refused(text, *, record=None, key=VKEY):
    try:
        tool.check(text, key, record)
    except tool.NotProven:
        return True
    return False


def test_no_changed_byte_of_a_proof_is_proven(read):
    """Header, index, each hash, origin, size, root, name, key id, signature, newlines."""
    text, record = proof(read, 200, record=False), record_at(200, SIZE, read)
    assert not refused(text, record=record)
    for at in range(len(text)):
        changed = bytearray(text)
        changed[at] ^= 1 << at % 8
        assert refused(bytes(changed), record=record), (at, bytes(changed[at - 9 : at + 9]))
        assert refused(text[:at] + text[at + 1 :], record=record), at
    assert refused(text + b"\n", record=record)


def test_no_changed_byte_of_the_record_is_proven(read):
    text = proof(read, 200)
    start, end = text.index(b"extra ") + 6, text.index(b"\nindex")
    for at in range(start, end, 7):
        changed = bytearray(text)
        changed[at] = ord("A") if changed[at] != ord("A") else ord("B")
        assert refused(bytes(changed)), at


def test_a_record_of_another_place_or_key_is_not_proven(read):
    text = proof(read, 5, record=False)
    assert refused(text, record=record_at(6, SIZE, read))
    assert refused(proof(read, 5).replace(b"index 5", b"index 4"))
    other = SIGNER.__class__(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert refused(proof(read, 5), key=str(other.verifier))
    for key in ("", "a+b", VKEY.replace("log", "lag"), VKEY[:-1], f"{VKEY}A"):
        assert refused(proof(read, 5), key=key)


def test_a_leaf_that_is_no_record_of_this_log_is_not_proven():
    for body in (b'{"seq":1,"log_id":"log.example/acme"}', b'{"seq":0,"log_id":"x"}', b"[]", b"x"):
        root = leaf_hash(body)
        note = sign(Checkpoint(origin=LOG_ID, size=1, root=root).text(), [SIGNER]).encode()
        assert refused(Proof(index=0, path=(), note=note, record=body).encode())


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 3))
def test_whatever_it_is_given_it_says_no(read, junk, place):
    """No input ends in anything but an answer."""
    text = proof(read, 7)
    at = (0, text.index(b"index"), text.index(b"\n\n") + 2, len(text))[place]
    for hostile in (junk, text[:at] + junk, junk + text[at:], text[:at] + junk + text[at + 40 :]):
        assert hostile == text or refused(hostile)
        assert refused(text, record=junk)
    assert refused(text, key=junk.decode("utf-8", "surrogateescape"))


# --- the command, alone ---


def run(*arguments, python=sys.executable):
    done = subprocess.run(
        [python, "-I", "-S", str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_needs_nothing_but_python(read, tmp_path):
    good, bad, bare = tmp_path / "good", tmp_path / "bad", tmp_path / "bare"
    good.write_bytes(proof(read, 7))
    bad.write_bytes(proof(read, 7).replace(b"index 7", b"index 8"))
    bare.write_bytes(proof(read, 7, record=False))
    line = tmp_path / "line"
    line.write_bytes(record_at(7, SIZE, read) + b"\n")
    key = tmp_path / "key"
    key.write_text(VKEY + "\n")
    assert run("--key", VKEY, good)[0] == 0
    code, said = run("--key", key, good, bad)
    assert code == 1
    assert f"PROVEN '{good}': record 7 of {SIZE} in {LOG_ID}" in said
    assert "NOT PROVEN" in said
    assert run("--key", key, "--record", line, bare)[0] == 0
    assert run("--key", key, bare)[0] == 1
    assert run("--key", key, tmp_path / "none")[0] == 1
    assert run("--key", key, "--record", tmp_path / "none", bare)[0] == 2
    assert run(good)[0] == 2
    older = shutil.which("python3.9")
    if older and subprocess.run([older, "-V"], capture_output=True, check=False).returncode == 0:
        assert run("--key", VKEY, good, python=older)[0] == 0


def test_it_imports_the_standard_library_alone():
    tree = ast.parse(TOOL.read_text(encoding="utf-8"), feature_version=(3, 9))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names | froms} <= sys.stdlib_module_names


# --- size ---


def test_a_proof_at_a_million_records_is_small():
    """Tiles of a synthetic log of 1,000,000 leaves, and the proof of one."""
    size, seq = 1_000_000, 654_321
    body = b'{"log_id":"%s","seq":%d}' % (LOG_ID.encode(), seq)
    levels = [[n.to_bytes(32, "big") for n in range(size)]]
    levels[0][seq] = leaf_hash(body)
    while len(levels[-1]) >= 256:
        below = levels[-1]
        full = range(0, len(below) // 256 * 256, 256)
        levels.append([perfect_root(below[at : at + 256]) for at in full])
    root = Frontier().extend(levels[0]).root()
    note = sign(Checkpoint(origin=LOG_ID, size=size, root=root).text(), [SIGNER]).encode()

    def tile(name):
        _, level, *number = name.partition(".p/")[0].split("/")
        index = int("".join(part.removeprefix("x") for part in number))
        return b"".join(levels[int(level)][index * 256 : (index + 1) * 256])

    text = prove(seq, note, tile).encode()
    assert len(text) <= 1_500
    assert tool.check(text, VKEY, body)[1:3] == (size, seq)
    assert Proof.parse(text).verify(body, SIGNER.verifier).size == size
    assert checkpoint_name(size) == "checkpoints/00000000000001000000"
