"""The text of a register with one of its tables added, changed or taken out.

Everything the operator wrote stays as it is, comments, order and spelling of
all other tables included, because text is only ever spliced at one table. Each
result is read back and must say exactly what was asked for and nothing else:
where TOML is written in a way that cannot be spliced safely, the edit is
refused and left to the operator's own hand. Pure; used by `edit`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Table

from countersign.credentials import toml_problem, toml_string
from countersign.errors import ConfigurationError

Value: TypeAlias = str | tuple[str, ...] | tuple[Mapping[str, str], ...] | Mapping[str, str]
"""What a key of a register can hold. An empty value is the default: left out."""
Values: TypeAlias = Mapping[str, Value]
_HEADER: Final = re.compile(r"^[ \t]*\[.*", re.MULTILINE)
_BLANK_OR_COMMENT: Final = re.compile(r"[ \t]*(#.*)?")


def tables(text: str, name: str) -> list[dict[str, Any]]:
    """What the `[[name]]` tables of a register say. Raises `ConfigurationError`."""
    found = _loads(text).get(name, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise ConfigurationError(
            "directory.invalid_file",
            f"{name} must be tables, each under its own [[{name}]]",
            advice="Correct the file first.",
        )
    return found


def appended(text: str, name: str, values: Values) -> str:
    """The text with one more table after everything it says now."""
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    lines = [f"{key} = {_written(value)}\n" for key, value in values.items() if value]
    return f"{text}{gap}[[{name}]]\n{''.join(lines)}"


def removed(text: str, name: str, index: int) -> str:
    """The text without one table. Comments around it stay."""
    before, _, after = _around(text, name, index)
    if after[:1] in ("", "\r", "\n"):  # one gap is enough
        before = before.rstrip("\r\n") + "\n"
    wanted = _loads(text)
    del wanted[name][index]
    return _checked((before + after).lstrip("\r\n"), wanted, name)


def changed(text: str, name: str, index: int, values: Values) -> str:
    """The text with other values in one table. Empty values are taken out."""
    before, table, after = _around(text, name, index)
    wanted = _loads(text)
    said = wanted[name][index]
    parts = {key: _plain(value) for key, value in values.items()}
    different = {key for key, value in parts.items() if said.get(key, type(value)()) != value}
    try:
        document = tomlkit.parse(table)
        found = document[name]
        if not isinstance(found, AoT):
            raise _unspliceable(name)
        for key in (key for key in values if key in different):
            if values[key]:
                _put(found[0], key, values[key])
                said[key] = parts[key]
            else:
                found[0].remove(key)
                del said[key]
        spliced = document.as_string()
    except TOMLKitError:
        raise _unspliceable(name) from None
    return _checked(before + spliced + after, wanted, name)


def _put(table: Table, key: str, value: Value) -> None:
    """One value. What a list goes on holding keeps its place, lines and comments."""
    old = table.get(key)
    if isinstance(old, Array) and isinstance(value, tuple):
        wanted = _plain(value)
        for item in old.unwrap():
            if item not in wanted:
                old.remove(item)
        for item in value[len(old) :]:
            old.append(tomlkit.value(_written(item)))
        if old.unwrap() == wanted:
            return
    table[key] = tomlkit.value(_written(value))


def _written(value: Value) -> str:
    """A value in TOML."""
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, Mapping):
        entries = (f"{key} = {toml_string(text)}" for key, text in value.items())
        return f"{{ {', '.join(entries)} }}"
    return f"[{', '.join(map(_written, value))}]"


def _plain(value: Value) -> Any:
    """A value as the TOML reader gives it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _around(text: str, name: str, index: int) -> tuple[str, str, str]:
    """What stands before one table, the table down to its last key, and the rest."""
    own = re.compile(rf"[ \t]*\[\[[ \t]*{name}[ \t]*\]\]")
    below = re.compile(rf"[ \t]*\[\[?[ \t]*{name}[ \t]*\.")
    headers = [match for match in _HEADER.finditer(text) if not below.match(match[0])]
    starts = [number for number, match in enumerate(headers) if own.match(match[0])]
    said = tables(text, name)
    if len(starts) != len(said):
        raise _unspliceable(name)
    number = starts[index]
    start = headers[number].start()
    end = headers[number + 1].start() if number + 1 < len(headers) else len(text)
    lines = text[start:end].splitlines(keepends=True)
    while _BLANK_OR_COMMENT.fullmatch(lines[-1].rstrip("\r\n")):
        end -= len(lines.pop())
    table = "".join(lines)
    if _loads(table, name) != {name: [said[index]]}:
        raise _unspliceable(name)
    if not table.endswith("\n"):
        table += "\n"
    return text[:start], table, text[end:]


def _checked(text: str, wanted: dict[str, Any], name: str) -> str:
    """The new text, once it was read back and says what was wanted."""
    wanted = {key: value for key, value in wanted.items() if value or key != name}
    if _loads(text, name) != wanted:
        raise _unspliceable(name)
    return text


def _loads(text: str, spliced: str = "") -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        if spliced:
            raise _unspliceable(spliced) from None
        raise ConfigurationError(
            "directory.invalid_file",
            f"the file {toml_problem(error)}",
            advice="Correct the syntax there; strings need quotes.",
        ) from None


def _unspliceable(name: str) -> ConfigurationError:
    return ConfigurationError(
        "directory.unspliceable",
        f"a [[{name}]] table is written in a way that cannot be changed without rewriting it",
        advice="Change the file by hand; nothing was changed.",
    )
