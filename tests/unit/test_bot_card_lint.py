"""The lint of cards finds each thing that must not be on one."""

import copy

import pytest

from card_stories import APPROVER, elements, handle, look, review
from countersign_bot.card import Card, review_card
from countersign_bot.card.lint import problems

SHOWN = review()
GOOD = review_card(
    SHOWN, handle=handle(SHOWN), view=APPROVER, look=look(), viewers=["29:carol", "29:dave"]
)


def spoiled(change, summary=GOOD.summary):
    body = copy.deepcopy(GOOD.body)
    change(body)
    return problems(Card(body=body, summary=summary))


def first(body, kind):
    return next(element for element, _ in elements(body) if element["type"] == kind)


def put(kind, **properties):
    return lambda body: first(body, kind).update(properties)


def drop(kind, *names):
    def change(body):
        for name in names:
            first(body, kind).pop(name)

    return change


def add(element):
    return lambda body: body["body"].append(element)


def test_a_good_card_has_no_problem():
    assert problems(GOOD) == []


WRONG = {
    "a picture": add({"type": "Image", "url": "https://x.example/1.png"}),
    "media": add({"type": "Media", "sources": []}),
    "a set of facts, which reads markdown": add(
        {"type": "FactSet", "facts": [{"title": "a", "value": "[b](https://x.example)"}]}
    ),
    "an input of another kind": add({"type": "Input.ChoiceSet", "id": "x", "choices": []}),
    "an element of none": add("text"),
    "a text run on its own": add({"type": "TextRun", "text": "x"}),
    "untrusted text in a text block": put("TextBlock", text="crm.customers"),
    "a link in a text block": put("TextBlock", text="[Approve](https://x.example)"),
    "a text block without text": drop("TextBlock", "text"),
    "a text block that does not wrap": drop("TextBlock", "wrap"),
    "a date to expand": put("TextRun", text="{{DATE(2026-01-01T00:00:00Z)}}"),
    "a bidi override": put("TextRun", text="\u202egnp.exe"),
    "an isolate that does not close": put("TextRun", text="\u2068abc"),
    "an isolate closed twice": put("TextRun", text="\u2069\u2068"),
    "a zero-width character at an end": put("TextRun", text="ab\u200b"),
    "zero-width characters in a row": put("TextRun", text="a\u200b\u200bb"),
    "another zero-width character": put("TextRun", text="a\u200cb"),
    "a control character": put("TextRun", text="a\x07"),
    "half a character": put("TextRun", text="\ud800"),
    "a run that opens a link": put(
        "TextRun", selectAction={"type": "Action.OpenUrl", "url": "https://x.example"}
    ),
    "a container that opens a link": put(
        "Container", selectAction={"type": "Action.OpenUrl", "url": "https://x.example"}
    ),
    "a picture behind it": lambda body: body.update(backgroundImage="https://x.example/1.png"),
    "hidden parts": put("Container", isVisible=False),
    "a colour nobody knows": put("TextRun", color="Purple"),
    "a ground nobody knows": put("Container", style="loud"),
    "another version": lambda body: body.update(version="1.6"),
    "no language": lambda body: body.pop("lang"),
    "a language without words": lambda body: body.update(lang="fr"),
    "no fallback text": lambda body: body.pop("fallbackText"),
    "fallback text of somebody": lambda body: body.update(fallbackText="click here"),
    "an empty body": lambda body: body.update(body=[]),
    "no card": lambda body: body.update(type="HeroCard"),
    "a fourth button": lambda body: body["actions"].append(body["actions"][0]),
    "a button without a fallback": drop("Action.Execute", "fallback"),
    "a fallback that does something else": lambda body: first(body, "Action.Execute")[
        "fallback"
    ].update(data=body["actions"][1]["card"]["actions"][0]["data"]),
    "a button without a handle": put("Action.Execute", data={"vote": "approve"}),
    "a button without a verb": drop("Action.Execute", "verb"),
    "a button with another verb": put("Action.Execute", verb="deny"),
    "a title of somebody": put("Action.Execute", title="Approve [now](https://x.example)"),
    "a button that only submits": lambda body: body["actions"].__setitem__(
        0, body["actions"][0]["fallback"]
    ),
    "a link elsewhere": lambda body: body["actions"].__setitem__(
        0, {"type": "Action.OpenUrl", "title": "Open the full review", "url": "https://x.example"}
    ),
    "an input without a label": drop("Input.Text", "label"),
    "a required input without a message": drop("Input.Text", "errorMessage"),
    "an input without bounds": drop("Input.Text", "maxLength"),
    "an input of another name": put("Input.Text", id="reason"),
    "two inputs of one name": put("Input.Text", id="question"),
    "a label of somebody": put("Input.Text", label="<at>All</at>"),
    "a refresh that decides": lambda body: body["refresh"].update(action=body["actions"][0]),
    "a refresh for everybody": lambda body: body["refresh"].pop("userIds"),
    "a refresh for too many": lambda body: body["refresh"].update(userIds=["29:x"] * 21),
    "a card that is too large": lambda body: body["body"].extend(body["body"] * 2),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_must_not_be_is_found(wrong):
    assert spoiled(WRONG[wrong]) != []


@pytest.mark.parametrize("summary", ["", "x" * 251, "a\u202eb", "a\nb"])
def test_a_summary_is_short_and_plain(summary):
    assert spoiled(lambda _: None, summary=summary) != []


def test_problems_quote_nothing():
    found = spoiled(put("TextBlock", text="the secret value", style="the secret style"))
    assert len(found) == 2
    assert "secret" not in "".join(found)
