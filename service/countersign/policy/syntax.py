"""What stands in a policy's Rego: its rules, where they are, and its constants.

OPA itself parses; nothing here guesses at Rego's grammar. Blocking; called by
`probing` and the author's tools from a thread.
"""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import functools
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from countersign.errors import ConfigurationError
from countersign.policy.binary import CommandError, run_opa

CONTRIBUTIONS: Final = ("deny", "needs", "allow", "mask")
"""The sets that a rule package gives."""
RULES: Final = "countersign.rules."
"""What the names of rule packages begin with."""
_PARTS: Final = {("context",), ("findings",), ("verified",), ("approval",), ("recent",)}
_PARSERS: Final = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule as it stands in a file."""

    package: str
    """`countersign.rules.export`."""
    name: str
    file: PurePosixPath
    row: int
    code: str = ""
    """Of a contribution whose code is written out; empty otherwise."""
    message: str = ""
    terms: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Rows of the keys of its head, by key; of several the first."""
    paths: tuple[tuple[tuple[str, ...], frozenset[str]], ...] = ()
    """Paths into the input that it compares with texts written out, and those texts."""

    conditions: tuple[tuple[int, str], ...] = ()
    """Rows and text of the expressions of its body, as they are written."""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.row}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One file of Rego."""

    file: PurePosixPath
    package: str
    rules: tuple[Rule, ...]
    texts: frozenset[str]
    """Every text that is written out in its rules."""
    numbers: frozenset[int]
    paths: Mapping[tuple[str, ...], frozenset[str]]
    """Each path into `input` that it reads, with the texts it compares it with.

    A step that is no constant, such as a loop over a list, is `*`.
    """
    asked: frozenset[str]
    """Texts given to functions, such as `lib.says("destination")`."""
    title: str = ""
    """Of the package, as its METADATA has it."""


def parse(opa: Path, files: Mapping[PurePosixPath, bytes]) -> list[Module]:
    """The Rego among these files. Raises `ConfigurationError` in OPA's words."""
    sources = [(file, files[file]) for file in sorted(files) if file.suffix == ".rego"]
    with concurrent.futures.ThreadPoolExecutor(_PARSERS) as pool:
        return list(pool.map(lambda each: _parsed(opa.absolute(), *each), sources))


@functools.lru_cache(maxsize=512)
def _parsed(opa: Path, file: PurePosixPath, content: bytes) -> Module:
    try:
        with tempfile.TemporaryDirectory(prefix="countersign-parse-") as scratch:
            path = Path(scratch, "policy.rego")
            path.write_bytes(content)
            arguments = ["--format", "json", "--json-include", "locations"]
            told = run_opa(opa, ["parse", *arguments, path.name], cwd=Path(scratch))
    except CommandError as error:
        raise ConfigurationError(
            "policy.not_compiled",
            f"{file} cannot be parsed: {error.message}",
            advice="Correct the policy, then try again.",
        ) from error
    return module(file, json.loads(told))


# --- the syntax tree ---------------------------------------------------------


def module(file: PurePosixPath, tree: Mapping[str, Any]) -> Module:
    """What one syntax tree of `opa parse` says."""
    package = ".".join(step["value"] for step in tree["package"]["path"][1:])
    rules = tree.get("rules") or []
    paths: dict[tuple[str, ...], set[str]] = {}
    for expression in _expressions(rules):
        beside = set(_texts(expression))
        for path in _inputs(expression):
            paths.setdefault(path, set()).update(beside - set(path))
    return Module(
        file=file,
        package=package,
        rules=tuple(_rule(file, package, rule) for rule in rules),
        texts=frozenset(_texts(rules)),
        numbers=frozenset(_numbers(rules)),
        paths={path: frozenset(texts) for path, texts in paths.items()},
        asked=frozenset(_asked(rules)),
        title=_title(tree.get("annotations") or []),
    )


def _rule(file: PurePosixPath, package: str, rule: Mapping[str, Any]) -> Rule:
    head = rule["head"]
    name = head.get("name") or ".".join(str(step["value"]) for step in head.get("ref", []))
    item = head.get("key") if "key" in head else head.get("value")
    pairs = _pairs(item)
    compared: dict[tuple[str, ...], set[str]] = {}
    for expression in rule.get("body", []):
        for path in _inputs(expression):
            compared.setdefault(path, set()).update(set(_texts(expression)) - set(path))
    return Rule(
        package=package,
        name=name,
        file=file,
        row=head["location"]["row"],
        code=_text(pairs.get("code")),
        message=_text(pairs.get("message")),
        terms=_rows(item),
        paths=tuple((path, frozenset(texts)) for path, texts in sorted(compared.items())),
        conditions=tuple(
            (each["location"]["row"], _written(each["location"]))
            for each in rule.get("body", [])
            if not each.get("generated")
        ),
    )


def _written(location: Mapping[str, Any]) -> str:
    text = base64.b64decode(location.get("text", "")).decode("utf-8", "replace")
    return " ".join(text.split())


def _title(annotations: Sequence[Mapping[str, Any]]) -> str:
    found = (each for each in annotations if each.get("scope") in {"package", "subpackages"})
    return next((str(each["title"]) for each in found if each.get("title")), "")


def _pairs(term: Any) -> dict[str, Any]:
    """The pairs of an object that is written out."""
    if not isinstance(term, dict) or term.get("type") != "object":
        return {}
    return {_text(key): value for key, value in term["value"]}


def _text(term: Any) -> str:
    is_text = isinstance(term, dict) and term.get("type") == "string"
    return str(term["value"]) if is_text else ""


def _rows(term: Any) -> dict[str, int]:
    rows: dict[str, int] = {}
    for node in _nodes(term):
        for key, value in node["value"] if node.get("type") == "object" else ():
            rows.setdefault(_text(key), value["location"]["row"])
    return rows


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a tree but what tells locations, outermost first."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += reversed(node)
        elif isinstance(node, dict):
            yield node
            todo += reversed([value for key, value in node.items() if key != "location"])


def _expressions(tree: Any) -> Iterator[dict[str, Any]]:
    return (node for node in _nodes(tree) if "terms" in node)


def _texts(tree: Any) -> Iterator[str]:
    """Texts that are values: the steps of a reference are names."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict) and node.get("type") == "string":
            yield node["value"]
        elif isinstance(node, dict) and node.get("type") != "ref":
            todo += [value for key, value in node.items() if key not in {"location", "ref"}]


def _numbers(tree: Any) -> Iterator[int]:
    for node in _nodes(tree):
        value = node.get("value")
        if node.get("type") == "number" and isinstance(value, int):
            yield value


def _inputs(tree: Any) -> Iterator[tuple[str, ...]]:
    """Paths into the input that a tree reads."""
    for node in _nodes(tree):
        steps = node.get("value")
        if node.get("type") == "ref" and isinstance(steps, list) and steps:
            head, *rest = steps
            path = tuple(_text(step) or "*" for step in rest)
            # An operand of a function may be the input: `about(request)`.
            if head.get("value") == "input" or path[:1] in _PARTS:
                yield path


def _asked(tree: Any) -> Iterator[str]:
    """Texts among the operands of calls."""
    for node in _nodes(tree):
        terms = node.get("terms") if "terms" in node else node.get("value")
        is_call = node.get("type") == "call" or ("terms" in node and isinstance(terms, list))
        if is_call and isinstance(terms, list):
            yield from filter(None, map(_text, terms[1:]))
