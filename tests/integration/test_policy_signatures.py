"""Bundles signed by real OPA, and everything short of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import PurePosixPath

import pytest

import policy_places
import realparts
from countersign.errors import ConfigurationError
from countersign.policy.signatures import SIGNATURES, BundleKey
from countersign.policy.sources.archive import unpack
from policy_places import DENY, bundle, keys, opa, taken_apart, written

DATA = PurePosixPath("data.json")
MAIN = PurePosixPath("main.rego")


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A directory with a key pair and a policy, signed by `opa sign` with claims of its own."""
    at = tmp_path_factory.mktemp("signed")
    private, _ = keys(at)
    policy = written(at / "policy", data_json='{"limit": 10}', sub__data_json='{"x": [1.5, "y"]}')
    (at / "claims.json").write_text('{"keyid": "release", "scope": "production"}')
    claims = ["--claims-file", str(at / "claims.json")]
    opa("sign", "--bundle", ".", "--signing-key", str(private), *claims, cwd=policy)
    return at


@pytest.fixture
def files(signed):
    """What the signature is about, and the signature."""
    policy = signed / "policy"
    return {
        PurePosixPath(path.relative_to(policy)): path.read_bytes()
        for path in policy.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def key(signed):
    return BundleKey(
        opa=realparts.opa(),
        file=signed / "signing.pub.pem",
        algorithm="RS256",
        key_id="release",
        scope="production",
    )


def but(key: BundleKey, **changes) -> BundleKey:
    fields = ("opa", "file", "algorithm", "key_id", "scope")
    return BundleKey(**({name: getattr(key, name) for name in fields} | changes))


def refused(key: BundleKey, files, code: str = "policy.signature_invalid") -> str:
    with pytest.raises(ConfigurationError) as caught:
        key.verify(files)
    assert caught.value.code == code
    assert caught.value.advice
    return caught.value.message


def test_what_opa_signed_is_verified_and_names_its_key(key, files):
    fingerprint = hashlib.sha256(key.file.read_bytes()).hexdigest()[:16]
    assert key.verify(files) == f"key release (sha256:{fingerprint})"
    assert but(key, key_id="").verify(files)


def test_a_bundle_signed_as_it_was_built_is_verified(signed, key, tmp_path):
    private = str(signed / "signing.pem")
    path = bundle(written(tmp_path / "p"), tmp_path / "b.tar.gz", "--signing-key", private)
    plain = but(key, key_id="", scope="")
    assert plain.verify(unpack(path.read_bytes(), max_bytes=1 << 20))


@pytest.mark.parametrize("algorithm", ["ES256", "PS384"])
def test_other_algorithms_work_and_must_be_the_one_named(algorithm, key, tmp_path):
    private, public = keys(tmp_path)
    if algorithm == "ES256":
        openssl = str(realparts.program("openssl", package="openssl"))
        made = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)]
        policy_places.subprocess.run([openssl, *made], check=True, timeout=60)
        told = ["pkey", "-in", str(private), "-pubout", "-out", str(public)]
        policy_places.subprocess.run([openssl, *told], check=True, timeout=60)
    options = ["--signing-key", str(private), "--signing-alg", algorithm]
    path = bundle(written(tmp_path / "p"), tmp_path / "b.tar.gz", *options)
    unpacked = unpack(path.read_bytes(), max_bytes=1 << 20)
    right = but(key, file=public, algorithm=algorithm, key_id="", scope="")
    assert right.verify(unpacked)
    refused(but(right, algorithm="RS256"), unpacked)


def test_another_key_did_not_sign(key, files, tmp_path):
    _, other = keys(tmp_path, "other")
    assert "verification" in refused(but(key, file=other), files)


def test_another_key_id_or_scope_is_not_what_was_asked_for(key, files):
    assert "key_id" in refused(but(key, key_id="staging"), files)
    assert "scope" in refused(but(key, scope="staging"), files)
    assert "scope" in refused(but(key, scope=""), files)


def test_without_a_signature_nothing_is_accepted(key, files):
    del files[SIGNATURES]
    assert "not signed" in refused(key, files)


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.update({MAIN: DENY.encode()}),
        lambda files: files.update({DATA: b'{"limit": 11}'}),
        lambda files: files.update({PurePosixPath("more.rego"): b"package more\n"}),
        lambda files: files.update({PurePosixPath("more_cases.yaml"): b"cases: []\n"}),
        lambda files: files.update({PurePosixPath("sub/.signatures.json"): b"{}"}),
        lambda files: files.update({PurePosixPath(".manifest"): b'{"revision": "x"}'}),
        lambda files: files.pop(MAIN),
        lambda files: files.pop(DATA),
    ],
    ids=["rego", "data", "added", "added tests", "second", "manifest", "no rego", "no data"],
)
def test_a_file_changed_added_or_taken_away_is_noticed(key, files, change):
    change(files)
    refused(key, files)


def test_no_other_algorithm_gets_by(key, files):
    """Neither `none`, nor the public key as a shared secret."""
    token = json.loads(files[SIGNATURES])["signatures"][0]
    _, claims, signature = token.split(".")

    def head(algorithm: str) -> str:
        said = json.dumps({"alg": algorithm, "kid": "release", "typ": "JWT"}).encode()
        return base64.urlsafe_b64encode(said).decode().rstrip("=")

    by_secret = f"{head('HS256')}.{claims}"
    mac = hmac.new(key.file.read_bytes(), by_secret.encode(), hashlib.sha256).digest()
    shared = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    forged = [
        *([f"{head(none)}.{claims}."] for none in ("none", "None", "")),
        *([f"{head(none)}.{claims}.{signature}"] for none in ("none", "RS512")),
        *([f"{by_secret}.{shared}"], [], [token, token], ["x"]),
    ]
    for tokens in forged:
        refused(key, files | {SIGNATURES: json.dumps({"signatures": tokens}).encode()})
    assert key.verify(files)


def renamed() -> str:
    """A signature under another key id: nobody made that."""

    def part(said: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")

    return ".".join([part({"alg": "RS256", "kid": "staging"}), part({"keyid": "staging"}), "x"])


def test_the_key_id_is_read_from_the_signature_that_opa_verified(key, files):
    """OPA takes `Signatures` for `signatures`."""
    staging, token = but(key, key_id="staging"), json.loads(files[SIGNATURES])["signatures"][0]
    two = json.dumps({"signatures": [renamed()], "Signatures": [token]}).encode()
    assert "nothing else" in refused(staging, files | {SIGNATURES: two})


def test_what_is_no_public_key_verifies_nothing(key, files, signed, tmp_path):
    for text in (b"", b"secret", (signed / "signing.pem").read_bytes()):
        (tmp_path / "key.pem").write_bytes(text)
        wrong = but(key, file=tmp_path / "key.pem")
        assert "public key" in refused(wrong, files, "policy.key_invalid")
    gone = but(key, file=tmp_path / "gone.pem")
    assert "gone.pem" in refused(gone, files, "policy.key_invalid")


def test_a_bundle_that_opa_would_resolve_otherwise_is_what_was_verified(key, files, tmp_path):
    """Names are compared as they are compiled: no other reading of the archive slips between."""
    path = tmp_path / "b.tar.gz"
    entries = [(f"/{name}", content) for name, content in files.items()]
    path.write_bytes(policy_places.archive(*entries))
    assert key.verify(unpack(path.read_bytes(), max_bytes=1 << 20))
    assert set(taken_apart(path)) == {str(name) for name in files}
