"""Attacks on the lock itself: its date, its mode, its legal hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from countersign.audit.s3.asking import Call
from countersign.audit.s3.probe import Answer, Guarantee, Judgement, Power, Seen
from countersign.audit.s3.probe_deletes import attacked, compliance_only
from countersign.audit.s3.probe_judge import (
    as_asked,
    date_taken,
    first_that_failed,
    held,
    refused,
    unharmed,
    unknown,
)
from countersign.audit.s3.probe_scratch import (
    DAY_S,
    GOVERNANCE,
    Probe,
    Scratch,
    Version,
    probe,
)

_BYPASS: Final[dict[str, Any]] = {"BypassGovernanceRetention": True}
_YEAR_2106: Final = 4_294_967_296 + DAY_S
"""A day after an unsigned 32-bit number of seconds is full."""
_YEAR_2140: Final = int(datetime(2140, 1, 1, tzinfo=UTC).timestamp())
_YEAR_9999: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


def retained(scratch: Scratch, version: Version, mode: str, until: int, **more: Any) -> Call:
    """A request that sets another retention."""
    retention: Any = {"Mode": mode, "RetainUntilDate": datetime.fromtimestamp(until, UTC)}
    return lambda s3: s3.put_object_retention(
        Bucket=scratch.bucket, **version.named, Retention=retention, **more
    )


def _cleared(scratch: Scratch, version: Version, **more: Any) -> Call:
    return lambda s3: s3.put_object_retention(
        Bucket=scratch.bucket, **version.named, Retention={}, **more
    )


def _deleted(scratch: Scratch, version: Version, **more: Any) -> Call:
    return lambda s3: s3.delete_object(Bucket=scratch.bucket, **version.named, **more)


@probe(Guarantee.UNSHORTENABLE, Power.RETAIN)
def shorten(scratch: Scratch) -> Judgement:
    """Set a retain-until date half as far away, in the same mode."""
    version = scratch.locked()
    sooner = scratch.now() + scratch.limits.lock_s // 2
    return attacked(scratch, version, retained(scratch, version, scratch.mode, sooner))


@probe(Guarantee.UNSHORTENABLE, Power.RETAIN, Power.BYPASS)
def shorten_with_bypass(scratch: Scratch) -> Judgement:
    """The same with the governance bypass."""
    if rehearsal := compliance_only(scratch):
        return rehearsal
    version = scratch.locked()
    sooner = scratch.now() + scratch.limits.lock_s // 2
    return attacked(scratch, version, retained(scratch, version, scratch.mode, sooner, **_BYPASS))


@probe(Guarantee.UNSHORTENABLE, Power.RETAIN, Power.DELETE)
def shorten_then_wait_then_delete(scratch: Scratch) -> Judgement:
    """Shorten the retention to seconds, wait until it is over, delete the version."""
    version = scratch.locked()
    soon = scratch.now() + 2
    first = scratch.attempt(retained(scratch, version, scratch.mode, soon))
    scratch.wait_until(soon)
    second = scratch.attempt(_deleted(scratch, version))
    return unharmed(version.before, scratch.look(version), [first, second])


@probe(Guarantee.UNSHORTENABLE, Power.RETAIN)
def end_it_in_the_past(scratch: Scratch) -> Judgement:
    """Set a retain-until date of yesterday."""
    version = scratch.locked()
    yesterday = scratch.now() - DAY_S
    return attacked(scratch, version, retained(scratch, version, scratch.mode, yesterday))


@probe(Guarantee.UNSHORTENABLE, Power.RETAIN, Power.DELETE)
def clear_retention(scratch: Scratch) -> Judgement:
    """Set an empty retention, then delete the version."""
    version = scratch.locked()
    return attacked(scratch, version, _cleared(scratch, version), _deleted(scratch, version))


@probe(Guarantee.UNSHORTENABLE, Power.RETAIN, Power.BYPASS)
def clear_retention_with_bypass(scratch: Scratch) -> Judgement:
    """Set an empty retention with the governance bypass, then delete the version so."""
    if rehearsal := compliance_only(scratch):
        return rehearsal
    version = scratch.locked()
    clear, delete = _cleared(scratch, version, **_BYPASS), _deleted(scratch, version, **_BYPASS)
    return attacked(scratch, version, clear, delete)


@probe(Guarantee.MODE_FIXED, Power.RETAIN)
def weaken_mode(scratch: Scratch) -> Judgement:
    """Change the mode from COMPLIANCE to GOVERNANCE, with the same date."""
    if rehearsal := compliance_only(scratch, "there is no weaker mode"):
        return rehearsal
    version = scratch.locked()
    return attacked(scratch, version, retained(scratch, version, GOVERNANCE, version.before.until))


@probe(Guarantee.MODE_FIXED, Power.RETAIN, Power.BYPASS)
def weaken_mode_then_delete_with_bypass(scratch: Scratch) -> Judgement:
    """Change COMPLIANCE to GOVERNANCE with a later date, then delete with the bypass."""
    if rehearsal := compliance_only(scratch, "there is no weaker mode"):
        return rehearsal
    version = scratch.locked()
    later = version.before.until + 5
    return attacked(
        scratch,
        version,
        retained(scratch, version, GOVERNANCE, later, **_BYPASS),
        _deleted(scratch, version, **_BYPASS),
    )


# --- legal hold ---------------------------------------------------------------------


@probe(Guarantee.HOLD, Power.DELETE)
def delete_what_a_hold_protects(scratch: Scratch) -> Judgement:
    """Delete a version whose retention has ended but which is under legal hold."""
    version = scratch.locked(seconds=scratch.limits.soon_s, ObjectLockLegalHoldStatus="ON")
    try:
        scratch.wait_until(version.before.until)
        answers = [
            scratch.attempt(_deleted(scratch, version)),
            scratch.attempt(_deleted(scratch, version, **_BYPASS)),
        ]
        seen = scratch.look(version)
    finally:
        # Otherwise it would stay for ever.
        released = scratch.attempt(
            lambda s3: s3.put_object_legal_hold(
                Bucket=scratch.bucket, **version.named, LegalHold={"Status": "OFF"}
            )
        )
    if seen.there and not version.before.hold:
        return unknown(f"the upload's legal hold is not shown; releasing it: {released}")
    return unharmed(version.before, seen, answers)


# --- dates --------------------------------------------------------------------------


@probe(Guarantee.EXACT, Power.LOCK)
def lock_until_the_past(scratch: Scratch) -> Judgement:
    """Upload with a retain-until date of yesterday."""
    answer, _version = scratch.put(**scratch.lock(scratch.now() - DAY_S))
    return refused(answer, "the object is there, and nothing protects it")


@probe(Guarantee.EXACT, Power.LOCK)
def lock_in_an_unknown_mode(scratch: Scratch) -> Judgement:
    """Upload with a mode that does not exist."""
    answer, _version = scratch.put(**scratch.lock(scratch.now() + scratch.limits.lock_s, "FOREVER"))
    return refused(answer, "a mode that means nothing was taken")


@probe(Guarantee.EXACT, Power.LOCK)
def lock_without_a_date(scratch: Scratch) -> Judgement:
    """Upload with a mode and no retain-until date."""
    answer, _version = scratch.put(ObjectLockMode=GOVERNANCE)
    return refused(answer, "half a lock was taken")


def _far(scratch: Scratch, until: int) -> Judgement:
    """A far date under GOVERNANCE, which is deleted by bypass when it was tried."""
    if not scratch.bypass_works:
        return unknown("not tried: what is locked for so long could not be removed again")
    answer, version = scratch.put(**scratch.lock(until, GOVERNANCE))
    if not answer.done:
        return date_taken(until, None, answer)
    attack: Answer = scratch.attempt(_deleted(scratch, version))
    seen: Seen = scratch.look(version)
    scratch.attempt(_deleted(scratch, version, **_BYPASS))
    return first_that_failed(
        date_taken(until, version.before, answer), unharmed(version.before, seen, [attack])
    )


@probe(Guarantee.EXACT, Power.LOCK, Power.DELETE)
def lock_past_2106(scratch: Scratch) -> Judgement:
    """Lock (GOVERNANCE) until a day after 32 bits of seconds are full, and delete."""
    return _far(scratch, _YEAR_2106)


@probe(Guarantee.EXACT, Power.LOCK, Power.DELETE)
def lock_until_2140(scratch: Scratch) -> Judgement:
    """Lock (GOVERNANCE) until the year 2140, and delete."""
    return _far(scratch, _YEAR_2140)


@probe(Guarantee.EXACT, Power.LOCK, Power.DELETE)
def lock_until_9999(scratch: Scratch) -> Judgement:
    """Lock (GOVERNANCE) until the end of the year 9999, and delete."""
    return _far(scratch, _YEAR_9999)


@probe(Guarantee.EXACT, Power.RETAIN)
def extend(scratch: Scratch) -> Judgement:
    """Set a later date: that is allowed, and has to last."""
    version = scratch.locked()
    later = version.before.until + 10
    answer = scratch.attempt(retained(scratch, version, scratch.mode, later))
    if not answer.done:
        return unknown(f"{answer}")
    return as_asked(scratch.mode, later, scratch.look(version), answer)


# --- what the credential can do -----------------------------------------------------


def may_lock(scratch: Scratch) -> Judgement:
    """Whether this credential may upload with a lock, and this bucket takes it."""
    answer, _version = scratch.put(**scratch.lock(scratch.now() + scratch.limits.lock_s))
    return held("seen") if answer.done else unknown(f"uploading with a lock: {answer}")


def may_retain(scratch: Scratch) -> Judgement:
    """Whether this credential may change a retention: it sets a later date."""
    version = scratch.locked()
    later = version.before.until + 10
    answer = scratch.attempt(retained(scratch, version, scratch.mode, later))
    extended = scratch.look(version).until > version.before.until
    return held("seen") if extended else unknown(f"setting a later date: {answer}")


def may_bypass(scratch: Scratch) -> Judgement:
    """Whether this credential may bypass GOVERNANCE: it deletes such a version."""
    version = scratch.locked(mode=GOVERNANCE)
    answer = scratch.attempt(_deleted(scratch, version, **_BYPASS))
    gone = scratch.look(version).there is False
    return held("seen") if gone else unknown(f"deleting with bypass: {answer}")


def may_delete(scratch: Scratch, ended: Version) -> Judgement:
    """Whether this credential may delete at all: a version whose lock has ended."""
    scratch.wait_until(ended.before.until)
    answer = scratch.attempt(_deleted(scratch, ended))
    gone = scratch.look(ended).there is False
    return held("seen") if gone else unknown(f"deleting after the lock ended: {answer}")


PROBES: Final[tuple[Probe, ...]] = (
    shorten,
    shorten_with_bypass,
    shorten_then_wait_then_delete,
    end_it_in_the_past,
    clear_retention,
    clear_retention_with_bypass,
    weaken_mode,
    weaken_mode_then_delete_with_bypass,
    delete_what_a_hold_protects,
    lock_until_the_past,
    lock_in_an_unknown_mode,
    lock_without_a_date,
    lock_past_2106,
    lock_until_2140,
    lock_until_9999,
    extend,
)
