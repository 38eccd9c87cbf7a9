"""The store's clock, its recent counts and its SQL files."""

from __future__ import annotations

import sqlite3
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.model import CallerId, Effect, Instant, TenantId
from countersign.store.clock import StoreClock, wall_clock
from countersign.store.queries import migrations, named_queries
from countersign.store.recent import MAX_ACTIONS, MAX_SUM, MINUTE_US, RecentCounts
from countersign.store.sqlite_file import migrate

# --- clock ---


@given(st.lists(st.integers(0, 2**53)), st.integers(0, 2**53))
def test_the_clock_follows_the_wall_but_never_back(wall, last):
    times = iter(wall)
    clock = StoreClock(lambda: Instant(next(times)), Instant(last), lambda: 0)
    told = [last, *(clock.now() for _ in wall)]
    assert all(before <= after for before, after in pairwise(told))
    assert all(now >= then for now, then in zip(told[1:], wall, strict=True))
    assert set(told) <= {last, *wall}


HOUR_US = 3600 * 1_000_000


class Machine:
    """A wall clock somebody sets, and a steady one nobody can."""

    def __init__(self) -> None:
        self.wall, self.steady_ns = Instant(10 * HOUR_US), 777

    def passes(self, ns):
        self.wall = Instant(self.wall + ns // 1000)
        self.steady_ns += ns

    def clock(self, last=0):
        return StoreClock(lambda: self.wall, Instant(last), lambda: self.steady_ns)


def test_time_goes_on_while_the_wall_is_behind():
    machine = Machine()
    clock = machine.clock()
    told = clock.now()
    machine.wall = Instant(machine.wall - HOUR_US)
    assert clock.now() == told
    for seconds in range(1, 100):
        machine.passes(1_000_000_000)
        assert clock.now() == told + seconds * 1_000_000


def test_time_goes_on_from_the_newest_commit_when_the_wall_is_behind_it_at_start():
    machine = Machine()
    clock = machine.clock(last=20 * HOUR_US)
    assert clock.now() == 20 * HOUR_US
    machine.passes(5_000_000_000)
    assert clock.now() == 20 * HOUR_US + 5_000_000


def test_asking_often_loses_no_time():
    machine = Machine()
    clock = machine.clock(last=20 * HOUR_US)
    for _ in range(10_000):
        machine.passes(999)
        clock.now()
    assert clock.now() == 20 * HOUR_US + 9_990


def test_the_wall_leads_again_once_it_is_ahead():
    machine = Machine()
    clock = machine.clock()
    machine.wall = Instant(machine.wall - HOUR_US)
    machine.passes(1_000_000_000)
    machine.wall = Instant(machine.wall + 2 * HOUR_US)
    assert clock.now() == machine.wall
    machine.wall = Instant(machine.wall + 1)
    assert clock.now() == machine.wall


STEPS = st.lists(st.tuples(st.integers(-5 * HOUR_US, 5 * HOUR_US), st.integers(0, 10**13)))


@given(STEPS)
def test_however_the_wall_is_set_no_less_passes_than_really_did(steps):
    machine = Machine()
    clock = machine.clock()
    told, told_at = [clock.now()], [machine.steady_ns]
    for set_by, ns in steps:
        machine.wall = Instant(machine.wall + set_by)
        machine.passes(ns)
        told.append(clock.now())
        told_at.append(machine.steady_ns)
        assert told[-1] >= machine.wall
    for before, after in zip(range(len(told)), range(1, len(told)), strict=False):
        assert told[after] - told[before] >= (told_at[after] - told_at[before]) // 1000 - 1


def test_every_thread_is_told_a_time_that_only_grows():
    clock = StoreClock(wall_clock, Instant(0), time.monotonic_ns)
    backwards = []

    def ask():
        times = [clock.now() for _ in range(2_000)]
        backwards.extend(pair for pair in pairwise(times) if pair[0] > pair[1])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert backwards == []


def test_the_wall_clock_tells_microseconds_since_1970():
    assert 1_700_000_000 < wall_clock() / 1_000_000 < 5_000_000_000


# --- recent counts ---


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.sampled_from(["check", "claim"]),
        st.sampled_from(list(Effect)),
        st.sampled_from(["db.export", "iam.change"]),
        st.integers(-5, 20) | st.just(2**60),
        st.integers(0, 20),
    ),
    max_size=60,
)


