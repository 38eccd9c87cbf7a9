"""Every probe can fail: each is held by a right server and broken by a flaw of its own."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from countersign.audit.s3.client import Place, make_client
from countersign.audit.s3.probe import Verdict
from countersign.audit.s3.probe_run import PROBES, run
from countersign.audit.s3.probe_scratch import Limits, Scratch, Target
from countersign.errors import ConfigurationError
from simulators.s3_flawed import KEY_ID, SECRET, FlawedS3, serving

FLAWS = {
    "delete": "delete-version",
    "delete-bypass": "delete-version-with-bypass",
    "batch": "delete-in-a-batch",
    "batch-bypass": "delete-in-a-batch-with-bypass",
    "batch-after-ended": "delete-in-a-batch-after-an-ended-one",
    "force": "delete-by-force",
    "overwrite": "overwrite",
    "marker-destroys": "delete-marker",
    "copy-over": "copy-onto-itself",
    "multipart-over": "multipart-over-it",
    "shorten": "shorten-then-wait-then-delete",
    "shorten-bypass": "shorten-with-bypass",
    "shorten-to-past": "end-it-in-the-past",
    "clear": "clear-retention",
    "clear-bypass": "clear-retention-with-bypass",
    "mode": "weaken-mode",
    "mode-bypass": "weaken-mode-then-delete-with-bypass",
    "hold": "delete-what-a-hold-protects",
    "past-date": "lock-until-the-past",
    "any-mode": "lock-in-an-unknown-mode",
    "half-lock": "lock-without-a-date",
    "wrap": "lock-until-2140",
    "exclusive": "create-what-exists",
    "race": "race-to-create",
    "sha256": "wrong-sha256",
    "md5": "wrong-md5",
    "no-checksum": "no-checksum",
    "lock-untold": "head-tells-the-lock",
    "no-version-id": "head-tells-the-lock",
    "checksum-untold": "head-tells-the-checksum",
    "multipart-unlocked": "multipart-upload-with-a-lock",
    "copy-unlocked": "copy-with-a-lock",
    "anonymous": "anonymous",
    "any-key": "unknown-key",
    "any-secret": "wrong-secret",
    "suspend": "suspend-versioning-then-overwrite",
    "suspend-destroys": "suspend-versioning-then-overwrite",
    "disable": "disable-object-lock",
    "bucket-deletion": "delete-the-bucket",
    "force-bucket": "delete-the-bucket",
    "default-ignored": "default-is-stamped",
    "default-overrides": "explicit-date-beats-the-default",
    "default-retroactive": "take-the-default-away",
    "zero-days": "default-of-zero-days",
    "lifecycle": "expire-noncurrent-versions",
}
BY_NAME = {probe.name: probe for probe in PROBES}
NEVER_BROKEN = {
    # The same flaws as beside them break these, too.
    "overwrite-with-a-shorter-lock",
    "copy-another-over-it",
    "shorten",
    "lock-past-2106",
    "lock-until-9999",
    "expire-current-versions",
    # Allowed everywhere: it only has to last.
    "extend",
}


class Clocked(Scratch):
    """Waits by moving the server's clock."""

    server_clock: FlawedS3

    def wait_until(self, moment: int) -> None:
        self.server_clock.advance(moment + 1 - self.server_clock.now())
        self.attempt(lambda s3: s3.head_bucket(Bucket=self.bucket))


@pytest.fixture(autouse=True)
def _credentials(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


@contextlib.contextmanager
def scratch_on(*flaws):
    server = FlawedS3(*flaws)
    with serving(server) as url:
        place = Place(endpoint=url, region="us-east-1")
        with contextlib.closing(make_client(place, max_connections=32)) as s3:
            s3.create_bucket(Bucket="scratch", ObjectLockEnabledForBucket=True)
            target = Target(place=place, bucket="scratch", own=True)
            scratch = Clocked(s3, target, Limits())
            scratch.server_clock = server
            scratch.bypass_works = True
            yield scratch


def test_a_right_server_holds_every_probe():
    with scratch_on() as scratch:
        judged = {probe.name: probe.run(scratch) for probe in PROBES}
    assert {name: j for name, j in judged.items() if j.verdict is not Verdict.HELD} == {}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_is_found_by_name(flaw):
    with scratch_on(flaw) as scratch:
        judged = BY_NAME[FLAWS[flaw]].run(scratch)
    assert judged.verdict is Verdict.BROKEN, judged


def test_a_bucket_that_would_keep_scratch_objects_for_long_is_left_alone():
    with scratch_on() as scratch:
        target = dataclasses.replace(scratch.target, own=False)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 2}}
        scratch.s3.put_object_lock_configuration(
            Bucket="scratch",
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
        )
        with pytest.raises(ConfigurationError, match="longer than a day"):
            run(target)
        assert scratch.versions("") == []


def test_every_probe_was_seen_to_fail():
    assert set(FLAWS.values()) | NEVER_BROKEN == set(BY_NAME)
