"""Times as people say them: absolute, with their zone, and how far away. Pure."""

from __future__ import annotations

import functools
import zoneinfo
from datetime import UTC, datetime, tzinfo
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from countersign_bot.card.catalogue import Catalogue, Words

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


@functools.lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """A time zone by its name; UTC when there is none of that name."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def at(stamp: Timestamp, timezone: str) -> datetime:
    """A time of the wire, there."""
    return stamp.ToDatetime(tzinfo=UTC).astimezone(zone(timezone))


def whole(moment: datetime) -> str:
    """`2026-11-07 14:03 CET`."""
    return f"{moment:%Y-%m-%d %H:%M} {_zone_name(moment)}"


def clock(moment: datetime) -> str:
    """`14:03 CET`."""
    return f"{moment:%H:%M} {_zone_name(moment)}"


def distance(moment: datetime, now: datetime, words: Catalogue) -> Words:
    """How far away it is: `in 42 minutes`, `3 days ago`."""
    away_s = int((moment - now).total_seconds())
    direction = "ahead" if away_s >= 0 else "ago"
    away_s = abs(away_s)
    if away_s < _MINUTE_S:
        return words.say(f"time.{direction}.now")
    for unit, length_s in (("minutes", _MINUTE_S), ("hours", _HOUR_S), ("days", _DAY_S)):
        # 90 minutes say more than one hour.
        if away_s < 2 * length_s * {"minutes": 60, "hours": 24, "days": 10**6}[unit]:
            return words.say(f"time.{direction}.{unit}", n=away_s // length_s)
    return words.say(f"time.{direction}.days", n=away_s // _DAY_S)


def _zone_name(moment: datetime) -> str:
    name = moment.tzname() or ""
    return name if name.isalpha() else f"UTC{moment:%z}"
