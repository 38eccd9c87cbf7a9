"""Values split over what stands side by side, and values that are lists of bytes."""

import base64
import json

import pytest

from countersign.sanitize import Sanitizer

SANITIZER = Sanitizer()


def shown(value):
    return SANITIZER.detail({"x": value})["x"]


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        (["4111", "1111", "1111", "1111"], ["[CREDIT_CARD]"] * 4),
        (["41111111", "11111111"], ["[CREDIT_CARD]"] * 2),
        (list("4111111111111111"), ["[CREDIT_CARD]"] * 16),
        (["123", "45", "6789"], ["[US_SSN]"] * 3),
        (["7", "4111", "1111", "1111", "1111"], ["7", *["[CREDIT_CARD]"] * 4]),
        (["DE89", "3704", "0044", "0532", "0130", "00"], ["[IBAN]"] * 6),
        (["see", 4, "AKIAIOSFOD", "NN7EXAMPLE"], ["see", 4, "[SECRET]", "[SECRET]"]),
        (["mail", "jane", "@corp.test", "-v"], ["mail", "[EMAIL]", "[EMAIL]", "-v"]),
        (["to", "jane@", "corp", ".test", "now"], ["to", *["[EMAIL]"] * 3, "now"]),
        (list("jane.doe@corp.test"), ["[EMAIL]"] * 18),
        (
            ["-----BEGIN PRIVATE KEY-----", "MIIEvQIB", "hkiG9w0B", "-----END PRIVATE KEY-----"],
            ["[SECRET]"] * 4,
        ),
        ({"a": "4111 1", "b": "111 1111", "c": "1111"}, dict.fromkeys("abc", "[CREDIT_CARD]")),
        ({"4111 1111": "1111 1111"}, {"[CREDIT_CARD]": "[CREDIT_CARD]"}),
    ],
)
def test_what_is_split_is_masked_in_every_part_and_nowhere_else(value, masked):
    assert shown(value) == masked


@pytest.mark.parametrize(
    ("row", "masked"),
    [
        (["AKIAQYLPMN", "5HHHFPZAM2"], ["[SECRET]"] * 2),
        (["4111 ", "1111", "1111", "1111"], ["[CREDIT_CARD]"] * 4),
        (["41111111", "11111111"], ["[CREDIT_CARD]"] * 2),
        (["jane", "@corp.test"], ["[EMAIL]"] * 2),
        ([*b"jane.doe@corp.test"], ["[EMAIL]"] * 18),
        (["--db-pass", "hunter2hunter2"], ["--db-pass", "[SECRET]"]),
        (["--passport", "C01X00T47"], ["--passport", "[GOVERNMENT_ID]"]),
        (["hello", "world", 7], ["hello", "world", 7]),
    ],
)
@pytest.mark.parametrize("head", ["fields", "columns", "headers"])
def test_the_header_of_a_table_hides_nothing_that_is_split_over_a_row(head, row, masked):
    table = {head: ["x"], "parts": [row, "between", row]}
    assert shown(table) == {head: ["x"], "parts": [masked, "between", masked]}
    assert shown(dict(reversed(table.items()))) == shown(table)


def test_parts_of_two_rows_are_not_joined():
    table = {"fields": ["x", "y"], "parts": [["4111", "1111"], ["1111", "1111"]]}
    assert shown(table) == table


def test_columns_of_a_table_still_say_what_its_cells_are():
    table = {"columns": ["id", "password"], "rows": [[1, "abc"], [2, 12]]}
    assert shown(table)["rows"] == [[1, "[SECRET]"], [2, "[SECRET]"]]


def test_parts_of_other_lists_and_of_far_places_are_not_joined():
    value = {"a": ["4111", "1111"], "b": ["1111", "1111"], "c": [["4111"], ["111111111111"]]}
    assert SANITIZER.detail(value) == value


@pytest.mark.parametrize(
    "value",
    [
        ["alice", "bob"],
        {"a": "task-1", "b": "billing-worker-eu-1"},
        ["npm", "install", "@scope/package"],
        ["eu", "us", "v2", "10", "20", "30"],
        [512, 20, 2048, 4111, 1111, 1111, 1111],
        {"cpu": "512", "replicas": "20", "memory": "2048Mi"},
        [0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1],
        [72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100],
        ["customers", "orders", "invoices", "2026", "11", "22"],
    ],
)
def test_neighbours_that_are_nothing_together_stay(value):
    assert shown(value) == value


def test_an_address_beside_a_word_does_not_cover_the_word():
    assert shown(["alice", "bob@corp.test"]) == ["alice", "[EMAIL]"]


@pytest.mark.parametrize(
    ("text", "kind", "left"),
    [
        ("x jane.doe@corp.test", "EMAIL", 2),
        ("card 4111 1111 1111 1111", "CREDIT_CARD", 5),
        (base64.b64encode(b"jane.doe@corp.test").decode(), "EMAIL", 0),
        ("password=hunter2", "SECRET", 9),
    ],
)
def test_a_list_of_bytes_is_read_as_the_text_it_is(text, kind, left):
    numbers = list(text.encode())
    assert shown(numbers) == [*numbers[:left], *[f"[{kind}]"] * (len(numbers) - left)]


@pytest.mark.parametrize(
    "number",
    [4111111111111111, 4111111111111111.0, "4.111111111111111e15", "4.111111111111111E+15"],
)
def test_a_card_written_as_a_number_is_masked_whole(number):
    assert shown(number) == "[CREDIT_CARD]"


def test_parts_inside_json_in_a_string_are_joined_too():
    text = shown(json.dumps(["4111", "1111", "1111", "1111"]))
    assert json.loads(text) == ["[CREDIT_CARD]"] * 4
