"""The field dictionary is what records hold: in the code that makes them, and in the docs."""

import ast
import json
import re
from pathlib import Path

import countersign
from audit_affairs import rows
from countersign.audit.fields import COLUMNS, FIELDS, KINDS, dictionary, unknown
from realparts import ROOT

FLOW = Path(countersign.__file__).parent / "flow"
SERVICE = ("log_id", "seq", "time")
"""What the store adds."""


def calls():
    """Each call that builds a record: its name and arguments."""
    for path in FLOW.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
                if name in ("record", "of_review"):
                    yield path.name, node


def test_every_field_that_is_written_is_in_the_dictionary():
    names = {field.name for field in COLUMNS}
    given = {keyword.arg for _, call in calls() for keyword in call.keywords if keyword.arg}
    assert {"decision", "vote", "change", "outcome", "review_state"} <= names
    assert given <= names, given - names
    made = {"schema", "kind", "tenant", *given, *SERVICE}
    # What reaches a record as a mapping: the judged context, and what an event says.
    text = "".join(path.read_text(encoding="utf-8") for path in FLOW.glob("*.py"))
    assert {name for name in names - made if f'"{name}"' not in text} == set()


def test_every_kind_that_is_written_is_in_the_dictionary():
    text = "".join(path.read_text(encoding="utf-8") for path in FLOW.parent.rglob("*.py"))
    given = {
        call.args[0].value
        for _, call in calls()
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    given |= set(
        re.findall(r'kind="([a-z_.]+)"', "".join(p.read_text() for p in FLOW.glob("*.py")))
    )
    assert given <= set(KINDS), given - set(KINDS)
    assert [kind for kind in KINDS if f'"{kind}"' not in text.replace("audit/fields", "")] == []


def test_the_page_has_the_dictionary_as_it_is():
    assert dictionary() in (ROOT / "docs" / "auditing.md").read_text(encoding="utf-8")


def test_no_name_is_told_twice():
    names = [field.name for field in FIELDS]
    assert len(set(names)) == len(names)


def test_the_records_of_the_other_tests_have_no_other_fields():
    for row in rows():
        assert unknown(json.loads(row.body)) == []
    assert unknown({"vote": {"person": "bob", "mood": "good"}, "more": 1}) == ["vote.mood", "more"]
