"""What the compile API proves, asked of a real OPA, and what it must not be believed on."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

import realparts
from countersign.policy.snapshot import Snapshot
from countersign.workbench.impact.candidate import serving
from countersign.workbench.impact.compiling import is_constant, reference

HEAD = "package countersign\n\n"
ALLOWED = '{"effect": "allow", "reasons": [{"code": "a.a", "message": "a"}]}'
DENIED = '{"effect": "deny", "reasons": [{"code": "b.b", "message": "b"}]}'
INPUT = {"context": {"action": "x", "arguments": {"contact": "[EMAIL]", "list": ["[EMAIL]", "b"]}}}
CONTACT = ("context", "arguments", "contact")


async def proves(rules: str, *unknowns) -> bool:
    files = {PurePosixPath("a.rego"): (HEAD + rules).encode()}
    snapshot = Snapshot(files=files, revision="r", version="1", origin="test")
    async with serving(realparts.opa(), snapshot) as candidate:
        return candidate.compiler.proves(INPUT, unknowns)


@pytest.mark.parametrize(
    ("body", "constant"),
    [
        ('input.context.action == "x"', True),
        ('input.context.action == "x"\n\tinput.context.arguments.list[1] == "b"', True),
        ('input.context.arguments.contact == "b"', False),
        ('not input.context.arguments.contact == "b"', False),
        ("count(input.context.arguments) > 1", False),
        ('input.context.arguments[_] == "b"', False),
        ('walk(input, [_, "b"])', False),
        ('some x in input.context.arguments\n\tx == "c"', False),
        ('a := input.context.arguments\n\ta.contact == "b"', False),
    ],
)
async def test_a_constant_is_believed_and_nothing_else(body, constant):
    rules = f"default decision := {DENIED}\n\ndecision := {ALLOWED} if {{\n\t{body}\n}}\n"
    assert await proves(rules, CONTACT) is constant


async def test_part_of_a_list_can_be_unknown():
    body = 'input.context.arguments.list[1] == "b"'
    rules = f"default decision := {DENIED}\n\ndecision := {ALLOWED} if {body}\n"
    first, second = (("context", "arguments", "list", index) for index in range(2))
    assert await proves(rules, first)
    assert not await proves(rules, second)


def test_places_are_named_so_that_no_key_is_taken_for_rego():
    assert reference(("context", 'a"] == 1; x["', 2)) == 'input["context"]["a\\"] == 1; x[\\""][2]'


def rest(*steps):
    head, *names = steps
    terms = [{"type": "var", "value": head}, *({"type": "string", "value": n} for n in names)]
    return {"queries": [[{"index": 0, "terms": {"type": "ref", "value": terms}}]]}


def test_what_is_left_must_mention_neither_the_input_nor_a_rule_that_was_not_worked_out():
    assert is_constant({})
    assert is_constant(rest("data", "partial", "countersign", "decision"))
    assert not is_constant(rest("data", "countersign", "decision"))
    assert not is_constant(rest("input", "context"))
    support = {**rest("data", "partial", "x"), "support": [{"rules": [rest("input", "x")]}]}
    assert not is_constant(support)
    assert not is_constant(None)
