"""Whatever somebody wrote is on the card as they wrote it, and steers nothing."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from card_stories import (
    APPROVER,
    CONTEXT,
    CONVERSATION,
    FACTS,
    REQUESTER,
    buttons,
    claimed,
    elements,
    encoded,
    handle,
    look,
    outside_runs,
    preview,
    read,
    review,
    stamp,
    vote,
)
from countersign.v1 import context_pb2, reviews_pb2
from countersign_bot.card import asserted, review_card, text
from countersign_bot.card.lint import problems

FSI, PDI = "\u2068", "\u2069"


def lines(raw, max_chars=10_000, max_lines=100):
    return [*text.shown(raw, max_chars=max_chars, max_lines=max_lines).lines]


def line(raw):
    (only,) = lines(raw)
    return only


@pytest.mark.parametrize(
    "raw",
    [
        "[click](https://evil.example)",
        "**bold** _it_ `code` ~~no~~ # heading",
        "<at>Everyone</at> <b>b</b><script>alert(1)</script>&amp;",
        "![x](https://evil.example/pixel.png)",
        "| a | b |",
        "Ünïcødé 東京 ไทย Việt",
        "naïve cafe\u0301",
        "\U0001f600\U0001f600\U0001f600",
        "\u2764\ufe0f",
        "a  b   c",
        "${expression} $[x] {single}",
    ],
)
def test_what_cannot_deceive_is_shown_as_it_is(raw):
    assert line(raw) == raw


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\u202egnp.exe", "<U+202E>gnp.exe"),
        ("a\u200bb", "a<U+200B>b"),
        ("\u200b" * 1000, "<U+200B\u00d71000>"),
        ("a\x00b\x07", "a<U+0000>b<U+0007>"),
        ("a\U000e0041b", "a<U+E0041>b"),
        ("a\ufe0f\ufe01", "a<U+FE0F><U+FE01>"),
        ("\u2764\ufe0f\ufe0f", "\u2764<U+FE0F\u00d72>"),
        ("\ufe0f", "<U+FE0F>"),
        ("x\u3164\u2800", "x<U+3164><U+2800>"),
        ("a\u2003b\u3000c", "a<U+2003>b<U+3000>c"),
        ("a\u00a0b\tc", "a b  c"),
        ("a" + " " * 4 + "b", "a<U+0020\u00d74>b"),
        ("a" + "\t" * 2 + "b", "a<U+0020\u00d74>b"),
        ("e" + "\u0301" * 9, "e" + "\u0301" * 4 + "<U+0301\u00d75>"),
        ("\u0301e", "<U+0301>e"),
        ("\ue000\uffff", "<U+E000><U+FFFF>"),
        ("\ud83d alone", "<U+D83D> alone"),
        ("{{DATE(2026-01-01T00:00:00Z)}}", "{ {DATE(2026-01-01T00:00:00Z)}}"),
        ("{{{{", "{ { { {"),
        ("a\rb\u2028c\u0085d", "a<U+000D>b<U+2028>c<U+0085>d"),
        ("\u05d0\u05d1 1", f"{FSI}\u05d0\u05d1 1{PDI}"),
        ("\u2069\u05d0", f"{FSI}<U+2069>\u05d0{PDI}"),
    ],
)
def test_what_could_deceive_is_spelled_out(raw, shown):
    assert line(raw) == shown


def test_marks_in_turn_are_counted_together():
    assert line("e" + "\u0301\u0302" * 4) == (
        "e\u0301\u0302\u0301\u0302<U+0301><U+0302><U+0301><U+0302>"
    )


def test_long_words_may_be_broken_rather_after_a_sign():
    def broken(word, longest=10):
        return text.breakable(text.Clean(word), longest).split(text.BREAK)

    assert broken("short word") == ["short word"]
    assert broken("https://example.com/x") == ["https://", "example.", "com/x"]
    assert broken("a" * 21) == ["a" * 10, "a" * 10, "a"]
    assert broken("b" * 9 + "e\u0301" + "c") == ["b" * 9 + "e\u0301", "c"], "no letter is broken"
    hebrew = f"{FSI}{chr(0x5D0) * 9}{PDI}"
    assert broken(hebrew) == [hebrew]
    assert broken("x" * 12 + " " + "y" * 11) == ["x" * 10, "xx " + "y" * 10, "y"]


@given(st.text(max_size=200), st.integers(2, 30))
def test_breaks_change_nothing_else(raw, longest):
    for each in lines(raw):
        told = text.breakable(each, longest)
        assert told.replace(text.BREAK, "") == each
        assert text.BREAK * 2 not in told
        assert not told.startswith(text.BREAK)
        assert not told.endswith(text.BREAK)


def test_lines_are_kept_apart_and_blank_ones_go():
    assert lines("a\n\n  \nb\r\nc") == ["a", "b", "c"]
    shown = text.shown("a\nb\nc", max_chars=100, max_lines=2)
    assert shown.lines == ("a", "b")
    assert shown.is_cut


def test_what_is_too_long_is_cut_with_a_digest_of_all_of_it():
    one = text.shown("x" * 50 + "a", max_chars=50, max_lines=1)
    two = text.shown("x" * 50 + "b", max_chars=50, max_lines=1)
    assert one.lines == two.lines == ("x" * 50,)
    assert one.is_cut
    assert two.is_cut
    assert text.digest("x" * 50 + "a") != text.digest("x" * 50 + "b")
    assert not text.shown("x" * 50, max_chars=50, max_lines=1).is_cut
    spelled = text.shown("\u200b\u202e" * 20, max_chars=50, max_lines=1)
    assert spelled.is_cut, "spelling takes room"
    assert spelled.lines[0].endswith(">"), "and is never halved"


def test_ids_stand_on_one_line():
    assert text.brief("a\nb", max_chars=10).lines == ("a<U+000A>b",)
    assert text.brief("x" * 11, max_chars=10).lines == ("x" * 10 + "\u2026",)


@given(st.text(max_size=400))
def test_no_text_holds_anything_hidden_and_nothing_is_lost(raw):
    shown = text.shown(raw, max_chars=100_000, max_lines=1000)
    assert not shown.is_cut
    for told in shown.lines:
        inner = told.removeprefix(FSI).removesuffix(PDI)
        assert "{{" not in inner
        assert all(unicodedata.category(char)[0] != "C" for char in inner)
        assert all(unicodedata.category(char) not in {"Zl", "Zp"} for char in inner)
    plain = [char for char in raw if char.isalnum()]
    told = "".join(shown.lines)
    assert all(char in told for char in plain)


@given(st.text(max_size=400), st.integers(1, 60))
def test_no_line_is_longer_than_asked(raw, most):
    """But for blanks between braces, of which there are no more than braces."""
    shown = text.shown(raw, max_chars=most, max_lines=5)
    assert sum(len(told.replace("{ ", "{")) for told in shown.lines) <= most + 2 * 5
    assert len(shown.lines) <= 5


# --- on a card ---

HOSTILE = st.one_of(
    st.sampled_from(
        [
            "[approve](https://evil.example)",
            "<at>Everyone</at>",
            "{{DATE(2026-01-01T00:00:00Z)}}",
            "\u202egnp.exe",
            "a\u200bb\u2060c",
            "<img src=x onerror=alert(1)>",
            "\x00\x1b[31m",
            "\U0001f600" * 300,
            "\u05e2\u05de\u05e8 (approved)",
            "\U000e0068\U000e0069",
            "e" + "\u0301" * 500,
            "Verified by Countersign",
            '"quoted"',
            "line\nline",
            "x" * 3000,
            "null",
        ]
    ),
    st.text(max_size=60),
)
JSON = st.recursive(
    HOSTILE | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def hostile_reviews(draw):
    """Reviews in which whatever anybody can write is hostile."""
    word = lambda: draw(HOSTILE)  # noqa: E731 - read as a word below
    context = {
        **CONTEXT,
        "action": word(),
        "actor": {"id": word(), "type": word()},
        "arguments": draw(JSON),
        "on_behalf_of": [{"id": word(), "type": "person"}],
        "reason": word(),
        "resource": {"id": word(), "type": word(), "owner": word(), "attributes": draw(JSON)},
        "session": word(),
        word(): draw(JSON),
    }
    facts = {**FACTS, word(): draw(JSON)}
    shown = claimed(detail={word(): draw(JSON)}) if draw(st.booleans()) else review()
    shown.previews["reviewer"].CopyFrom(preview(_encodable(context), _encodable(facts)))
    shown.votes.append(vote(_whole(word()), reason=_whole(word())))
    shown.thread.append(
        reviews_pb2.Exchange(
            asked_by=_whole(word()),
            question=_whole(word()),
            answer=_whole(word()),
            asked_at=stamp(-2),
            answered_at=stamp(-1),
        )
    )
    shown.reasons.append(context_pb2.Reason(code=_whole(word()), message=_whole(word())))
    shown.stages[0].name = _whole(word())
    shown.stages[0].groups.append(_whole(word()))
    shown.unreached.append(_whole(word()))
    shown.verified.owners.append(_whole(word()))
    shown.verified.requester = _whole(word())
    shown.policy_revision = _whole(word())
    shown.action = _whole(word())
    shown.cannot_approve = _whole(word())
    del shown.must_show[:]
    return shown


def _whole(raw: str) -> str:
    """Without halves of characters, which protobuf does not carry."""
    return raw.encode("utf-8", "replace").decode()


def _encodable(value):
    return json.loads(json.dumps(value).encode("utf-8", "replace"))


@settings(max_examples=150, deadline=None)
@given(hostile_reviews(), st.sampled_from([APPROVER, CONVERSATION, REQUESTER]))
def test_whatever_they_write_the_card_is_ours(shown, view):
    made = review_card(
        shown, handle=handle(shown), view=view, look=look(), notice=shown.cannot_approve
    )
    assert problems(made) == []
    ours = [*outside_runs(made.body), made.summary]
    for told in ours:
        for mark in ("](", "<at>", "{{", "<img", "\u202e", "\u200b", "\x00", "Everyone"):
            assert mark not in told


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(HOSTILE, HOSTILE, max_size=8), HOSTILE)
def test_where_approve_is_offered_everything_is_there(arguments, reason):
    context = _encodable({**CONTEXT, "arguments": arguments, "reason": reason})
    shown = review(shown=preview(context), must_show=[])
    made = review_card(shown, handle=handle(shown), view=APPROVER, look=look())
    if "approve" not in buttons(made.body):
        return
    told = read(made.body)
    for value in (context["reason"], *map(asserted._scalar, context["arguments"].values())):
        for each in lines(value, max_chars=100_000):
            bare = each.removeprefix(FSI).removesuffix(PDI)
            assert bare in told


def test_hostile_words_are_in_a_text_run_and_read_as_they_are():
    raw = "[approve](https://evil.example) <at>All</at> **now**"
    context = {**CONTEXT, "reason": raw, "arguments": {raw: raw}}
    shown = review(shown=preview(context), must_show=[], votes=[vote(raw, reason=raw)])
    made = review_card(shown, handle=handle(shown), view=APPROVER, look=look())
    found = [
        element
        for element, _ in elements(made.body)
        if raw in str(element.get("text", "")).replace(text.BREAK, "")
    ]
    assert len(found) == 5
    assert {element["type"] for element in found} == {"TextRun"}


def test_two_texts_side_by_side_do_not_open_what_either_could_not():
    shown = review(shown=preview({**CONTEXT, "resource": {"id": "{", "type": "{DATE(x)}}"}}))
    made = review_card(shown, handle=handle(shown), view=APPROVER, look=look())
    assert problems(made) == []


@pytest.mark.parametrize("context", [b"", b"[]", b"{}", b'"x"', encoded({"resource": "[GUARDED]"})])
def test_a_preview_that_is_no_context_is_shown_as_far_as_it_goes(context):
    odd = preview()
    odd.context_json = context
    shown = review(shown=odd)
    made = review_card(shown, handle=handle(shown), view=APPROVER, look=look())
    assert problems(made) == []
    assert "approve" not in buttons(made.body), "what policy demands is not there"
