"""What reviewers see and records keep: masks, tags, must_show, bounds, the guard."""

import dataclasses
import json
import pickle

import pytest

from countersign.canonical import preview_hash
from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer, free, guard
from countersign.sanitize.quantities import UNKNOWN

SANITIZER = Sanitizer()
KEY = b"k" * 32


def a_context(arguments=None, **more):
    values = {
        "actor": Principal(type="agent", id="agent-7"),
        "on_behalf_of": (Principal(type="user", id="alice@example.com"),),
        "action": "db.export",
        "resource": Resource(type="db_table", id="customers", owner="data", attributes={}),
        "environment": "production",
        "arguments": arguments or {},
        "reason": "FIN-1234",
        "session": "s-1",
    }
    return ActionContext(**(values | more))


def look(context, *, known=("alice@example.com",), sanitizer=SANITIZER):
    return sanitizer.detect(context, known=lambda name: name in known)


def preview(
    arguments=None,
    *,
    profile="reviewer",
    mask=(),
    must_show=(),
    key=KEY,
    known=("alice@example.com",),
    sanitizer=SANITIZER,
    **more,
):
    context = a_context(arguments, **more)
    return sanitizer.preview(
        context,
        look(context, known=known, sanitizer=sanitizer),
        profile=profile,
        policy_mask=mask,
        must_show=must_show,
        tag_key=key,
    )


def shown(*args, **kwargs):
    return json.loads(preview(*args, **kwargs).context_json)


def report(*args, **kwargs):
    return json.loads(preview(*args, **kwargs).report_json)


def test_a_preview_is_canonical_and_hashed():
    made = preview({"b": 1, "a": "x"})
    assert made.profile == "reviewer"
    assert made.context_json.startswith('{"action":"db.export","actor"')
    assert made.hash == preview_hash(
        "reviewer", made.context_json, made.facts_json, made.report_json
    )
    assert made.reviewable


def test_registered_ids_stay_only_where_they_stand_as_ids():
    context = shown({"to": "alice@example.com"})
    assert context["on_behalf_of"][0]["id"] == "alice@example.com"
    assert context["arguments"]["to"].startswith("[EMAIL:")
    assert shown(known=())["on_behalf_of"][0]["id"].startswith("[EMAIL:")


def test_identifiers_are_never_masked_but_only_if_they_are_identifiers():
    assert shown(environment="10.1.2.3")["environment"] == "10.1.2.3"
    assert "[EMAIL:" in shown(action="x bob@x.example")["action"]
    assert (
        "[EMAIL:"
        in shown(resource=Resource(type="t", id="bob@x.example", owner="", attributes={}))[
            "resource"
        ]["id"]
    )


def test_equal_values_share_a_tag_within_a_review_and_not_across():
    arguments = {"email": "Bob@x.example", "note": "to bob@x.example", "cc": "eve@x.example"}
    one = shown(arguments)["arguments"]
    assert one["note"] == f"to {one['email']}"
    assert one["cc"] != one["email"]
    other = shown(arguments, key=b"other")["arguments"]
    assert other["email"] != one["email"]


def test_records_have_longer_tags_and_secrets_none():
    context = a_context({"email": "bob@x.example", "password": "hunter2", "phone": "5550132"})
    clean = SANITIZER.clean(context, look(context), policy_mask=[], tag_key=KEY)
    arguments = clean.context["arguments"]
    assert len(arguments["email"]) == len("[EMAIL:]") + 16
    assert arguments["password"] == "[SECRET]"
    assert arguments["phone"] == "[PHONE]"
    assert clean.report["ruleset"] == SANITIZER.ruleset
    assert clean.report["total"] == {"EMAIL": 1, "PHONE": 1, "SECRET": 1}


def test_keys_are_masked_and_collisions_told_apart():
    arguments = shown({"5555555555554444": 1, "4111111111111111": 2, "[CREDIT_CARD]": None})[
        "arguments"
    ]
    assert arguments == {"[CREDIT_CARD]": 1, "[CREDIT_CARD]#2": 2, "[CREDIT_CARD]#3": None}
    made = report({"bob@x.example": {"ssn": "1"}})
    assert all("bob" not in entry["pointer"] for entry in made["masked"])


def test_policy_masks_cover_subtrees_and_say_how_many_leaves():
    arguments = {"customer_ids": [1, 2, 3], "jobs": [{"note": "a"}, {"note": "b"}], "x/y": 1}
    mask = ["/arguments/customer_ids", "/arguments/jobs/*/note", "/arguments/x~1y"]
    assert shown(arguments, mask=mask)["arguments"] == {
        "customer_ids": "[POLICY]",
        "jobs": [{"note": "[POLICY]"}, {"note": "[POLICY]"}],
        "x/y": "[POLICY]",
    }
    assert report(arguments, mask=mask)["total"] == {"POLICY": 6}


