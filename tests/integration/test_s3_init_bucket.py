"""`audit init-bucket` against a real server: what it makes, leaves out and refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("minio")) as started:
        yield started


def init_bucket(server, records, tiles, *options):
    code = "from countersign.cli import main; main()"
    return subprocess.run(
        [
            sys.executable, "-c", code, "audit", "init-bucket", f"s3://{records}",
            "--tiles", f"s3://{tiles}", "--endpoint", server.endpoint, *options,
        ],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip


def steps(done):
    told = json.loads(done.stdout)["steps"]
    return {(step["bucket"], step["what"].partition(":")[0] if step["what"].startswith("lock")
             else step["what"]): step["state"] for step in told}  # fmt: skip


def test_both_buckets_are_made_and_a_second_run_changes_nothing(server):
    first = init_bucket(server, "acme-records", "acme-tiles", "--days", "30", "--json")
    assert first.returncode == 0, first.stderr
    assert steps(first) == {
        ("acme-records", "bucket"): "done",
        ("acme-records", "versioning"): "there",
        ("acme-records", "lock"): "done",
        ("acme-records", "policy: NobodyDeletes"): "done",
        # MinIO does not know these conditions.
        ("acme-records", "policy: CreateOnly"): "left out",
        ("acme-records", "policy: OneMode"): "done",
        ("acme-records", "policy: NotTooShort"): "left out",
        ("acme-records", "policy: NotTooLong"): "left out",
        ("acme-records", "policy: SettingsStay"): "done",
        ("acme-tiles", "bucket"): "done",
    }
    with server.client() as client:
        told = client.get_object_lock_configuration(Bucket="acme-records")
        assert told["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {
            "Mode": "COMPLIANCE",
            "Days": 30,
        }
        assert client.get_bucket_versioning(Bucket="acme-tiles").get("Status") is None
    second = init_bucket(server, "acme-records", "acme-tiles", "--days", "30", "--json")
    assert second.returncode == 0, second.stdout
    assert set(steps(second).values()) == {"there", "left out"}


def test_other_settings_are_reported_and_not_replaced(server):
    assert init_bucket(server, "kept-records", "kept-tiles", "--days", "30").returncode == 0
    done = init_bucket(
        server, "kept-records", "kept-tiles", "--days", "60", "--governance", "--json"
    )
    assert done.returncode == 1
    wrong = {what for (_bucket, what), state in steps(done).items() if state == "wrong"}
    assert wrong == {"lock", "policy: OneMode"}
    with server.client() as client:
        told = client.get_object_lock_configuration(Bucket="kept-records")
        assert told["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["Days"] == 30


def test_a_bucket_without_lock_and_with_another_policy_is_wrong(server):
    bucket = server.versioned_bucket("plain-records")
    foreign = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::plain-records/*",
            }
        ],
    }  # fmt: skip
    with server.client() as client:
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(foreign))
    done = init_bucket(server, bucket, "plain-tiles", "--days", "1", "--json")
    assert done.returncode == 1
    assert steps(done)[bucket, "lock"] == "wrong"
    assert steps(done)[bucket, "policy: NobodyDeletes"] == "wrong"
    with server.client() as client:
        assert "Theirs" in client.get_bucket_policy(Bucket=bucket)["Policy"]


def test_it_prints_what_people_have_to_do(server):
    done = init_bucket(server, "read-records", "read-tiles", "--days", "1", "--governance")
    assert done.returncode == 0
    assert "done      s3://read-records lock: GOVERNANCE, 1 day(s) by default" in done.stdout
    assert "left out  policy: TlsOnly: the endpoint is without TLS" in done.stdout
    assert '"Sid": "WriteRecords"' in done.stdout
    assert "What the account's administrators have to see to:" in done.stdout


@pytest.mark.parametrize(
    ("records", "tiles", "days", "code"),
    [
        ("one", "two", "36500", "s3.retention_too_long"),
        ("same", "same", "1", "s3.same_bucket"),
        ("one/prefix", "two", "1", "s3.target_invalid"),
        ("One", "two", "1", "s3.target_invalid"),
    ],
)
def test_nothing_is_made_of_wrong_wishes(server, records, tiles, days, code):
    done = init_bucket(server, records, tiles, "--days", days)
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr
    with server.client() as client:
        names = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    assert not names & {"one", "two", "same"}
