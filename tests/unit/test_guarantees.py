"""The page of guarantees names tests and guards that exist, for every invariant."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import realparts

ROOT = realparts.ROOT
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
INVARIANTS = (ROOT / "docs" / "explanation" / "invariants.md").read_text(encoding="utf-8")
PARTS = ("Attack", "Guard", "Shown by", "Outside")
TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
GUARD = re.compile(r"`(countersign(?:_bot)?(?:\.\w+)+)`")


def sections() -> dict[int, str]:
    """The text under each numbered heading."""
    _, *found = re.split(r"^## (\d+)\. ", PAGE, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(found[::2], found[1::2], strict=True)}


def definitions(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    return {
        node.name: node
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


def has_test(path: Path, *names: str) -> bool:
    """Whether a file defines the test, in a class of its own or in one that is imported."""
    if not path.is_file():
        return False
    module = ast.parse(path.read_text(encoding="utf-8"))
    first, *rest = names
    found = definitions(module.body).get(first)
    if not rest:
        return isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
    if not isinstance(found, ast.ClassDef):
        return False
    bases = {base.id for base in found.bases if isinstance(base, ast.Name)}
    return rest[0] in definitions(found.body) or any(
        has_test(path.with_name(f"{node.module}.py"), alias.name, *rest)
        for node in module.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in bases
    )


def has_guard(name: str) -> bool:
    """Whether a dotted name leads to a function or class of the service or the bot."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        source = "bot" if parts[0] == "countersign_bot" else "service"
        path = ROOT.joinpath(source, *parts[:length]).with_suffix(".py")
        if not path.is_file():
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for step in parts[length:]:
            node = definitions(body).get(step)
            if node is None:
                return False
            body = node.body if isinstance(node, ast.ClassDef) else []
        return length < len(parts)
    return False


def test_every_invariant_has_its_section_under_its_own_name() -> None:
    promised = re.findall(r"^(\d+)\. \*\*(.+?)\.\*\*", INVARIANTS, re.MULTILINE)
    told = re.findall(r"^## (\d+)\. (.+)$", PAGE, re.MULTILINE)
    assert told == promised
    assert [int(number) for number, _ in promised] == list(range(1, 13))


@pytest.mark.parametrize("number", range(1, 13))
def test_a_section_tells_attack_guard_tests_and_what_is_outside(number: int) -> None:
    text = sections()[number]
    labels = re.findall(r"^\*\*(Attack|Guard|Shown by|Outside)\b", text, re.MULTILINE)
    assert labels == list(PARTS)
    assert TEST.search(text)
    assert GUARD.search(text)


def test_every_test_named_exists() -> None:
    named = [(path, names.split("::")) for path, names in TEST.findall(PAGE)]
    assert len(named) == PAGE.count("`tests/"), "a test is named that cannot be read as one"
    assert [(path, names) for path, names in named if not has_test(ROOT / path, *names)] == []


def test_every_guard_named_exists() -> None:
    named = GUARD.findall(PAGE)
    told = PAGE.count("`countersign.") + PAGE.count("`countersign_bot.")
    assert len(named) == told, "a guard is named that cannot be read as one"
    assert [name for name in named if not has_guard(name)] == []


def test_what_does_not_exist_is_noticed() -> None:
    here = Path(__file__)
    store = ROOT / "tests" / "conformance" / "test_store_conformance.py"
    assert has_test(here, "test_what_does_not_exist_is_noticed")
    assert not has_test(here, "test_of_nothing")
    assert not has_test(here.with_name("test_nowhere.py"), "test_of_nothing")
    assert has_test(store, "TestStore", "test_a_permit_is_put_once")
    assert not has_test(store, "TestStore", "test_of_nothing")
    assert has_guard("countersign.directory.Directory.requester_chain")
    assert not has_guard("countersign.directory.Directory.no_such_guard")
    assert has_guard("countersign_bot.inbound.token.verify")
    assert not has_guard("countersign_bot.inbound.token.no_such_guard")
    assert not has_guard("countersign.directory")
    assert not has_guard("countersign.nowhere.judge")
