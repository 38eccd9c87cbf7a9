"""Values written so that no pattern sees them, and characters that deceive a reader."""

import base64
import json

import pytest

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer

SANITIZER = Sanitizer()
KEY = b"k" * 32
HIDDEN = "\u200b\u200d\u202e\u2066\ufeff\u00ad\x07\x7f\x9b\u2028"


def b64(text):
    return base64.b64encode(text.encode()).decode()


DISGUISED = [
    ("CREDIT_CARD", "4111\u200b1111\u200b1111\u200b1111"),
    ("CREDIT_CARD", "\uff14" + "\uff11" * 15),
    ("CREDIT_CARD", "\u0664\u0661\u0661\u0661 1111 1111 1111"),
    ("CREDIT_CARD", "4111\u20101111\u20101111\u20101111"),
    ("CREDIT_CARD", "4111\u200311111111\u30001111"),
    ("CREDIT_CARD", "4\u0301111111111111111"),
    ("CREDIT_CARD", "4111\u31641111\u31641111\u31641111"),
    ("CREDIT_CARD", b64("4111111111111111")),
    ("CREDIT_CARD", b"4111111111111111".hex()),
    ("CREDIT_CARD", "/data/" + b64("4111111111111111")),
    ("CREDIT_CARD", "4111%201111%201111%201111"),
    ("EMAIL", "jane.doe\uff20corp.test"),
    ("EMAIL", "jane.doe@corp\u3002test"),
    ("EMAIL", "jane%40corp.test"),
    ("EMAIL", "jane%EF%BC%A0corp.test"),
    ("EMAIL", "jane\uff0540corp.test"),
    ("EMAIL", "to=" + b64("jane.doe@corp.test")),
    ("EMAIL", base64.urlsafe_b64encode(b"jane>>>?? jane@corp.test").decode().rstrip("=")),
    ("US_SSN", "123\u00ad-45-6789"),
    ("US_SSN", "123-45\x00-6789"),
    ("SECRET", "pass\u200bword=hunter2"),
]


def rendered(arguments, *, reason=""):
    context = ActionContext(
        actor=Principal(type="agent", id="agent-7"),
        on_behalf_of=(),
        action="db.export",
        resource=Resource(type="db", id="x", owner="data", attributes={}),
        environment="production",
        arguments=arguments,
        reason=reason,
        session="",
    )
    found = SANITIZER.detect(context, known=lambda _: False)
    made = SANITIZER.preview(
        context, found, profile="reviewer", policy_mask=[], must_show=[], tag_key=KEY
    )
    clean = SANITIZER.clean(context, found, policy_mask=[], tag_key=KEY)
    return found, made, clean


KEPT = {"/data/": "/data/", "pass\u200bword=": "pass<U+200B>word="}
"""What stands before a value and says nothing; the rest stands for it."""


@pytest.mark.parametrize(("kind", "value"), DISGUISED)
def test_a_disguised_value_is_masked_where_it_stands_and_nothing_beside_it(kind, value):
    found, made, clean = rendered({"note": f"see {value} ok", "k": {value: 1}}, reason=value)
    kept = next((shown for start, shown in KEPT.items() if value.startswith(start)), "")
    assert found.entities[kind] == 3
    for shown in (json.loads(made.context_json), clean.context):
        (key,) = shown["arguments"]["k"]
        assert shown["arguments"]["note"] == f"see {key} ok"
        assert key == shown["reason"]
        assert key.startswith(f"{kept}[{kind}")
        assert key.endswith("]")
    assert value not in made.report_json
    assert SANITIZER.detail({"note": value})["note"].endswith(f"[{kind}]")
    assert f"[{kind}]" in SANITIZER.text(value)


@pytest.mark.parametrize(
    "text",
    [
        "größe café \u2013 10 % off \u2026 naïve",
        "100%25 done, a%20b, LIKE '%ada%'",
        "https://x.example/cb?to=https%3A%2F%2Fy.example%2Fa%20b",
        "s3://corp-exports/2024/q3/customers_full_export",
        "corp-exports/customers/quarterly/reports/finance",
        "customerAccountsExportConfiguration",
        "2024112210150000 and 00000000000000000000",
        "日本語のテキスト 2024",
    ],
)
def test_what_only_looks_encoded_stays_readable(text):
    assert SANITIZER.text(text) == text
    assert SANITIZER.detail({"note": text}) == {"note": text}


def test_a_text_whose_compatibility_form_explodes_is_covered_and_incomplete():
    found, made, _ = rendered({"note": "\ufdfa" * 100})
    assert not found.complete
    assert not made.reviewable
    assert json.loads(made.context_json)["arguments"] == {"note": "[TOO_LONG]"}


def test_a_key_in_disguise_says_what_its_value_is():
    _, made, _ = rendered({"pass\u200bword": "hunter2", "\uff53\uff53\uff4e": "x"})
    arguments = json.loads(made.context_json)["arguments"]
    assert sorted(arguments.values()) == ["[SECRET]", "[US_SSN]"]


@pytest.mark.parametrize("char", HIDDEN)
def test_no_hidden_character_reaches_a_preview_or_a_record(char):
    spelled = f"<U+{ord(char):04X}>"
    arguments = {f"a{char}b": f"x{char}y", "list": [f"{char}"], "mail": f"bob@x.example {char}"}
    arguments["sql"] = f'SELECT id FROM "or{char}ders" WHERE id = 1'
    _, made, clean = rendered(arguments, reason=f"line\n\t{char}")
    for text in (made.context_json, made.facts_json, made.report_json):
        assert char not in text
        assert json.dumps(char)[1:-1] not in text
    shown = json.loads(made.context_json)
    assert shown["arguments"][f"a{spelled}b"] == f"x{spelled}y"
    assert shown["arguments"]["list"] == [spelled]
    assert shown["reason"] == f"line\n\t{spelled}"
    assert char not in json.dumps([clean.context, clean.report], ensure_ascii=False)
    assert clean.context["arguments"]["list"] == [spelled]


def test_keys_that_differ_in_hidden_characters_only_are_both_kept():
    assert SANITIZER.detail({"rows": 9999999, "rows\u200b": 5}) == {"rows": 9999999, "rows#2": 5}
    _, _, clean = rendered({"a<U+200B>": 1, "a\u200b": 2})
    assert clean.context["arguments"] == {"a<U+003C>U+200B>": 1, "a<U+200B>": 2}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=a,b", "password=[SECRET]"),
        ("password=a;b&c)d then", "password=[SECRET] then"),
        ("token: a}b", "token: [SECRET]"),
        ("--password a,b,c -v", "--password [SECRET] -v"),
        ("password=a'b\"c", "password=[SECRET]"),
        ("password: null, next", "password: null, next"),
        ("token=${TOKEN}; next", "token=${TOKEN}; next"),
    ],
)
def test_an_unquoted_secret_is_masked_to_the_end_of_its_word(text, masked):
    assert SANITIZER.text(text) == masked
