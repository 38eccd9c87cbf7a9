"""Times as people type them, in Berlin."""

import time
from datetime import UTC, datetime

import pytest
import typer

from countersign.cli.moments import future, moment

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-12-01T18:00:00+01:00", "2026-12-01T17:00:00+00:00"),
        ("2026-12-01T18:00:30.5Z", "2026-12-01T18:00:30.500000+00:00"),
        ("2026-12-01t18:00z", "2026-12-01T18:00:00+00:00"),
        ("2026-12-01T18:00", "2026-12-01T17:00:00+00:00"),
        ("2026-07-01 18:00", "2026-07-01T16:00:00+00:00"),  # summer time there
        ("2026-12-01", "2026-11-30T23:00:00+00:00"),
        ("90m", "2026-11-22T13:30:00+00:00"),
        ("8h", "2026-11-22T20:00:00+00:00"),
        ("3d", "2026-11-25T12:00:00+00:00"),
    ],
)
def test_a_time_means_one_moment(typed, meant):
    assert moment("--from", typed, now=NOW).isoformat() == meant


def test_a_day_that_ends_a_time_is_in_it():
    ends = future("--until", "2026-12-01", now=NOW, after=NOW, end_of_day=True)
    assert ends.isoformat() == "2026-12-01T23:00:00+00:00"
    # The day on which the clocks change has 25 hours.
    ends = future("--until", "2027-10-31", now=NOW, after=NOW, end_of_day=True)
    assert ends.isoformat() == "2027-10-31T23:00:00+00:00"


@pytest.mark.parametrize(
    "typed",
    [
        *("", "now", "tomorrow", "18:00", "0h", "-1h", "1w", "1h30m", "1 h", "2026-12-1"),
        *("20261201", "2026-12-01T18", "2026-12-01T18:00 CET", "2026-12-01T18:00+1", "٣d"),
    ],
)
def test_what_could_mean_several_is_refused_with_the_forms(typed):
    with pytest.raises(typer.BadParameter, match=r"--from: must be a time, like 2026-12-01T18:00"):
        moment("--from", typed, now=NOW)


@pytest.mark.parametrize("typed", ["2026-02-30", "2026-12-01T25:00", "0001-01-01", "2026-00-01"])
def test_what_does_not_exist_is_said_so(typed):
    with pytest.raises(typer.BadParameter, match="does not exist"):
        moment("--from", typed, now=NOW)


def test_an_end_comes_after_its_beginning_and_after_now():
    later = moment("--from", "1d", now=NOW)
    with pytest.raises(typer.BadParameter, match="--until: is over already"):
        future("--until", "2026-11-22T12:00Z", now=NOW, after=NOW)
    with pytest.raises(typer.BadParameter, match="--until: must be later than --from"):
        future("--until", "23h", now=NOW, after=later)
