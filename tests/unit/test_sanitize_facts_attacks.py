"""Facts under a hostile caller: nothing is dropped, no decoy wins, more arguments never help."""

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer, shell

SANITIZER = Sanitizer(internal_domains=["corp.example", "corp-exports"])
OURS = "s3://corp-exports/a"
BOUNDED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def findings(arguments):
    context = ActionContext(
        actor=Principal(type="agent", id="a"),
        on_behalf_of=(),
        action="db.export",
        resource=Resource(type="db", id="x", owner="", attributes={}),
        environment="production",
        arguments=arguments,
        reason="",
        session="",
    )
    return SANITIZER.detect(context, known=lambda _: False).to_policy()


def facts(arguments):
    return findings(arguments)["facts"]


# --- destinations ------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/u",
        "[2001:db8::1]:443/x",
        "https:/evil.example/x",
        "https:evil.example",
        "https://evil.example\\@corp.example/",
        "https://corp.example\n.evil.example/",
        "https://corp.example /",
        " https://corp.example/",
        "https://corp.example:port/",
        "https://corp.example/,https://evil.example/",
        "https://user@evil.example@corp.example/",
        "gopher+x://corp.example/",
        "jdbc:mysql://corp.example/",
        "s3://corp-exports@corp-exports/x",
        "s3://corp-exports/../evil/x",
        "s3://corp-exports/%2e%2e/evil/x",
        "s3://corp-exports?endpoint=https://evil.example",
        "s3://Corp-Exports/x",
        "s3://" + "a" * 2030 + "@corp-exports-evil/x",
        "s3://corp-exports/" + "a" * 2048,
        "evil%corp.example@corp.example, bob@evil.example",
        "corp-exports",
        "somewhere",
        2130706433,
        True,
        {"https://evil.example/": OURS},
    ],
)
def test_what_is_no_plain_destination_counts_beside_any_decoy(target):
    for arguments in ({"destination": target}, {"destination": OURS, "to": target}):
        found = facts(arguments)["destination"]
        assert (found["domain"], found["internal"]) == ("unreadable", False)
        assert found["unread"] >= 1


def test_a_bucket_named_like_a_domain_is_not_the_domain():
    assert facts({"to": OURS})["destination"]["internal"] is True
    for bucket in ("s3://corp.example/x", "s3://x.corp.example/x", "gs://corp-exports.evil/x"):
        assert facts({"to": bucket})["destination"]["internal"] is False


def test_the_worst_destination_is_the_one_that_is_shown():
    decoyed = facts({"url": "https://corp.example/", "destination": "https://evil.example/"})
    assert decoyed["destination"] == {
        "domain": "evil.example",
        "scheme": "https",
        "internal": False,
        "count": 2,
        "domains": ["evil.example", "corp.example"],
        "unread": 0,
    }
    two = facts({"url": "https://a-partner.example/", "destination": "https://evil.example/"})
    assert two["destination"]["domain"] == "multiple", "neither stands for the other"
    assert two["destination"]["domains"] == ["a-partner.example", "evil.example"]


def test_destinations_that_are_not_listed_are_counted():
    found = facts({"urls": [f"https://h.x{n}.example/" for n in range(30)]})["destination"]
    assert (found["count"], len(found["domains"]), found["more"]) == (30, 20, 10)


# --- how much ----------------------------------------------------------------


@pytest.mark.parametrize(
    "count", ["all", "-1", "5 ", "", -1, 0, 0.5, None, True, [9_000_000], ["all"], {"n": 5}, "1e9"]
)
def test_a_count_that_cannot_be_read_is_the_most_there_is(count):
    for name in ("rows", "bytes"):
        key = {"rows": "row_count", "bytes": "size"}[name]
        least = {"limit": 5} if name == "rows" else {"file_size": 5}
        assert facts({key: count, **least})[name] == {
            "at_least": 1_000_000,
            "bucket": "1M+",
            "unread": 1,
        }


def test_the_largest_readable_count_wins():
    assert facts({"row_count": "9" * 22, "limit": 5})["rows"]["bucket"] == "1M+"
    assert facts({"limit": 5, "row_count": 20_000})["rows"]["at_least"] == 10_000


# --- columns -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "unread"),
    [
        ({"columns": ["id", "plan"]}, 0),
        ({"columns": ["c.id"]}, 1),  # may be a function of the row
        ({"columns": ["customers.row_to_json"]}, 1),
        ({"columns": ["*"]}, 1),
        ({"columns": ["c.*", "id"]}, 1),
        ({"columns": ["(ssn)", "email||''"]}, 2),
        ({"columns": "id"}, 1),
        ({"columns": []}, 1),
        ({"columns": [{"name": "id"}]}, 1),
        ({"columns": ["id", None]}, 1),
        ({"columns": ["id"], "fields": ["id"]}, 1),
        ({"columns": ["id"], "x": {"fields": ["id"]}}, 1),
        ({"columns": ["id"], "query": "select id from customers where id = 1"}, 1),
        ({"columns": ["id"], "query": "customers | project *"}, 1),
        ({"columns": ["id"], "query": "select * from customers"}, 2),
        ({"sql": "SELECT id FROM customers WHERE id = 1"}, 0),
        ({"sql": "SELECT c FROM customers c WHERE id = 1"}, 1),
        ({"sql": "SELECT customers FROM customers WHERE id = 1"}, 1),
    ],
)
def test_columns_in_doubt_are_counted(arguments, unread):
    assert facts(arguments)["columns_unread"] == unread


