"""Strict JSON in, RFC 8785 out, and nothing guessed on the way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.canonical import (
    SALT_BYTES,
    StrictJsonError,
    bound_bytes,
    commitment,
    encode,
    keyed_hash,
    parse_object,
    preview_hash,
)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        # RFC 8785, appendix B: IEEE 754 bits and their ECMAScript form.
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_print_as_ecmascript_prints_them(bits, expected):
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert encode({"n": number}) == f'{{"n":{expected}}}'.encode()


def test_keys_sort_by_utf_16_units_and_strings_escape_as_rfc_8785_says():
    # RFC 8785, section 3.2.3.
    document = {"\u20ac": "Euro", "\r": "CR", "\ufb33": "Dalet", "1": "One", "\U0001f600": "Smile",
                "\u0080": "Control", "\u00f6": "o"}  # fmt: skip
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(encode(document))) == order
    assert encode({"s": '\u20ac$\u000f\nA\'B"\\\\"/'}) == (
        b'{"s":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (b'{"a":{"b":1,"b":2}}', "/a/b"),
        (b'{"a":1,"\\u0061":2}', "/a"),
        (b'{"a":[0,NaN]}', "/a/1"),
        (b'{"a":-Infinity}', "/a"),
        (b'{"a":{"x/y":100.000000000000001}}', "/a/x~1y"),
        (b'{"a":9007199254740993}', "/a"),
        (b'{"a":1e400}', "/a"),
        (b'{"a":1e-400}', "/a"),
        (b'{"a":1e99999999999999999999}', "/a"),
        (b'{"a":-1E-99999999999999999999}', "/a"),
        (b'{"a":"\\ud800"}', "/a"),
        (b'{"\\ud800":1}', ""),
        (b"[1]", ""),
        (b'"text"', ""),
        (b"{", ""),
        (b'{"a":1} trailing', ""),
        (b"\xff", ""),
        (b'\xef\xbb\xbf{"a":1}', ""),
        (b"[" * 100_000, ""),
        (b'{"a":' + b"9" * 5_000 + b"}", "/a"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "/a" * 32),
    ],
)
def test_what_would_have_to_be_guessed_is_refused_at_its_place(text, pointer):
    with pytest.raises(StrictJsonError) as error:
        parse_object(text)
    assert error.value.pointer == pointer


def test_an_error_names_the_place_and_never_the_value():
    with pytest.raises(StrictJsonError) as error:
        parse_object(b'{"card":4111111111111111111.5}')
    assert "4111" not in str(error.value)
    assert "/card" in str(error.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1.0}', b'{"a":1}'),
        (b'{"a":1e2}', b'{"a":100}'),
        (b'{"a":-0}', b'{"a":0}'),
        (b'{"a":0.10}', b'{"a":0.1}'),
        (b'{"b":1, "a":2}', b'{"a":2,"b":1}'),
        (b'{"a":"\\u00e9\\/"}', '{"a":"é/"}'.encode()),
        (b"", b"{}"),
    ],
)
def test_one_value_has_one_form(one, other):
    assert encode(parse_object(one)) == encode(parse_object(other))


def test_nothing_is_normalised_that_a_reader_could_tell_apart():
    assert encode({"a": "e\u0301"}) != encode({"a": "\u00e9"})


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _JSON, max_size=5))
def test_parsing_the_canonical_form_gives_the_canonical_form(document):
    once = encode(document)
    assert encode(parse_object(once)) == once


@given(st.binary(max_size=200))
def test_no_bytes_bring_the_parser_down(data):
    with contextlib.suppress(StrictJsonError):
        assert isinstance(parse_object(data), dict)


@given(st.dictionaries(st.text(), _JSON, max_size=3), st.dictionaries(st.text(), _JSON, max_size=3))
def test_two_contexts_share_a_commitment_only_if_they_are_one(one, other):
    salt = bytes(SALT_BYTES)
    same = encode(one) == encode(other)
    left = commitment(bound_bytes("t", encode(one)), salt)
    assert (left == commitment(bound_bytes("t", encode(other)), salt)) is same
    assert left != commitment(bound_bytes("u", encode(one)), salt)


def test_a_commitment_is_what_the_specification_says():
    context = encode({"action": "db.export"})
    bound = b'{"context":{"action":"db.export"},"tenant":"acme"}'
    assert bound_bytes("acme", context) == bound
    salt = bytes(range(32))
    assert (
        commitment(bound, salt) == hashlib.sha256(b"countersign/context/v1" + salt + bound).digest()
    )


def test_keyed_hashes_do_not_confuse_parts_or_purposes():
    assert keyed_hash(b"k", "p", b"ab", b"c") != keyed_hash(b"k", "p", b"a", b"bc")
    assert keyed_hash(b"k", "p", b"ab") != keyed_hash(b"k", "q", b"ab")
    assert preview_hash("p", "a", "b", "c") != preview_hash("p", "ab", "", "c")
