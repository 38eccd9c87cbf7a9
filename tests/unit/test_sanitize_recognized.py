"""What recognizers beside the rules find is added; what they did not look at is hidden."""

import json

import pytest

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer, kinds
from countersign.sanitize.kinds import Kind
from countersign.sanitize.manifest import weaker
from countersign.sanitize.recognized import Recognizers
from countersign.sanitize.survey import Span

CODE_NAME = Kind(name="CODE_NAME", strength=46, classes=("personal", "secret_project"))
PROSE = "the heron goes to ada@example.com on monday"
KEY = b"k" * 32


def sanitizer(*, every_text=False, found=(kinds.PERSON, CODE_NAME)):
    return Sanitizer(recognizers=Recognizers(id="r1", kinds=found, every_text=every_text))


def heron(texts):
    """Somebody who knows one code name."""
    return {
        text: [Span(text.index("heron"), text.index("heron") + 5, CODE_NAME, "presidio.CODE_NAME")]
        if "heron" in text
        else []
        for text in texts
    }


def context(**arguments):
    return ActionContext(
        action="db.export",
        resource=Resource(type="table", id="orders", owner="", attributes={}),
        actor=Principal(type="agent", id="agent:a"),
        on_behalf_of=(),
        environment="prod",
        arguments=arguments,
        reason=PROSE,
        session="s1",
    )


def known(_id):
    return False


def looked_at(own, action, answer):
    found = own.detect(action, known=known, recognized=answer)
    shown = own.preview(
        action, found, profile="reviewer", policy_mask=(), must_show=("/reason",), tag_key=KEY
    )
    return found, json.loads(shown.context_json), json.loads(shown.report_json), shown


# --- an answer ------------------------------------------------------------------------


def test_a_find_is_masked_beside_what_rules_found():
    own = sanitizer()
    asked = own.asks(context(), known=known)
    assert asked == [PROSE]
    found, shown, report, _ = looked_at(own, context(), heron(asked))
    assert "heron" not in shown["reason"]
    assert shown["reason"].startswith("the [CODE_NAME] goes to [EMAIL:")
    assert report["ner"] == found.to_record()["ner"] == "ok"
    assert [(each["pointer"], each["rule"]) for each in report["masked"]] == [
        ("/reason", "presidio.CODE_NAME"),
        ("/reason", "email"),
    ]
    assert found.entities == {"CODE_NAME": 1, "EMAIL": 1}
    assert "secret_project" in found.classes


def test_a_find_never_takes_a_stronger_mask_away():
    own = sanitizer()
    weak = Span(18, 22, CODE_NAME, "presidio.CODE_NAME")  # inside the address
    _, shown, _, _ = looked_at(own, context(), {PROSE: [weak]})
    assert "@example.com" not in shown["reason"]
    assert "ada" not in shown["reason"]


@pytest.mark.parametrize("answered", [True, False])
def test_a_destination_names_nothing_that_was_found_or_not_looked_at(answered):
    own = sanitizer(every_text=True)
    action = context(to="https://heron.example/in", bucket="s3://heron-data/x")
    answer = heron(own.asks(action, known=known)) if answered else None
    found, shown, _, _ = looked_at(own, action, answer)
    assert "heron" not in json.dumps([shown, found.facts])
    assert found.facts["destination"]["count"] == 2
    assert found.facts["destination"]["internal"] is False


# --- no answer ------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, {}], ids=["late", "of something else"])
def test_what_nobody_looked_at_is_hidden_and_held_to_be_the_worst(answer):
    own, action = sanitizer(), context()
    found, shown, report, preview = looked_at(own, action, answer)
    assert shown["reason"] == "[UNEXAMINED]"
    assert report["ner"] == found.to_record()["ner"] == "failed"
    assert found.entities == {"CODE_NAME": 1, "EMAIL": 1, "PERSON": 1}
    assert {"contact", "personal", "secret_project"} <= set(found.classes)
    assert not preview.reviewable  # /reason must be shown
    record = own.clean(action, found, policy_mask=(), tag_key=KEY)
    assert record.context["reason"] == "[UNEXAMINED]"
    assert record.report["ner"] == "failed"


