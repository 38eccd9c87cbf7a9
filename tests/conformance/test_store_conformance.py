"""Runs the shared suites on every backend there is."""

from __future__ import annotations

import pytest
from delivery_suite import DeliverySuite
from standing_suite import StandingSuite
from store_machine import check_against_model, check_recent_over_restarts
from store_suite import Backend, StoreSuite
from store_values import Clock

from countersign.store.sqlite import SqliteStore


class SqliteBackend:
    """A file in a directory of its own."""

    def __init__(self, directory) -> None:
        self.clock = Clock()
        self._path = directory / "store.db"

    async def open(self, *, reached=lambda point: None) -> SqliteStore:
        return await SqliteStore.open(
            self._path,
            log_id_of=lambda tenant: f"{tenant}/log",
            clock=self.clock,
            steady=self.clock.steady,
            reached=reached,
        )


BACKENDS = {"sqlite": SqliteBackend}


@pytest.fixture(params=BACKENDS.values(), ids=BACKENDS.keys())
def new_backend(request, tmp_path_factory):
    """Makes a backend of one kind with nothing in it."""
    return lambda: request.param(tmp_path_factory.mktemp("store"))


@pytest.fixture
def backend(new_backend) -> Backend:
    return new_backend()


class TestStore(StoreSuite):
    """See `store_suite`."""


class TestStanding(StandingSuite):
    """See `standing_suite`."""


class TestDelivery(DeliverySuite):
    """See `delivery_suite`."""


def test_any_sequence_of_commands_agrees_with_the_model(new_backend):
    check_against_model(new_backend)


def test_recent_counts_after_a_restart_are_those_from_before(new_backend):
    check_recent_over_restarts(new_backend)
