"""Doing something again whenever a policy changes. Called by `countersign policy test --watch`."""

from __future__ import annotations

from collections.abc import Callable

from countersign.errors import ConfigurationError
from countersign.policy.snapshot import Snapshot, Source


def watch(
    source: Source,
    act: Callable[[Snapshot], None],
    failed: Callable[[ConfigurationError], None],
    pause: Callable[[], bool],
) -> None:
    """Act on what a source has, and again on whatever it has next, until `pause` says no.

    What stands there now is acted on first. A source that cannot be read, or an act
    that says what is wrong with the policy, is told once and does not end it.
    """
    known, told = "", ""
    while True:
        try:
            policy = source.fetch(known)
            if policy is not None:
                known, told = policy.version, ""
                act(policy)
        except ConfigurationError as error:
            if str(error) != told:
                told = str(error)
                failed(error)
        if not pause():
            return