@pytest.mark.parametrize(
    "pointer", ["", "arguments", "/nowhere", "/arguments/a/01", "/arguments/-"]
)
def test_a_mask_that_leads_nowhere_changes_nothing_and_opens_nothing(pointer):
    arguments = {"a": [1, 2], "email": "bob@x.example"}
    assert shown(arguments, mask=[pointer]) == shown(arguments)


def test_a_mask_below_json_in_a_string_covers_the_string():
    arguments = {"payload": '{"ids": [1, 2]}'}
    assert shown(arguments, mask=["/arguments/payload/ids"])["arguments"]["payload"] == "[POLICY]"


def test_the_restricted_profile_hides_all_free_text():
    resource = Resource(type="t", id="customers", owner="o", attributes={"k": "v"})
    context = shown({"a": "b", "c": ["d", 5]}, profile="restricted", resource=resource)
    assert context["arguments"] == {"a": "[TEXT]", "c": ["[TEXT]", 5]}
    assert context["resource"]["attributes"] == {"k": "[TEXT]"}
    assert context["resource"]["id"] == "customers"
    assert context["reason"] == "FIN-1234"


def test_profiles_are_known_and_an_unknown_one_is_strict_and_unreviewable():
    assert Sanitizer.profiles == {"reviewer", "restricted"}
    made = preview({"a": "b"}, profile="nonsense")
    assert not made.reviewable
    assert json.loads(made.context_json)["arguments"] == {"a": "[TEXT]"}


@pytest.mark.parametrize(
    ("must_show", "reviewable"),
    [
        (["/resource", "/arguments/plain"], True),
        (["/arguments/nested"], False),
        (["/arguments/nested/email"], False),
        (["/arguments/nested/ok"], True),
        (["/arguments"], False),
        ([""], False),
        (["/arguments/missing"], False),
        (["arguments/plain"], False),
        (["/arguments/covered/inner"], False),
        (["/arguments/list/*"], True),
        (["/arguments/mixed/*"], False),
        (["/arguments/payload"], False),
        (["/arguments/json/a"], False),
        (["facts:rows.bucket"], True),
        (["facts:rows"], True),
        (["facts:sql.predicate"], False),
    ],
)
def test_what_must_be_shown_is_shown_whole_or_the_review_cannot_be_approved(must_show, reviewable):
    arguments = {
        "plain": "x",
        "nested": {"email": "bob@x.example", "ok": 1},
        "covered": {"inner": 1},
        "list": ["a", "b"],
        "mixed": ["a", "bob@x.example"],
        "payload": '{"ssn": "x"}',
        "json": '{"a": 1}',
        "row_count": 7,
    }
    made = preview(arguments, mask=["/arguments/covered"], must_show=must_show)
    assert made.reviewable is reviewable


def test_a_masked_key_counts_as_masked_where_it_stands():
    arguments = {"box": {"bob@x.example": 1}}
    assert not preview(arguments, must_show=["/arguments/box"]).reviewable


def test_unreadable_sql_is_masked_whole_and_cannot_be_approved():
    made = preview({"sql": "SELECT 'Bob FROM t"})
    assert not made.reviewable
    assert json.loads(made.context_json)["arguments"]["sql"] == "[LITERAL]"
    assert "sql" not in json.loads(made.facts_json)


def test_sql_shows_its_shape_and_no_data():
    made = preview(
        {"sql": "DELETE FROM users WHERE name = 'Bob' AND id = 7 -- as Eve wished"},
        must_show=["facts:sql.predicate"],
    )
    sql = json.loads(made.context_json)["arguments"]["sql"]
    assert sql == "DELETE FROM users WHERE name = [LITERAL] AND id = [LITERAL] [LITERAL]"
    assert made.reviewable
    elsewhere = shown({"job": ["select a from t where n = 'Bob'"]})["arguments"]["job"]
    assert elsewhere == ["select a from t where n = [LITERAL]"]


def test_a_preview_that_is_too_large_is_cut_and_cannot_be_approved():
    made = preview({"notes": ["lorem ipsum " * 100] * 200})
    assert len(made.context_json.encode()) <= 20_000
    assert "[CUT]" in made.context_json
    assert not made.reviewable
    assert json.loads(made.report_json)["cut"] is True
    tiny = Sanitizer(max_preview_bytes=300)
    assert len(preview({"a": ["b"] * 9000}, sanitizer=tiny).context_json) <= 300


