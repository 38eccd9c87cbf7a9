"""What a probe saw, judged by the effect on the object and not by the answer.

Pure. Servers differ in how they refuse: AWS says 403 where MinIO says 400, and
some say 200 and do nothing. What counts is whether the exact version is still
there, with its bytes, mode and date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from countersign.audit.s3.probe import (
    Answer,
    Guarantee,
    Judgement,
    Power,
    Result,
    Seen,
    Verdict,
)

COMPLIANCE: Final = "COMPLIANCE"
_ROUNDING_S: Final = 1
"""Stores keep whole seconds, or milliseconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def held(why: str) -> Judgement:
    """The store kept its promise."""
    return Judgement(verdict=Verdict.HELD, why=why)


def broken(why: str) -> Judgement:
    """It did not."""
    return Judgement(verdict=Verdict.BROKEN, why=why)


def unknown(why: str) -> Judgement:
    """Nothing can be concluded."""
    return Judgement(verdict=Verdict.UNKNOWN, why=why)


def not_applicable(why: str) -> Judgement:
    """There was nothing to try."""
    return Judgement(verdict=Verdict.NOT_APPLICABLE, why=why)


def unharmed(before: Seen, after: Seen, answers: Sequence[Answer]) -> Judgement:
    """A locked version after an attack: there, same bytes, no weaker lock."""
    if after.there and not before.locked and not before.hidden:
        return broken("the store put no lock on the object it was asked to lock")
    return still_there(before, after, answers)


def still_there(before: Seen, after: Seen, answers: Sequence[Answer]) -> Judgement:
    """The same, where even a version without a lock has to survive."""
    said = ", then ".join(map(str, answers))
    if after.there is None:
        return unknown(f"{said}; the version could not be looked at afterwards")
    damage = _damage(before, after)
    if damage and not before.hold and before.until and after.at >= before.until:
        return unknown(f"{said}; the lock had ended before the version was looked at")
    if damage:
        return broken(f"{said}; {damage}")
    if not all(answer.done or answer.refused for answer in answers):
        return unknown(f"{said}: whether the attack was tried is not known")
    if after.hidden and not before.hidden:
        return unknown(f"{said}; the lock is no longer shown")
    return held(f"{said}; the version is as it was")


def _damage(before: Seen, after: Seen) -> str:
    """What an attack did to a version; empty if nothing."""
    if not after.there:
        return "the version is gone"
    if after.sha256 != before.sha256:
        return "the version has other bytes"
    if after.hidden:
        return ""
    if before.mode == COMPLIANCE != after.mode:
        return f"the mode is {after.mode or 'none'} now"
    if before.mode and not after.mode:
        return "the retention is gone"
    if after.until < before.until - _ROUNDING_S:
        return f"retained until {moment(after.until)} instead of {moment(before.until)}"
    if before.hold and not after.hold:
        return "the legal hold is gone"
    return ""


def as_asked(mode: str, until: int, seen: Seen, answer: Answer) -> Judgement:
    """Whether an accepted upload shows the lock it asked for."""
    if not answer.done or not seen.there:
        return unknown(f"{answer}; there is no object to look at")
    if seen.hidden:
        return unknown("this credential may not read retention (s3:GetObjectRetention)")
    if seen.mode == mode and abs(seen.until - until) <= _ROUNDING_S:
        return held(f"told as {mode} until the moment that was asked for")
    shown = f"{seen.mode} until {moment(seen.until)}" if seen.mode else "no retention"
    return broken(f"asked for {mode} until {moment(until)}, the store keeps {shown}")


def date_taken(asked: int, seen: Seen | None, answer: Answer) -> Judgement:
    """Whether an extreme date was refused or kept exactly."""
    if answer.refused:
        return held(f"{answer}")
    if not answer.done or seen is None or not seen.there or seen.hidden:
        return unknown(f"{answer}; there is no lock to look at")
    if abs(seen.until - asked) <= _ROUNDING_S:
        return held(f"{answer}; kept exactly")
    kept = f"it keeps {moment(seen.until)}" if seen.until else "it keeps no retention"
    return broken(f"{answer}; asked for {moment(asked)}, {kept}")


