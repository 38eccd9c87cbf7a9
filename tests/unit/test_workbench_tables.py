"""Decision tables are read strictly: what is misspelt is said with its line."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from countersign.policy.question import QUESTION
from countersign.sanitize import Sanitizer
from countersign.workbench.comparing import differences
from countersign.workbench.strict_yaml import YamlError, read
from countersign.workbench.tables import Case, Expect, TableError, cases

FILE = PurePosixPath("export_cases.yaml")
SANITIZER = Sanitizer()
TABLE = """
table: data export
time: 2026-11-23T07:30:00+01:00
given:
  context: {action: db.export, resource: {type: table, id: crm.customers}, arguments: {a: [1, 2]}}
cases:
  - name: plain
    expect: {effect: allow}
  - name: its own
    given:
      time: "2026-11-24T12:00:00Z"
      context: {arguments: {a: [3], columns: [email, name], destination: "s3://analytics-exports/y"}}
      findings: {facts: {destination: {internal: true}}, classes: [health]}
      approval: {revision: 4}
      recent: {hour: {allow: 19}}
    expect:
      effect: needs_approval
      reasons: [export.personal]
      stages: {data owner: 1}
      must_show: [/resource]
      mask: []
      requirement: {use_within_s: 300}
"""


def table(text: str) -> list[Case]:
    return cases(FILE, text.encode(), SANITIZER)


def wrong(text: str) -> str:
    with pytest.raises(TableError) as caught:
        table(text)
    return str(caught.value)


def test_what_is_given_is_merged_over_the_plain_question_and_findings_are_computed() -> None:
    plain, own = (case.question for case in table(TABLE))
    for question in (plain, own):
        QUESTION.validate_python(question)
    assert plain["time"] == "2026-11-23T06:30:00.000000Z"
    assert own["time"] == "2026-11-24T12:00:00.000000Z"
    assert plain["context"]["environment"] == own["context"]["environment"] == "production"
    assert plain["context"]["arguments"] == {"a": [1, 2]}
    assert own["context"]["arguments"]["a"] == [3]
    assert own["findings"]["facts"]["columns"] == {"contact": 1, "personal": 2, "total": 2}
    assert own["findings"]["facts"]["destination"]["domain"] == "analytics-exports"
    assert own["findings"]["facts"]["destination"]["internal"] is True
    assert own["findings"]["classes"] == ["health"]
    assert own["recent"]["hour"]["allow"] == 19
    assert own["recent"]["day"]["allow"] == 0
    assert own["approval"]["revision"] == 4
    assert own["approval"]["votes"][0]["choice"] == "approve"
    assert plain["approval"] is None


def test_where_a_case_stands_and_what_it_expects() -> None:
    plain, own = table(TABLE)
    assert (plain.line, own.line) == (7, 9)
    assert own.title == "data export: its own"
    assert plain.expect == Expect(effect="allow")
    assert own.expect == Expect(
        effect="needs_approval",
        reasons=frozenset({"export.personal"}),
        stages={"data owner": 1},
        must_show=frozenset({"/resource"}),
        mask=frozenset(),
        requirement={"use_within_s": 300},
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("table: data", "tabel: data", ":2 the table: unknown key tabel; there are table,"),
        ("  - name: plain\n", "  - name: plain\n    nam: x\n", ":8 the case: unknown key nam"),
        ("expect: {effect: allow}", "expect: {efect: allow}", ":8 expect: unknown key efect"),
        ("expect: {effect: allow}", "expect: {effect: alow}", ":8 expect.effect: must be one of"),
        ("expect: {effect: allow}", "given: {}", ":7 the case: expect must be given"),
        ("expect: {effect: allow}", "expect: allow", ":8 expect: must have the keys effect,"),
        (
            "expect: {effect: allow}",
            "expect: {effect: deny, stages: {}}",
            ":8 expect: stages, must_show and requirement belong to the effect needs_approval",
        ),
        ("name: its own", "name: plain", ":9 two cases have the name 'plain'"),
        ("name: its own", "name: [1]", ":9 name: must be a text"),
        ("{data owner: 1}", "{data owner: one}", ":19 expect.stages: must be an object of stage"),
        ("[export.personal]", "export.personal", ":18 expect.reasons: must be a list of texts"),
        ("{use_within_s: 300}", "{use_within: 300}", ":22 expect.requirement: unknown key"),
        ("hour: {allow: 19}", "hour: {allowed: 19}", ":15 given.recent.hour.allowed: unknown key"),
        (
            "hour: {allow: 19}",
            "hour: {allow: '19'}",
            ":15 given.recent.hour.allow: must be a whole",
        ),
        ("action: db.export", "acton: db.export", ":5 given.context.acton: unknown key"),
        ("action: db.export", "action: 7", ":5 given.context.action: must be a text"),
        ("destination: {internal", "destintion: {internal", ":13 given.findings.facts.destintion:"),
        ('"2026-11-24T12:00:00Z"', '"2026-11-24"', ":11 time: must be RFC 3339"),
        ("time: 2026-11-23T07:30:00+01:00", "time: noon", ":3 time: must be RFC 3339"),
        ("mask: []", "mask: []\n      mask: []", ":22 the key mask is given twice"),
        ("mask: []", "mask: [", ":23 expected "),
        ("a: [1, 2]", "a: !!python/object:x.y {}", ":5 tags such as !this are not used here"),
        ("a: [1, 2]", "a: 0123", ":5 a number that begins with 0"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(before: str, after: str, words: str) -> None:
    assert before in TABLE
    assert wrong(TABLE.replace(before, after, 1)).startswith(f"{FILE}{words}")


@pytest.mark.parametrize("text", ["", "[]", "table: x\ncases: []", "table: x\ncases: {}", "a: *b"])
def test_what_is_no_table_is_refused(text: str) -> None:
    assert wrong(text)


def test_words_are_words_and_numbers_are_numbers() -> None:
    read_ = read(b"a: no\nb: 2026-11-23\nc: 12:30\nd: -1\ne: 1.5\nf: 'true'\ng: true\nh:\ni: 1e3")
    assert read_.value == {
        "a": "no",
        "b": "2026-11-23",
        "c": "12:30",
        "d": -1,
        "e": 1.5,
        "f": "true",
        "g": True,
        "h": None,
        "i": 1000.0,
    }


def test_what_grows_by_aliases_is_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    with pytest.raises(YamlError, match="aliases included"):
        read("\n".join(lines).encode())
    with pytest.raises(YamlError, match="an alias holds itself"):
        read(b"a: &a [*a]")


ANSWER = {
    "effect": "needs_approval",
    "reasons": [{"code": "a.b", "message": "why"}],
    "requirement": {
        "stages": [{"name": "owner", "approvers": {"groups": ["g"]}, "quorum": 2}],
        "must_show": ["/resource"],
        "use_within_s": 60,
    },
    "mask": ["/arguments/x"],
}


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        (Expect(effect="needs_approval"), []),
        (Expect(effect="allow"), ["effect: expected allow, got needs_approval (a.b: why)"]),
        (
            Expect(effect="needs_approval", reasons=frozenset({"c.d"})),
            ["reasons: missing c.d", "reasons: unexpected a.b"],
        ),
        (
            Expect(effect="needs_approval", stages={"owner": 1}),
            ["stages: owner has quorum 2, expected 1"],
        ),
        (Expect(effect="needs_approval", stages={}), ["stages: unexpected owner"]),
        (
            Expect(effect="needs_approval", must_show=frozenset({"/resource", "/x"})),
            ["must_show: /x need not be shown"],
        ),
        (Expect(effect="needs_approval", mask=frozenset()), ["mask: unexpected /arguments/x"]),
        (
            Expect(effect="needs_approval", requirement={"use_within_s": 300}),
            ["requirement.use_within_s: expected 300, got 60"],
        ),
    ],
)
def test_what_differs_is_said_in_a_line(expect: Expect, words: list[str]) -> None:
    assert differences(expect, ANSWER) == words


def test_an_answer_that_breaks_the_contract_passes_no_case() -> None:
    found = differences(Expect(effect="allow"), {"effect": "allow", "maks": []})
    assert found == ["the contract is broken: maks: unknown key"]
