"""A running service and a copy of it: the one that goes on first is the only one."""

from __future__ import annotations

import shutil
import sqlite3
from typing import Any

import grpc
import pytest

import realparts
from countersign.client.status import CallFailed
from countersign.model import new_id
from countersign.v1 import context_pb2, decisions_pb2
from service import Service, context, eventually, is_logged


def check(service: Service, table: str, action: str = "demo.allow") -> Any:
    request = decisions_pb2.CheckRequest(
        context=context(action, table).to_message(), request_id=new_id("req")
    )
    return service.line("agent").call("Decisions.Check", request)


def cloned(service: Service, to: Service) -> None:
    """Make the other service a copy of this one as it is now, but for its port."""
    for name in ("keys", "policy"):
        shutil.rmtree(to.directory / name)
        shutil.copytree(service.directory / name, to.directory / name)
    for name in ("callers.toml", "people.toml"):
        shutil.copy(service.directory / name, to.directory / name)
    to.tokens.update(service.tokens)
    to.log_root = service.log_root
    to.configure({"log.directory": str(service.log_root)})
    (to.directory / "state").mkdir(exist_ok=True)
    store = "state/countersign.db"
    with (
        sqlite3.connect(service.directory / store) as source,
        sqlite3.connect(to.directory / store) as target,
    ):
        source.backup(target)
    source.close()
    target.close()


def test_of_a_service_and_its_copy_one_goes_on_and_the_other_says_why(prepared: Service) -> None:
    old = prepared
    old.environment["PYTHONPATH"] = str(realparts.ROOT / "service")
    old.start()
    first = check(old, "t0")
    eventually(lambda: len(old.published()) > first.record.seq)
    with Service(old.directory.parent / "copy") as new:
        new.environment.update(old.environment)
        cloned(old, new)
        new.start()  # and says so in the log, from the record at which it was copied
        second = check(new, "t1")
        eventually(lambda: len(new.published()) > second.record.seq)
        assert check(old, "t2").effect == context_pb2.EFFECT_ALLOW  # it does not know yet
        eventually(lambda: "log.fenced" in old.status("/readyz")[1])
        with pytest.raises(grpc.RpcError) as refused:
            check(old, "t3")
        failed = CallFailed.of(refused.value)
        assert (failed.code, failed.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "audit.unavailable",
        )
        eventually(lambda: old.health() == "NOT_SERVING")
        assert "stop this one for good" in old.said
        third = check(new, "t4")
        assert new.stop() == 0
        assert old.stop() == 0
        result, records = new.verified_log()
        assert result.pending == 0
        assert all(is_logged(answer.record, records) for answer in (first, second, third))
        assert "log.rolled_back" in old.refuses_to_start()