def refused(answer: Answer, what: str) -> Judgement:
    """Something that has to be refused and leaves nothing to look at."""
    if answer.done:
        return broken(f"{answer}: {what}")
    return held(str(answer)) if answer.refused else unknown(str(answer))


def nothing_written(
    before: Sequence[str] | None, after: Sequence[str] | None, answer: Answer
) -> Judgement:
    """Whether a write that must fail left no new version."""
    if before is None or after is None:
        return unknown(f"{answer}; versions cannot be listed (s3:ListBucketVersions)")
    new = len(set(after) - set(before))
    if new:
        return broken(f"{answer}; {new} new version(s) were written")
    if not answer.done and not answer.refused:
        return unknown(str(answer))
    return held(f"{answer}; nothing was written")


def exactly_one(answers: Sequence[Answer], versions: Sequence[str] | None) -> Judgement:
    """Whether a race to create had one winner, and left one version."""
    winners = sum(answer.done for answer in answers)
    if winners > 1:
        return broken(f"{winners} of {len(answers)} writers were told that they created it")
    if versions is None:
        return unknown("versions cannot be listed (s3:ListBucketVersions)")
    if len(versions) > 1:
        return broken(f"{winners} of {len(answers)} won, but {len(versions)} versions exist")
    if winners == len(versions) == 1:
        return held(f"1 of {len(answers)} won, and 1 version exists")
    return unknown(f"{winners} of {len(answers)} won, and {len(versions)} version(s) exist")


def setting_kept(answer: Answer, *, kept: bool | None, what: str) -> Judgement:
    """Whether a setting of the bucket still stands after an attack."""
    if kept is None:
        return unknown(f"{answer}; {what} cannot be read")
    if not kept:
        return broken(f"{answer}; {what} is off now")
    if answer.status == 403 or not (answer.done or answer.refused):
        return unknown(f"{answer}: that may be this credential, and not the lock")
    return held(f"{answer}; {what} stands")


def first_that_failed(*judgements: Judgement) -> Judgement:
    """The worst of several, or the last if all are held."""
    for verdict in (Verdict.BROKEN, Verdict.UNKNOWN):
        for judgement in judgements:
            if judgement.verdict is verdict:
                return judgement
    return judgements[-1]


def settled(result: Result, powers: Mapping[Power, Judgement]) -> Result:
    """A failed attack counts only if the credential could have made it succeed."""
    if result.verdict is not Verdict.HELD:
        return result
    for need in result.needs:
        power = powers.get(need)
        if power is None or power.verdict is not Verdict.HELD:
            why = power.why if power else "not tried"
            return Result(
                name=result.name,
                tries=result.tries,
                guarantee=result.guarantee,
                verdict=Verdict.UNKNOWN,
                why=f"the attack failed, but so it may be for want of a right: "
                f"to {need.value} ({why})",
                needs=result.needs,
            )
    return result


def summary(results: Iterable[Result]) -> dict[Guarantee, Verdict]:
    """What the store gives: the worst result decides each guarantee."""
    found: dict[Guarantee, set[Verdict]] = {guarantee: set() for guarantee in Guarantee}
    for result in results:
        found[result.guarantee].add(result.verdict)
    order = (Verdict.BROKEN, Verdict.UNKNOWN, Verdict.HELD, Verdict.NOT_APPLICABLE)
    return {
        guarantee: next((verdict for verdict in order if verdict in verdicts), Verdict.UNKNOWN)
        for guarantee, verdicts in found.items()
    }


def exit_code(verdicts: Mapping[Guarantee, Verdict]) -> int:
    """0 all that Countersign relies on is held, 1 something is not, 2 not known."""
    relied = [verdicts.get(guarantee) for guarantee in Guarantee if guarantee.relied_on]
    if Verdict.BROKEN in relied:
        return 1
    return 0 if all(verdict is Verdict.HELD for verdict in relied) else 2


def moment(seconds: int) -> str:
    """A time in UTC; any year there is."""
    try:
        return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return f"second {seconds}"