def test_what_an_unread_column_touches_is_still_touched():
    found = findings({"columns": ["(ssn)", "email||''", {"name": "salary"}]})
    assert {"government_id", "contact"} <= set(found["classes"])
    assert found["facts"]["columns"]["total"] == 0


# --- rights ------------------------------------------------------------------


@pytest.mark.parametrize("more", [{"name": "admin"}, ["admin"], 7, None, True, "a b", "é", ""])
def test_a_right_that_is_no_plain_name_is_marked(more):
    assert facts({"grant": ["reader", more]})["grants"]["added"] == ["[OTHER]", "reader"]
    assert facts({"grant": "reader", "roles": {"x": more}})["grants"]["added"][0] == "[OTHER]"


def test_rights_that_are_not_listed_are_counted():
    found = facts({"roles": [f"reader{n}" for n in range(30)] + [{}]})["grants"]
    assert (found["added"][0], len(found["added"]), found["added_more"]) == ("[OTHER]", 20, 11)


# --- statements and commands together ----------------------------------------

ONE = "SELECT a FROM t WHERE id = 5"


@pytest.mark.parametrize(
    "beside",
    [
        {"statement": "DROP TABLE t"},
        {"statement": "sp_x"},
        {"sql_query": 5},
        {"statements": ["xp_1"]},
        {"query": "whatever runs here"},
        {"statement": json.dumps(["xp_1"])},
        {"nested": {"sql": ONE}},
    ],
)
def test_a_second_statement_makes_several(beside):
    found = facts({"sql": ONE, **beside})["sql"]
    assert (found["verb"], found["predicate"]) == ("multiple", "other")
    assert "limit" not in found
    assert found["statements"] >= 2


def test_tables_that_are_not_listed_are_counted():
    tables = ", ".join(f"t{n}" for n in range(30))
    found = facts({"sql": f"SELECT a FROM {tables}"})["sql"]
    assert (len(found["tables"]), found["tables_more"]) == (20, 10)


@pytest.mark.parametrize(
    "beside",
    [
        {"cmd": "rm x"},
        {"args": ["-delete"]},
        {"env": {"LD_PRELOAD": "/tmp/e.so"}},
        {"x": {"argv": ["/tmp/ls"]}},
        {"script": {"run": "ls"}},
        {"script": ["ls", 5]},
        {"script": ["ls", "reboot"]},
        {"commands": [["ls"]]},
    ],
)
def test_a_command_with_more_beside_it_does_not_only_read(beside):
    assert facts({"command": "ls"})["shell"]["reads"] is True
    assert facts({"command": "ls", **beside})["shell"]["reads"] is False


def test_programs_that_are_not_listed_are_counted_and_never_the_ones_that_matter():
    line = "; ".join([*sorted(shell._READERS), "cat", "rm x", "zap"])
    found = facts({"command": line})["shell"]
    assert {"rm", "zap"} <= set(found["programs"])
    assert found["program"] in {"rm", "zap"}
    assert found["programs_more"] == len(shell._READERS) + 2 - 20


# --- what holds for every context --------------------------------------------

SQL = st.sampled_from(
    [
        ONE,
        "SELECT * FROM t WHERE id = 5",
        "SELECT a FROM t WHERE x > 1 LIMIT 5",
        "DELETE FROM t",
        "SELECT f(a) FROM t",
    ]
)
LINES = st.sampled_from(["ls", "cat a | wc -l", "rm x", "/tmp/ls", "ls > x", "A=b ls", ""])
TARGETS = st.sampled_from(
    [OURS, "https://corp.example/", "https://evil.example/", "//evil.example", "nowhere", 5, ""]
)
NAMES = st.sampled_from(["id", "plan", "ssn", "*", "(email)", "reader", "admin", "s3:*", 5, None])
COUNTS = st.sampled_from([5, 5000, "all", "500", -1, 0, None, [1], [{"a": 1}] * 20])
KEYS = (
    "destination to url sql query statement command cmd argv commands args columns fields row_count"
    " limit size roles grant revoke x"
).split()
ANY = st.recursive(
    st.one_of(SQL, LINES, TARGETS, NAMES, COUNTS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2)
    ),
    max_leaves=4,
)
ARGUMENTS = st.dictionaries(st.sampled_from(KEYS), ANY, max_size=4)
SAID = {
    "destination": TARGETS,
    "columns": st.lists(NAMES, max_size=3),
    "row_count": COUNTS,
    "sql": SQL,
    "command": LINES,
    "roles": st.lists(NAMES, max_size=3),
}


