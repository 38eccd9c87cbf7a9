"""What is said of a statement is said by allow-list: attacks on the shape and on the verb."""

import time

import pytest

from countersign.sanitize.sql import UnreadableSqlError, read
from countersign.sanitize.sql_tokens import MAX_TOKENS


@pytest.mark.parametrize(
    "where",
    [
        "id = 1 AND substring('a' from 1 for 1) = 'b' OR true",
        "id = 1 AND 1 XOR 1",
        "id = 1 AND 1 || 1",
        "id = 1 && 1",
        "id = 1 AND offset = 5 OR 1=1",
        "id = 1 AND (b = 2 OR true)",
        "id = 1 AND NOT b = 2",
        "id = id",
        "id = 1 + 1",
        "id = -1",
        "id = (SELECT 1)",
        "id IN (SELECT id FROM u)",
        "id IN (1, b)",
        "id = 1 = 1",
        "id = ANY(1)",
        "id::text = '1'",
        "lower(id) = '1'",
        "(id, b) = (1, 2)",
        "id = 1 COLLATE x",
        "id = 1 IS NOT NULL",
        "tenant_id = 5",
        "user_id = 5",
        "id = 0",
        "id = 0x0",
        "id = 00",
        "id = x'00'",
        'id = "id"',
        "id = NULL",
        "id = true",
        "id = 'a' 'b'",
        "id LIKE '%'",
        "id <> 5",
        "id = 5 UNION SELECT b FROM u",
        "id = 5 FOR UPDATE",
        "id = 5 LIMIT 5 + 5",
        "id = 5 GROUP BY ALL",
        "id = 5 HAVING true",
        "id = 5 RETURNING b",
        "CURRENT OF c",
    ],
)
def test_anything_but_columns_and_constants_joined_by_and_is_no_key(where):
    for statement in (
        "SELECT a FROM customers",
        "DELETE FROM customers",
        "UPDATE customers SET a = 'x'",
    ):
        try:
            assert read(f"{statement} WHERE {where}").predicate in {"other", "always_true"}
        except UnreadableSqlError:
            continue


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT b.* FROM a, customers b WHERE a.id = 5",
        "SELECT b.* FROM a JOIN customers b ON true WHERE a.id = 5",
        "SELECT * FROM a NATURAL JOIN customers WHERE id = 5",
        "SELECT * FROM f(1) WHERE id = 5",
        "SELECT * FROM (SELECT * FROM customers) t WHERE id = 5",
        "SELECT (SELECT max(b) FROM customers) FROM a WHERE id = 5",
        "SELECT a, CASE WHEN b = 1 THEN 2 END FROM t WHERE id = 5",
        "SELECT * FROM t TABLESAMPLE SYSTEM (1) WHERE id = 5",
        "SELECT * FROM t x y WHERE id = 5",
        "WITH t AS (SELECT 1) SELECT * FROM t WHERE id = 5",
        "EXPLAIN SELECT * FROM t WHERE id = 5",
        "DELETE FROM a USING b WHERE id = 5",
        "DELETE a, b FROM a WHERE id = 5",
        "UPDATE a SET b = 1 FROM c WHERE id = 5",
        "UPDATE a, b SET c = 1 WHERE id = 5",
        "UPDATE a SET b = (SELECT c FROM d) WHERE id = 5",
    ],
)
def test_of_more_than_one_plain_table_no_key_is_said(statement):
    assert read(statement).predicate == "other"


@pytest.mark.parametrize(
    ("where", "table"),
    [
        ("id = 5", "customers"),
        ("(id = 5) AND b IS NOT NULL", "customers"),
        ("customer_id = 'O''Brien'", "crm.customers"),
        ("c.customers_uuid = $1 AND ts > 5", "customers c"),
        ("company_id IN (1, 2, ?)", "companies AS c"),
        ("`id` = :id", "customers"),
    ],
)
def test_a_key_is_the_tables_own(where, table):
    assert read(f"SELECT a FROM {table} WHERE {where}").predicate == "by_key"


def test_a_long_list_of_keys_is_a_range():
    keys = ", ".join(map(str, range(1, 102)))
    assert read(f"SELECT a FROM t WHERE id IN ({keys})").predicate == "range"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT query_to_xml('delete from c', true, false, '') FROM a WHERE id = 5",
        "SELECT evil.lower(a) FROM t WHERE id = 5",
        'SELECT "lower"(a) FROM t WHERE id = 5',
        "SELECT array_agg(a) FROM t WHERE id = 5",
        "SELECT pg_sleep(9)",
        "SELECT a FROM dblink('x') WHERE id = 5",
        "SELECT @a := 1 FROM t WHERE id = 5",
        "SELECT a FROM t WHERE b @> 'x'",
    ],
)
def test_a_select_that_calls_is_no_read(statement):
    said = read(statement)
    assert (said.verb, said.calls) == ("other", True)
    assert said.predicate != "by_key"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * INTO OUTFILE '/tmp/x' FROM customers WHERE id = 1",
        "SELECT * INTO newt FROM customers WHERE id = 1",
        "SELECT * FROM a WHERE id = 1 AND 1=1 DROP TABLE customers",
        "SELECT * FROM a WHERE id = 1 EXEC sp_x",
        "SELECT * FROM a SHUTDOWN",
        "SELECT 1 UPDATE t SET a = 1",
        "SELECT * FROM a WHERE id = 1 FOR UPDATE",
        "WITH x AS (TRUNCATE t) SELECT 1",
        "EXPLAIN ANALYZE SELECT pg_sleep(9)",
    ],
)
def test_a_select_that_writes_is_no_read(statement):
    said = read(statement)
    assert said.verb != "select"
    assert said.predicate != "by_key"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM customers WHERE id = 5 DROP TABLE audit_log",
        "UPDATE t SET a = 1 WHERE id = 5 DELETE FROM t",
        "INSERT INTO t (a) VALUES ('x') DELETE FROM t",
        "DELETE FROM t WHERE id = 5; DELETE FROM u",
    ],
)
def test_a_second_statement_needs_no_semicolon(statement):
    assert (read(statement).verb, read(statement).predicate) == ("multiple", "other")


