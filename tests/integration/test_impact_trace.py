"""What a trace tells of masked values: every way a rule can look at one, seen by real OPA.

Each policy answers `data.countersign.decision`; the input has a few masked places.
A rule that looks must be noticed, and one that only moves or skips a value must not.
"""

from __future__ import annotations

import json
import subprocess

import pytest

import realparts
from countersign.workbench.impact.substitutes import marked
from countersign.workbench.impact.trace import Trace
from countersign.workbench.impact.unknowns import Sort, Unknown, masked_in

REPORT = {"total": {"EMAIL": 9, "POLICY": 1, "PERSON": 1, "HEALTH": 1}}
INPUT = {
    "context": {
        "action": "a",
        "arguments": {
            "contact": "[EMAIL:0123456789abcdef]",
            "who": "[PERSON:0123456789abcdef]",
            "note": "for [EMAIL:0123456789abcdef]",
            "list": ["ops", "[EMAIL:0123456789abcdef]", "dev"],
            "inner": {"name": "[EMAIL:0123456789abcdef]", "plan": "gold"},
            "ids": "[POLICY]",
            "ill": "[HEALTH]",
            "plain": "x",
            "keyed": {"[EMAIL:0123456789abcdef]": 1, "known": 2},
        },
    },
    "findings": {"quantity": {"rows": 10, "amount": 0}},
    "recent": {"rows": 1000},
}
ROWS = Unknown(path=("findings", "quantity", "rows"), sort=Sort.NUMBER, least=10, most=99)
A = "input.context.arguments"


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """The pointers that a rule's body needs; more rules may stand beside it."""
    opa, home = realparts.opa(), tmp_path_factory.mktemp("trace")

    def run(body: str, more: str = "", *, head: str = "decision if") -> set[str]:
        policy = home / "policy.rego"
        policy.write_text(
            f"package countersign\n\nhit if false\n\n{head} {{\n\t{body}\n}}\n\n{more}\n"
        )
        unknowns = (*masked_in(INPUT["context"], REPORT), ROWS)
        document, marks = marked(INPUT, unknowns, frozenset(REPORT["total"]))
        done = subprocess.run(
            [opa, "eval", "-d", policy, "-I", "--format", "json", "--explain", "full",
             "--disable-indexing", "--disable-early-exit", "data.countersign.decision"],
            input=json.dumps(document), capture_output=True, text=True, check=False,
        )  # fmt: skip
        told = json.loads(done.stdout)
        assert "errors" not in told, told["errors"]
        trace = Trace(told["explanation"], marks, document)
        trace.run()
        return {marks.unknowns[index].pointer for index in trace.needed}

    return run