@st.composite
def extended(draw):
    """Arguments as an action has them, and the same with others beside them."""
    said = {key: draw(value) for key, value in SAID.items() if draw(st.booleans())}
    more = draw(ARGUMENTS)
    return said, {**more, **said}


def is_no_weaker(before, after):
    """Whether whatever policy may take as reassuring in `after` was so in `before`, or is new."""
    for fact in before:
        assert fact in after, f"{fact} went away"
    if "destination" in before:
        destination_is_no_weaker(before["destination"], after["destination"])
    for name in {"rows", "bytes"} & before.keys():
        assert after[name]["at_least"] >= before[name]["at_least"]
        assert after[name].get("unread", 0) >= before[name].get("unread", 0)
    if "columns_unread" in before:
        assert after["columns_unread"] >= before["columns_unread"]
    if "columns" in before:
        assert all(after["columns"][name] >= count for name, count in before["columns"].items())
    for change, names in before.get("grants", {}).items():
        assert set(names) <= set(after["grants"][change])
    if "sql" in before:
        sql_is_no_weaker(before["sql"], after["sql"])
    if "shell" in before:
        old, new = before["shell"], after["shell"]
        assert old["reads"] or not new["reads"]
        assert set(old["programs"]) <= set(new["programs"])
        assert set(old["flags"]) <= set(new["flags"])


def destination_is_no_weaker(old, new):
    assert old["internal"] or not new["internal"]
    assert new["count"] >= old["count"]
    assert new["unread"] >= old["unread"]
    if old["unread"]:
        assert new["domain"] == "unreadable"
    if not old["internal"]:
        assert new["domain"] in {old["domain"], "unreadable", "multiple"}


def sql_is_no_weaker(old, new):
    assert new["verb"] in {old["verb"], "multiple"}
    assert new["predicate"] in {old["predicate"], "other"}
    assert set(old["tables"]) <= set(new["tables"])
    assert new["calls"] or not old["calls"]
    assert new["all_columns"] or not old["all_columns"]
    assert new["statements"] >= old["statements"]
    assert "limit" not in new or new["limit"] == old.get("limit")


@given(pair=extended())
@BOUNDED
def test_more_arguments_never_make_a_fact_weaker(pair):
    said, more = pair
    before, after = findings(said), findings(more)
    assert set(before["classes"]) <= set(after["classes"])
    if after["complete"]:
        is_no_weaker(before["facts"], after["facts"])


@given(arguments=ARGUMENTS)
@BOUNDED
def test_the_order_of_keys_means_nothing(arguments):
    orders = list(itertools.islice(itertools.permutations(arguments.items()), 24))
    assert len({json.dumps(facts(dict(order)), sort_keys=True) for order in orders}) == 1


@pytest.mark.parametrize(
    "statement",
    [
        """SELECT * FROM customers WHERE "guid" = 'guid'""",
        """DELETE FROM customers WHERE "id" = 'id'""",
        """UPDATE customers SET a = 1 WHERE "uuid" IN ('uuid')""",
        """DELETE FROM customers WHERE "a" < 'b'""",
    ],
)
def test_a_name_that_some_dialects_take_for_a_text_is_no_key(statement):
    assert facts({"sql": statement})["sql"]["predicate"] == "other"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT c.wipe FROM customers c WHERE c.id = 1",
        "SELECT seq.nextval FROM dual WHERE id = 1",
        "SELECT nextval FROM customers WHERE id = 1",
    ],
)
def test_a_function_called_without_parentheses_is_a_call(statement):
    assert facts({"sql": statement})["sql"]["calls"] is True


@pytest.mark.parametrize(
    "target",
    [
        "postgresql://db.corp.example/x?host=evil.example",
        "postgresql://db.corp.example/x?hostaddr=203.0.113.9",
        "mongodb://db.corp.example/?proxyHost=evil.example",
    ],
)
def test_options_that_name_another_host_make_a_place_unreadable(target):
    found = facts({"destination": target})["destination"]
    assert (found["domain"], found["internal"], found["unread"]) == ("unreadable", False, 1)


@pytest.mark.parametrize("command", [["pwd", "rm -rf /srv/data"], ["ls", "cat x; reboot"]])
def test_a_list_that_may_be_several_commands_is_all_of_them(command):
    assert facts({"command": command})["shell"]["reads"] is False


def test_a_policy_document_is_no_statement_of_sql():
    statement = [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "x"}]
    assert "verb" not in facts({"policy": {"Statement": statement}}).get("sql", {})
