"""How long `countersign policy …` goes on asking a service: a look is repeated, a change is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from countersign.cli.policy import serving
from countersign.client import Timing


class StoppedError(Exception):
    """Instead of a call."""


@pytest.mark.parametrize(
    ("command", "waits_s"),
    [
        (serving.status, Timing().call_s),
        (serving.activate, 300),
        (serving.rollback, 300),
    ],
)
def test_only_a_change_waits_for_the_tests_of_a_version(
    monkeypatch: pytest.MonkeyPatch, command: Any, waits_s: float
) -> None:
    given: list[Timing] = []

    def from_credential(_path: Path, *, timing: Timing) -> None:
        given.append(timing)
        raise StoppedError

    monkeypatch.setattr(serving.AdminClient, "from_credential", from_credential)
    with pytest.raises(StoppedError):
        command(credential=Path("olga.credential"))
    assert [timing.call_s for timing in given] == [waits_s]
