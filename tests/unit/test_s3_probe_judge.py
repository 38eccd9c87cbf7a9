"""What is concluded from what was seen: made-up observations, no store."""

from __future__ import annotations

import dataclasses

import pytest

from countersign.audit.s3.probe import (
    RELIED_ON,
    Answer,
    Guarantee,
    Leftover,
    Power,
    Report,
    Result,
    Seen,
    Verdict,
)
from countersign.audit.s3.probe_judge import (
    as_asked,
    date_taken,
    exactly_one,
    exit_code,
    first_that_failed,
    held,
    moment,
    nothing_written,
    refused,
    setting_kept,
    settled,
    still_there,
    summary,
    unharmed,
    unknown,
)
from countersign.audit.s3.probe_report import markdown, plain, text

YES, NO, LOST = Answer(status=200), Answer(status=403, code="AccessDenied"), Answer(status=0)
LOCKED = Seen(there=True, sha256="a", mode="COMPLIANCE", until=1_000, at=900)
OPEN = Seen(there=True, sha256="a", at=900)


def verdict(judgement):
    return judgement.verdict


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (Seen(there=False, at=910), "the version is gone"),
        (dataclasses.replace(LOCKED, sha256="b"), "other bytes"),
        (dataclasses.replace(LOCKED, mode="GOVERNANCE"), "the mode is GOVERNANCE now"),
        (dataclasses.replace(LOCKED, mode="", until=0), "the mode is none now"),
        (dataclasses.replace(LOCKED, until=990), "instead of 1970-01-01T00:16:40Z"),
    ],
)
@pytest.mark.parametrize("answer", [YES, NO, LOST])
def test_damage_is_broken_whatever_the_server_answered(after, said, answer):
    judged = unharmed(LOCKED, after, [answer])
    assert judged.verdict is Verdict.BROKEN
    assert said in judged.why


@pytest.mark.parametrize("answer", [YES, NO, Answer(status=400), Answer(status=501)])
def test_a_version_as_it_was_is_held_whatever_the_server_answered(answer):
    assert verdict(unharmed(LOCKED, LOCKED, [answer])) is Verdict.HELD
    stricter = dataclasses.replace(LOCKED, until=2_000)
    assert verdict(unharmed(LOCKED, stricter, [answer])) is Verdict.HELD


def test_an_attack_that_may_not_have_arrived_shows_nothing():
    assert verdict(unharmed(LOCKED, LOCKED, [LOST])) is Verdict.UNKNOWN
    assert verdict(unharmed(LOCKED, LOCKED, [YES, Answer(status=503)])) is Verdict.UNKNOWN


def test_what_cannot_be_looked_at_is_unknown_and_not_held():
    assert verdict(unharmed(LOCKED, Seen(there=None), [NO])) is Verdict.UNKNOWN
    hidden = Seen(there=True, sha256="a", hidden=True, at=910)
    assert verdict(unharmed(LOCKED, hidden, [NO])) is Verdict.UNKNOWN


def test_a_lock_that_ended_meanwhile_proves_nothing():
    late = Seen(there=False, at=1_000)
    assert verdict(unharmed(LOCKED, late, [YES])) is Verdict.UNKNOWN
    under_hold = dataclasses.replace(LOCKED, hold=True)
    assert verdict(unharmed(under_hold, late, [YES])) is Verdict.BROKEN


def test_an_object_without_the_lock_it_was_given_is_broken_but_may_survive_a_write():
    assert verdict(unharmed(OPEN, OPEN, [NO])) is Verdict.BROKEN
    assert verdict(still_there(OPEN, OPEN, [YES])) is Verdict.HELD
    assert verdict(still_there(OPEN, Seen(there=False), [YES])) is Verdict.BROKEN


def test_a_released_hold_is_damage():
    under_hold = Seen(there=True, sha256="a", hold=True)
    assert verdict(unharmed(under_hold, OPEN, [YES])) is Verdict.BROKEN


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (LOCKED, Verdict.HELD),
        (dataclasses.replace(LOCKED, until=1_001), Verdict.HELD),
        (dataclasses.replace(LOCKED, until=1_002), Verdict.BROKEN),
        (dataclasses.replace(LOCKED, mode="GOVERNANCE"), Verdict.BROKEN),
        (OPEN, Verdict.BROKEN),
        (dataclasses.replace(OPEN, hidden=True), Verdict.UNKNOWN),
        (Seen(there=None), Verdict.UNKNOWN),
    ],
)
def test_a_lock_has_to_be_told_as_it_was_asked_for(seen, expected):
    assert verdict(as_asked("COMPLIANCE", 1_000, seen, YES)) is expected


def test_a_date_that_wraps_is_broken_and_a_refused_one_is_not():
    far, wrapped = 5_364_662_400, dataclasses.replace(LOCKED, until=5_364_662_400 - 2**32)
    judged = date_taken(far, wrapped, YES)
    assert judged.verdict is Verdict.BROKEN
    assert "2140-01-01" in judged.why
    assert "2003-11-24" in judged.why
    assert verdict(date_taken(far, dataclasses.replace(LOCKED, until=far), YES)) is Verdict.HELD
    assert verdict(date_taken(far, None, NO)) is Verdict.HELD
    assert verdict(date_taken(far, None, LOST)) is Verdict.UNKNOWN