def test_the_report_stays_small():
    rows = [{"email": f"u{i}@x.example", "k": {f"k{i}": f"v{i}@x.example"}} for i in range(300)]
    made = report({"rows": rows})
    assert len(made["masked"]) <= 90
    assert made["total"]["EMAIL"] == 600
    assert sum(entry["count"] for entry in made["masked"]) == 600
    assert report({"email": "b@x.example"})["masked"] == [
        {"count": 1, "pointer": "/arguments/email", "rule": "key.email", "type": "EMAIL"}
    ]


def test_the_guard_masks_what_masking_forgot(monkeypatch):
    """The tree that leads to what was found is lost; the last look still sees it."""
    context = a_context({"note": "bob@x.example", "ok": "x"}, on_behalf_of=())
    found = look(context)
    found.root.below.clear()
    made = SANITIZER.preview(
        context, found, profile="reviewer", policy_mask=[], must_show=[], tag_key=KEY
    )
    assert json.loads(made.context_json)["arguments"] == {"note": "[GUARDED]", "ok": "x"}
    assert json.loads(made.report_json)["guard"] == 1
    clean = SANITIZER.clean(context, found, policy_mask=[], tag_key=KEY)
    assert clean.context["arguments"]["note"] == "[GUARDED]"
    strict = SANITIZER.preview(
        context,
        found,
        profile="reviewer",
        policy_mask=[],
        must_show=["/arguments/note"],
        tag_key=KEY,
    )
    assert not strict.reviewable


@pytest.mark.parametrize(
    "text",
    [
        "SET PASSWORD FOR 'bob' = '{}'",
        'create user bob identified by "{}"',
        'Server=tcp:h,1433;User ID=sa;Password="a;{}";Encrypt=True',
        "curl -H 'x-functions-key: {}' https://h.example/x",
    ],
)
def test_the_guard_does_not_take_a_placeholder_for_a_secret(text):
    told = []
    own = Sanitizer(on_guarded=told.append)
    note = text.format("hunter2hunter2")
    shown = [own.text(note), own.scrub({"note": note}, tag_key=KEY).value["note"]]
    assert told == []
    for each in shown:
        assert "[SECRET]" in each
        assert "hunter2" not in each


@pytest.mark.parametrize(
    "value",
    [
        {"volumes": [{"name": "s", "secret": {"secretName": "tls"}}], "replicas": 3},
        {"properties": {"password": {"type": "string"}, "size": {"type": "integer"}}},
        {"errors": {"password": ["can't be blank"]}},
        [{"user": "bob", "password": None}],
        {"pagination": {"next_token": None}, "items": [{"id": 1}]},
        {"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db"}}}]},
        {"inner": '{"password": {"type": "string"}}'},
    ],
)
def test_the_guard_reads_json_in_a_string_as_it_was_masked(value):
    told = []
    own = Sanitizer(on_guarded=told.append)
    shown = own.scrub({"body": json.dumps(value)}, tag_key=KEY).value["body"]
    assert told == []
    assert "[GUARDED]" not in shown
    assert json.loads(shown).keys() == value.keys() if isinstance(value, dict) else True


def test_the_guard_still_looks_into_json_in_a_string():
    inner = json.dumps({"a": json.dumps({"b": ["to bob@x.example"]}), "ok": 1})
    made = guard.guard({"note": inner, "plain": "x"}, Sanitizer()._patterns)
    assert made.value == {"note": "[GUARDED]", "plain": "x"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The password is Ada Lovelace.", "The password is [SECRET]."),
        ("your password is +49 170 1234567.", "your password is [SECRET]."),
        ("https://h/cb?token=4111 1111 1111 1111&a=b", "https://h/cb?token=[SECRET]&a=b"),
    ],
)
def test_what_follows_a_placeholder_is_no_secret(text, shown):
    told = []
    assert Sanitizer(on_guarded=told.append).text(text) == shown
    assert told == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("try mysql -phunter2hunter2 db", "try mysql -p[SECRET] db"),
        ("run: curl -u bob:hunter2hunter2 https://h.example/x", "-u [SECRET]"),
        ('it said {"password": "hunter2hunter2"}', "[SECRET]"),
        ('{"password": {"old": "hunter2hunter2"}}', "[SECRET]"),
        ("DB_PASSWORD=hunter2hunter2\nx=1", "DB_PASSWORD=[SECRET]\nx=1"),
    ],
)
def test_a_comment_is_read_like_a_text_in_a_context(text, shown):
    seen = SANITIZER.text(text)
    assert shown in seen
    assert "hunter2" not in seen


