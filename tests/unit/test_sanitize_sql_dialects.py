"""Literals as each dialect writes them: masked where readings agree, else the whole statement."""

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer
from countersign.sanitize.sql import UnreadableSqlError, looks_like, read

SANITIZER = Sanitizer()


def shown(statement, key="sql"):
    """The statement as records keep it, and whether the review can be approved."""
    context = ActionContext(
        actor=Principal(type="agent", id="agent-7"),
        on_behalf_of=(),
        action="sql.execute",
        resource=Resource(type="database", id="crm", owner="data", attributes={}),
        environment="production",
        arguments={key: statement},
        reason="",
        session="",
    )
    found = SANITIZER.detect(context, known=lambda _: False)
    clean = SANITIZER.clean(context, found, policy_mask=[], tag_key=b"k" * 32)
    return clean.context["arguments"][key], found.complete


@pytest.mark.parametrize(
    ("literal", "dialect"),
    [
        (r"'it\'s Zaphod'", "MySQL"),
        (r"'Zaphod\\'", "MySQL"),
        (r'"Zap \"hod\" x"', "BigQuery"),
        ("'O''Zaphod'", "all"),
        ("''''", "all"),
        (r"E'it\'s Zaphod'", "PostgreSQL"),
        (r"U&'Zaphod \0061'", "PostgreSQL"),
        ("$$it's Zaphod$$", "PostgreSQL, Snowflake"),
        ("$x$it's Zaphod$x$", "PostgreSQL"),
        ("N'Zaphod'", "SQL Server"),
        ("q'[it's Zaphod]'", "Oracle"),
        ("Nq'!it's Zaphod!'", "Oracle"),
        ("q'<it's Zaphod>'", "Oracle"),
        ("'''it's Zaphod'''", "BigQuery"),
        ('"""it\'s Zaphod"""', "BigQuery"),
        (r"r'\d+\'Zaphod'", "BigQuery"),
        ("X'5a6170686f64'", "all"),
        ("0x5a6170686f64", "MySQL"),
        ("b'0101'", "all"),
    ],
)
def test_a_literal_of_any_dialect_is_masked_and_the_rest_is_read(literal, dialect):
    text, complete = shown(f"SELECT a FROM customers WHERE b = {literal} AND c = 1")
    assert text.startswith("SELECT a FROM customers WHERE b = [LITERAL"), dialect
    assert "Zaphod" not in text
    assert complete


@pytest.mark.parametrize(
    "statement",
    [
        r"SELECT a FROM t WHERE n = '\' OR 1=1 -- '",
        "SELECT a FROM t WHERE n = '''a' -- ''' OR secret",
        'SELECT a FROM t WHERE n = """a" -- """ OR secret',
        "SELECT a FROM t WHERE n = q'[a' -- ]' OR 1=1",
        "SELECT a FROM t WHERE $a$ = 1 OR b = $a$",
        "SELECT 1 AS [a'b], secret FROM x --'",
        "SELECT 1 AS [a--b], secret\nFROM x",
        "SELECT 1 AS [a]]'b], secret FROM x --'",
        'SELECT 1 AS [a"b], secret FROM "x',
        "SELECT a FROM t # WHERE id = 5\nWHERE true",
        "SELECT a FROM t WHERE x = r'\\' OR 1=1 -- '",
        "COPY t (a, b) FROM stdin;\nZaphod\t5\n",
        "COPY t FROM stdin;\nDROP TABLE t;",
        "BEGIN; COPY t FROM STDIN WITH (FORMAT csv);\nZaphod,5",
        r"\copy t from program 'x'",
        r"\! rm -rf /",
        "SELECT a FROM t WHERE n = $t$a $$ b$t$ AND c = $$c$$",
        "SELECT 'open",
        "SELECT $$open",
        "SELECT '''open''",
        "SELECT /* open",
    ],
)
def test_what_dialects_read_differently_is_masked_whole_and_not_approvable(statement):
    for key in ("sql", "query"):
        text, complete = shown(statement, key)
        assert text == "[LITERAL]" or (text.startswith("[LITERAL:") and text.count("[") == 1)
        assert not complete


def test_a_bracket_is_a_name_or_an_array():
    assert shown("SELECT [Customer Name] FROM [dbo].[t] WHERE [id] = 5")[1]
    text, complete = shown("""SELECT ARRAY['Zaphod'], x[1] FROM t WHERE j = '{"a": 1}'""")
    assert complete
    assert "Zaphod" not in text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT\n  a\nFROM t WHERE b = 'Zaphod'",
        "-- who is it?\nSELECT a FROM t WHERE b = 'Zaphod'",
        "/* x */ (SELECT a FROM t WHERE b = 'Zaphod')",
        "COPY t (a) FROM stdin;\nZaphod\n\\.",
        "VALUES ('Zaphod', 1)",
        "explain select a from t where b = 'Zaphod'",
    ],
)
def test_a_statement_nobody_called_one_is_masked_too(text):
    assert looks_like(text)
    assert "Zaphod" not in SANITIZER.detail({"note": text})["note"]


