"""A button's data: what we made comes back, and nothing else is taken."""

import copy
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_stories import handle, review, stories
from countersign_bot.card import Handle, HandleError, Verb, read
from countersign_bot.card.handle import INPUTS, data

MADE = handle(review())


@pytest.mark.parametrize("verb", Verb)
def test_what_a_button_sends_comes_back(verb):
    click = read(data(MADE, verb), verb=verb.value)
    assert click.handle == MADE
    assert click.verb is verb
    assert click.text == ""
    assert read(data(MADE, verb)).verb is verb, "an Action.Submit says it in its data alone"


def test_a_review_without_a_preview_has_a_handle_too():
    made = handle(stories()["no-preview"])
    assert (made.profile, made.preview_hash) == ("", "")
    assert read(data(made, Verb.REFRESH)).handle == made


def test_each_verb_takes_its_own_text():
    inputs = {each: f" text of {each}\n" for each in INPUTS.values()}
    for verb, field in INPUTS.items():
        assert read({**data(MADE, verb), **inputs}).text == f"text of {field}"
    assert read({**data(MADE, Verb.REFRESH), **inputs}).text == ""
    assert read({**data(MADE, Verb.DENY), "msteams": {"type": "x"}}).verb is Verb.DENY


def test_a_client_that_knows_one_kind_of_number_is_understood():
    sent = data(MADE, Verb.DENY)
    sent["countersign"][4] = 1.0
    assert read(sent).handle == MADE


def _sent(index, value):
    sent = copy.deepcopy(data(MADE, Verb.APPROVE))
    sent["countersign"][index] = value
    return sent


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "approve",
        [],
        {},
        {"countersign": None},
        {"countersign": []},
        {"countersign": [*data(MADE, Verb.DENY)["countersign"], 1]},
        {**data(MADE, Verb.DENY), "person": "carol"},
        {**data(MADE, Verb.DENY), "deny_reason": 7},
        {**data(MADE, Verb.DENY), "deny_reason": "x" * 4097},
        {**data(MADE, Verb.DENY), "deny_reason": "\ud800"},
        _sent(0, 2),
        _sent(0, True),
        _sent(1, "claim"),
        _sent(1, ["approve"]),
        _sent(2, ""),
        _sent(2, "rev_1 or rev_2"),
        _sent(2, "x" * 129),
        _sent(3, None),
        _sent(4, "1"),
        _sent(4, -1),
        _sent(4, 1.5),
        _sent(4, True),
        _sent(4, 2**31),
        _sent(5, {"a": 1}),
        _sent(5, "a\nb"),
        _sent(6, "AB" * 32),
        _sent(6, "ab" * 31),
        _sent(6, "ab" * 32 + "\n"),
        _sent(7, ""),
        _sent(7, "\u0661\u0662"),
    ],
)
def test_anything_else_is_refused_without_quoting_it(sent):
    with pytest.raises(HandleError) as refused:
        read(sent)
    assert "rev_1 or rev_2" not in str(refused.value)
    assert str(refused.value).split(":")[0] in {
        *("data", "version", "verb", "review", "card", "revision", "profile", "preview", "nonce"),
        "deny_reason",
    }


def test_an_action_that_says_one_verb_and_carries_another_is_refused():
    with pytest.raises(HandleError, match="different"):
        read(data(MADE, Verb.DENY), verb="approve")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("countersign"), inner),
    max_leaves=5,
)


@given(
    ANYTHING | st.fixed_dictionaries({"countersign": st.lists(ANYTHING, min_size=8, max_size=8)})
)
def test_no_data_whatever_does_more_than_be_refused(sent):
    with pytest.raises(HandleError):
        read(sent)


def test_a_handle_names_the_revision_and_preview_of_its_review():
    shown = review(status={"revision": 3})
    assert dataclasses.asdict(Handle.of(shown, card_id="card_1", nonce="n")) == {
        "review_id": shown.status.review_id,
        "card_id": "card_1",
        "revision": 3,
        "preview_hash": bytes(range(32)).hex(),
        "profile": "reviewer",
        "nonce": "n",
    }
