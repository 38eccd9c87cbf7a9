"""An operator's own rules: what they find, what they may not do, what is refused."""

import functools
import json
import re
import tomllib

import pytest

import realparts
from countersign import sanitize
from countersign.errors import ConfigurationError
from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import CustomRules, Sanitizer, custom_rules

ORDERS = r"""
[[rules]]
id = "order"
type = "ORDER_ID"
regex = '\bORD-[0-9]{6}\b'
action = "tag"
classes = ["customer"]
examples = ["ORD-123456"]
"""
CODENAMES = """
[[rules]]
id = "codenames"
type = "CODENAME"
words = ["Zeus", "blue harvest", "Größe XL"]
examples = ["zeus", "see Blue  Harvest!", "größe xl"]
"""
TOTALS = """
[[rules]]
id = "total"
type = "ORDER_TOTAL"
keys = ["order_total"]
action = "bucket"
"""
BADGES = """
[[rules]]
id = "badge"
type = "BADGE"
regex = 'badge [^ ]+'
action = "drop"
examples = ["badge 1a"]
"""


def rules(text: str) -> CustomRules:
    return custom_rules(tomllib.loads(text), name="sanitizer.toml")


@functools.cache
def sanitizer_of(text: str) -> Sanitizer:
    return Sanitizer(custom=rules(text))


def scrubbed(text: str, value):
    return sanitizer_of(text).scrub(value, tag_key=b"k" * 32)


def shown(text: str, value):
    result = scrubbed(text, value)
    assert result.complete
    assert result.report["guard"] == 0
    return result.value


# --- what rules find -----------------------------------------------------------------


def test_an_expression_finds_its_values_in_every_reading():
    plain = shown(ORDERS, "please look at ORD-123456 again")
    assert plain.startswith("please look at [ORDER_ID:")
    assert plain.endswith("] again")
    assert "123456" not in json.dumps(
        shown(
            ORDERS,
            {
                "a": "\uff2f\uff32\uff24-\uff11\uff12\uff13\uff14\uff15\uff16",
                "b": "T1JELTEyMzQ1Ng==",
            },
        )
    )


def test_an_expression_never_runs_from_one_text_into_the_next():
    for regex in (r"code.+", r"code[^;]+", r"code\S+ ?\D*"):
        text = f"""
        [[rules]]
        id = "code"
        type = "CODE"
        regex = '{regex}'
        examples = ["code 12", "code12"]
        """
        if not regex.startswith("code."):
            text = text.replace('"code 12", ', "")
        assert shown(text, ["before", "code77", "after", "other"]) == [
            "before",
            "[CODE]",
            "after",
            "other",
        ]


def test_words_are_whole_words_in_any_case_also_side_by_side():
    assert shown(CODENAMES, "the ZEUS zeus, blue\tharvest") == (
        "the [CODENAME] [CODENAME], [CODENAME]"
    )
    assert shown(CODENAMES, {"a": "Zeus", "b": "zeusar"}) == {"a": "[CODENAME]", "b": "zeusar"}


def test_a_key_is_found_by_the_words_its_name_ends_with():
    value = {"customerOrderTotal": 45_000, "order-total": "12.50", "order": 45_000, "total": 1}
    assert shown(TOTALS, value) == {
        "customerOrderTotal": "[ORDER_TOTAL:10k-100k]",
        "order-total": "[ORDER_TOTAL:10-99]",
        "order": 45_000,
        "total": 1,
    }
    pair = {"name": "order_total", "value": 3}
    assert shown(TOTALS, pair)["value"] == "[ORDER_TOTAL:1-9]"


def test_a_bucket_shows_nothing_of_what_is_no_number():
    assert shown(TOTALS, {"order_total": "about 45000"}) == {"order_total": "[ORDER_TOTAL]"}


def test_what_is_dropped_takes_its_whole_text_with_it_and_leaves_the_key():
    assert shown(BADGES, {"note": "her badge 77-x is lost"}) == {"note": "[BADGE]"}
    assert sanitizer_of(BADGES).text("her badge 77-x is lost") == "[BADGE]"


def test_classes_reach_policy_and_a_preview_is_masked():
    sanitizer = sanitizer_of(ORDERS)
    context = ActionContext(
        actor=Principal(type="agent", id="agent"),
        on_behalf_of=(),
        action="order.cancel",
        resource=Resource(type="order", id="o1", owner="", attributes={}),
        environment="production",
        arguments={"orders": ["ORD-123456"]},
        reason="cancel ORD-123456",
        session="s",
    )
    found = sanitizer.detect(context, known=lambda _: False)
    assert found.classes == ("customer",)
    preview = sanitizer.preview(
        context, found, profile="reviewer", policy_mask=[], must_show=[], tag_key=b"k"
    )
    assert preview.reviewable
    assert "123456" not in preview.context_json
    assert preview.context_json.count("[ORDER_ID:") == 2