def test_a_race_has_one_winner_and_leaves_one_version():
    assert verdict(exactly_one([YES, NO, NO], ["1"])) is Verdict.HELD
    assert verdict(exactly_one([YES, YES, NO], ["1"])) is Verdict.BROKEN
    assert verdict(exactly_one([YES, NO, NO], ["1", "2"])) is Verdict.BROKEN
    assert verdict(exactly_one([NO, NO, NO], [])) is Verdict.UNKNOWN
    assert verdict(exactly_one([YES, LOST, NO], None)) is Verdict.UNKNOWN


def test_a_write_that_must_fail_leaves_nothing():
    assert verdict(nothing_written(["1"], ["1"], NO)) is Verdict.HELD
    assert verdict(nothing_written(["1"], ["1", "2"], NO)) is Verdict.BROKEN
    assert verdict(nothing_written(["1"], ["1"], LOST)) is Verdict.UNKNOWN
    assert verdict(nothing_written(["1"], None, NO)) is Verdict.UNKNOWN
    assert verdict(refused(YES, "it wrote")) is Verdict.BROKEN
    assert verdict(refused(LOST, "it wrote")) is Verdict.UNKNOWN


def test_a_setting_that_stands_counts_only_if_the_credential_could_have_changed_it():
    assert verdict(setting_kept(Answer(status=409), kept=True, what="it")) is Verdict.HELD
    assert verdict(setting_kept(YES, kept=False, what="it")) is Verdict.BROKEN
    assert verdict(setting_kept(NO, kept=True, what="it")) is Verdict.UNKNOWN
    assert verdict(setting_kept(YES, kept=None, what="it")) is Verdict.UNKNOWN


def test_the_worst_of_several_decides():
    good, bad, open_ = held("a"), refused(YES, "b"), unknown("c")
    assert first_that_failed(good, open_, bad) is bad
    assert first_that_failed(good, open_) is open_
    assert first_that_failed(good, good) is good


# --- what it comes to ---------------------------------------------------------------


def result(guarantee=Guarantee.UNDELETABLE, verdict=Verdict.HELD, **more):
    return Result(
        name="delete-version", tries="Delete it", guarantee=guarantee, verdict=verdict,
        why="refused", **more,
    )  # fmt: skip


def test_a_failed_attack_counts_only_with_the_right_to_succeed():
    tried = result(needs=(Power.DELETE,))
    assert settled(tried, {Power.DELETE: held("seen")}) == tried
    for powers in ({}, {Power.DELETE: unknown("403 AccessDenied")}):
        judged = settled(tried, powers)
        assert judged.verdict is Verdict.UNKNOWN
        assert "delete a version that nothing protects" in judged.why
    lost = result(verdict=Verdict.BROKEN, needs=(Power.DELETE,))
    assert settled(lost, {}) is lost


ALL_HELD = tuple(result(guarantee) for guarantee in Guarantee)


def test_the_exit_code_looks_at_what_is_relied_on():
    assert exit_code(summary(ALL_HELD)) == 0
    for guarantee in Guarantee:
        relied = guarantee in RELIED_ON
        assert exit_code(summary((*ALL_HELD, result(guarantee, Verdict.BROKEN)))) == int(relied)
        worse = (*ALL_HELD, result(guarantee, Verdict.UNKNOWN))
        assert exit_code(summary(worse)) == (2 if relied else 0)
        missing = [each for each in ALL_HELD if each.guarantee is not guarantee]
        assert exit_code(summary(missing)) == (2 if relied else 0)
    assert exit_code(summary(())) == 2


def test_one_probe_that_does_not_apply_hides_nothing():
    mixed = (result(), result(verdict=Verdict.NOT_APPLICABLE))
    assert summary(mixed)[Guarantee.UNDELETABLE] is Verdict.HELD
    only = (result(verdict=Verdict.NOT_APPLICABLE),)
    assert summary(only)[Guarantee.UNDELETABLE] is Verdict.NOT_APPLICABLE


def report(*results, **more):
    told = {"target": "s3://b/p", "server": "S", "date": "2026-11-22", "mode": "COMPLIANCE"}
    return Report(powers={}, results=results, **(told | more))


def test_a_report_says_it_in_every_form():
    broken = dataclasses.replace(result(verdict=Verdict.BROKEN), why="a | b")
    left = Leftover(key="p/1", version="v", until=1_000)
    told = report(*ALL_HELD, broken, leftovers=(left,))
    assert "NOT a store for Countersign" in text(told)
    assert "1 scratch version(s) stay until 1970-01-01T00:16:40Z" in text(told)
    assert "| relied on | 1 held, 1 broken | **broken** |" in markdown(told)
    assert "a \\| b" in markdown(told)
    assert plain(told)["exit_code"] == 1
    assert plain(told)["leftovers"] == [
        {"key": "p/1", "version": "v", "until": "1970-01-01T00:16:40Z"}
    ]
    rehearsal = report(*ALL_HELD, mode="GOVERNANCE")
    assert "rehearsal in GOVERNANCE" in text(rehearsal)


def test_a_moment_of_any_year_can_be_told():
    assert moment(253_402_214_400) == "9999-12-31T00:00:00Z"
    assert moment(10**15) == "second 1000000000000000"
