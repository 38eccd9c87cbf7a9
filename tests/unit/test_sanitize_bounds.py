"""What one request may cost: work is counted (calls, bytes given to RE2), never timed."""

import base64
import json
import sys
import zlib

import pytest

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer, bounds
from countersign.sanitize.patterns import Patterns

KEY = b"k" * 32
KIB = 1024
MAX_CALLS = 500_000
"""Of Python for detect, preview and clean together, at 64 KiB: some 60 ms."""


def a_context(arguments):
    return ActionContext(
        actor=Principal(type="agent", id="agent-7"),
        on_behalf_of=(Principal(type="user", id="alice@example.com"),),
        action="db.export",
        resource=Resource(type="db_table", id="customers", owner="data", attributes={}),
        environment="production",
        arguments=arguments,
        reason="FIN-1234",
        session="s-1",
    )


def everything(sanitizer, context):
    found = sanitizer.detect(context, known=lambda name: name == "alice@example.com")
    made = sanitizer.preview(
        context, found, profile="reviewer", policy_mask=[], must_show=["/arguments/a"], tag_key=KEY
    )
    clean = sanitizer.clean(context, found, policy_mask=[], tag_key=KEY)
    return found, made, clean


class Work:
    """Counts calls and bytes searched while it is open."""

    def __init__(self, monkeypatch):
        self.calls = 0
        self.searched = 0
        candidates = Patterns.candidates
        find_one = Patterns._find_one

        def counted_candidates(patterns, text, end_for=None):
            self.searched += len(text)
            return candidates(patterns, text, end_for)

        def counted_find(patterns, index, text, allowance):
            self.searched += len(text)
            return find_one(patterns, index, text, allowance)

        monkeypatch.setattr(Patterns, "candidates", counted_candidates)
        monkeypatch.setattr(Patterns, "_find_one", counted_find)

    def __enter__(self):
        self.calls = self.searched = 0
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _count(self, _, event, __):
        self.calls += event in {"call", "c_call"}


def filled(size, one):
    """As many of `one(i)` as make `size` bytes."""
    count = size // (len(json.dumps(one(0))) + 3)
    return [one(index) for index in range(count)]


def deep(value, depth=29):
    for _ in range(depth):
        value = {"a": value}
    return value