# --- what they may not do --------------------------------------------------------------


def test_a_secret_stays_one_whatever_an_operator_calls_its_key():
    text = """
    [[rules]]
    id = "mine"
    type = "MINE"
    keys = ["password", "value"]
    action = "tag"
    """
    value = {"password": "hunter2 hunter2", "value": "abc"}
    masked = shown(text, value)
    assert masked["password"] == "[SECRET]"
    assert masked["value"].startswith("[MINE:")


def test_an_allowed_value_is_shown_only_where_it_stands_exactly_and_never_below_a_password():
    allow = '[allow]\nvalues = ["support@example.com"]\nkeys = ["contact_email"]'
    value = {
        "a": "support@example.com",
        "b": "write to support@example.com, not to bob@example.com",
        "c": "xsupport@example.com",
        "email": "support@example.com",
        "contact_email": "the usual one",
        "billing_contact_email": "the usual one",
        "password": "support@example.com",
    }
    masked = shown(allow, value)
    assert masked["a"] == masked["email"] == "support@example.com"
    assert masked["b"].startswith("write to support@example.com, not to [EMAIL:")
    assert masked["c"].startswith("[EMAIL:")
    assert masked["contact_email"] == "the usual one"
    assert masked["billing_contact_email"].startswith("[EMAIL:")
    assert masked["password"] == "[SECRET]"


def test_an_allowed_value_is_masked_where_it_is_given_as_a_password():
    allow = '[allow]\nvalues = ["support@example.com"]'
    assert shown(allow, "mysql password=support@example.com now") == "mysql password=[SECRET] now"
    sanitizer = sanitizer_of(allow)
    assert sanitizer.text("ask support@example.com") == "ask support@example.com"
    assert sanitizer.text("password=support@example.com") == "password=[SECRET]"


def test_the_last_four_digits_are_shown_of_cards_and_of_nothing_below_their_keys():
    keep = '[entities.CREDIT_CARD]\naction = "keep_last_4"'
    value = {"a": "pay 4111 1111 1111 1111", "cvv": "123", "card_number": "9999 1234"}
    assert shown(keep, value) == {
        "a": "pay [CREDIT_CARD:1111]",
        "cvv": "[CREDIT_CARD]",
        "card_number": "[CREDIT_CARD]",
    }


def test_a_built_in_entity_can_lose_its_tag():
    assert shown('[entities.EMAIL]\naction = "mask"', "bob@example.com") == "[EMAIL]"


# --- what is refused -------------------------------------------------------------------


def _rule(**changes: object) -> str:
    entry = {"id": "a", "type": "AAA", "regex": "ORD-[0-9]{6}", "examples": ["ORD-123456"]}
    entry.update(changes)
    lines = (f"{key} = {json.dumps(value)}" for key, value in entry.items() if value is not None)
    return "\n".join(["[[rules]]", *lines])


REFUSED = {
    "an example nobody finds": (_rule(examples=["ORD-1"]), "rules[0].examples[0]"),
    "a rule without examples": (_rule(examples=[]), "rules[0].examples"),
    "a rule that finds nothing": (_rule(regex=None, examples=None), "rules[0]: finds nothing"),
    "look-around": (_rule(regex="(?=a)b"), "rules[0].regex"),
    "an anchor": (_rule(regex="^ORD-[0-9]{6}$"), "rules[0].regex"),
    "an anchor escaped": (_rule(regex="\\AORD-[0-9]{6}"), "rules[0].regex"),
    "a class that holds everything": (_rule(regex="[\\s\\S]+"), "rules[0].regex"),
    "the flag s": (_rule(regex="(?s)ORD.{7}"), "rules[0].regex"),
    "NUL": (_rule(regex="ORD-\\x00"), "rules[0].regex"),
    "the empty text": (_rule(regex="x*"), "rules[0].regex"),
    "its own placeholder": (_rule(regex="[A-Z]{3}", type="AAA", examples=["ABCDE"]), "rules[0]"),
    "another's placeholder": (
        _rule(regex=None, words=["email"], examples=["my email"]),
        "rules[0]",
    ),
    "a type in small letters": (_rule(type="order"), "rules[0].type"),
    "a type that is a mark": (_rule(type="POLICY"), "rules[0].type"),
    "an action of a built-in type": (_rule(type="EMAIL", action="tag"), "rules[0].type"),
    "cards only": (_rule(action="keep_last_4"), "rules[0].action"),
    "an unknown action": (_rule(action="show"), "rules[0].action"),
    "an unknown key": (_rule(pattern="x"), "rules[0].pattern"),
    "an id twice": (_rule() + "\n" + _rule(), "rules[1].id"),
    "a type of two actions": (_rule() + "\n" + _rule(id="b", action="tag"), "rules[1].type"),
    "a class of words": (_rule(classes=["two words"]), "rules[0].classes"),
    "a secret shown": ('[entities.SECRET]\naction = "tag"', "entities.SECRET.action"),
    "an e-mail in part": ('[entities.EMAIL]\naction = "keep_last_4"', "entities.EMAIL.action"),
    "a bucket of letters": ('[entities.EMAIL]\naction = "bucket"', "entities.EMAIL.action"),
    "an unknown entity": ('[entities.NOBODY]\naction = "mask"', "entities.NOBODY"),
    "an allowed password": ('[allow]\nkeys = ["db_password"]', "allow.keys[0]"),
    "an allowed credential": (
        '[allow]\nvalues = ["ghp_16C7e42F292c6912E7710c838347Ae178B4a"]',
        "allow.values[0]",
    ),
    "an unknown table": ("[other]", "other"),
}


