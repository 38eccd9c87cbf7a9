"""Everything granted is accounted for, and what is not has a name."""

import json

from audit_affairs import claimed, reported, rows, voted
from countersign.audit.reconcile import reconcile


def sums(*changes):
    return reconcile(json.loads(row.body) for row in rows(*changes))


def codes(result):
    return [(item.code, item.seq) for item in result.found]


def without(seq):
    """The day without one record; the others keep their numbers."""
    return reconcile(json.loads(row.body) for row in rows() if row.seq != seq)


def test_the_day_has_one_late_report_and_one_claim_without():
    result = sums()
    assert codes(result) == [("outcome.late", 16), ("claim.unreported", 27)]
    assert (result.claims, result.reported, result.open) == (4, 3, 0)
    assert (result.allowed, result.allowed_reported) == (2, 2)
    assert {item.about for item in result.found} == {"rev_late", "rev_mute"}


def test_a_claim_that_nobody_decided_on_stands_out():
    result = without(2)
    assert ("claim.without_decision", 6) in codes(result)


def test_a_claim_without_a_vote_stands_out_unless_policy_allowed_it():
    assert ("claim.without_vote", 6) in codes(without(5))

    def allowed(bodies):
        bodies[5] = {"kind": "heartbeat"}
        bodies[6]["policy"]["effect"] = "allow"

    assert ("claim.without_vote", 6) not in codes(sums(allowed))

    def denied(bodies):
        bodies[5] = voted("exp", "db.export", "bob", "deny")

    assert ("claim.without_vote", 6) in codes(sums(denied))


def test_an_approval_spent_twice_stands_out():
    def again(bodies):
        bodies[39] = claimed("exp", "db.export")

    assert ("claim.twice", 39) in codes(sums(again))


def test_a_claim_of_another_context_stands_out():
    def other(bodies):
        bodies[6]["commitment"] = "00" * 32

    assert ("claim.other_context", 6) in codes(sums(other))


def test_a_report_on_nothing_stands_out():
    def more(bodies):
        bodies[39] = reported("drop", "db.drop", "succeeded", decision="dec_drop", review=False)

    assert ("outcome.without_claim", 39) in codes(sums(more))
    assert ("outcome.without_claim", 7) in codes(without(6))


def test_an_ambiguous_end_and_an_open_emergency_stand_out():
    def ambiguous(bodies):
        bodies[7]["outcome"]["outcome"] = "ambiguous"

    assert ("outcome.ambiguous", 7) in codes(sums(ambiguous))
    assert ("glass.open", 19) in codes(without(22))


def test_a_claim_whose_time_is_not_over_is_open_and_no_exception():
    def ends_now(bodies):
        del bodies[28:]

    result = sums(ends_now)
    assert codes(result) == [("outcome.late", 16)]
    assert result.open == 1


def test_a_report_within_its_time_is_in_time():
    def patient(bodies):
        for body in bodies:
            if body["kind"] == "review.created":
                body["requirement"]["report_within_s"] = 86_400
        bodies[15] = {"kind": "heartbeat"}

    assert codes(sums(patient)) == []


def test_records_that_are_none_break_nothing():
    assert reconcile([{}, {"kind": "claim", "effect": "allow"}, {"kind": "outcome"}]).claims == 1
