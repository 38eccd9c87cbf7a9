"""An operator's own sanitizer rules, on a real service: used, changed, taken away."""

from __future__ import annotations

import json

import pytest

from countersign.v1 import activity_pb2
from service import COMMAND, Service

ORDERS = r"""
[[rules]]
id = "order"
type = "ORDER_ID"
regex = '\bORD-[0-9]{6}\b'
examples = ["ORD-000000"]
"""
NAMES = """
[[rules]]
id = "projects"
type = "PROJECT"
words = ["bluebird"]
examples = ["bluebird"]
"""
ACCEPTING = ("sh", "-c", 'exec "$0" "$@" --accept-weaker', COMMAND)


@pytest.fixture
def service(prepared: Service) -> Service:
    prepared.configure({"sanitizer.rules": "sanitizer.toml"})
    prepared.plant("ORD-123456")
    return prepared


def rules(service: Service, text: str) -> None:
    (service.directory / "sanitizer.toml").write_text(text, "utf-8")


def cleaned(service: Service, text: str) -> str:
    request = activity_pb2.SanitizeRequest(content=activity_pb2.Content(text=text))
    answer = service.line("agent").call("Activity.Sanitize", request)
    return str(answer.content.text)


def starts(service: Service) -> list[dict[str, object]]:
    records = [json.loads(record) for record in service.verified_log()[1]]
    return [record["change"] for record in records if record["kind"] == "config.changed"]


def test_rules_mask_and_a_weaker_set_starts_only_when_told_and_on_record(service):
    rules(service, ORDERS + NAMES)
    service.start()
    assert cleaned(service, "bluebird ships ORD-123456") == "[PROJECT] ships [ORDER_ID]"
    service.stop()
    rules(service, ORDERS)
    said = service.refuses_to_start()
    assert "rule projects is gone" in said
    assert "--accept-weaker" in said
    service.command = ACCEPTING
    service.start()
    assert cleaned(service, "bluebird ships ORD-123456") == "bluebird ships [ORDER_ID]"
    service.stop()
    service.command = (COMMAND,)
    service.start()
    service.stop()
    first, accepted, after = starts(service)
    assert first["ruleset"] != accepted["ruleset"] == after["ruleset"]
    assert str(first["ruleset"]).startswith("custom-1:")
    assert accepted["weaker"] == ["entity PROJECT is gone", "rule projects is gone"]
    assert "weaker" not in first
    assert "weaker" not in after


def test_a_file_that_cannot_work_or_is_missing_stops_the_start(service):
    assert "sanitizer.rules" in service.refuses_to_start()
    rules(service, ORDERS.replace("ORD-000000", "ORD-1"))
    said = service.refuses_to_start()
    assert "rules[0].examples[0]" in said
    assert "sanitizer.toml" in said