CONTACT = {"/arguments/contact"}
SET = f's contains "p"\n\ns contains "q"\n\ns contains {A}.contact'
LOOKS = [
    (f'{A}.contact == "x"', "", CONTACT),
    (f'"x" == {A}.contact', "", CONTACT),
    (f'not {A}.contact == "x"', "", CONTACT),
    (f'{A}.contact != "x"', "", CONTACT),
    (f'{A}["contact"] == "x"', "", CONTACT),
    (f'some k\n\tk == "contact"\n\t{A}[k] == "x"', "", CONTACT),
    (f'c := {A}.contact\n\td := [c]\n\td[0] == "x"', "", CONTACT),
    (f"is_string({A}.contact)", "", CONTACT),
    (f"count({A}.contact) > 3", "", CONTACT),
    (f'startswith({A}.note, "for")', "", {"/arguments/note"}),
    (f"f({A}.contact) == 1", 'f("x") := 1\n\nf("y") := 2', CONTACT),
    (f"f({A}.contact)", 'f(x) if x == "y"', CONTACT),
    (f"f([{A}.contact, 1])", 'f(["y", n]) if n == 1', CONTACT),
    ('v == "x"', f"v := {A}.contact", CONTACT),
    ('v == "x"', f'v := {A}.contact if true else := "y"', CONTACT),
    ('v == "y"', f'default v := "y"\n\nv := "z" if {A}.contact == "q"', CONTACT),
    ('s["x"]', f"s contains {A}.contact", CONTACT),
    ('"x" in s', f"s contains {A}.contact", CONTACT),
    ("count(s) == 1", f"s contains {A}.contact", CONTACT),
    ('o["x"] == 1', f"o[k] := 1 if k := {A}.contact", CONTACT),
    (f"t[{A}.contact]", 't := {"x": true}', CONTACT),
    (f'{A}.list[_] == "x"', "", {"/arguments/list/1"}),
    (f'some x in {A}.list\n\tx == "x"', "", {"/arguments/list/1"}),
    (f'every x in {A}.list {{ x != "x" }}', "", {"/arguments/list/1"}),
    (f'"x" in {A}.list', "", {"/arguments/list/1"}),
    (f'{{x | some x in {A}.list}} == {{"ops", "dev"}}', "", {"/arguments/list/1"}),
    (f'[x | some x in {A}.list; x == "q"] == []', "", {"/arguments/list/1"}),
    (f"count({{x | some x in {A}.list}}) == 3", "", {"/arguments/list/1"}),
    (f'concat(",", {A}.list) == "q"', "", {"/arguments/list/1"}),
    (f'sort({A}.list)[0] == "ops"', "", {"/arguments/list/1"}),
    (f'walk({A}.inner, [_, "x"])', "", {"/arguments/inner/name"}),
    (f'walk({A}.inner, [p, v])\n\tv == "x"', "", {"/arguments/inner/name"}),
    (f"walk({A}.ids, [p, _])\n\tcount(p) > 0", "", {"/arguments/ids"}),
    (f'{A}.inner == {{"name": "x", "plan": "gold"}}', "", {"/arguments/inner/name"}),
    (f'contains(json.marshal({A}.inner), "x")', "", {"/arguments/inner/name"}),
    (f'object.get({A}.inner, "name", false)', "", {"/arguments/inner/name"}),
    (f'object.get({A}, ["inner", "name"], "") == "x"', "", {"/arguments/inner/name"}),
    (f'object.get({A}, ["ids", "name"], "") == ""', "", {"/arguments/ids"}),
    (f"{A}.ids[0] == 1", "", {"/arguments/ids"}),
    (f"{A}.ids", "", {"/arguments/ids"}),
    (f"is_array({A}.ids)", "", {"/arguments/ids"}),
    (f"{A}.ill", "", {"/arguments/ill"}),
    (f"not {A}.ill", "", {"/arguments/ill"}),
    (f"{A}.keyed.other", "", {"/arguments/keyed"}),
    (f"not {A}.keyed.other", "", {"/arguments/keyed"}),
    (f'object.keys({A}.keyed) == {{"known"}}', "", {"/arguments/keyed"}),
    (f'some k, _ in {A}.keyed\n\tk == "x"', "", {"/arguments/keyed"}),
    (f"some _, v in {A}.keyed\n\tv == 5", "", {"/arguments/keyed"}),
    (f'object.keys({A}.keyed) - {{"known"}} == set()', "", {"/arguments/keyed"}),
    (
        f'some x in ["ops", "q"]\n\tys := [i | some i, y in {A}.list; y == x]\n\tcount(ys) == 1',
        "",
        {"/arguments/list/1"},
    ),
    (
        f'some x in ["ops", "q"]\n\tys := [y | y := {A}.list[_]; y == x]\n\tcount(ys) == 1',
        "",
        {"/arguments/list/1"},
    ),
    (
        "count(groups.ops) == 1",
        f'groups := {{x: ys | some x in ["ops", "q"]; ys := [i | {A}.list[i] == x]}}',
        {"/arguments/list/1"},
    ),
    (
        f'some x in {A}.list\n\tys := [y | some y in ["ops", "q"]; y == x]\n\tcount(ys) > 0',
        "",
        {"/arguments/list/1"},
    ),
    ("input.findings.quantity.rows > 50", "", {"/findings/quantity/rows"}),
    ("input.findings.quantity.rows == 12", "", {"/findings/quantity/rows"}),
    ("input.findings.quantity.rows + input.recent.rows > 1050", "", {"/findings/quantity/rows"}),
    ("n := input.findings.quantity.rows + 1\n\tm := n\n\tm == 20", "", {"/findings/quantity/rows"}),
    ("f(input.findings.quantity.rows + 1)", "f(x) if x > 20", {"/findings/quantity/rows"}),
    ("input.findings.quantity.rows * 2 > 5", "", {"/findings/quantity/rows"}),
    ('g with input as {"c": input.context.arguments.contact}', 'g if input.c == "x"', CONTACT),
    (f'x := {A}\n\tx.contact == "x"', "", CONTACT),
    ('x := input\n\tx.context.arguments.contact == "x"', "", CONTACT),
    (f'[x, y] := [{A}.contact, 1]\n\tx == "x"', "", CONTACT),
    (f'{{"plan": p, "name": "x"}} = {A}.inner\n\tp == "gold"', "", {"/arguments/inner/name"}),
    (f'sprintf("%v", [{A}.contact]) == "x"', "", CONTACT),
    # Who else is at which place depends on where a masked one is in the order.
    (f'[k | some k, _ in {A}.keyed][1] == "known"', "", {"/arguments/keyed"}),
    (f"[v | v := {A}.keyed[_]][1] == 2", "", {"/arguments/keyed"}),
    (f"xs := [k | some k, _ in {A}.keyed]\n\tcount(xs) == 2\n\txs[1]", "", {"/arguments/keyed"}),
    ('xs := [x | some x in s]\n\tys := xs\n\tys[1] == "p"', SET, CONTACT),
    ('xs[1] == "p"', f"{SET}\n\nxs := [x | some x in s]", CONTACT),
    ('["c", "p", "q"] != [x | some x in s]', SET, CONTACT),
    ('[x | some x in s][1] == "p"', SET, CONTACT),
    ('[x | s[x]][1] == "p"', SET, CONTACT),
    ('first([x | some x in s]) == "p"', f"{SET}\n\nfirst(xs) := xs[1]", CONTACT),
    ('nth(s, 1) == "p"', f"{SET}\n\nnth(xs, n) := [x | some x in xs][n]", CONTACT),
    ('[y | some z in {x | some x in s}; y := z][1] == "p"', SET, CONTACT),
    ('[y | some xs in [s]; some y in xs][1] == "p"', SET, CONTACT),
    ('[y | some y, _ in {x: 1 | some x in s}][1] == "p"', SET, CONTACT),
    ('[y | walk({"s": s}, [_, y])][3] == "p"', SET, CONTACT),
]  # fmt: skip