def named(size, name):
    return {name % index: 1 for index in range(size // (len(name % 0) + 6))}


def in_base64(text, times):
    for _ in range(times):
        text = base64.b64encode(text.encode()).decode()
    return text


COMPRESSED = base64.b64encode(zlib.compress(b"a@b.cc " * 9000)).decode()

FLOODS = {
    "keys ending in Name": lambda size: named(size, "%xName"),
    "keys of one personal sibling": lambda size: {**named(size, "%x_name"), "email": "x"},
    "qualified keys": lambda size: named(size, "ab%x_1_old_1_old_1"),
    "keys that are e-mails": lambda size: named(size, "a%x@b.cc"),
    "covered cells": lambda size: {
        "columns": ["email"] * (size // 30),
        "rows": [[1] * 1000] * (size // 3000),
    },
    "columns of a table": lambda size: {"columns": ["e_1"] * (size // 6), "rows": [[1]]},
    "digests": lambda size: {"commit": ["ab12" * 10] * (size // 43)},
    "deep e-mails": lambda size: deep(filled(size, lambda i: f"a{i}@b.cc")),
    "deep objects": lambda size: deep(filled(size, lambda i: {"b": {"c": f"a{i}@b.cc"}})),
    "name and value": lambda size: {
        "x": filled(size, lambda i: {"name": "DB_PASSWORD", "value": i})
    },
    "below a secret's name": lambda size: {"password": filled(size, lambda i: [i])},
    "iban tries": lambda size: {"x": "de12de12" * (size // 8)},
    "ibans": lambda size: {"x": "DE89370400440532013000 " * (size // 23)},
    "ipv4 tries": lambda size: {"x": "999.999.999.999." * (size // 16)},
    "ipv4": lambda size: {"x": "10.1.1.9 " * (size // 9)},
    "ipv6 tries": lambda size: {"x": "a::b " * (size // 5)},
    "ssn tries": lambda size: {"x": "000-00-0000 " * (size // 12)},
    "phone tries": lambda size: {"x": "01234-1 " * (size // 8)},
    "card tries": lambda size: {"x": "4111-1111-" * (size // 10)},
    "card tries in groups of three": lambda size: {"x": "411-" * (size // 4)},
    "digits": lambda size: {"x": "4" * size},
    "assignments": lambda size: {"x": "a=a=" * (size // 4)},
    "harmless assignments": lambda size: {"x": "token=null " * (size // 11)},
    "options": lambda size: {"x": filled(size, lambda _: " -u a:b" * 5)},
    "random tokens": lambda size: {"x": filled(size, lambda i: f"k3j9x0q2m4v8b7n1z5c6{i}")},
    "json in strings": lambda size: {"x": filled(size, lambda _: '{"a@b.cc": "x"}')},
    "empty lists": lambda size: {"x": [[]] * (size // 3)},
    "small numbers": lambda size: {"x": [1] * (size // 2)},
    "large numbers": lambda size: {"x": [4111111111111111] * (size // 17)},
    "fullwidth": lambda size: {"x": filled(size, lambda _: "\uff14\uff11\uff11\uff11 a")},
    "long compatibility forms": lambda size: {"x": "\ufdfa" * (size // 3)},
    "combining marks": lambda size: {"x": "a" + "\u0301\u0323" * (size // 4)},
    "zero width": lambda size: {f"k\u200b{i}": "a\u202eb12" for i in range(size // 20)},
    "percent": lambda size: {"x": "%41a" * (size // 4)},
    "base64": lambda size: {"x": "amFuZUBjb3JwLnRlc3Q= " * (size // 21)},
    "base64 of nothing": lambda size: {"x": "aGVsbG8gdGhlcmU/ " * (size // 17)},
    "base64 of base64 of base64": lambda size: {
        "x": in_base64("4111111111111111 " * (size // 45), 3)
    },
    "compressed": lambda size: {"x": [COMPRESSED] * (size // len(COMPRESSED))},
    "hex with colons": lambda size: {"x": "41:" * (size // 3)},
    "hex": lambda size: {"x": "6a616e6540636f72702e74657374 " * (size // 29)},
    "base32": lambda size: {"x": "A" * size},
    "wrapped": lambda size: {"x": "amFuZUBjb3JwLnRlc3Q\n" * (size // 21)},
    "letters apart": lambda size: {"x": "4 " * (size // 2)},
    "addresses in words": lambda size: {"x": "a at b dot c " * (size // 13)},
    "entities": lambda size: {"x": "&#106;" * (size // 6)},
    "entities of entities": lambda size: {"x": "&amp;amp;amp;amp;amp;amp;" * (size // 25)},
    "backslashes": lambda size: {"x": "\\" * (size // 2)},
    "percents of percents": lambda size: {"x": "%2525252541" * (size // 11)},
    "quoted-printable": lambda size: {"x": "=41b" * (size // 4)},
    "look-alikes": lambda size: {"x": "\u0430\u0431\u0432 " * (size // 7)},
    "unseen letters": lambda size: {"x": "\U000e0041\U000e0040" * (size // 8)},
    "short texts": lambda size: {"x": ["4111"] * (size // 7)},
    "short lists": lambda size: {"x": [["4111", "1111", "1111", "1111"]] * (size // 33)},
    "halves of addresses": lambda size: {"x": ["@a.bcd"] * (size // 10)},
    "bytes as numbers": lambda size: {"x": [64] * (size // 3)},
    "lists of bytes": lambda size: {"x": [[*b"a@b.cc    "]] * (size // 40)},
    "statements": lambda size: {"x": ["select a from b"] * (size // 18)},
    "roles": lambda size: {"roles": [f"role_{i:x}" for i in range(size // 12)]},
    "paths": lambda size: {"x": "a/" * (size // 2)},
}


@pytest.mark.parametrize("flood", FLOODS)
def test_work_is_linear_and_small_for_every_flood(flood, monkeypatch):
    work = Work(monkeypatch)
    small = a_context(FLOODS[flood](15 * KIB))
    large = a_context(FLOODS[flood](60 * KIB))
    one, other = Sanitizer(), Sanitizer()
    with work:
        everything(one, small)
    calls, searched = work.calls, work.searched
    with work:
        everything(other, large)
    assert work.calls <= 5 * calls
    assert work.searched <= 5 * searched
    assert max(calls, work.calls) <= MAX_CALLS
    assert work.searched <= 4_000 * KIB


@pytest.mark.parametrize(
    "flood", ["keys ending in Name", "covered cells", "deep e-mails", "iban tries", "base64"]
)
def test_a_detail_costs_no_more(flood, monkeypatch):
    work = Work(monkeypatch)
    small, large = FLOODS[flood](15 * KIB), FLOODS[flood](60 * KIB)
    one, other = Sanitizer(), Sanitizer()
    with work:
        one.detail(small)
    calls = work.calls
    with work:
        other.detail(large)
    assert work.calls <= min(5 * calls, MAX_CALLS)


@pytest.mark.parametrize(
    "arguments",
    [
        {"x": [f"alpha {i}" for i in range(bounds.MAX_LEAVES + 1)]},
        {f"key {i}": 1 for i in range(bounds.MAX_LEAVES + 1)},
        {"x": [f"u{i}@x.example" for i in range(bounds.MAX_SPANS + 1)]},
        {"x": "10.1.1.9 " * (bounds.MAX_SPANS + 1)},
        {"columns": ["email"], "rows": [["x"]] * (bounds.MAX_SPANS + 1)},
        {"x": "token=null " * (bounds.MAX_MATCHES + 1)},
        {"x": "YWxwaGEgYmV0YSBnYW1tYQ " * (bounds.MAX_MATCHES // 2)},
        {"x": ["aaaaaaaaaaaaaaaa " * (bounds.MAX_MATCHES // 2 + 1)] * 2},
        {"x": ["select a from b"] * (bounds.MAX_STATEMENTS + 1)},
        {"x": "%41 " * (bounds.MAX_MATCHES + 1)},
    ],
)
def test_what_is_beyond_a_bound_is_covered_whole_and_cannot_be_approved(arguments):
    context = a_context({**arguments, "a": "bob@x.example"})
    found, made, clean = everything(Sanitizer(), context)
    assert not found.complete
    assert found.to_policy()["facts"] == {}
    assert not made.reviewable
    for shown in (json.loads(made.context_json), clean.context):
        assert shown["arguments"] == "[TOO_LONG]"
        assert shown["reason"] == "[TOO_LONG]"
        assert shown["resource"]["attributes"] == "[TOO_LONG]"
        assert shown["action"] == "db.export", "who does what is still seen"
        assert shown["on_behalf_of"] == [{"id": "alice@example.com", "type": "user"}]
    assert clean.report["total"] == {"TOO_LONG": 4}
    assert Sanitizer().detail(arguments) == {"detail": "[TOO_LONG]"}


def test_what_is_within_the_bounds_is_looked_at():
    arguments = {
        "a": "x",
        "mails": [f"u{i}@x.example" for i in range(bounds.MAX_SPANS - 10)],
        "words": [f"alpha {i}" for i in range(1000)],
    }
    found, _, clean = everything(Sanitizer(), a_context(arguments))
    assert found.complete
    assert found.entities == {"EMAIL": bounds.MAX_SPANS - 10}
    assert clean.context["arguments"]["words"] == arguments["words"]


def test_more_names_in_facts_than_are_cleaned_cannot_be_approved():
    roles = [f"r{i:x}" for i in range(bounds.MAX_NAMES + 1)]
    found, made, _ = everything(Sanitizer(), a_context({"a": "x", "roles": roles}))
    assert not found.complete
    assert not made.reviewable


def test_a_text_with_more_than_is_looked_at_is_masked_whole():
    assert Sanitizer().text("token=null " * (bounds.MAX_MATCHES + 1)) == "[TOO_LONG]"


def test_only_words_met_before_are_known_again_and_few_of_them():
    sanitizer = Sanitizer()
    for index in range(3):
        sanitizer.detail({"region": 1, "bob@x.example": 1, "k3j9x0": index})
    known = sanitizer._known_keys._infos
    assert set(known) == {"region"}
    for first in "abcdefghijklmnopqrstuvwxyz":
        sanitizer.detail({f"{first}{a}{b}": 1 for a in "abcdefghijk" for b in "abcdefghijk"})
    assert len(known) == 1000
    assert sanitizer.detail({"region": "bob@x.example"}) == {"region": "[EMAIL]"}
    assert "region" not in repr(sanitizer._known_keys)
