"""Ready-made bundles, from a file and a bucket: opened, then built again with our capabilities."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

import realparts
from countersign.errors import ConfigurationError
from countersign.policy.bundle import build
from countersign.policy.signatures import BundleKey
from countersign.policy.sources import stamps
from countersign.policy.sources.bundle import BundleSource
from countersign.policy.sources.file import FilePlace
from countersign.policy.sources.s3 import S3Place
from policy_places import ALLOW, DENY, archive, bundle, keys, taken_apart, written
from s3_server import REGION, running

MAX = 1 << 20
ASKED = 'package countersign\n\ndecision := {"effect": "allow"} if data.team.limits.rows == 10\n'


def source(path, key=None) -> BundleSource:
    return BundleSource(FilePlace(path, max_bytes=MAX), key)


def answer(opa, built, tmp_path):
    """What the policy says, by real OPA."""
    at = tmp_path / "built.tar.gz"
    at.write_bytes(built.archive)
    command = [opa, "eval", "--bundle", str(at), "--format", "raw", "data.countersign.decision"]
    return json.loads(subprocess.check_output(command, env={}, timeout=60))


def test_it_is_built_again_whole_under_its_own_revision(tmp_path):
    policy = written(tmp_path / "p", main_rego=ASKED, team__data_json='{"limits": {"rows": 10}}')
    path = bundle(policy, tmp_path / "b.tar.gz", revision="4f2a")
    files = source(path)
    snapshot = files.fetch("")
    assert snapshot.revision == "4f2a"
    assert snapshot.origin == f"bundle {path}"
    assert snapshot.signed_by == ""
    assert files.fetch(snapshot.version) is None
    built = build(realparts.opa(), snapshot)
    assert answer(realparts.opa(), built, tmp_path) == {"effect": "allow"}


def test_data_keep_their_places_and_tests_come_along_uncompiled(tmp_path):
    made = archive(
        ("/main.rego", ASKED.encode()),
        ("/main_test.rego", b"package countersign_test\n"),
        ("/main_cases.yaml", b"cases: []\n"),
        ("/team/limits/data.json", b'{"rows": 10}'),
        ("/.hidden/x.rego", b"package hidden\n"),
        ("/README.md", b"words"),
        ("/.manifest", b'{"revision": "7", "roots": ["countersign", "team"]}'),
    )
    (tmp_path / "b.tar.gz").write_bytes(made)
    snapshot = source(tmp_path / "b.tar.gz").fetch("")
    named = {"main.rego", "main_test.rego", "main_cases.yaml", "team/limits/data.json"}
    assert {str(path) for path in snapshot.files} == named
    built = build(realparts.opa(), snapshot)
    assert answer(realparts.opa(), built, tmp_path) == {"effect": "allow"}
    (tmp_path / "again.tar.gz").write_bytes(built.archive)
    manifest = json.loads(taken_apart(tmp_path / "again.tar.gz")[".manifest"])
    assert manifest["roots"] == [""]
    assert manifest["revision"] == "7"


def test_what_policy_must_not_call_is_not_compiled_however_it_was_made(tmp_path):
    calls = 'package countersign\n\ndecision := http.send({"method": "get", "url": "http://x"})\n'
    path = bundle(written(tmp_path / "p", main_rego=calls), tmp_path / "b.tar.gz")
    with pytest.raises(ConfigurationError) as caught:
        build(realparts.opa(), source(path).fetch(""))
    assert caught.value.code == "policy.not_compiled"
    assert "http.send" in caught.value.message


def test_one_made_for_webassembly_is_refused(tmp_path):
    options = ["--target", "plan", "--entrypoint", "countersign/decision"]
    path = bundle(written(tmp_path / "p"), tmp_path / "b.tar.gz", *options)
    with pytest.raises(ConfigurationError) as caught:
        source(path).fetch("")
    assert "compiled plan" in caught.value.message


def test_without_rego_it_is_refused(tmp_path):
    (tmp_path / "b.tar.gz").write_bytes(
        archive(("data.json", b"{}"), ("x_test.rego", b"package x"))
    )
    with pytest.raises(ConfigurationError) as caught:
        source(tmp_path / "b.tar.gz").fetch("")
    assert caught.value.code == "policy.empty"


def test_only_what_the_key_signed_is_given(tmp_path):
    private, public = keys(tmp_path)
    key = BundleKey(opa=realparts.opa(), file=public, algorithm="RS256")
    policy = written(tmp_path / "p")
    path = bundle(policy, tmp_path / "b.tar.gz", "--signing-key", str(private), revision="1")
    files = source(path, key)
    first = files.fetch("")
    assert first.signed_by.startswith("key signing.pub.pem (sha256:")
    bundle(written(policy, main_rego=DENY), path, revision="2")
    with pytest.raises(ConfigurationError) as caught:
        files.fetch(first.version)
    assert caught.value.code == "policy.signature_invalid"
    bundle(policy, path, "--signing-key", str(private), revision="2")
    assert files.fetch(first.version).revision == "2"


def test_one_revision_never_names_two_contents(tmp_path):
    policy, path = written(tmp_path / "p"), tmp_path / "b.tar.gz"
    files = source(bundle(policy, path, revision="1.4"))
    first = files.fetch("")
    files.accept(first)
    bundle(written(policy, main_rego=DENY), path, revision="1.4")
    with pytest.raises(ConfigurationError) as caught:
        files.fetch(first.version)
    assert caught.value.code == "policy.revision_reused"
    bundle(policy, path, revision="1.5")
    assert files.fetch(first.version).revision == "1.5"


def test_a_bundle_without_a_revision_is_named_by_its_content(tmp_path):
    policy, path = written(tmp_path / "p"), tmp_path / "b.tar.gz"
    files = source(bundle(policy, path))
    first = files.fetch("")
    files.accept(first)
    bundle(written(policy, main_rego=DENY), path)
    second = files.fetch(first.version)
    assert first.revision.startswith("sha256:")
    assert second.revision.startswith("sha256:")
    assert first.revision != second.revision


def test_a_file_is_read_again_only_when_its_stamp_changes(tmp_path, monkeypatch):
    policy, path = written(tmp_path / "p"), tmp_path / "b.tar.gz"
    place = FilePlace(bundle(policy, path), max_bytes=MAX)
    assert place.get("").tag == ""  # too young for its stamp to prove anything
    monkeypatch.setattr(stamps, "SETTLED_NS", -1)
    tag = place.get("").tag
    assert place.get(tag) is None
    bundle(written(policy, main_rego=DENY), path)
    assert place.get(tag) is not None


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "large"])
def test_a_file_that_will_not_do_is_named(tmp_path, kind):
    path = tmp_path / "b.tar.gz"
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "large":
            path.write_bytes(bytes(MAX + 1))
    with pytest.raises(ConfigurationError) as caught:
        source(path).fetch("")
    assert caught.value.code == "policy.unreadable"
    assert str(path) in caught.value.message


# --- a bucket ---


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with running(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture
def place(store, monkeypatch):
    for name, value in store.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)

    def made(url: str, **options) -> S3Place:
        given = {"endpoint": store.endpoint, "region": REGION, "deadline_s": 10, "max_bytes": MAX}
        return S3Place(url, **(given | options))

    return made


def test_a_bundle_in_a_bucket_is_fetched_once_for_each_version(store, place, tmp_path):
    bucket = store.versioned_bucket()
    policy, path = written(tmp_path / "p"), tmp_path / "b.tar.gz"

    def put(text: str, revision: str) -> str:
        bundle(written(policy, main_rego=text), path, revision=revision)
        body = path.read_bytes()
        return store.shared().put_object(Bucket=bucket, Key="x/b.tar.gz", Body=body)["VersionId"]

    version = put(ALLOW, "1")
    at = place(f"s3://{bucket}/x/b.tar.gz")
    files = BundleSource(at, None)
    first = files.fetch("")
    assert first.origin == f"bundle s3://{bucket}/x/b.tar.gz (version {version})"
    assert files.fetch(first.version) is None
    assert at.get(at.get("").tag) is None  # the store says so, by If-None-Match
    version = put(DENY, "2")
    second = files.fetch(first.version)
    assert second.revision == "2"
    assert version in second.origin


def test_what_the_bucket_does_not_give_is_said(store, place):
    bucket = store.bucket(locked=False)
    with pytest.raises(ConfigurationError, match="NoSuchKey"):
        place(f"s3://{bucket}/gone").get("")
    store.shared().put_object(Bucket=bucket, Key="large", Body=bytes(2000))
    with pytest.raises(ConfigurationError, match="larger than"):
        place(f"s3://{bucket}/large", max_bytes=1999).get("")
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        place(f"s3://{bucket}/large", endpoint="http://127.0.0.1:9").get("")
    for url in ("s3://", "s3://b/", "s3://Bucket_/x", "s3://user:pass@bucket/x"):
        with pytest.raises(ConfigurationError) as caught:
            place(url)
        assert "pass" not in str(caught.value)
