"""What is found: patterns, check digits, key names, nested JSON, statements."""

import json

import pytest

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer

SANITIZER = Sanitizer()


def shown(text):
    return SANITIZER.text(text)


def detail(**value):
    return SANITIZER.detail(value)


def a_context(arguments, *, attributes=None, resource_type="db_table", actor="agent-7"):
    return ActionContext(
        actor=Principal(type="agent", id=actor),
        on_behalf_of=(Principal(type="user", id="alice@example.com"),),
        action="db.export",
        resource=Resource(
            type=resource_type, id="customers_eu", owner="data-team", attributes=attributes or {}
        ),
        environment="production",
        arguments=arguments,
        reason="Quarterly export, FIN-1234",
        session="s-1",
    )


def findings(arguments, **more):
    return SANITIZER.detect(a_context(arguments, **more), known=lambda _: False)


PLANTED = [
    ("EMAIL", "alice.o'hara+x@mail.example.co.uk"),
    ("EMAIL", "jörg@müller.example"),
    ("PHONE", "+49 151 12345678"),
    ("PHONE", "+1 (415) 555-0132"),
    ("PHONE", "(415) 555-0132"),
    ("PHONE", "415-555-0132"),
    ("PHONE", "07700 900123"),
    ("PHONE", "020 7946 0958"),
    ("PHONE", "0151 23456789"),
    ("PHONE", "030/1234567"),
    ("PHONE", "0044 20 7946 0958"),
    ("CREDIT_CARD", "4111 1111 1111 1111"),
    ("CREDIT_CARD", "378282246310005"),
    ("CREDIT_CARD", "5555-5555-5555-4444"),
    ("IBAN", "DE89 3704 0044 0532 0130 00"),
    ("IBAN", "gb82west12345698765432"),
    ("US_SSN", "536-90-4399"),
    ("IP_ADDRESS", "10.20.30.40"),
    ("IP_ADDRESS", "2001:db8::8a2e:370:7334"),
    ("SECRET", "AKIAIOSFODNN7EXAMPLE"),
    ("SECRET", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("SECRET", "ghp_" + "a1B2c3D4e5" * 4),
    ("SECRET", "xoxb-123456789012-abcdefABCDEF"),
    ("SECRET", "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"),
    ("SECRET", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"),
    ("SECRET", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"),
    ("SECRET", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"),
    ("SECRET", "k3j9x0q2m4v8b7n1z5c6"),
]


@pytest.mark.parametrize(("kind", "value"), PLANTED)
@pytest.mark.parametrize("around", ["{}", "please see {} today", "({}), then more.", '"{}"'])
def test_each_kind_is_found_wherever_it_stands_in_a_text(kind, value, around):
    text = shown(around.format(value))
    assert f"[{kind}]" in text
    assert value not in text


@pytest.mark.parametrize(("kind", "value"), PLANTED)
def test_what_stands_side_by_side_is_all_found(kind, value):
    for between in (" ", ", ", " 2024 ", "\n"):
        text = shown(between.join([value] * 3))
        assert value not in text
        assert not any(part in text for part in value.split()[1:] if len(part) > 4)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password=hunter2", "hunter2"),
        ("DB_PASSWORD: 'correct horse'", "correct horse"),
        ('{"api_key": "abc"', "abc"),
        ("the password is swordfish ok", "swordfish"),
        ("Authorization: Bearer abcdefghi", "abcdefghi"),
        ("curl -u admin:opensesame https://x", "opensesame"),
        ("mysql --password opensesame db", "opensesame"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("https://user:pa55@host/path", "pa55"),
        ("postgres://user:pa/s@s@db:5432/x", "pa/s@s"),
        ("Cookie: session=abc; other=def", "def"),
        ("Cookie: a=[1]def", "def"),
        ("https://x.example/cb?token=s3cr&page=2", "s3cr"),
        ("AccountName=x;AccountKey=Zm9vYmFy==;", "Zm9vYmFy"),
    ],
)
def test_a_value_given_to_a_secrets_name_is_a_secret(text, secret):
    assert secret not in shown(text)
    assert "[SECRET]" in shown(text)


def test_a_private_key_is_one_secret_with_its_headers_and_without_its_end():
    head, body = "-----BEGIN RSA PRIVATE KEY-----", "DEK-Info: AES-128-CBC,AB\n\nMIIE\nowIB"
    assert shown(f"a {head}\n{body}\n-----END RSA PRIVATE KEY----- b") == "a [SECRET] b"
    assert shown(f"a {head}\n{body}") == "a [SECRET]"


@pytest.mark.parametrize(
    "text",
    [
        "Quarterly export for finance, ticket FIN-1234, 12,500 rows",
        "SELECT id, total FROM billing.orders_2024 WHERE id = 42 LIMIT 100",
        "/var/lib/app/releases/2024-11-22/backup_customers_2024_q3.tar.gz",
        "s3://corp-exports/2024/q3/customers_full_export-2024-11-22.parquet",
        "arn:aws:iam::123456789012:role/ReadOnlyAccessRole",
        "7f3b1a2c-9d4e-4f5a-8b6c-1d2e3f4a5b6c",
        "job-7f3b1a2c-9d4e-4f5a-8b6c-1d2e3f4a5b6c",
        "rev_0123456789abcdef0123456789abcdef",
        "2024-11-22T10:15:00.123456Z and 2024-11-22 10:15:00+02:00",
        "backup-20241122T101500Z",
        "1700000000000 order 100045678912 invoice 2024-000123",
        "v1.22.2 3.11.7 >=1.85.1,<2",
        "payments-api-7d9f8b6c5d-x2x9z",
        "0.0.0.0/0 and 127.0.0.1:8080",
        "getUserById2Response std::string a::b 12:30:45",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "basic authentication and bearer certificates",
        "+10 percent, -5 points",
        "10 20 30 40 50 60 70 80",
    ],
)
def test_business_text_stays_readable(text):
    assert shown(text) == text


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("email", "EMAIL"),
        ("billing_email", "EMAIL"),
        ("emailAddress", "EMAIL"),
        ("email2", "EMAIL"),
        ("old_password", "SECRET"),
        ("X-API-Key", "SECRET"),
        ("dbPassword", "SECRET"),
        ("connection_string", "SECRET"),
        ("secrets", "SECRET"),
        ("first_name", "PERSON"),
        ("customerName", "PERSON"),
        ("owner_name", "PERSON"),
        ("name", "PERSON"),
        ("phone", "PHONE"),
        ("ssn", "US_SSN"),
        ("dob", "DATE_OF_BIRTH"),
        ("passport_number", "GOVERNMENT_ID"),
        ("account_no", "FINANCIAL"),
        ("street_address", "ADDRESS"),
        ("diagnosis", "HEALTH"),
        ("client_ip", "IP_ADDRESS"),
    ],
)
def test_a_key_says_what_its_value_is(key, kind):
    assert detail(**{key: "Zaphod"}) == {key: f"[{kind}]"}
    assert detail(**{key: ["Zaphod", "Trillian"]}) == {key: [f"[{kind}]"] * 2}


@pytest.mark.parametrize(
    "key",
    [
        "table_name",
        "file_name",
        "hostname",
        "column_name",
        "roleName",
        "username",
        "user_name",
        "user",
        "email_template",
        "password_policy",
        "token_type",
        "max_tokens_per_call",
        "secret_count",
        "server_address",
        "mac_address",
        "phone_model",
        "grace_period",
        "spin",
    ],
)
def test_a_key_that_only_sounds_like_data_masks_nothing(key):
    assert detail(**{key: "alpha"}) == {key: "alpha"}


def test_a_bare_name_depends_on_what_stands_around_it():
    assert detail(name="Jane") == {"name": "[PERSON]"}
    assert detail(name="payments-api", replicas=3) == {"name": "payments-api", "replicas": 3}
    assert detail(container={"name": "payments"}) == {"container": {"name": "payments"}}
    assert detail(name="orders_2024") == {"name": "orders_2024"}
    person = detail(name="jane_doe1", email="x", replicas=3)
    assert person["name"] == "[PERSON]", "a personal sibling decides"
    assert detail(record={"name": "Jane"}) == {"record": {"name": "[PERSON]"}}
    assert detail(container={"name": "Jane Doe"}) == {"container": {"name": "[PERSON]"}}


def test_numbers_booleans_and_subtrees_below_telling_keys():
    assert detail(pin=1234, phone=4155550132, age=41) == {
        "pin": "[SECRET]",
        "phone": "[PHONE]",
        "age": 41,
    }
    assert detail(has_password=True, password=None) == {"has_password": True, "password": None}
    assert detail(pregnant=True) == {"pregnant": "[HEALTH]"}
    assert detail(credentials={"user": "u", "value": "v"}) == {
        "credentials": {"user": "[SECRET]", "value": "[SECRET]"}
    }


def test_cards_and_nothing_else_are_found_in_numbers():
    assert detail(a=4111111111111111, b=1700000000000, c=4111111111111112) == {
        "a": "[CREDIT_CARD]",
        "b": 1700000000000,
        "c": 4111111111111112,
    }


def test_what_stands_beside_a_value_can_name_it():
    assert detail(
        env=[{"name": "DB_PASSWORD", "value": "abc"}, {"name": "MODE", "value": "x"}]
    ) == {"env": [{"name": "DB_PASSWORD", "value": "[SECRET]"}, {"name": "MODE", "value": "x"}]}
    assert detail(argv=["mysql", "--password", "hunter2", "-v", "db"]) == {
        "argv": ["mysql", "--password", "[SECRET]", "-v", "db"]
    }
    assert detail(columns=["id", "ssn"], rows=[[1, "x"], [2, "y"]]) == {
        "columns": ["id", "ssn"],
        "rows": [[1, "[US_SSN]"], [2, "[US_SSN]"]],
    }
    odd = detail(columns=["id", "ssn", 5], rows=["total", [1, "x"]])
    assert odd["rows"] == ["total", [1, "[US_SSN]"]], "what is odd among them hides no column"


def test_json_in_strings_is_walked_and_written_anew():
    inner = json.dumps({"ssn": "x", "deep": json.dumps({"a@b.example": 4111111111111111})})
    masked = detail(payload=inner)["payload"]
    outer = json.loads(masked)
    assert outer["ssn"] == "[US_SSN]"
    assert json.loads(outer["deep"]) == {"[EMAIL]": "[CREDIT_CARD]"}
    assert detail(payload='{"id": 1,  "ok": true}') == {"payload": '{"id": 1,  "ok": true}'}


def test_json_that_is_too_deep_or_ambiguous_is_masked_whole_and_incomplete():
    deep = "x"
    for _ in range(5):
        deep = json.dumps({"a": deep})
    for bad in (deep, '{"a": 1, "a": 2}', "[" * 5000 + "]" * 5000):
        found = findings({"payload": bad})
        assert not found.complete
        assert detail(payload=bad) == {"payload": detail(payload=bad)["payload"]}
    assert detail(payload='{"a": 1, "a": 2}') == {"payload": "[UNREADABLE]"}


def test_a_string_that_is_too_long_is_not_looked_at():
    found = findings({"blob": "a" * (64 * 1024 + 1)})
    assert not found.complete
    assert detail(blob="ä" * (33 * 1024)) == {"blob": "[TOO_LONG]"}
    assert detail(blob="a " * (32 * 1024)) == {"blob": "a " * (32 * 1024)}


def test_a_git_commit_or_digest_is_no_secret_where_it_is_called_one():
    sha = "3f786850e387550fdab836ed7e6dc881de23001b"
    assert detail(commit=sha) == {"commit": sha}
    assert detail(image="sha256:" + "ab12" * 16) == {"image": "sha256:" + "ab12" * 16}
    assert detail(value=sha) == {"value": "[SECRET]"}


def test_the_id_of_a_trace_or_span_is_no_secret_where_it_is_called_one():
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert detail(trace_id=trace) == {"trace_id": trace}
    assert detail(traceId=trace, token=trace) == {"traceId": trace, "token": "[SECRET]"}
    assert detail(value=trace) == {"value": "[SECRET]"}


def test_the_strongest_kind_names_what_overlaps():
    assert shown("https://jane@x.example:pw1@db.example/x").count("[SECRET]") == 1
    assert detail(name="jane@x.example") == {"name": "[EMAIL]"}


def test_to_policy_counts_and_classifies_without_values():
    policy = findings(
        {"email": "bob@x.example", "n": 4111111111111111, "columns": ["id", "phone"]}
    ).to_policy()
    assert policy["entities"] == {"CREDIT_CARD": 1, "EMAIL": 2}, "and the principal's address"
    assert policy["classes"] == ["contact", "financial", "personal"]
    assert policy["facts"]["columns"] == {"total": 2, "contact": 1, "personal": 1}
    assert policy["complete"] is True


def test_columns_named_in_a_query_touch_their_data():
    found = findings({"sql": "SELECT u.ssn, u.created FROM users u WHERE u.id = 1"})
    assert "government_id" in found.classes
    assert found.entities == {"EMAIL": 1}


def test_format_and_bidi_characters_leave_texts():
    assert shown("a\u202eb\u200bc\x07\nd") == "abc\nd"
    assert shown("ali\u200bce@example.com") == "[EMAIL]"
    assert detail(note="x\u202ey") == {"note": "xy"}


def test_pointer_steps_are_texts():
    assert SANITIZER.pointer("/arguments/bob@x.example/0") == "/arguments/[EMAIL]/0"
    assert SANITIZER.pointer("/a~1b/c") == "/a~1b/c"
    assert SANITIZER.pointer("bob@x.example") == "[EMAIL]"


def test_the_ruleset_is_named_by_its_content():
    assert SANITIZER.ruleset == Sanitizer(internal_domains=["x.example"]).ruleset
    name, _, digest = SANITIZER.ruleset.partition(":")
    assert name == "builtin-1"
    assert len(digest) == 16


def test_a_failing_rule_costs_the_value_not_its_mask(monkeypatch, caplog):
    sanitizer = Sanitizer()
    original = sanitizer._patterns.find

    def find(text, candidates, end_for=None):
        if b"explode" in text:
            raise RuntimeError("explode@example.com")
        return original(text, candidates, end_for)

    monkeypatch.setattr(type(sanitizer._patterns), "find", lambda _, *args: find(*args))
    found = sanitizer.detect(
        a_context({"a": "explode 10.1.2.3", "b": "mail bob@x.example", "c": "fine"}),
        known=lambda _: False,
    )
    assert not found.complete
    preview = sanitizer.preview(
        found.context, found, profile="reviewer", policy_mask=[], must_show=[], tag_key=b"k"
    )
    arguments = json.loads(preview.context_json)["arguments"]
    assert arguments["a"] == "[UNREADABLE]"
    assert arguments["b"].startswith("mail [EMAIL:")
    assert arguments["c"] == "fine"
    assert not preview.reviewable
    assert "explode" not in caplog.text


def test_what_is_stronger_than_the_rule_of_a_key_is_still_found_below_it():
    sanitizer = Sanitizer()
    found = sanitizer.detect(
        a_context(
            {
                "rows": [{"email": "4111 1111 1111 1111"}, {"phone": "bob@x.example"}],
                "password": "4111 1111 1111 1111",
            }
        ),
        known=lambda _: False,
    )
    assert found.entities["CREDIT_CARD"] == 1
    assert "PHONE" not in found.entities
    assert found.entities["SECRET"] == 1


def test_a_set_that_fails_inside_re2_is_noticed(monkeypatch):
    sanitizer = Sanitizer()

    class Silent:
        def Match(self, text):  # noqa: N802 - RE2's name
            return None

    for each in sanitizer._patterns._sets:
        each.re2_set = Silent()
    assert sanitizer.text("mail bob@x.example") == "mail [EMAIL]"


def test_work_grows_with_length_not_with_its_square():
    """Counted in matches asked of RE2, which is itself linear."""
    asked = []
    sanitizer = Sanitizer()
    original = type(sanitizer._patterns).candidates

    def candidates(self, text, end_for=None):
        asked.append(len(text))
        return original(self, text, end_for)

    type(sanitizer._patterns).candidates = candidates
    try:
        for size in (10_000, 40_000):
            asked.clear()
            text = ("a." * size)[: size - 30] + " bob@x.example"
            assert sanitizer.text(text).endswith("[EMAIL]")
            assert sum(asked) <= 2 * size  # once, and the last look
    finally:
        type(sanitizer._patterns).candidates = original
