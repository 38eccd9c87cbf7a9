"""Attacks on the bucket's settings, and what its defaults do to new objects.

These are tried only in a bucket that the kit made: in one with other people's
objects an attack that works would do harm.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from countersign.audit.s3.probe import Answer, Guarantee, Judgement, Power, Verdict
from countersign.audit.s3.probe_deletes import forced
from countersign.audit.s3.probe_judge import (
    as_asked,
    first_that_failed,
    held,
    setting_kept,
    still_there,
    unharmed,
    unknown,
)
from countersign.audit.s3.probe_scratch import (
    DAY_S,
    GOVERNANCE,
    NotHereError,
    Probe,
    Scratch,
    Version,
    probe,
)

_VERSIONING: Final = "versioning"
_LOCK: Final = "Object Lock"
_TRIES: Final = 4
_NEAR_S: Final = 60
Attack = Callable[[Scratch], Judgement]


def _on_own_bucket(scratch: Scratch) -> None:
    if not scratch.target.own:
        raise NotHereError("tried only in a bucket that --create makes")


# --- versioning and lock ------------------------------------------------------------


def _versioned(scratch: Scratch) -> bool | None:
    answer, reply = scratch.ask(lambda s3: s3.get_bucket_versioning(Bucket=scratch.bucket))
    return reply.get("Status") == "Enabled" if answer.done else None


def _lock_enabled(scratch: Scratch) -> bool | None:
    answer, reply = scratch.ask(lambda s3: s3.get_object_lock_configuration(Bucket=scratch.bucket))
    if answer.status == 404:
        return False
    return _configured(reply).get("ObjectLockEnabled") == "Enabled" if answer.done else None


def _configured(reply: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = reply.get("ObjectLockConfiguration") or {}
    return found


def _suspend(scratch: Scratch, status: str) -> Answer:
    return scratch.attempt(
        lambda s3: s3.put_bucket_versioning(
            Bucket=scratch.bucket,
            VersioningConfiguration={"Status": status},  # type: ignore[typeddict-item]
        )
    )


@probe(Guarantee.BUCKET)
def suspend_versioning_then_overwrite(scratch: Scratch) -> Judgement:
    """Suspend versioning, then overwrite the key and delete it."""
    _on_own_bucket(scratch)
    version = scratch.locked()
    suspend = _suspend(scratch, "Suspended")
    versioned = _versioned(scratch)
    try:
        overwrite, _new = scratch.put(version.key)
        delete = scratch.attempt(
            lambda s3: s3.delete_object(Bucket=scratch.bucket, Key=version.key)
        )
        seen = scratch.look(version)
    finally:
        _suspend(scratch, "Enabled")
    return first_that_failed(
        still_there(version.before, seen, [suspend, overwrite, delete]),
        setting_kept(suspend, kept=versioned, what=_VERSIONING),
    )


@probe(Guarantee.BUCKET)
def disable_object_lock(scratch: Scratch) -> Judgement:
    """Set Object Lock to Disabled, then delete a locked version."""
    _on_own_bucket(scratch)
    version = scratch.locked()
    disabled: Any = {"ObjectLockEnabled": "Disabled"}
    attack = scratch.attempt(
        lambda s3: s3.put_object_lock_configuration(
            Bucket=scratch.bucket, ObjectLockConfiguration=disabled
        )
    )
    delete = scratch.attempt(lambda s3: s3.delete_object(Bucket=scratch.bucket, **version.named))
    return first_that_failed(
        unharmed(version.before, scratch.look(version), [attack, delete]),
        setting_kept(attack, kept=_lock_enabled(scratch), what=_LOCK),
    )


@probe(Guarantee.BUCKET)
def delete_the_bucket(scratch: Scratch) -> Judgement:
    """Delete the bucket with a locked object in it, also by x-minio-force-delete."""
    _on_own_bucket(scratch)
    version = scratch.locked()
    answers = [scratch.attempt(lambda s3: s3.delete_bucket(Bucket=scratch.bucket))]
    with forced(scratch):
        answers.append(scratch.attempt(lambda s3: s3.delete_bucket(Bucket=scratch.bucket)))
    return unharmed(version.before, scratch.look(version), answers)


# --- default retention --------------------------------------------------------------


def _set_default(scratch: Scratch, days: int | None) -> Answer:
    configuration: Any = {"ObjectLockEnabled": "Enabled"}
    if days is not None:
        # GOVERNANCE, so that what it locks for a whole day can be removed again.
        configuration["Rule"] = {"DefaultRetention": {"Mode": GOVERNANCE, "Days": days}}
    return scratch.attempt(
        lambda s3: s3.put_object_lock_configuration(
            Bucket=scratch.bucket, ObjectLockConfiguration=configuration
        )
    )


def _with_default(scratch: Scratch, look: Attack) -> Judgement:
    """Look at something while the bucket locks new objects for a day by default."""
    _on_own_bucket(scratch)
    if not scratch.bypass_works:
        return unknown("not tried: what is locked for a day could not be removed again")
    answer = _set_default(scratch, 1)
    if not answer.done:
        return unknown(f"setting a default retention: {answer}")
    try:
        return look(scratch)
    finally:
        _set_default(scratch, None)


def _without_a_date(scratch: Scratch) -> tuple[Answer, Version]:
    """An upload that the default is to lock; some stores need a moment to know of it."""
    for _try in range(_TRIES - 1):
        answer, version = scratch.put()
        if version.before.locked:
            return answer, version
        scratch.wait_until(scratch.now() + 1)
    return scratch.put()


@probe(Guarantee.DEFAULT)
def default_is_stamped(scratch: Scratch) -> Judgement:
    """Upload without lock headers into a bucket with a default retention of a day."""

    def look(scratch: Scratch) -> Judgement:
        answer, version = _without_a_date(scratch)
        until, told = scratch.now() + DAY_S, version.before.until
        # S3 counts from the upload's own time.
        near = abs(told - until) < _NEAR_S
        return as_asked(GOVERNANCE, told if near else until, version.before, answer)

    return _with_default(scratch, look)


@probe(Guarantee.DEFAULT)
def explicit_date_beats_the_default(scratch: Scratch) -> Judgement:
    """Upload with a lock of two days into a bucket with a default of one."""

    def look(scratch: Scratch) -> Judgement:
        until = scratch.now() + 2 * DAY_S
        answer, version = scratch.put(**scratch.lock(until, GOVERNANCE))
        return as_asked(GOVERNANCE, until, version.before, answer)

    return _with_default(scratch, look)


@probe(Guarantee.BUCKET)
def take_the_default_away(scratch: Scratch) -> Judgement:
    """Take the default retention away after an object was locked by it."""
    locked = []

    def look(scratch: Scratch) -> Judgement:
        answer, version = _without_a_date(scratch)
        if not version.before.locked:
            return unknown(f"{answer}; the default locked nothing")
        locked.append(version)
        return held("set")

    found = _with_default(scratch, look)
    if not locked:
        return found
    answer = _set_default(scratch, None)
    return unharmed(locked[0].before, scratch.look(locked[0]), [answer])


@probe(Guarantee.EXACT)
def default_of_zero_days(scratch: Scratch) -> Judgement:
    """Set a default retention of 0 days in a bucket that takes one of a day."""

    def look(scratch: Scratch) -> Judgement:
        answer = _set_default(scratch, 0)
        _read, reply = scratch.ask(
            lambda s3: s3.get_object_lock_configuration(Bucket=scratch.bucket)
        )
        rule = _configured(reply).get("Rule") or {}
        kept = rule.get("DefaultRetention", {}).get("Days") == 1
        return setting_kept(answer, kept=kept, what="the default of a day")

    return _with_default(scratch, look)


# --- lifecycle ----------------------------------------------------------------------


def _expiry(scratch: Scratch, action: dict[str, Any], *, noncurrent: bool) -> Judgement:
    """A rule that expires what it can, and a bait without a lock to see it at work."""
    _on_own_bucket(scratch)
    folder = scratch.key()
    version = scratch.locked(key=f"{folder}/locked")
    _answer, bait = scratch.put(f"{folder}/bait")
    if noncurrent:
        scratch.put(version.key)
        scratch.put(bait.key)
    rule: Any = {"ID": "probe", "Status": "Enabled", "Filter": {"Prefix": f"{folder}/"}, **action}
    answer = scratch.attempt(
        lambda s3: s3.put_bucket_lifecycle_configuration(
            Bucket=scratch.bucket, LifecycleConfiguration={"Rules": [rule]}
        )
    )
    if answer.refused:
        return held(f"{answer}: such rules are not taken")
    scratch.wait_until(scratch.now() + 1)
    hidden = scratch.look(version).there is False
    worked = _still_read(scratch, bait) is False
    # What lasts counts: some stores only stop showing what a rule would expire.
    scratch.attempt(lambda s3: s3.delete_bucket_lifecycle(Bucket=scratch.bucket))
    judged = unharmed(version.before, scratch.look(version), [answer])
    if judged.verdict is Verdict.HELD and hidden:
        return held(f"{judged.why}, but could not be read while the rule stood")
    if judged.verdict is Verdict.HELD and not worked:
        return unknown(f"{answer}; no rule was carried out meanwhile: stores do it once a day")
    return judged


def _still_read(scratch: Scratch, version: Version) -> bool | None:
    """Whether reading the key gives anything, or the version itself if it is noncurrent."""
    seen = scratch.look(version)
    if not seen.there:
        return seen.there
    newest = scratch.attempt(lambda s3: s3.head_object(Bucket=scratch.bucket, Key=version.key))
    return None if not newest.status else newest.done


@probe(Guarantee.LIFECYCLE, Power.DELETE)
def expire_current_versions(scratch: Scratch) -> Judgement:
    """Expire current versions by a date of the day before yesterday."""
    today = datetime.fromtimestamp(scratch.now(), UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    action = {"Expiration": {"Date": today - timedelta(days=2)}}
    return _expiry(scratch, action, noncurrent=False)


@probe(Guarantee.LIFECYCLE, Power.DELETE)
def expire_noncurrent_versions(scratch: Scratch) -> Judgement:
    """Expire noncurrent versions after a day."""
    action = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    return _expiry(scratch, action, noncurrent=True)


PROBES: Final[tuple[Probe, ...]] = (
    suspend_versioning_then_overwrite,
    disable_object_lock,
    delete_the_bucket,
    default_is_stamped,
    explicit_date_beats_the_default,
    take_the_default_away,
    default_of_zero_days,
    expire_current_versions,
    expire_noncurrent_versions,
)