@pytest.mark.parametrize(("text", "where"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_work_is_refused_with_its_place_and_no_value(text, where):
    with pytest.raises(ConfigurationError) as refused:
        rules(text)
    assert refused.value.code == "sanitizer.rules"
    assert refused.value.message.startswith(f"sanitizer.toml: {where}")
    for value in ("ORD-1", "ghp_16", "ABCDE"):
        assert value not in str(refused.value)


# --- which is weaker ---------------------------------------------------------------------


def manifest(text: str):
    return json.loads(json.dumps(sanitizer_of(text).manifest()))


def weaker(before: str, now: str) -> list[str]:
    return sanitize.weaker(manifest(before), manifest(now))


EVERYTHING = ORDERS + CODENAMES + TOTALS + BADGES


def test_more_rules_are_never_weaker():
    assert weaker("", EVERYTHING) == []
    assert weaker(EVERYTHING, EVERYTHING) == []
    assert weaker(ORDERS, ORDERS.replace("ORD-[0-9]{6}", "ORD-[0-9]{6,9}")) == []


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (EVERYTHING.replace(ORDERS, ""), ["entity ORDER_ID is gone", "rule order is gone"]),
        (
            EVERYTHING.replace('"Zeus", ', "").replace('"zeus", ', ""),
            ["of its words gone", "of its examples gone"],
        ),
        (EVERYTHING.replace('["order_total"]', '["total"]'), ["1 of its keys gone"]),
        (EVERYTHING.replace('["ORD-123456"]', '["ORD-654321"]'), ["1 of its examples gone"]),
        (EVERYTHING.replace('"drop"', '"tag"'), ["entity BADGE shows more: tag, it was drop"]),
        (EVERYTHING.replace('["customer"]', "[]"), ["entity ORDER_ID is no customer any more"]),
        (EVERYTHING + '[allow]\nvalues = ["a@b.example"]', ["allow.values: 1 added"]),
        (EVERYTHING + '[allow]\nkeys = ["email"]', ["allow.keys: 1 added"]),
        (EVERYTHING + '[entities.CREDIT_CARD]\naction = "keep_last_4"', ["CREDIT_CARD shows more"]),
    ],
)
def test_what_finds_less_or_shows_more_is_told(now, told):
    found = weaker(EVERYTHING, now)
    assert len(found) == len(told)
    assert all(any(each in one for one in found) for each in told)


def test_a_built_in_rule_that_went_is_told():
    before, now = manifest(""), manifest("")
    now["rules"].remove("email")
    assert sanitize.weaker(before, now) == ["rule email is gone"]


def test_the_manifest_holds_no_word_example_or_allowed_value():
    text = json.dumps(manifest(EVERYTHING + '[allow]\nvalues = ["a@b.example"]')).casefold()
    assert "zeus" not in text
    assert "ord-123456" not in text
    assert "a@b.example" not in text


def test_the_ruleset_is_named_by_its_content():
    names = {sanitizer_of(text).ruleset for text in ("", ORDERS, ORDERS + TOTALS)}
    assert len(names) == 3
    assert Sanitizer(custom=rules("")).ruleset == Sanitizer().ruleset


def test_the_file_of_the_documentation_works():
    page = (realparts.ROOT / "docs" / "sanitizer.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```toml\n(\[\[rules.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown(text, {"order_total": 20_000, "a": "about Zeus, support@example.com"}) == {
        "order_total": "[ORDER_TOTAL:10k-100k]",
        "a": "about [PROJECT], support@example.com",
    }


@pytest.mark.parametrize("name", ["ORDER_ID", "TICKET_NUMBER", "API_KEY", "PHONE_LINE"])
@pytest.mark.parametrize("action", ["tag", "mask"])
def test_the_last_look_does_not_take_a_placeholder_for_what_its_name_announces(name, action):
    text = ORDERS.replace("ORDER_ID", name).replace('"tag"', f'"{action}"')
    masked = shown(text, {"a": "see ORD-123456 please", "b": ["ORD-654321"]})
    assert masked["a"].startswith(f"see [{name}")
    assert masked["b"][0].startswith(f"[{name}")
