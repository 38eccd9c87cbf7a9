"""A real service whose log goes to a real store with Object Lock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from countersign.audit.verify import verify
from countersign.client import Context
from countersign.model import new_id
from countersign.v1 import activity_pb2, context_pb2, decisions_pb2, reviews_pb2
from s3_faults import Fault, Proxy
from s3_server import S3Server, running
from service import Service, context, eventually

POLICY = """
package countersign

decision := {"effect": "allow", "reasons": [reason]} if input.context.action == "log.allow"

decision := {"effect": "deny", "reasons": [reason]} if input.context.action == "log.deny"

decision := {"effect": "needs_approval", "reasons": [reason], "requirement": {
	"stages": [{"name": "approvers", "approvers": {"groups": ["approvers"]}}],
	"durability": durability[input.context.action],
}} if durability[input.context.action]

durability := {"log.locked": "locked", "log.durable": "durable"}

reason := {"code": "log.rule", "message": "a rule of the log's stories"}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running(tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture
def proxy(server: S3Server) -> Iterator[Proxy]:
    with Proxy(server.endpoint).running() as started:
        yield started


class Story:
    """A service, its buckets, and what stands between them."""

    def __init__(self, service: Service, server: S3Server, proxy: Proxy) -> None:
        self.service, self.server, self.proxy = service, server, proxy
        self.records, self.tiles = server.buckets()
        self.client = server.shared()
        (service.directory / "policy" / "decision.rego").write_text(POLICY, "utf-8")
        service.environment.update(server.environment)
        service.configure(
            {
                "log.sink": "s3",
                "log.lock_deadline_s": 1,
                "s3.records_bucket": self.records,
                "s3.tiles_bucket": self.tiles,
                "s3.endpoint": proxy.endpoint,
                "s3.region": "us-east-1",
                "s3.prefix": "evidence/",
                "s3.retain_days": 1,
                "s3.max_retain_days": 2,
            }
        )

    def down(self) -> None:
        """S3 answers nobody any more."""
        self.proxy.choose = lambda _method, _path: Fault.BUSY

    def hang(self) -> None:
        """S3 takes every request and answers none."""
        self.proxy.choose = lambda _method, _path: Fault.HANG

    def up(self) -> None:
        self.proxy.choose = lambda _method, _path: Fault.NONE

    def asks(self, action: str, table: str = "customers", **more: Any) -> Any:
        request = decisions_pb2.CheckRequest(
            context=context(action, table).to_message(), request_id=new_id("req"), **more
        )
        return self.service.line("agent").call("Decisions.Check", request)

    def approved(self, action: str) -> tuple[str, Context]:
        wanted = context(action)
        review_id = str(self.asks(action).review.review_id)
        bob = self.service.line("bob")
        review = bob.call("Reviews.Get", reviews_pb2.GetReviewRequest(review_id=review_id))
        bob.call(
            "Reviews.Decide",
            reviews_pb2.DecideRequest(
                review_id=review_id,
                revision=review.status.revision,
                vote=reviews_pb2.VOTE_APPROVE,
                profile="reviewer",
                preview_hash=review.previews["reviewer"].hash,
                request_id=new_id("req"),
            ),
        )
        return review_id, wanted

    def claims(self, review_id: str, wanted: Context, request_id: str) -> Any:
        request = decisions_pb2.ClaimRequest(
            review_id=review_id, context=wanted.to_message(), request_id=request_id
        )
        return self.service.line("agent").call("Decisions.Claim", request)

    def copied(self) -> Any:
        """The log of the tenant, as an auditor with both buckets takes it away."""
        root = self.service.directory / "copy"
        for bucket in (self.records, self.tiles):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for page in pages:
                for each in page.get("Contents", ()):
                    path = root / each["Key"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    body = self.client.get_object(Bucket=bucket, Key=each["Key"])["Body"]
                    path.write_bytes(body.read())
        return root / "evidence" / "countersign.local" / "default"

    def versions(self) -> dict[str, int]:
        found: dict[str, int] = {}
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=self.records)
        for page in pages:
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                found[each["Key"]] = found.get(each["Key"], 0) + 1
        return found


@pytest.fixture
def story(prepared: Service, server: S3Server, proxy: Proxy) -> Story:
    return Story(prepared, server, proxy)


@contextlib.contextmanager
def unavailable() -> Iterator[None]:
    with pytest.raises(grpc.RpcError) as refused:
        yield
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]


