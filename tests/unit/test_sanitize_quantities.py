"""Quantities: what one action adds to the sums that policy sees, and the buckets people see."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Quantity, Sanitizer, money
from countersign.sanitize.bounds import MAX_AMOUNTS
from countersign.sanitize.quantities import MAX_QUANTITY, UNKNOWN, UNREAD

SANITIZER = Sanitizer()
KEY = b"k" * 32
BOUNDED = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def a_context(arguments):
    return ActionContext(
        actor=Principal(type="agent", id="a"),
        on_behalf_of=(),
        action="payment.transfer",
        resource=Resource(type="account", id="x", owner="", attributes={"amount": 9_000}),
        environment="production",
        arguments=arguments,
        reason="send 9000",
        session="",
    )


def look(arguments):
    return SANITIZER.detect(a_context(arguments), known=lambda _: False)


def rows(arguments):
    return look(arguments).quantity.rows


def amount(arguments):
    return look(arguments).quantity.amount


# --- rows --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({}, 0),
        ({"table": "crm.customers"}, 0),
        ({"row_count": 5210}, 5210),
        ({"row_count": "5210"}, 5210),
        ({"limit": 5, "row_count": 20_000}, 20_000),
        ({"limit": 5, "customers": [{"id": 1}] * 150}, 150),
        ({"row_count": "all"}, UNREAD),
        ({"row_count": "all", "limit": 5_000_000}, 5_000_000),
        ({"row_count": "9" * 18}, MAX_QUANTITY),
        ({"row_count": "9" * 22}, MAX_QUANTITY),
        ({"row_count": 2.5}, 3),
    ],
)
def test_rows_are_the_number_behind_the_fact(arguments, count):
    assert rows(arguments) == count


def test_a_decoy_among_records_hides_none_of_them():
    records = [{"id": 1}] * 150
    assert rows({"customers": [0, *records]}) == 151
    table = {"columns": ["id", "email"], "data": [["1", "x"]] * 150}
    assert rows(table) == 150
    assert rows({**table, "data": [0, *table["data"]]}) == 151
    assert rows({**table, "columns": ["id", "email", 5]}) == 150


# --- what names money --------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    """amount amounts total grandTotal sum total_sum price unit-price value_usd valueUSD usd_value
    transferamount transferAmount refund_amount amount_due_usd service_fee costs usd InstdAmt
    amount2 price_max""".split(),
)
def test_names_of_money(name):
    assert money.fact_of(name) == money.UNITS
    assert amount({"x": {name: 1250}}) == 1250


@pytest.mark.parametrize(
    "name",
    """amount_cents amountMinor amount_minor_units amount_in_cents total_pence cents usd_cents
    price_eur_cents amountcents""".split(),
)
def test_names_of_hundredths(name):
    assert money.fact_of(name) == money.HUNDREDTHS
    assert amount({name: 1250}) == 13
    assert amount({name: "1200"}) == 12


@pytest.mark.parametrize(
    "name",
    """amount_type total_rows total_bytes total_count checksum check_sum sha256sum coffee price_id
    price_list summary value name percent units currency received customer_id""".split(),
)
def test_names_that_are_none(name):
    assert amount({name: 1250}) == 0
    assert "amount" not in look({name: "x"}).facts


def test_money_is_read_in_arguments_only():
    assert look({}).quantity == Quantity()
    assert look({}).to_policy()["quantity"] == {"rows": 0, "amount": 0}


# --- how it is written -------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "whole"),
    [
        (0, 0),
        (12, 12),
        (12.01, 13),
        (-250, 250),
        ("12.50", 13),
        ("12,50", 13),
        ("12.00", 12),
        ("1,234.56", 1235),
        ("1.234,56", 1235),
        ("1 234,56", 1235),
        ("1\u202f234,56", 1235),
        ("1'234.56", 1235),
        ("1_000", 1000),
        ("1,23,456.78", 123_457),
        ("1.234", 1234),  # may be a thousand
        ("0.125", 1),
        ("1234.567", 1235),
        ("EUR 12.50", 13),
        ("12.50eur", 13),
        ("-$3", 3),
        ("$-3", 3),
        ("US$ 1,000", 1000),
        (" 7 ", 7),
        ({"amount": "12.50", "currency": "EUR"}, 13),
        ({"value": "12.50", "currency_code": "EUR", "breakdown": {"item_total": "10"}}, 13),
        ({"cents": 1250}, 13),
        (2**53 - 1, MAX_QUANTITY),
        (1e300, MAX_QUANTITY),
        ("9" * 60, MAX_QUANTITY),
    ],
)
def test_what_is_written_is_read_in_whole_units_rounded_up(written, whole):
    found = look({"amount": written})
    assert found.quantity.amount == whole
    assert "unread" not in found.facts["amount"]


@pytest.mark.parametrize(
    "written",
    [
        "", "all", "12k", "5 mio", "1e6", "(5)", "1.2.3", "1,234,567,89", "12 units", ".5", "12-",
        "9" * 65, "\uff19\uff19", None, True, {"x": "y"}, {"currency": "EUR of Ada"}, '{"x": 5}',
    ],
)  # fmt: skip
def test_what_is_not_understood_counts_as_the_most_and_beside_any_decoy(written):
    for arguments in ({"amount": written}, {"amount": written, "total": 5}):
        found = look(arguments)
        assert found.facts["amount"] == {"at_least": UNREAD, "bucket": "1M+", "unread": 1}
        assert found.quantity.amount == UNREAD
    assert amount({"amount": written, "total": 7_000_000}) == 7_000_000


@pytest.mark.parametrize(
    ("count", "at_least", "bucket"),
    [(0, 0, "0"), (9, 1, "1-9"), (9.5, 10, "10-99"), (5000, 1000, "1k-10k"), (10**7, 10**6, "1M+")],
)
def test_people_see_the_bucket(count, at_least, bucket):
    assert look({"amount": count}).facts["amount"] == {"at_least": at_least, "bucket": bucket}


# --- several -----------------------------------------------------------------


def test_a_list_of_payments_adds_up():
    payments = [{"to": f"p{n}", "amount": 100} for n in range(30)]
    assert amount({"payments": payments}) == 3000
    assert amount({"payments": payments, "total": 5}) == 3000
    assert amount({"amounts": [10, "20.50", {"amount": 3}]}) == 34
    assert amount({"batches": [{"payments": payments}, {"payments": payments}]}) == 6000
    assert amount({"batch": json.dumps({"payments": payments})}) == 3000
    assert amount({"payments": [*payments, {"to": "p", "amount": "?"}]}) == 3000 + UNREAD


def test_a_total_and_its_parts_are_one_payment():
    assert amount({"amount": 100, "fee": 2, "subtotal": 98}) == 100
    order = {"total": 90, "lines": [{"price": 50}, {"price": 60}]}
    assert amount({"order": order}) == 110, "the parts say more than the total"


def test_hundredths_below_another_name_are_not_taken_for_less():
    assert amount({"amount_cents": {"amount": 5000}}) == 5000


PLACES = st.sampled_from("amount total price_cents payments x currency row_count limit".split())
SAID = st.sampled_from(
    [0, 5, 12.5, -3, 10**7, "12.50", "1.234", "all", "EUR", "", None, True, {"value": 5}]
)
NESTED = st.recursive(
    SAID,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(PLACES, inner, max_size=3)
    ),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(PLACES, NESTED, max_size=3)


def containers(value):
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


@given(said=ARGUMENTS, data=st.data())
@BOUNDED
def test_more_arguments_never_make_a_quantity_smaller(said, data):
    more = copy.deepcopy(said)
    for _ in range(data.draw(st.integers(1, 3))):
        grown = data.draw(st.sampled_from(list(containers(more))))
        added = data.draw(NESTED)
        if isinstance(grown, list):
            grown.insert(data.draw(st.integers(0, len(grown))), added)
        else:
            grown.setdefault(data.draw(PLACES), added)
    before, after = look(said), look(more)
    assert after.quantity.rows >= before.quantity.rows
    assert after.quantity.amount >= before.quantity.amount
    for name in before.facts.keys() & {"rows", "amount"}:
        assert after.facts[name]["at_least"] >= before.facts[name]["at_least"]
        assert after.facts[name].get("unread", 0) >= before.facts[name].get("unread", 0)


@given(arguments=ARGUMENTS)
@BOUNDED
def test_the_order_of_keys_means_nothing(arguments):
    assert look(arguments).quantity == look(dict(reversed(arguments.items()))).quantity


@given(written=st.text("0123456789.,'_ -+$€EUR", max_size=20))
@BOUNDED
def test_a_text_is_never_read_as_less_than_its_first_digits_or_is_unread(written):
    found = look({"amount": written})
    if "unread" in found.facts["amount"]:
        assert found.quantity.amount == UNREAD
    else:
        digits = "".join(char if char.isdigit() else " " for char in written).split()
        assert found.quantity.amount >= int(digits[0])


# --- what leaves, and what it costs ------------------------------------------


def test_records_and_cards_hold_no_exact_amount():
    context = a_context({"row_count": 5210, "amount_cents": 77_412_300})
    found = SANITIZER.detect(context, known=lambda _: False)
    assert found.to_policy() == {
        **found.to_record(),
        "quantity": {"rows": 5210, "amount": 774_123},
    }
    shown = SANITIZER.preview(
        context, found, profile="reviewer", policy_mask=["/arguments"], must_show=[], tag_key=KEY
    )
    for written in (json.dumps(found.to_record()), shown.facts_json, shown.context_json):
        assert "774123" not in written
        assert "5210" not in written
    assert found.to_record()["facts"]["amount"] == {"at_least": 100_000, "bucket": "100k-1M"}


def test_an_amount_is_a_fact_that_can_be_demanded():
    context = a_context({"amount": "12.50"})
    found = SANITIZER.detect(context, known=lambda _: False)
    for wanted, reviewable in (("facts:amount", True), ("facts:rows", False)):
        shown = SANITIZER.preview(
            context, found, profile="reviewer", policy_mask=[], must_show=[wanted], tag_key=KEY
        )
        assert shown.reviewable is reviewable


def test_more_amounts_than_are_looked_at_cover_the_context():
    assert look({"amounts": [1] * (MAX_AMOUNTS - 1)}).complete
    for arguments in ({"amounts": [1] * MAX_AMOUNTS}, {"x": [{"amount": 1}] * (MAX_AMOUNTS + 1)}):
        found = look(arguments)
        assert not found.complete
        assert found.quantity == UNKNOWN


def test_names_of_money_inside_each_other_are_bounded_too():
    nested = [1] * 1000
    for _ in range(30):
        nested = {"amount": nested}
    assert not look(nested).complete