def test_an_upsert_is_one_statement():
    for tail in ("ON CONFLICT (id) DO UPDATE SET a = 1", "ON DUPLICATE KEY UPDATE a = 1"):
        assert read(f"INSERT INTO t (id, a) VALUES (1, 2) {tail}").verb == "insert"


@pytest.mark.parametrize(
    ("tail", "limit"),
    [
        ("LIMIT 5", 5),
        ("LIMIT 0, 100000000", 1_000_000),
        ("LIMIT 7 OFFSET 9", 7),
        ("ORDER BY a DESC NULLS LAST, b FETCH FIRST 8 ROWS ONLY", 8),
        ("OFFSET 5 ROWS FETCH NEXT 6 ROWS ONLY", 6),
        ("LIMIT 000000000999999", 999_999),
        ("LIMIT 99999999999999999999", 1_000_000),
        ("LIMIT ALL", None),
        ("LIMIT ?", None),
        ("LIMIT 5 + 5", None),
        ("LIMIT 5 UNION SELECT a FROM u", None),
        ("LIMIT '5'", None),
        ("FETCH FIRST 5 PERCENT ROWS ONLY", None),
        ("FETCH FIRST 5 ROWS WITH TIES", None),
    ],
)
def test_a_limit_is_plain_or_there_is_none(tail, limit):
    assert read(f"SELECT a FROM t WHERE b > 1 {tail}").limit == limit
    assert read("SELECT TOP 5 a FROM t").limit is None


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("SELECT 1 FROM a, b x, c AS y, s.d", ("a", "b", "c", "s.d")),
        ("SELECT 1 FROM (SELECT 1 FROM a, b) x, c", ("a", "b", "c")),
        ("SELECT 1 FROM a WHERE b IN (SELECT 1 FROM c, d)", ("a", "c", "d")),
        ("SELECT 1 FROM (a JOIN b ON a.x = b.x), c", ("a", "b", "c")),
        ("SELECT 1 FROM a JOIN b USING (id), c", ("a", "b", "c")),
        ("SELECT 1 FROM a JOIN b ON f(a.x, b.y) = 1, c", ("a", "b", "c")),
        ("SELECT 1 FROM a CROSS APPLY b", ("a", "b")),
        ("SELECT 1 FROM (TABLE a) x", ("a",)),
        ("UPDATE a, b SET c = 1", ("a", "b")),
        ("DROP TABLE IF EXISTS a, b", ("a", "b")),
        ("TRUNCATE a, b", ("a", "b")),
        ("MERGE INTO a USING (SELECT 1 FROM b) s ON a.id = s.id", ("a", "b")),
        ("INSERT INTO a (b, c) SELECT d, e FROM f, g", ("a", "f", "g")),
        ("DROP VIEW a", ("[OTHER]",)),
        ("SELECT 1 FROM 'a.csv'", ("[OTHER]",)),
        ("SELECT 1 FROM", ("[OTHER]",)),
        ("SELECT 1 FROM a.b.c.d.e", ("[OTHER]",)),
        (f"SELECT 1 FROM {'t' * 200}", ("[OTHER]",)),
    ],
)  # fmt: skip
def test_every_table_is_named_or_marked(statement, tables):
    assert read(statement).tables == tables


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a FROM t WHERE id = 5 --  \r OR true",
        "SELECT a FROM t WHERE id = 5OR 1=1",
        "SELECT a FROM t WHERE id = 5 ---1 OR 1=1",
        "SELECT a FROM t WHERE id = 5 /*M! OR 1=1 */",
        "SELECT /*+ SET_VAR(x=1) */ a FROM t WHERE id = 5",
        "SELECT * FROM a WHERE 1=1DROP TABLE t",
        "SELECT a FROM t x\u00a0CROSS\u00a0JOIN\u00a0customers WHERE id = 5",
        "SELECT a FROM t WHERE id = 5\u2003OR\u2003b",
    ],
)
def test_what_some_dialect_parts_elsewhere_is_not_read(statement):
    with pytest.raises(UnreadableSqlError):
        read(statement)


@pytest.mark.parametrize(
    "piece",
    ["''", "a or ", "a and ", "(", "a=a=", "select ", "from a,", ";", "id=1 and ", "a.", "n n "],
)
def test_long_statements_are_refused_and_cost_no_more_than_short_ones(piece):
    start = time.process_time()
    with pytest.raises(UnreadableSqlError):
        read(("select a from t where " + piece * 32_000)[: 60 << 10])
    assert time.process_time() - start < 1, "a generous bound: it takes a tenth of this"


def test_the_longest_statement_that_is_read_is_read_in_linear_time():
    terms = " AND ".join(["(id = 5)"] * (MAX_TOKENS // 6 - 4))
    start = time.process_time()
    assert read(f"SELECT a FROM t WHERE {terms}").predicate == "by_key"
    assert read(f"SELECT a FROM t WHERE {terms} OR true").predicate != "by_key"
    assert time.process_time() - start < 2
