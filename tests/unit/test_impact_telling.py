"""How a replay is told: nothing of others is markup, a formula or a control character."""

from __future__ import annotations

from countersign.workbench.impact import telling
from countersign.workbench.impact.answers import Answer, Part
from countersign.workbench.impact.judging import How, Outcome
from countersign.workbench.impact.recorded import Case, Unreplayed
from countersign.workbench.impact.summary import Summary, judged

EVIL = "x|y`z](http://evil.example)\n# <b>\u202e@everyone"


def a_case(action="db.export", effect="allow", codes=frozenset({"a.fine"}), seq=1):
    return Case(
        seq=seq,
        decision=f"dec_{seq}",
        kind="decision",
        action=action,
        time="2026-11-23T00:00:00.000000Z",
        revision="r",
        input={"context": {}},
        unknowns=(),
        names=frozenset(),
        recorded=Answer(effect=effect, codes=codes, requirement={}, masked=frozenset()),
    )


def certain(effect, *codes):
    answer = Answer(effect=effect, codes=frozenset(codes), requirement={}, masked=frozenset())
    return Outcome(answer=answer, how=How.KNOWN)


def summary_of(*pairs, parts=frozenset(Part)):
    summary = Summary()
    for case, outcome in pairs:
        summary.add(judged(case, outcome, parts))
    return summary


def test_changes_are_grouped_by_action_and_rule_the_largest_first():
    summary = summary_of(
        *((a_case(seq=seq), certain("deny", "b.no")) for seq in range(5)),
        (a_case("sql.execute", "deny", frozenset({"c.no"}), 9), certain("allow", "d.yes")),
        (a_case(seq=10), certain("allow", "a.fine")),
    )
    (most, group), (least, _) = telling.changes(summary)
    assert (most.action, most.gained, most.lost, group.count) == (
        "db.export", ("b.no",), ("a.fine",), 5,
    )  # fmt: skip
    assert group.examples == [(0, "dec_0"), (1, "dec_1"), (2, "dec_2")]
    assert least.action == "sql.execute"
    assert summary.directions == {"tightened": 5, "loosened": 1}
    lines = list(telling.text(summary))
    assert lines[0] == "7 decision(s) replayed: 1 same, 6 changed, 0 depend on masked fields"


def test_places_in_lists_are_one_place():
    needs = [("/arguments/list/1",), ("/arguments/list/7/name",)]
    summary = summary_of(
        *((a_case(), Outcome(answer=None, needs=each, how=How.TRACED)) for each in needs)
    )
    found = {need.pointers for need, _ in telling.needs(summary)}
    assert found == {("/arguments/list/*",), ("/arguments/list/*/name",)}


def test_only_the_parts_that_count_are_a_change():
    pair = (a_case(), certain("allow", "other.code"))
    assert not summary_of(pair, parts={Part.EFFECT}).changes
    assert summary_of(pair, parts={Part.REASONS}).changes


def test_reasons_nobody_recorded_are_not_compared_and_counted():
    summary = summary_of((a_case(codes=None), certain("allow", "other.code")))
    assert not summary.changes
    assert summary.in_part == {"reasons": 1}


def test_markdown_holds_no_markup_of_others():
    summary = summary_of(
        (a_case(EVIL), certain("deny", EVIL)),
        (a_case(EVIL), Outcome(answer=None, needs=(f"/arguments/{EVIL}",), how=How.TRACED)),
    )
    summary.left_out[Unreplayed.PURGED] = 2
    about = {"revision": EVIL, "since": EVIL}
    lines = list(telling.markdown(summary, about))
    text = "\n".join(lines)
    assert "\u202e" not in text
    for line in lines:
        if line.startswith("|") and "`" in line:
            assert line.count("`") % 2 == 0, line
            cells = line.split("|")
            assert len(cells) in {5, 7}, line
    assert "Not replayed: 2 what it names is gone." in text


def test_a_cell_of_csv_is_no_formula():
    assert telling.csv_line(["=1+1", "a,b", "-x", "plain"]) == "'=1+1,\"a,b\",'-x,plain"


def test_json_has_what_the_table_has():
    summary = summary_of((a_case(), certain("needs_approval", "b.ask")))
    told = telling.plain(summary, {"revision": "r"})
    assert told["changed"] == told["tightened"] == 1
    assert told["changes"][0]["reasons_gained"] == ["b.ask"]
    assert told["not_replayed"] == {}
