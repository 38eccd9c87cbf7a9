"""`audit probe-store` against a real server: MinIO, with Object Lock and without."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import s3_server
from countersign.audit import s3
from countersign.audit.s3.probe import RELIED_ON
from countersign.cli.audit.probing import parse_target
from countersign.errors import ConfigurationError

# Every probe, and what MinIO does. A change of either has to be looked at.
MINIO = {
    "delete-version": "held",
    "delete-version-with-bypass": "held",
    "delete-in-a-batch": "held",
    "delete-in-a-batch-with-bypass": "held",
    "delete-in-a-batch-after-an-ended-one": "held",
    "delete-by-force": "held",
    "overwrite": "held",
    "overwrite-with-a-shorter-lock": "held",
    "delete-marker": "held",
    "copy-onto-itself": "held",
    "copy-another-over-it": "held",
    "multipart-over-it": "held",
    "shorten": "held",
    "shorten-with-bypass": "held",
    "shorten-then-wait-then-delete": "held",
    "end-it-in-the-past": "held",
    "clear-retention": "held",
    "clear-retention-with-bypass": "held",
    "weaken-mode": "held",
    "weaken-mode-then-delete-with-bypass": "held",
    "delete-what-a-hold-protects": "held",
    "lock-until-the-past": "held",
    "lock-in-an-unknown-mode": "held",
    "lock-without-a-date": "held",
    "lock-past-2106": "held",
    "lock-until-2140": "held",
    "lock-until-9999": "held",
    "extend": "held",
    "create-what-exists": "held",
    "race-to-create": "held",
    "wrong-sha256": "held",
    "wrong-md5": "held",
    "no-checksum": "broken",  # AWS refuses it; the sink always sends one
    "head-tells-the-lock": "held",
    "head-tells-the-checksum": "held",
    "multipart-upload-with-a-lock": "held",
    "copy-with-a-lock": "held",
    "anonymous": "held",
    "unknown-key": "held",
    "wrong-secret": "held",
    "suspend-versioning-then-overwrite": "held",
    "disable-object-lock": "held",
    "delete-the-bucket": "held",
    "default-is-stamped": "held",
    "explicit-date-beats-the-default": "held",
    "take-the-default-away": "held",
    "default-of-zero-days": "held",
    "expire-current-versions": "held",
    "expire-noncurrent-versions": "unknown",  # a rule waits for a day at least
}
RELIED = {guarantee.name.lower() for guarantee in RELIED_ON}


def countersign(server, *arguments):
    """The command, as an operator types it."""
    code = "from countersign.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def probed(server, target, *options):
    """Probe a store and leave what is locked: the server is thrown away anyway."""
    done = countersign(
        server, "audit", "probe-store", target, "--endpoint", server.endpoint,
        "--no-wait", "--json", *options,
    )  # fmt: skip
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode
    report["found"] = {each["name"]: each["verdict"] for each in report["probes"]}
    report["gives"] = {each["name"]: each["verdict"] for each in report["guarantees"]}
    return report


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("minio")) as started:
        yield started


@pytest.fixture(scope="module")
def reports(server):
    """Every kind of bucket, probed at once: most of the time is waiting for locks to end."""
    runs = {
        "own": ("s3://scratch-of-the-kit/kit", "--create"),
        "locked": (f"s3://{server.bucket()}/kit", "--governance"),
        "unlocked": (f"s3://{server.versioned_bucket()}",),
    }
    with ThreadPoolExecutor() as pool:
        begun = {name: pool.submit(probed, server, *given) for name, given in runs.items()}
        return {name: run.result() for name, run in begun.items()}


def test_minio_holds_everything_that_is_relied_on(reports):
    report = reports["own"]
    assert report["found"] == MINIO
    assert {name for name, verdict in report["gives"].items() if verdict == "held"} >= RELIED
    assert report["exit_code"] == 0
    assert all(power["verdict"] == "held" for power in report["powers"].values())
    assert report["server"] == "MinIO"


def test_what_stays_is_locked_for_minutes_only(reports, server):
    leftovers = reports["own"]["leftovers"]
    assert leftovers
    with server.client() as client:
        for left in leftovers:
            told = client.head_object(
                Bucket="scratch-of-the-kit", Key=left["key"], VersionId=left["version"]
            )
            locked_for = told["ObjectLockRetainUntilDate"] - told["LastModified"]
            assert locked_for.total_seconds() <= 120, left


def test_a_bucket_that_others_use_keeps_its_settings_and_a_rehearsal_is_not_a_proof(reports):
    report = reports["locked"]
    assert report["mode"] == "GOVERNANCE"
    assert report["gives"]["undeletable"] == "held"
    assert report["gives"]["mode_fixed"] == "not applicable"
    assert report["gives"]["bucket"] == "not applicable"
    assert report["exit_code"] == 2
    assert "broken" not in {report["gives"][name] for name in RELIED}


def test_a_bucket_that_keeps_versions_but_locks_nothing_is_refused_by_name(reports):
    report = reports["unlocked"]
    assert report["exit_code"] == 1
    broken = {name for name, verdict in report["gives"].items() if verdict == "broken"}
    assert broken >= {"undeletable", "unshortenable", "mode_fixed", "visible"}
    assert report["found"]["delete-version"] == "broken"
    assert report["found"]["shorten-then-wait-then-delete"] == "broken"
    # Versions are kept by versioning, which this bucket has.
    assert report["gives"]["history"] == "held"
    # A refusal for want of the lock is no proof of anything else.
    assert report["found"]["wrong-sha256"] == "unknown"
    assert report["found"]["lock-until-2140"] == "unknown"


def test_the_bucket_that_the_kit_made_is_not_made_twice(reports, server):
    done = countersign(
        server, "audit", "probe-store", "s3://scratch-of-the-kit", "--create",
        "--endpoint", server.endpoint,
    )  # fmt: skip
    assert done.returncode == 2
    assert "[s3.bucket_unusable]" in done.stderr
    assert "a name that no bucket has yet" in done.stderr


def test_no_store_and_no_bucket_are_told_apart(server):
    nowhere = f"http://127.0.0.1:{s3_server.free_port()}"
    done = countersign(server, "audit", "probe-store", "s3://bucket", "--endpoint", nowhere)
    assert (done.returncode, "[s3.unreachable]" in done.stderr) == (2, True)
    done = countersign(
        server, "audit", "probe-store", "s3://no-such-bucket", "--endpoint", server.endpoint
    )
    assert (done.returncode, "[s3.bucket_unusable]" in done.stderr) == (2, True)
    done = countersign(server, "audit", "probe-store", "s3://bucket", "--endpoint", "nonsense")
    assert (done.returncode, "[s3.client_invalid]" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


def test_a_target_is_a_bucket_and_a_prefix():
    assert parse_target("s3://bucket") == ("bucket", "")
    assert parse_target("s3://my.bucket-1/a/b") == ("my.bucket-1", "a/b")
    for wrong in ("bucket/prefix", "s3://", "s3://B/x", "s3://bucket/\n"):
        with pytest.raises(ConfigurationError) as caught:
            parse_target(wrong)
        assert caught.value.code == "s3.target_invalid"


def test_without_boto3_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="boto3 is not installed") as caught:
        s3.require()
    assert "pip install 'countersign[s3]'" in caught.value.advice


def test_nothing_else_loads_boto3():
    code = "import sys, countersign.cli.root; sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