def test_texts_and_details_are_hidden_as_well():
    own = sanitizer()
    assert own.text(PROSE) == "[UNEXAMINED]"
    assert own.text(PROSE, heron(own.asks_of_text(PROSE))).startswith("the [CODE_NAME] goes")
    assert own.text("ok") == "ok"  # no prose: nobody is asked
    value = {"note": PROSE, "n": 1}
    assert own.detail(value) == {"note": "[UNEXAMINED]", "n": 1}
    assert "heron" not in str(own.detail(value, heron(own.asks_of(value))))
    assert own.scrub(PROSE, tag_key=KEY).value == "[UNEXAMINED]"
    assert own.label("a stage of two words") == "a stage of two words"


@pytest.mark.parametrize(
    "text",
    [json.dumps({"note": "a heron in a comment"}), "run: tell the heron --now", "a=1, the heron"],
)
def test_a_comment_that_is_read_like_a_context_is_asked_about_like_one(text):
    own = sanitizer()
    shown = own.text(text, heron(own.asks_of_text(text)))
    assert "heron" not in shown
    assert "[CODE_NAME]" in shown
    assert "[UNEXAMINED]" not in shown


# --- what is asked --------------------------------------------------------------------


def test_statements_and_what_its_key_hides_are_not_asked_about():
    own = sanitizer()
    action = context(
        sql="SELECT a FROM heron WHERE b = 1",
        command="ship the heron to the north",
        password="the heron flies at night",
        inner=json.dumps({"note": "a heron in a string"}),
        rows=[{"note": "a heron in a row"}] * 3,
        key="heron",
    )
    assert own.asks(action, known=known) == [PROSE, "a heron in a string", "a heron in a row"]


def test_all_texts_are_asked_about_where_that_is_wanted():
    own = sanitizer(every_text=True)
    action = context(sql="SELECT a FROM heron WHERE b = 1", key="heron")
    assert set(own.asks(action, known=known)) == {
        *(PROSE, "SELECT a FROM heron WHERE b = 1", "heron"),
        *("agent", "agent:a", "orders"),
    }


def test_a_value_that_is_too_much_is_asked_about_no_more():
    own = sanitizer()
    assert own.asks_of(["a heron by the water"] * 6000) == []
    shown = own.scrub(["a heron by the water"] * 6000, tag_key=KEY)
    assert not shown.complete
    assert shown.report["ner"] == "failed"


# --- which rules these are ------------------------------------------------------------


def test_recognizers_belong_to_the_rule_set_and_losing_one_is_weaker():
    both, one, none = sanitizer(), sanitizer(found=(kinds.PERSON,)), Sanitizer()
    wide = sanitizer(every_text=True)
    assert none.ruleset.startswith("builtin-1:")
    assert both.ruleset.startswith("custom-1:")
    assert weaker(none.manifest(), both.manifest()) == []
    assert weaker(both.manifest(), one.manifest()) == ["no recognizer looks for CODE_NAME any more"]
    assert len(weaker(both.manifest(), none.manifest())) == 2
    assert weaker(both.manifest(), wide.manifest()) == []
    assert "recognizers look for PERSON in prose only" in weaker(wide.manifest(), both.manifest())


def test_a_manifest_from_before_there_were_any_is_no_weaker():
    before = Sanitizer().manifest()
    del before["recognized"]
    assert weaker(before, Sanitizer().manifest()) == []
    assert weaker(before, sanitizer().manifest()) == []


def test_without_recognizers_nobody_is_asked_and_nothing_is_said():
    own = Sanitizer()
    assert own.asks(context(), known=known) == own.asks_of({"a": PROSE}) == []
    found, shown, report, _ = looked_at(own, context(), None)
    assert "heron" in shown["reason"]
    assert "ner" not in report
    assert "ner" not in found.to_record()