@pytest.mark.parametrize(
    "text",
    ["Update on the set of rules", "-- from here on", "/* from", "copy the file", "values matter"],
)
def test_prose_is_no_statement(text):
    assert not looks_like(text) or SANITIZER.detail({"note": text}) == {"note": text}


# --- nothing of a literal gets out, whatever the dialect -----------------------

WORD = st.text("bcdfghjklmnpqrstvwxz", min_size=6, max_size=10).map(lambda word: f"zq{word}")
ODD = st.sampled_from(
    ["'", '"', "\\", "--", "/*", "*/", "]", "[", "$$", "$x$", ";", "\n", "#", "`", ")", "''", "q'"]
)
TEXT = st.lists(st.one_of(WORD, ODD), min_size=1, max_size=5).flatmap(
    lambda parts: WORD.map(lambda word: " ".join([*parts, word]))
)


def doubled(text, quote="'"):
    return quote + text.replace(quote, quote * 2) + quote


def escaped(text, quote="'"):
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def own_quote(text):
    for first, last in ("[]", "{}", "()", "<>", "!!", "~~"):
        if last + "'" not in text:
            return f"q'{first}{text}{last}'"
    return doubled(text)


def dollars(text):
    tag = next(tag for tag in ("$$", "$t$", "$u1$", "$v_$", "$w$") if tag not in text)
    return f"{tag}{text}{tag}"


DIALECTS = {
    "postgres": [doubled, dollars, lambda t: "E" + escaped(t)],
    "comment": [lambda t: f"/* {t.replace('*/', '')} */ 1"],
    "mysql": [escaped, lambda t: escaped(t, '"'), lambda t: "_utf8" + escaped(t)],
    "mysql comment": [lambda t: f"1 # {t} \n", lambda t: f"1 -- {t} \n"],
    "sql server": [lambda t: "N" + doubled(t), doubled],
    "oracle": [own_quote, lambda t: "n" + own_quote(t), doubled],
    "bigquery": [
        escaped,
        lambda t: "'''" + t.replace("\\", "\\\\").replace("'", "\\'") + "'''",
        lambda t: '"""' + t.replace("\\", "\\\\").replace('"', '\\"') + '"""',
        lambda t: "r" + doubled(t.replace("\\", "").replace("'", "")),
    ],
    "snowflake": [escaped, lambda t: f"$${t.replace('$$', '')}$$"],
    "sqlite": [doubled, lambda t: doubled(t, '"')],
    "clickhouse": [escaped, dollars],
}  # fmt: skip
STATEMENTS = [
    "SELECT a FROM customers WHERE b = {0} AND c = {1}",
    "SELECT a, {0} FROM customers WHERE b IN ({0}, {1}) ORDER BY a",
    "INSERT INTO customers (a, b) VALUES ({0}, {1}), ({1}, {0})",
    "UPDATE customers SET a = {0} WHERE b LIKE {1}",
    "DELETE FROM customers WHERE a = {0} OR b = {1}",
    "WITH x AS (SELECT {0} AS a) SELECT a FROM x WHERE a <> {1}",
    "CREATE USER bob IDENTIFIED BY {0}; GRANT ALL TO bob COMMENT {1}",
    "CALL pay({0}, {1})",
]


@given(data=st.data(), dialect=st.sampled_from(sorted(DIALECTS)), form=st.sampled_from(STATEMENTS))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_nothing_of_a_literal_gets_out(data, dialect, form):
    texts = [data.draw(TEXT), data.draw(TEXT)]
    quote = data.draw(st.sampled_from(DIALECTS[dialect]))
    if "comment" in dialect:
        texts = [text.replace("\n", " ") for text in texts]
    for key in ("sql", "query"):
        text, _ = shown(form.format(*map(quote, texts)), key)
        assert "zq" not in json.dumps(text)


@pytest.mark.parametrize("dialect", ["postgres", "sql server", "sqlite", "mysql", "oracle"])
@given(words=st.lists(WORD, min_size=2, max_size=2), form=st.sampled_from(STATEMENTS[:6]))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_literals_of_plain_words_leave_a_statement_readable(dialect, words, form):
    text, complete = shown(form.format(*map(DIALECTS[dialect][0], words)))
    assert complete
    assert text.startswith(form.split("{", maxsplit=1)[0])


@pytest.mark.parametrize(
    "piece",
    """''' $a$ $ q'[ q' E'\\' \\' '\\ '''''' [ ['] $a$$b$ r''' --\n "\\" "" ('''""".split(" "),
)
def test_every_reading_is_linear(piece):
    text = ("select a from t where b = " + piece * 32_000)[: 62 << 10]
    start = time.process_time()
    with contextlib.suppress(UnreadableSqlError):
        read(text)
    assert time.process_time() - start < 1, "a generous bound: it takes a tenth of this"