def test_counts_of_tokens_are_no_secrets():
    usage = {"max_tokens": 4096, "prompt_tokens": 77, "totalTokens": 5, "token": 123456}
    shown = SANITIZER.scrub(usage, tag_key=KEY).value
    assert shown == {**usage, "token": "[SECRET]"}
    assert SANITIZER.scrub({"tokens": 4111111111111111}, tag_key=KEY).value == {
        "tokens": "[SECRET]"
    }


def test_a_forgotten_secret_in_brackets_is_no_placeholder():
    made = guard.guard({"note": "see [AKIAQYLPMN5HHHFPZAM2] there"}, Sanitizer()._patterns)
    assert made.value == {"note": "[GUARDED]"}


def test_what_the_last_look_masks_is_told_and_counted(monkeypatch):
    told = []
    own = Sanitizer(on_guarded=told.append)
    context = a_context({"note": "bob@x.example"}, on_behalf_of=())
    found = own.detect(context, known=lambda _id: False)
    found.root.below.clear()
    own.clean(context, found, policy_mask=[], tag_key=KEY)
    assert told == [1]
    monkeypatch.setattr(free, "mask_text", lambda text, *_: f"{text} was masked")
    assert own.text("to bob@x.example") == "[GUARDED]"
    assert told == [1, 1]
    assert own.text("nothing here") == "nothing here"


def test_finds_in_a_text_that_is_not_quite_unicode_are_told():
    (found,) = SANITIZER.finds({"a": '{"b": "x \\ud800 bob@x.example"}'})
    assert (found.pointer, found.type) == ("/a", "EMAIL")


def test_findings_of_another_context_show_nothing():
    found = look(a_context({"a": "b"}))
    other = a_context({"email": "bob@x.example"})
    made = SANITIZER.preview(
        other, found, profile="reviewer", policy_mask=[], must_show=[], tag_key=KEY
    )
    assert not made.reviewable
    assert set(json.loads(made.context_json).values()) == {"[UNREADABLE]"}
    clean = SANITIZER.clean(other, found, policy_mask=[], tag_key=KEY)
    assert set(clean.context.values()) == {"[UNREADABLE]"}


def test_detection_that_fails_outright_shows_nothing(caplog):
    def known(name):
        raise RuntimeError(name)

    context = a_context({"email": "bob@x.example"})
    found = SANITIZER.detect(context, known=known)
    assert found.to_record() == {"entities": {}, "classes": [], "facts": {}, "complete": False}
    assert found.quantity == UNKNOWN
    made = SANITIZER.preview(
        context, found, profile="reviewer", policy_mask=[], must_show=[], tag_key=KEY
    )
    assert not made.reviewable
    assert "bob" not in made.context_json
    assert "alice" not in caplog.text


def test_findings_cannot_be_shown_or_pickled():
    found = look(a_context({"email": "bob@x.example"}))
    assert "bob" not in repr(found)
    with pytest.raises(TypeError):
        pickle.dumps(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.complete = True


def test_the_raw_context_is_left_as_it_was():
    arguments = {"email": "bob@x.example", "list": [{"ssn": "x"}]}
    copy = json.loads(json.dumps(arguments))
    preview(arguments, mask=["/arguments/list"])
    assert arguments == copy


@pytest.mark.parametrize(
    "key",
    """a name email password value columns rows sql command url query headers amount roles argv env
    body note phone manifest Statement recipients limit""".split(),
)
def test_half_a_character_in_a_string_of_json_costs_at_most_its_value(key, caplog):
    """The edge refuses one in JSON; in JSON in a string it cannot be seen there."""
    for half in (r"\ud83d", r"\udc00"):
        for text in (
            "half",
            "jane@x.example half",
            "mysql half -pX <<E\nhalf\nE",
            "SELECT half FROM t WHERE a = 'half'",
            "Call Ada half Lovelace",
            "https://half.example/half?a=half",
            "password=half --name half",
            "a: half\nemail: half\n",
        ):
            held = [{key: text}, {key: [text, text]}, {key: {"b": text}}, {f"half{key}": 1}, [text]]
            body = json.dumps(held).replace("half", half)
            made = preview({"body": body, "beside": "plain"})
            shown = json.loads(made.context_json)["arguments"]
            assert shown["beside"] == "plain"
            assert "jane" not in made.context_json + made.facts_json
            for said in (SANITIZER.detail({"x": body}), SANITIZER.text(body)):
                assert said != "[UNREADABLE]"
            SANITIZER.finds({"x": body})
            assert caplog.text == ""
