"""How fast the bot writes, and how often it tries, by a clock of the test's own."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign_bot.connector import PassingError, RefusedError
from countersign_bot.connector.failures import retry_after_s
from countersign_bot.connector.pace import MAX_CONVERSATIONS, Pace, Rate
from countersign_bot.connector.retry import Retries
from countersign_bot.outgoing import Reply

TENANT = "tenant"


class Time:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, duration_s: float) -> None:
        self.slept.append(duration_s)
        self.now += duration_s


def paced(time: Time, *, max_wait_s: float = 5.0) -> Pace:
    """As by default: 1 a second and 5 at once per conversation, 20 per tenant."""
    return Pace(
        conversation=Rate(per_s=1, burst=5),
        tenant=Rate(per_s=20, burst=20),
        clock=time.clock,
        sleep=time.sleep,
        max_wait_s=max_wait_s,
    )


def test_five_at_once_and_then_one_a_second() -> None:
    pace = paced(Time())
    waits = [pace.reserve(TENANT, "a") for _ in range(8)]
    assert waits == pytest.approx([0, 0, 0, 0, 0, 1, 2, 3])


async def test_what_is_sent_never_exceeds_what_teams_allows() -> None:
    """7 in 1 s, 8 in 2 s, 60 in 30 s into one conversation, for whoever keeps sending."""
    time = Time()
    pace = paced(time)
    sent = []
    while time.now < 400:
        await pace.turn(TENANT, "a")
        sent.append(time.now)
    for window_s, most in ((1, 7), (2, 8), (30, 60)):
        for start in sent:
            assert len([at for at in sent if start <= at < start + window_s]) <= most
    assert len(sent) == pytest.approx(300 + 5, abs=2)


def test_another_conversation_waits_for_its_tenant_only() -> None:
    pace = paced(Time())
    for _ in range(5):
        pace.reserve(TENANT, "a")
    assert pace.reserve(TENANT, "b") == 0
    for number in range(14):
        assert pace.reserve(TENANT, f"c{number}") == 0
    assert pace.reserve(TENANT, "d") == pytest.approx(0.05)
    assert pace.reserve("another", "a") == 0


def test_who_would_wait_too_long_is_sent_away_and_takes_no_place() -> None:
    time = Time()
    pace = paced(time)
    for _ in range(10):
        pace.reserve(TENANT, "a")
    for _ in range(100):
        with pytest.raises(PassingError) as raised:
            pace.reserve(TENANT, "a")
        assert raised.value.retry_after_s == pytest.approx(6)
    time.now += 1
    assert pace.reserve(TENANT, "a") == pytest.approx(5)


def test_the_roster_counts_for_the_tenant_alone() -> None:
    pace = paced(Time())
    for _ in range(20):
        assert pace.reserve(TENANT) == 0
    assert pace.reserve(TENANT) > 0
    assert pace.reserve(TENANT, "a") == pytest.approx(0.1)


def test_many_conversations_take_no_more_memory_than_few_thousands() -> None:
    time = Time()
    pace = paced(time)
    for number in range(MAX_CONVERSATIONS + 500):
        pace.reserve(TENANT, f"c{number}")
        time.now += 1
    assert len(pace._conversations) == MAX_CONVERSATIONS


class Attempts:
    """Fails so often, then works."""

    def __init__(self, failures: int, retry_after_s: float | None = None) -> None:
        self.left = failures
        self.made = 0
        self._retry_after_s = retry_after_s

    async def __call__(self) -> str:
        self.made += 1
        if self.left:
            self.left -= 1
            raise PassingError("teams.429", "throttled", retry_after_s=self._retry_after_s)
        return "done"


def retries(time: Time, jitter: float = 0.0) -> Retries:
    return Retries(clock=time.clock, sleep=time.sleep, jitter=lambda: jitter)


async def test_what_passes_is_tried_again_ever_more_slowly() -> None:
    time = Time()
    attempts = Attempts(3)
    assert await retries(time).run(attempts) == "done"
    assert time.slept == pytest.approx([0.25, 0.5, 1.0])


async def test_never_sooner_than_asked() -> None:
    time = Time()
    assert await retries(time).run(Attempts(1, retry_after_s=6)) == "done"
    assert time.slept[0] >= 6


async def test_after_its_budget_it_goes_back_with_what_was_asked() -> None:
    time = Time()
    attempts = Attempts(1_000, retry_after_s=3)
    with pytest.raises(PassingError) as raised:
        await retries(time).run(attempts)
    assert (attempts.made, raised.value.retry_after_s) == (3, 3)
    assert sum(time.slept) < 8


async def test_what_will_never_work_is_not_tried_again() -> None:
    time = Time()
    made = []

    async def refused() -> None:
        made.append(1)
        raise RefusedError("teams.400", "no")

    with pytest.raises(RefusedError):
        await retries(time).run(refused)
    assert (len(made), time.slept) == (1, [])


@given(st.integers(0, 50), st.floats(0, 20) | st.none(), st.integers(0, 2**32))
async def test_it_never_waits_beyond_its_budget(
    failures: int, asked_s: float | None, seed: int
) -> None:
    time = Time()
    spread = random.Random(seed)
    given_up = Retries(clock=time.clock, sleep=time.sleep, jitter=spread.random)
    with contextlib.suppress(PassingError):
        await given_up.run(Attempts(failures, asked_s))
    assert sum(time.slept) < 8
    assert all(pause >= (asked_s or 0) for pause in time.slept)


@pytest.mark.parametrize(
    ("told", "expected"),
    [("7", 7), ("0", 0), ("999999999999", 3600), ("", None), ("-1", None), ("soon", None)],
)
def test_retry_after_is_read_in_seconds(told: str, expected: float | None) -> None:
    assert retry_after_s(Reply(status=429, headers={"retry-after": told}, body=b"")) == expected


def test_retry_after_is_read_as_a_date() -> None:
    past = Reply(status=429, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, body=b"")
    assert retry_after_s(past) == 0
    far = Reply(status=429, headers={"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, body=b"")
    assert retry_after_s(far) == 3600
