"""Activity on the real service: prompts and tool output, masked, in the same log."""

from __future__ import annotations

import json
import logging

import pytest

from countersign.client.logging import ActivityHandler
from countersign.model import new_id
from countersign.v1 import activity_pb2
from service import Service, eventually

MAIL = "grace.hopper@navy.example"


def sent(value: object) -> activity_pb2.Content:
    return activity_pb2.Content(json=json.dumps(value).encode())


def test_prompts_and_tool_output_are_masked_given_back_and_recorded(shared: Service) -> None:
    line = shared.line("agent")
    shared.plant(MAIL)
    masked = line.call(
        "Activity.Sanitize",
        activity_pb2.SanitizeRequest(content=activity_pb2.Content(text=f"write to {MAIL}")),
    )
    assert masked.content.text.startswith("write to [EMAIL:")
    assert json.loads(masked.report_json)["total"] == {"EMAIL": 1}
    assert masked.complete

    request = activity_pb2.LogRequest(
        type="tool.output", content=sent([{"to": MAIL}, 7]), request_id=new_id("req")
    )
    first, second = (line.call("Activity.Log", request) for _ in range(2))
    assert (second.record, second.replayed) == (first.record, True)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (activity_pb2.Content(), "content"),
        (activity_pb2.Content(json=b""), "content.json"),
        (activity_pb2.Content(json=b'{"a": 1, "a": 2}'), "content.json/a"),
        (activity_pb2.Content(json=b'1, "b": 2'), "content.json"),
        (activity_pb2.Content(json=b"NaN"), "content.json"),
        (activity_pb2.Content(text="x" * 70_000), "content.text"),
    ],
)
def test_content_that_is_wrong_is_named(
    shared: Service, content: activity_pb2.Content, field: str
) -> None:
    request = activity_pb2.SanitizeRequest(content=content)
    seen = shared.line("agent").refused("Activity.Sanitize", request)
    assert list(seen.fields) == [field], seen


def test_people_and_channels_send_no_activity(shared: Service) -> None:
    request = activity_pb2.SanitizeRequest(content=sent(1))
    seen = shared.line("alice").refused("Activity.Sanitize", request)
    assert seen.reason == "person.not_a_caller"


def test_what_something_is_said_in_a_dotted_word(shared: Service) -> None:
    request = activity_pb2.LogRequest(type="Tool Output", content=sent(1), request_id="r")
    assert list(shared.line("agent").refused("Activity.Log", request).fields) == ["type"]


def test_the_sdk_masks_and_records_on_the_real_service(shared: Service) -> None:
    shared.plant(MAIL)
    with shared.client("agent") as client:
        clean = client.scrub({"to": MAIL, "n": [1, f"ask {MAIL}"]})
        assert clean["to"].startswith("[EMAIL:")
        assert clean["n"] == [1, f"ask {clean['to']}"]
        assert client.scrub(f"ask {MAIL}").startswith("ask [EMAIL:")
        record = client.log_activity("prompt", f"ask {MAIL}", session="sdk-1")
        assert record is not None
        eventually(lambda: len(shared.published()) > record.seq)
        handler = ActivityHandler(client)
        handler.handle(logging.makeLogRecord({"msg": f"mail {MAIL}", "levelname": "INFO"}))
        handler.close()
        assert handler.dropped == 0
    body = json.loads(shared.published()[record.seq])
    assert (body["kind"], body["activity"]["type"]) == ("activity", "prompt")
    assert body["activity"]["content"].startswith("ask [EMAIL:")
