"""Scrubbing and activity through the SDK, and Python's logging on top of them."""

import logging
import threading

import pytest

from countersign.client import InvalidRequest, Timing, Unavailable
from countersign.client.logging import ActivityHandler
from countersign.client.testing import FakeAsyncClient, FakeClient

# --- the client -------------------------------------------------------------------------


def test_what_comes_back_has_the_shape_of_what_was_sent():
    fake = FakeClient()
    assert fake.scrub("call ada@example.com") == "[MASKED]"
    assert fake.scrub({"to": ["a", 3, None], "": True}) == {"to": ["[MASKED]", 3, None], "": True}
    assert fake.scrub([1, "b"]) == [1, "[MASKED]"]
    assert fake.scrub(7) == 7


@pytest.mark.parametrize(
    ("value", "field"),
    [({"a": float("nan")}, "content/a"), ("\ud800", "content"), ([2**60], "content/0")],
)
def test_what_json_does_not_have_is_refused_before_it_is_sent(value, field):
    with pytest.raises(InvalidRequest) as refused:
        FakeClient().scrub(value)
    assert refused.value.field == field


def test_an_activity_is_recorded_once_although_its_answer_was_lost():
    fake = FakeClient()
    fake.unavailable("Log")
    record = fake.log_activity("tool.output", {"rows": 3}, session="s1", decision_id="dec_1")
    assert record is not None
    assert fake.logged == [("tool.output", {"rows": 3})]
    (request,) = fake.point.logged
    assert (request.session, request.decision_id) == ("s1", "dec_1")
    assert request.request_id.startswith("act_")


async def test_the_same_awaited():
    fake = FakeAsyncClient()
    assert await fake.scrub({"a": "b"}) == {"a": "[MASKED]"}
    await fake.log_activity("prompt", "hello")
    assert fake.logged == [("prompt", "hello")]


# --- logging ------------------------------------------------------------------------------


@pytest.fixture
def fake():
    return FakeClient(timing=Timing(call_s=0.001, backoff_s=0.0001))


@pytest.fixture
def logger():
    logger = logging.Logger("agent.tools", logging.DEBUG)  # noqa: LOG001 - of this test alone
    yield logger
    for handler in logger.handlers:
        handler.close()


class Gate:
    """Holds what is logged until it is opened."""

    def __init__(self, fake):
        self.reached, self.open = threading.Semaphore(0), threading.Event()
        self._log, fake.log_activity = fake.log_activity, self

    def __call__(self, *arguments, **named):
        self.reached.release()
        assert self.open.wait(30)
        return self._log(*arguments, **named)


def test_a_record_is_sent_with_its_message_extra_and_exception(fake, logger):
    logger.addHandler(ActivityHandler(fake, type="agent.log", session="s1"))
    try:
        raise ValueError("no such table")
    except ValueError:
        logger.exception("%s failed", "export", extra={"rows": 3, "path": {"a": {1}}, "big": 2**70})
    logger.handlers[0].flush()
    ((kind, entry),) = fake.logged
    assert kind == "agent.log"
    assert entry["message"] == "export failed"
    assert (entry["level"], entry["logger"]) == ("ERROR", "agent.tools")
    assert entry["extra"] == {"rows": 3, "path": {"a": [1]}, "big": str(2**70)}
    assert entry["exception"].endswith("ValueError: no such table")
    assert fake.point.logged[0].session == "s1"


def test_a_program_never_waits_and_what_the_queue_cannot_take_is_counted_and_told(fake, logger):
    gate = Gate(fake)
    handler = ActivityHandler(fake, max_queued=2)
    logger.addHandler(handler)
    logger.info("first")
    assert gate.reached.acquire(timeout=30)  # it is being sent, and held
    for number in range(5):
        logger.info("more %d", number)
    assert handler.dropped == 3
    gate.open.set()
    handler.flush()
    assert [entry.get("message") or entry for _, entry in fake.logged] == [
        "first",
        {"dropped": 3},
        "more 0",
        "more 1",
    ]
    assert fake.logged[1][0] == "log.dropped"


def test_a_program_never_gets_an_exception_from_it(fake, logger):
    class Rude:
        def __str__(self):
            raise RuntimeError("rude")

    handler = ActivityHandler(fake)
    logger.addHandler(handler)
    logger.info("%d", "no number")
    logger.info("fine", extra={"rude": Rude()})
    logger.info("lone \ud800 surrogate")
    handler.flush()
    assert handler.dropped == 2
    assert fake.logged[0][1]["message"] == "lone ? surrogate"


def test_a_server_that_is_away_costs_records_and_nothing_else(fake, logger, caplog):
    fake.unavailable("Log", times=10_000)
    handler = ActivityHandler(fake)
    logger.addHandler(handler)
    logger.info("lost")
    handler.flush()
    assert handler.dropped == 1
    handler.close()
    assert "1 log records were not sent" in caplog.text
    logger.info("too late")
    assert handler.dropped == 2
    with pytest.raises(Unavailable):
        fake.log_activity("a", "b")


def test_closing_waits_no_longer_than_it_may(fake, logger):
    gate = Gate(fake)
    handler = ActivityHandler(fake, flush_s=0.01)
    logger.addHandler(handler)
    logger.info("held")
    assert gate.reached.acquire(timeout=30)
    logger.info("queued")
    handler.close()
    assert handler.dropped == 1
    gate.open.set()


def test_records_of_the_client_itself_are_not_sent(fake):
    handler = ActivityHandler(fake)
    for name in ("countersign.client", "countersign.client.guard"):
        assert not handler.filter(logging.makeLogRecord({"name": name}))
    assert handler.filter(logging.makeLogRecord({"name": "countersign.clients"}))
    handler.close()