@given(EVENTS)
def test_recent_counts_equal_counting_all_events_again(events):
    recent, minute, happened = RecentCounts(), 30_000_000, []
    for gap, method, effect, action, rows, amount in events:
        minute += gap
        told = {"method": method, "effect": effect, "rows": rows, "amount": amount}
        recent.add("acme", "agent", action, minute=minute, **told)
        happened.append((minute, method, effect, action, rows, amount))
        read = recent.read("acme", "agent", action, Instant(minute * MINUTE_US))
        assert read == {
            "hour": counted(happened, action, minute - 60),
            "day": counted(happened, action, minute - 1440),
        }


def counted(happened, action, since):
    there = [event[1:] for event in happened if (event[0] >= since, event[3]) == (True, action)]
    checks = [effect for method, effect, *_ in there if method == "check"]
    let_through = [sizes for _, effect, _, *sizes in there if effect is Effect.ALLOW]
    return {
        "checks": len(checks),
        **{effect.value: checks.count(effect) for effect in Effect},
        "claimed": len(let_through) - checks.count(Effect.ALLOW),
        "rows": min(sum(min(max(rows, 0), MAX_SUM) for rows, _ in let_through), MAX_SUM),
        "amount": sum(amount for _, amount in let_through),
    }


def test_a_window_covers_its_length_and_at_most_a_minute_more():
    recent = RecentCounts()
    recent.add("acme", "agent", "db.export", method="check", effect=Effect.DENY, minute=100)

    def denied(minute):
        read = recent.read("acme", "agent", "db.export", Instant(minute * MINUTE_US))
        return read["hour"]["deny"], read["day"]["deny"]

    asked = (100, 160, 161, 1540, 1541)
    assert [denied(minute) for minute in asked] == [(1, 1), (1, 1), (0, 1), (0, 1), (0, 0)]


def test_callers_and_tenants_are_counted_apart():
    recent = RecentCounts()
    recent.add("acme", "agent", "db.export", method="check", effect=Effect.DENY, minute=100)
    now = Instant(100 * MINUTE_US)
    assert recent.read("acme", "agent", "db.export", now)["hour"]["deny"] == 1
    for who in (("acme", "other", "db.export"), ("other", "agent", "db.export")):
        assert recent.read(*who, now)["hour"]["deny"] == 0


def test_who_did_nothing_for_a_day_is_forgotten():
    recent = RecentCounts()
    for minute, action in ((100, "old"), (1600, "new")):
        recent.add("acme", "agent", action, method="check", effect=Effect.DENY, minute=minute)
    recent.forget_idle(Instant(1600 * MINUTE_US))
    assert [action for _, _, action in recent._windows] == ["new"]


# --- SQL ---


@pytest.fixture
def schema():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, migrations("sqlite"))
    yield connection
    connection.close()


SWEEPS_AND_STARTS = {"decisions_since", "sweep_answers", "tenants", "read_store", "set_clock"}


@pytest.mark.parametrize("name", named_queries("sqlite"))
def test_every_statement_fits_the_schema_and_searches_by_index(schema, name):
    query = named_queries("sqlite")[name]
    values = [None] * 30
    try:
        plan = schema.execute(f"EXPLAIN QUERY PLAN {query}", values[: _parameters(schema, query)])
        steps = [step for *_, step in plan]
    except sqlite3.Error as error:  # pragma: no cover - the message is the failure
        pytest.fail(f"{name}: {error}")
    scans = [step for step in steps if step.startswith("SCAN") and "json_each" not in step]
    assert not scans or name in SWEEPS_AND_STARTS, scans


def _parameters(schema, query):
    for count in range(30):
        try:
            schema.execute(f"EXPLAIN {query}", [None] * count)
        except sqlite3.ProgrammingError:
            continue
        return count
    raise AssertionError(query)


def test_actions_beyond_the_bound_are_counted_together():
    recent = RecentCounts()
    for number in range(MAX_ACTIONS + 50):
        recent.add(
            TenantId("t"),
            CallerId("c"),
            f"made.up_{number}",
            method="check",
            effect=Effect.ALLOW,
            minute=100,
        )
    now = Instant(100 * MINUTE_US)
    late = recent.read(TenantId("t"), CallerId("c"), f"made.up_{MAX_ACTIONS + 7}", now)
    assert late["hour"]["allow"] == 50
    assert recent.read(TenantId("t"), CallerId("c"), "made.up_1", now)["hour"]["allow"] == 1
    assert recent.read(TenantId("t"), CallerId("d"), "made.up_1", now)["hour"]["allow"] == 0