SKIPS = [
    (f'{A}.plain == "x"', ""),
    (f"{A}.contact", ""),
    (f"not {A}.contact", ""),
    (f'{A}.contact == ""', ""),
    (f"{A}.contact == null", ""),
    (f"is_string({A}.who)", ""),
    (f"is_null({A}.contact)", ""),
    (f"is_object({A}.contact)", ""),
    (f'{A}.contact.deeper == "x"', ""),
    (f"count({A}) > 3", ""),
    (f"count({A}.list) == 3", ""),
    (f"count({A}.keyed) == 2", ""),
    (f"count([k | some k, _ in {A}.keyed]) == 2", ""),
    ("count([x | some x in s; true]) > 0", f"s contains {A}.plain"),
    (f'object.keys({A}.inner) == {{"name", "plan"}}', ""),
    (f'object.keys({A}.keyed) - {{"x"}} == set()', ""),
    (f'object.get({A}.inner, "plan", "") == "gold"', ""),
    (f'{A}.inner.plan == "gold"', ""),
    (f'{A}.inner == {{"name": "x"}}', ""),
    (f'{A}.inner == {{"name": "x", "plan": "basic"}}', ""),
    (f"{A}.keyed.known == 2", ""),
    (f'"ops" in {A}.list', ""),
    (f'{A}.list[0] == "ops"', ""),
    (f'some k, _ in {A}.inner\n\tk == "plan"', ""),
    (f"walk({A}.inner, [p, _])\n\tcount(p) > 2", ""),
    (f'array.concat({A}.list, ["z"])[0] == "ops"', ""),
    (f'object.union({A}.inner, {{"z": 1}}).plan == "gold"', ""),
    (f'[x | some x in {A}.list][0] == "ops"', ""),
    ('v.plan == "gold"', f"v := {A}.inner"),
    ("input.findings.quantity.rows > 5", ""),
    ("input.findings.quantity.rows == 5", ""),
    ("input.findings.quantity.rows + input.recent.rows < 250000", ""),
    ("input.recent.rows - input.findings.quantity.rows > 500", ""),
    (f"f({A}.contact, 1)", "f(_, n) if n == 1"),
    (f"{A}.who > 5", ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "more", "needed"), LOOKS, ids=[each[0] for each in LOOKS])
def test_a_rule_that_looks_at_a_masked_value_is_noticed(looked, body, more, needed):
    found = looked(body, more)
    assert needed <= found, found


@pytest.mark.parametrize(("body", "more"), SKIPS, ids=[each[0] for each in SKIPS])
def test_a_rule_that_only_moves_or_skips_one_does_not_need_it(looked, body, more):
    assert looked(body, more) == set()


def test_an_answer_that_holds_a_masked_value_is_seen(looked):
    found = looked("x == 1", f'x := 1 if sprintf("%v", [{A}.contact]) != ""')
    assert found >= CONTACT