def test_every_record_is_locked_and_an_outsider_verifies_a_copy(story: Story) -> None:
    story.service.start()
    review_id, wanted = story.approved("log.locked")
    assert story.claims(review_id, wanted, "r1").permit.token
    story.asks("log.deny")
    story.service.stop()
    assert set(story.versions().values()) == {1}
    for key in story.versions():
        head = story.client.head_object(Bucket=story.records, Key=key)
        assert head["ObjectLockMode"] == "COMPLIANCE"
        assert head["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(hours=23)
    result = verify(story.copied(), story.service.log_key())
    assert result.ok, result.findings
    assert result.pending == 0


def test_a_claim_whose_lock_is_late_is_spent_and_collected_by_its_own_request(
    story: Story,
) -> None:
    story.service.start()
    review_id, wanted = story.approved("log.locked")
    story.down()
    with unavailable():
        story.claims(review_id, wanted, "r1")
    second = story.claims(review_id, wanted, "r2")
    assert second.reasons[0].code == "claim.spent"
    assert not second.permit.token
    story.up()
    collected: list[Any] = []

    def is_collected() -> bool:
        with contextlib.suppress(grpc.RpcError):  # the lock may take another moment
            collected.append(story.claims(review_id, wanted, "r1"))
        return bool(collected)

    eventually(is_collected)
    assert collected[0].permit.token
    assert collected[0].replayed


def test_while_s3_is_down_durable_work_goes_on_until_the_bound(story: Story) -> None:
    story.service.configure({"log.max_backlog_age_s": 3})
    story.service.start()
    eventually(lambda: story.service.metric("countersign_log_failures") == 0)
    story.down()
    assert story.asks("log.allow", "t0").effect == context_pb2.EFFECT_ALLOW

    def is_full() -> bool:
        try:
            story.asks("log.allow", new_id("t"))
        except grpc.RpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
        return False

    eventually(is_full)
    assert story.asks("log.deny", "t1").effect == context_pb2.EFFECT_DENY  # still recorded
    with unavailable():
        story.service.line("agent").call(
            "Activity.Log",
            activity_pb2.LogRequest(
                type="t", content=activity_pb2.Content(text="x"), request_id=new_id("req")
            ),
        )
    story.up()
    eventually(lambda: not is_full())
    story.service.stop()
    assert set(story.versions().values()) == {1}
    result = verify(story.copied(), story.service.log_key())
    assert result.ok, result.findings  # nothing that was answered is missing


def test_a_killed_service_leaves_no_gap_and_no_double(story: Story) -> None:
    for point in ("log.segment_written", "log.checkpoint_written", "log.marked"):
        story.service.start(fault=point)
        with contextlib.suppress(grpc.RpcError):
            for number in range(50):
                story.asks("log.deny", f"{point}-{number}")
        story.service.killed_itself()
    story.service.start()
    story.asks("log.deny")
    story.service.stop()
    assert set(story.versions().values()) == {1}
    result = verify(story.copied(), story.service.log_key())
    assert result.ok, result.findings


def test_a_store_that_hangs_does_not_hold_the_end_up(story: Story) -> None:
    """Beyond what waiters (3 s) and the log (10 s) are given, nothing is waited for."""
    story.service.start()
    eventually(lambda: story.service.metric("countersign_log_failures") == 0)
    story.hang()
    assert story.asks("log.allow").effect == context_pb2.EFFECT_ALLOW
    began = time.monotonic()
    assert story.service.stop() == 0
    assert time.monotonic() - began < 20
    story.up()
    story.service.start()
    story.service.stop()
    result = verify(story.copied(), story.service.log_key())
    assert result.ok, result.findings
    assert result.pending == 0


def test_settings_that_cannot_hold_evidence_stop_the_start(story: Story) -> None:
    story.service.configure({"s3.records_bucket": story.tiles})
    assert "s3.bucket_invalid" in story.service.refuses_to_start()
    story.service.configure({"s3.records_bucket": story.records, "s3.retain_days": 3})
    assert "retain_days: more than max_retain_days" in story.service.refuses_to_start()
    story.service.configure(
        {"s3.retain_days": 1, "s3.mode": "GOVERNANCE", "log.durability": "locked"}
    )
    assert "audit.not_lockable" in story.service.refuses_to_start()
