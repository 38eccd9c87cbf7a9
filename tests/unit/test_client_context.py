"""A context is checked and copied where it is written."""

import copy
import datetime as dt
import decimal
import enum
import json
import pickle

import pytest

from countersign import canonical
from countersign.client import Context, External, InvalidContext, Person, Resource, Workload


def export(**changes):
    fields = {
        "action": "db.export",
        "resource": Resource("table", "customers", owner="crm", attributes={"region": "eu"}),
        "environment": "production",
        "actor": "export-agent",
        "arguments": {"rows": 120, "columns": ("name", "email")},
        "on_behalf_of": [Person("alice"), Workload("planner"), External("partner")],
        "reason": "audit",
        "session": "s-1",
    }
    return Context(**{**fields, **changes})


def test_the_bound_bytes_are_the_canonical_json_that_policy_sees():
    assert json.loads(export().canonical_bytes) == {
        "action": "db.export",
        "actor": {"id": "export-agent", "type": "workload"},
        "arguments": {"columns": ["name", "email"], "rows": 120},
        "environment": "production",
        "on_behalf_of": [
            {"id": "alice", "type": "person"},
            {"id": "planner", "type": "workload"},
            {"id": "partner", "type": "external"},
        ],
        "reason": "audit",
        "resource": {
            "attributes": {"region": "eu"},
            "id": "customers",
            "owner": "crm",
            "type": "table",
        },
        "session": "s-1",
    }


def test_the_wire_form_says_exactly_what_is_bound():
    context = export()
    message = context.to_message()
    assert canonical.parse_object(message.arguments_json) == context.arguments
    assert Context.from_message(message).canonical_bytes == context.canonical_bytes
    assert Context.from_canonical(context.canonical_bytes) == context
    assert canonical.encode(context.to_model().to_json()) == context.canonical_bytes


def test_later_changes_to_the_callers_own_dictionary_change_nothing():
    arguments = {"rows": 120, "where": {"country": "DE"}}
    context = export(arguments=arguments)
    before = context.to_message().SerializeToString(deterministic=True)
    arguments["where"]["country"] = "*"
    context.arguments["rows"] = 10**6
    assert context.to_message().SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "db.exports"},
        {"actor": "export-agent-2"},
        {"environment": "staging"},
        {"arguments": {"rows": 121}},
        {"on_behalf_of": [Person("alice")]},
        {"on_behalf_of": [Workload("alice"), Workload("planner"), External("partner")]},
        {"reason": "audit "},
        {"session": ""},
        {"resource": Resource("table", "customers", owner="crm")},
    ],
)
def test_one_changed_field_is_another_context(changes):
    assert export(**changes) != export()


def test_equal_numbers_and_key_order_are_one_context():
    assert export(arguments={"a": 1, "b": 2.0}) == export(arguments={"b": 2, "a": 1.0})


class Colour(enum.StrEnum):
    RED = "red"


def test_enums_and_tuples_become_what_they_look_like():
    assert export(arguments={"c": Colour.RED, "t": (1, (2,))}).arguments == {
        "c": "red",
        "t": [1, [2]],
    }


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (float("nan"), "NaN"),
            (float("inf"), "NaN and infinities"),
            (2**53 + 1, "send it as a string"),
            pytest.param(10**5000, "send it as a string", id="5000 digits"),
            (dt.datetime(2026, 1, 1), "is a datetime"),  # noqa: DTZ001
            (decimal.Decimal(1), "is a Decimal"),
            (b"raw", "is a bytes"),
            ({1, 2}, "is a set"),
            ("\ud800", "surrogate"),
            ({1: "x"}, "key that is a int"),
            ({None: "x"}, "key that is a NoneType"),
        ],
    )
    def test_what_json_would_bend_is_named_by_its_pointer(self, value, problem):
        with pytest.raises(InvalidContext) as caught:
            export(arguments={"filters": [{"a/b": value}]})
        assert caught.value.field == "arguments/filters/0/a~1b"
        assert problem in caught.value.problem

    def test_a_structure_that_contains_itself_is_refused(self):
        loop = {}
        loop["again"] = loop
        with pytest.raises(InvalidContext, match="nested deeper"):
            export(arguments=loop)

    @pytest.mark.parametrize("depth", [31, 33])
    def test_depth_ends_where_the_servers_does(self, depth):
        value = "leaf"
        for _ in range(depth):
            value = {"k": value}
        if depth == 33:
            with pytest.raises(InvalidContext, match="nested deeper"):
                export(arguments=value)
        else:
            export(arguments=value)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"action": "DB Export"}, "action"),
            ({"action": ""}, "action"),
            ({"environment": ""}, "environment"),
            ({"environment": 7}, "environment"),
            ({"actor": ""}, "actor"),
            ({"actor": None}, "actor"),
            ({"reason": "\udfff"}, "reason"),
            ({"resource": "customers"}, "resource"),
            ({"resource": Resource("table", "")}, "resource.id"),
            ({"on_behalf_of": ["alice"]}, "on_behalf_of[0]"),
            ({"on_behalf_of": Person("alice")}, "on_behalf_of"),
            ({"on_behalf_of": [Person("")]}, "on_behalf_of[0]"),
            ({"on_behalf_of": [Person("p")] * 17}, "on_behalf_of"),
            ({"arguments": [1]}, "arguments"),
        ],
    )
    def test_a_wrong_field_of_the_envelope_is_named(self, changes, field):
        with pytest.raises(InvalidContext) as caught:
            export(**changes)
        assert caught.value.field == field

    def test_attributes_are_as_strict(self):
        with pytest.raises(InvalidContext) as caught:
            Resource("table", "t", attributes={"size": float("nan")})
        assert caught.value.field == "resource.attributes/size"


class TestRawStaysInMemory:
    def test_nothing_prints_a_context(self):
        context = export(arguments={"token": "hunter2"}, reason="hunter2")
        shown = f"{context} {context!r} {context.resource!r} {context.on_behalf_of!r}"
        assert "hunter2" not in shown
        assert "alice" not in shown
        assert "customers" not in shown

    def test_nothing_serialises_a_context(self):
        for leak in (pickle.dumps, copy.copy, json.dumps):
            with pytest.raises(TypeError):
                leak(export())

    def test_errors_never_quote_a_value(self):
        with pytest.raises(InvalidContext) as caught:
            export(arguments={"password": {"x": ["hunter2\ud800"]}})
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
