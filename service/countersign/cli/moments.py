"""Times as people type them: absolute, never guessed, in a zone that is said or local.

`2026-12-01T18:00:00+01:00` (RFC 3339), the same without a zone (this machine's),
a day (`2026-12-01`), or a distance from now (`8h`, `3d`). Every command that
takes one prints back what it understood. Used by the verbs of delegation.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import typer

_DISTANCE: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]"
    r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
FORMS: Final = "like 2026-12-01T18:00 (local), 2026-12-01T18:00Z, 2026-12-01, 8h or 3d"


def moment(option: str, text: str, *, now: datetime, end_of_day: bool = False) -> datetime:
    """What was typed for an option, in UTC. Raises `typer.BadParameter`.

    A day alone is its beginning here, or its end where a time ends with it.
    """
    distance = _DISTANCE.fullmatch(text)
    if distance:
        return (now + timedelta(**{_UNITS[distance[2]]: int(distance[1])})).astimezone(UTC)
    if not _DAY.fullmatch(text) and not _MOMENT.fullmatch(text):
        raise typer.BadParameter(f"{option}: must be a time, {FORMS}")
    try:
        parsed = datetime.fromisoformat(text.upper())
        if end_of_day and _DAY.fullmatch(text):
            parsed += timedelta(days=1)
        return parsed.astimezone(UTC)  # a time without a zone is this machine's
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{option}: is a day or time that does not exist") from None


def future(
    option: str, text: str, *, now: datetime, after: datetime, end_of_day: bool = False
) -> datetime:
    """The same, after another time. Raises `typer.BadParameter`."""
    found = moment(option, text, now=now, end_of_day=end_of_day)
    if found <= after:
        what = "is over already" if after == now else "must be later than --from"
        raise typer.BadParameter(f"{option}: {what}")
    return found
