"""The reference pages name every command, setting and reason code there is, and no other."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import countersign
import countersign_bot
from countersign.cli.context_file import KEYS, RESOURCE_KEYS, read_context
from countersign.cli.root import app
from countersign.config import (
    BundleSection,
    FloorSection,
    GitSection,
    IssuerSection,
    QuotaSection,
    WitnessSection,
)
from realparts import ROOT

REFERENCE = ROOT / "docs" / "reference"
PACKAGE = Path(countersign.__file__).parent
BOT = Path(countersign_bot.__file__).parent
CODE = re.compile(r"[a-z][a-z_]*\.[a-z_]+")
GIVERS = ("Error", "Reason", "Refusal", "_denied", "_refused", "InvalidContext", "PermitRejected")


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def sections(text: str, level: str) -> dict[str, str]:
    """The sections of a page by each piece of code in their heading."""
    parts = re.split(rf"^{level} ", text, flags=re.MULTILINE)[1:]
    return {code: part for part in parts for code in part.partition("\n")[0].split("`")[1::2]}


# --- commands -----------------------------------------------------------------------


def commands(command: Any, *path: str) -> Iterator[tuple[str, set[str]]]:
    """Every command of the tree with its options."""
    below = getattr(command, "commands", None)
    if below is None:
        given = {option for parameter in command.params for option in parameter.opts}
        yield " ".join(path), {option for option in given if option.startswith("--")}
    else:
        for name, child in below.items():
            yield from commands(child, *path, name)


def test_the_page_has_the_commands_and_options_there_are() -> None:
    text = page("command-line.md")
    told = sections(text, "###")
    real = {f"countersign {name}": found for name, found in commands(typer.main.get_command(app))}
    told = {re.sub(r" \[?[A-Z].*", "", name): section for name, section in told.items()}
    assert set(told) == set(real)
    everywhere = {"--json", "--config", "--credential", "--as", "--tenant"}
    for name, found in real.items():
        assert {option for option in found - everywhere if f"`{option}" not in told[name]} == set()
        assert set(re.findall(r"`(--[a-z-]+)", told[name])) <= found
    for option in everywhere:
        assert f"`{option}" in text.partition("\n### ")[0]


# --- settings -----------------------------------------------------------------------


def test_every_setting_is_on_the_page_with_its_default() -> None:
    told = sections(page("configuration.md"), "##")
    real = tomllib.loads((PACKAGE / "default.toml").read_text(encoding="utf-8"))
    real["policy.shadow"] = real["policy"].pop("shadow")
    unwritten = {"[[issuers]]", "[[witnesses]]", "[floors.<environment>]", "[quotas.<tenant>]"}
    unwritten |= {"[policy.bundle]", "[policy.git]"}
    assert set(told) == {f"[{name}]" for name in real} | unwritten
    for name, section in real.items():
        rows = re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", told[f"[{name}]"], re.MULTILINE)
        assert {key: tomllib.loads(f"x = {value}")["x"] for key, value in rows} == section
    for name, section in (
        ("[[issuers]]", IssuerSection),
        ("[[witnesses]]", WitnessSection),
        ("[floors.<environment>]", FloorSection),
        ("[quotas.<tenant>]", QuotaSection),
        ("[policy.bundle]", BundleSection),
        ("[policy.git]", GitSection),
    ):
        keys = re.findall(r"^\| `(\w+)` \|", told[name], re.MULTILINE)
        assert set(keys) == set(section.model_fields)


# --- the context file ---------------------------------------------------------------


def test_the_page_tells_every_key_of_a_context_and_its_example_is_one(tmp_path: Path) -> None:
    text = page("action-context.md")
    for key in KEYS | {f"resource.{key}" for key in RESOURCE_KEYS}:
        assert f"`{key}`" in text, key
    example = re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "context.json").write_text(example)
    assert read_context(tmp_path / "context.json").action == json.loads(example)["action"]


# --- reason codes -------------------------------------------------------------------


def codes_of(tree: ast.AST) -> Iterator[str]:
    """What stands where an error, a reason or a refusal takes its code."""
    for node in ast.walk(tree):
        found: list[ast.expr | None] = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
            found += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            # The first argument of this one is the field, and its code a keyword.
            by_place = name.endswith(GIVERS) and name != "InvalidRequestError"
            found += node.args[:1] if by_place else []
        elif isinstance(node, ast.FunctionDef):
            defaults = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            found += [default for argument, default in defaults if argument.arg == "code"]
        for value in found:
            if isinstance(value, ast.Constant) and CODE.fullmatch(str(value.value)):
                yield str(value.value)


def reason_codes() -> set[str]:
    paths = [
        path
        for path in PACKAGE.rglob("*.py")
        if not {"testing", "v1", "sanitize"} & set(path.relative_to(PACKAGE).parts)
    ]
    found = {code for path in paths for code in codes_of(ast.parse(path.read_text("utf-8")))}
    # The bot's codes for its own log, and of what Teams answers, are nobody's to look up.
    bot = {code for path in BOT.rglob("*.py") for code in codes_of(ast.parse(path.read_text()))}
    return found | {code for code in bot if code.startswith("bot.")}


def test_every_reason_code_is_on_the_page() -> None:
    real = reason_codes()
    assert {"claim.mismatch", "vote.self_approval", "audit.unavailable"} <= real
    told = re.findall(r"^\| `([a-z_.]+)` \|", page("errors.md"), re.MULTILINE)
    assert sorted(real - set(told)) == []
    assert [code for code in told if told.count(code) > 1] == []


def test_the_page_has_no_code_that_nobody_gives() -> None:
    files = [*PACKAGE.rglob("*.py"), *BOT.rglob("*.py")]
    source = "".join(path.read_text("utf-8") for path in files)
    rego = "".join(path.read_text("utf-8") for path in (ROOT / "rego").rglob("*.rego"))
    for code in re.findall(r"^\| `([a-z_.]+)` \|", page("errors.md"), re.MULTILINE):
        state = code.removeprefix("review.").upper()  # given as f"review.{state}"
        assert f'"{code}"' in source + rego or f"    {state} = " in source, code


def test_every_page_is_in_the_index() -> None:
    docs = ROOT / "docs"
    index = (docs / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([a-z/-]+\.md)\)", index))
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} - {"README.md"}
    assert there <= linked
    assert all((docs / name).is_file() for name in linked)
