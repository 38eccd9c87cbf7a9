"""What one log finds out about the sink counts for all, unless it is its own trouble."""

from countersign.audit.outage import Outage
from countersign.audit.sink import OutageError

AWAY = OutageError("log.sink_unavailable", "nobody answers")


def test_nobody_is_let_through_until_one_may_ask_again():
    outage = Outage(first_s=1, max_s=30)
    assert outage.lets("a", 0)
    outage.found(AWAY, began=0, now=15)
    assert outage.error is AWAY
    assert not outage.lets("b", 15.5)
    assert outage.lets("b", 16)
    assert not outage.lets("c", 17)  # one at a time
    outage.tried("c")  # it did not
    assert not outage.lets("c", 17)
    outage.tried("b")
    assert outage.lets("c", 17)


def test_pauses_grow_up_to_the_longest():
    outage = Outage(first_s=1, max_s=3)
    pauses = []
    for now in (10, 20, 30, 40):
        outage.found(AWAY, began=now, now=now)
        pauses.append(outage.retry_at - now)
    assert pauses == [1, 2, 3, 3]


def test_it_ends_with_the_first_answer_and_begins_anew_with_a_short_pause():
    outage = Outage(first_s=1, max_s=30)
    outage.found(AWAY, began=0, now=15)
    outage.found(AWAY, began=16, now=31)
    assert outage.answered(40)
    assert outage.error is None
    assert not outage.answered(41)
    outage.found(AWAY, began=50, now=65)
    assert outage.retry_at == 66


def test_what_others_were_spared_meanwhile_is_one_logs_own_trouble():
    outage = Outage(first_s=1, max_s=30)
    outage.answered(10)
    outage.found(AWAY, began=5, now=20)
    assert outage.error is None
    assert outage.lets("b", 20)


def test_who_is_asked_for_the_last_time_need_not_be_due():
    outage = Outage(first_s=1, max_s=30)
    outage.found(AWAY, began=0, now=15)
    assert outage.lets("a", 15, last=True)
    assert not outage.lets("b", 15, last=True)
