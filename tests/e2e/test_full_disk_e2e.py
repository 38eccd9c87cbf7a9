"""A disk that is full, under the store, under the published log, and under both.

What was acknowledged stays, nothing is let through that cannot be recorded, and when
there is room again the service goes on: by itself where only the published log had
none, after a restart where the store had none.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import realparts
from countersign.client.status import CallFailed
from countersign.model import new_id
from countersign.v1 import context_pb2, decisions_pb2
from service import Service, context, eventually, is_logged
from small_disk import SmallDisk, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=4) as mounted:
        yield mounted


@pytest.fixture
def service(prepared: Service) -> Service:
    prepared.environment["PYTHONPATH"] = str(realparts.ROOT / "service")
    return prepared


class Asking:
    """One agent, and what it was answered."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.answers: dict[str, Any] = {}
        self._tables = 0
        self._line, self._generation = service.line("agent"), service.generation

    def check(self, action: str = "demo.allow", request_id: str = "") -> Any:
        self._tables += 1
        request = decisions_pb2.CheckRequest(
            context=context(action, f"t{self._tables}").to_message(),
            request_id=request_id or new_id("req"),
        )
        if self._generation != self.service.generation:
            self._generation, self._line = self.service.generation, self.service.line("agent")
        answer = self._line.call("Decisions.Check", request)
        self.answers[request.request_id] = answer
        return answer

    def refused(self, action: str = "demo.allow") -> str:
        """The reason of a Check that ended in UNAVAILABLE; empty if it was answered."""
        try:
            self.check(action)
        except grpc.RpcError as error:
            failed = CallFailed.of(error)
            assert failed.code is grpc.StatusCode.UNAVAILABLE, failed.message
            return failed.reason or "gone"
        return ""

    def until_refused(self) -> str:
        reason = ""

        def is_refused() -> bool:
            nonlocal reason
            reason = self.refused()
            return bool(reason)

        eventually(is_refused)
        return reason

    def all_logged_once(self) -> None:
        """Each answer's record is where it was said to be; no permit without one."""
        assert self.service.stop() == 0
        result, records = self.service.verified_log()
        assert result.pending == 0
        assert self.answers
        assert all(is_logged(answer.record, records) for answer in self.answers.values())
        bodies = [json.loads(record) for record in records]
        asked = Counter(body["request"]["id"] for body in bodies if body["kind"] == "decision")
        assert set(asked.values()) == {1}
        assert set(self.answers) <= set(asked)


def test_a_full_store_ends_the_service_and_room_brings_it_back(
    service: Service, disk: SmallDisk
) -> None:
    service.configure({"store.path": str(disk.path / "store.db")})
    service.start()
    asking = Asking(service)
    assert asking.check().effect == context_pb2.EFFECT_ALLOW
    disk.fill()
    assert asking.until_refused() in {"audit.unavailable", "gone"}
    assert service.ended() == 1
    assert "the store failed and the service ends" in service.said
    said = service.refuses_to_start()
    assert "store.unusable" in said
    assert "Make room on its disk" in said
    disk.make_room()
    service.start()
    assert asking.check().effect == context_pb2.EFFECT_ALLOW
    asking.all_logged_once()


def test_whoever_is_calling_when_the_store_is_full_hears_why(
    service: Service, disk: SmallDisk
) -> None:
    """Those that wait in a queue, too: CANCELLED would say nothing of what became of them."""
    service.configure({"store.path": str(disk.path / "store.db")})
    service.start()
    line, refused, numbers = service.line("agent"), [], itertools.count()
    while not refused:
        calls = []
        for number in itertools.islice(numbers, 32):
            wanted = context("demo.allow", f"t{number}").to_message()
            request = decisions_pb2.CheckRequest(context=wanted, request_id=f"check-{number}")
            calls.append(line.begin("Decisions.Check", request))
        refused = [CallFailed.of(error) for call in calls if (error := call.exception())]
    said = {(each.code, each.reason) for each in refused}
    assert said == {(grpc.StatusCode.UNAVAILABLE, "audit.unavailable")}
    assert service.ended() == 1


def test_a_full_published_log_stops_nobody_until_too_much_waits(
    service: Service, disk: SmallDisk
) -> None:
    service.log_root = disk.path / "log"
    service.configure({"log.directory": str(service.log_root), "log.max_backlog_age_s": 3})
    service.start()
    asking = Asking(service)
    assert asking.check().effect == context_pb2.EFFECT_ALLOW
    disk.fill()
    assert asking.check().effect == context_pb2.EFFECT_ALLOW  # it waits in the store
    eventually(lambda: service.metric("countersign_log_failures") >= 1)
    assert asking.until_refused() == "audit.unavailable"
    assert asking.check("demo.deny").effect == context_pb2.EFFECT_DENY  # there is room for those
    assert "log default" in service.status("/readyz")[1]
    disk.make_room()
    eventually(lambda: not asking.refused())
    eventually(lambda: service.metric("countersign_log_failures") == 0)
    asking.all_logged_once()


def test_what_waits_for_a_full_log_may_fill_the_store_too(
    service: Service, disk: SmallDisk
) -> None:
    """Both on one disk, filled by nothing but the service's own records."""
    service.log_root = disk.path / "log"
    service.configure(
        {"store.path": str(disk.path / "store.db"), "log.directory": str(service.log_root)}
    )
    service.start()
    asking = Asking(service)
    disk_left = disk.left_bytes()
    assert asking.until_refused() in {"audit.unavailable", "gone"}
    assert len(asking.answers) > 20
    assert disk.left_bytes() < disk_left
    assert service.ended() == 1
    disk.grow(64)
    service.start()
    assert asking.check().effect == context_pb2.EFFECT_ALLOW
    asking.all_logged_once()
