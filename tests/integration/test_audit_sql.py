"""The page's SQL, as it stands there, over the segments of a real log in a real DuckDB."""

import re

import duckdb
import pytest

from audit_affairs import day, rows
from audit_world import VKEY
from countersign.audit.fields import COLUMNS
from countersign.audit.plan import compress
from countersign.audit.verify import verify
from realparts import ROOT

PAGE = (ROOT / "docs" / "auditing.md").read_text(encoding="utf-8")
DUCKDB = PAGE[PAGE.index("### DuckDB") : PAGE.index("### Athena")]
SHADOW = (ROOT / "docs" / "how-to" / "try-a-policy-in-shadow.md").read_text(encoding="utf-8")
QUESTIONS = re.split(r"^#### ", DUCKDB, flags=re.MULTILINE)


def statements(text):
    (block,) = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [part for part in block.split(";\n") if part.strip()]


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Ask a question of the page by its number; an answer for each of its statements."""
    root = tmp_path_factory.mktemp("auditor")
    log = day(root / "log")
    assert verify(log, VKEY).ok
    (root / "copy").symlink_to(log)
    with pytest.MonkeyPatch.context() as patch, duckdb.connect() as database:
        patch.chdir(root)
        for statement in statements(QUESTIONS[0]):
            database.execute(statement)

        def answer(number):
            text = SHADOW if number == "shadow" else QUESTIONS[number]
            assert text is SHADOW or text.startswith(f"{number}. ")
            return [database.execute(statement).fetchall() for statement in statements(text)]

        yield answer


def test_there_are_ten_questions_and_each_is_asked_here():
    asked = {name for name in globals() if re.fullmatch(r"test_\d+_.*", name)}
    assert len(QUESTIONS) == 11
    assert {int(name.split("_")[1]) for name in asked} == set(range(1, 11))


def test_the_view_has_every_field_of_a_record():
    columns = re.search(r"columns = \{(.*?)\}", DUCKDB, re.DOTALL)[1]
    told = dict(re.findall(r"(\w+): '(\w+)'", columns))
    types = {"text": "VARCHAR", "time": "VARCHAR", "integer": "BIGINT"}
    assert told == {field.name: types.get(field.type, "JSON") for field in COLUMNS}


def test_what_a_candidate_policy_would_have_changed(ask):
    assert ask("shadow") == [[("db.read", "production", "allow", "deny", 1)]]


def test_1_all_records_each_once(ask):
    count = len(rows())
    assert ask(1) == [[(count, 0, count - 1, True)]]


def test_2_what_was_asked_and_answered(ask):
    assert ask(2) == [
        [
            ("production", "db.drop", "deny", 1),
            ("production", "db.export", "needs_approval", 3),
            ("production", "db.read", "allow", 2),
            ("production", "iam.grant", "needs_approval", 1),
            ("production", "job.run", "needs_approval", 1),
        ]
    ]


def test_3_what_ran_without_a_person(ask):
    assert [row[0] for row in ask(3)[0]] == [8, 34]
    assert ask(3)[0][0] == (8, "agent", "db.read", "read", "rev-1", "demo.rule")


def test_4_who_approved_what(ask):
    assert ask(4) == [
        [
            (5, "bob", "db.export", "person", False, 3600),
            (13, "carol", "job.run", "channel", False, 2400),
            (19, "dave", "iam.grant", "person", True, 2400),
            (25, "bob", "db.export", "person", False, 2400),
        ]
    ]


def test_5_who_tried_to_decide_on_their_own(ask):
    assert ask(5) == [[(4, "vote.refused", "alice", "db.export", "vote.self_approval")]]


def test_6_how_it_ended(ask):
    assert ask(6) == [
        [
            (6, "claim", "db.export", "exp", "succeeded"),
            (8, "decision", "db.read", "read", "failed"),
            (14, "claim", "job.run", "late", "succeeded"),
            (20, "claim", "iam.grant", "fire", "succeeded"),
            (27, "claim", "db.export", "mute", "no report"),
            (34, "decision", "db.read", "read2", "succeeded"),
        ]
    ]


def test_7_emergencies(ask):
    assert ask(7) == [[(19, "dave", "iam.grant", "carol", "false")]]


def test_8_where_personal_data_went(ask):
    assert ask(8) == [[(2, "db.export", "exp", ["contact", "personal"], "partner-share")]]


def test_9_what_decides_and_who_changed_it(ask):
    policies, changes = ask(9)
    assert [(seq, revision, count) for seq, revision, _, count in policies] == [
        (0, "rev-1", 7),
        (33, "rev-2", 1),
    ]
    assert all(re.fullmatch(r"[0-9a-f]{64}", bundle) for _, _, bundle, _ in policies)
    assert changes == [
        (1, "config.changed", None, None),
        (31, "directory.changed", "olga", None),
        (32, "admin.refused", "alice", "admin.own"),
    ]


def test_10_what_was_refused_without_a_record(ask):
    assert ask(10) == [[("INVALID_ARGUMENT", 2), ("UNAUTHENTICATED", 5)]]


def test_a_line_that_is_no_record_does_not_vanish(tmp_path, monkeypatch):
    """What `ignore_errors` would hide stops the query."""
    log = day(tmp_path / "log")
    max(log.glob("records/*/*/*.gz")).write_bytes(compress(b'{"seq":1}\n{"seq":\n'))
    (tmp_path / "copy").symlink_to(log)
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as database:
        for statement in statements(QUESTIONS[0]):
            database.execute(statement)
        with pytest.raises(duckdb.Error):
            database.execute(statements(QUESTIONS[1])[0]).fetchall()


def test_the_athena_table_takes_every_partition_and_skips_nothing():
    text = PAGE[PAGE.index("### Athena") :]
    ddl = statements(text)[0]
    assert "'storage.location.template' = 's3://BUCKET/LOG/records/dt=${dt}/hour=${hour}/'" in ddl
    assert "'projection.hour.digits' = '2'" in ddl
    assert "ignore.malformed.json" not in ddl
