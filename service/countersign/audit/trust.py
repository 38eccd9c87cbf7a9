"""What an auditor trusts, in one file: which logs, under which keys, seen by whom.

Pure. The file is the root of everything an auditor concludes, so its keys are
compared once by a way of their own, and the file is kept where whoever could
change a log cannot change it. TOML, so that people can read and comment it:

    format = "countersign/trust/v1"

    [[logs]]
    origin = "log.example/acme"
    key = "log.example/acme+<key id>+<base64>"      C2SP verifier key
    witnesses = []                                  C2SP witness keys, all of them required
    places = []                                     where copies are, for people to read

Unknown keys are refused: a misspelt `witnesses` must not mean that none is needed.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeVar

from countersign.audit.cosignature import WitnessKey
from countersign.audit.note import Verifier
from countersign.errors import ConfigurationError, LogError

FORMAT: Final = "countersign/trust/v1"
MAX_BYTES: Final = 1_048_576
_KEYS: Final = frozenset({"origin", "key", "witnesses", "places"})
_HEAD: Final = """\
# What this auditor trusts. Compare each key with its owner, by a way of its own,
# and keep this file where whoever could change the log cannot change it.
"""
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrustedLog:
    """One log and the key that signs its checkpoints."""

    verifier: Verifier
    witnesses: tuple[WitnessKey, ...] = ()
    """All of them must have cosigned what is believed."""
    places: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The log's name: that of its key."""
        return self.verifier.name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """All logs of a trust file."""

    logs: tuple[TrustedLog, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a trust file. Raises `ConfigurationError`, which names the key that is wrong."""
        try:
            body = tomllib.loads(data[: MAX_BYTES + 1].decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
            raise _bad("", "is not TOML") from None
        if body.get("format") != FORMAT:
            raise _bad("format", f'must be "{FORMAT}"')
        logs = body.get("logs")
        if not isinstance(logs, list) or not logs:
            raise _bad("logs", "needs at least one [[logs]] table")
        if set(body) - {"format", "logs"}:
            raise _bad("", "has a key that is none of: format, logs")
        parsed = tuple(_log(f"logs[{index}]", item) for index, item in enumerate(logs))
        if len({log.origin for log in parsed}) != len(parsed):
            raise _bad("logs", "names one origin twice")
        return cls(logs=parsed)

    def encode(self) -> str:
        """As a trust file."""
        return "".join((_HEAD, f'format = "{FORMAT}"\n', *map(_encode, self.logs)))

    def find(self, origin: str | None) -> TrustedLog:
        """The log of that name, or the only one there is. Raises `ConfigurationError`."""
        if origin is None and len(self.logs) == 1:
            return self.logs[0]
        for log in self.logs:
            if log.origin == origin:
                return log
        raise ConfigurationError(
            "audit.not_trusted",
            "--trust: the file does not name this log",
            advice="Add the log and its key, from its operator, or give a copy of another log.",
        )


def _encode(log: TrustedLog) -> str:
    return (
        f"\n[[logs]]\norigin = {_text(log.origin)}\nkey = {_text(str(log.verifier))}\n"
        f"witnesses = {_list(tuple(map(str, log.witnesses)))}\nplaces = {_list(log.places)}\n"
    )


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _log(field: str, body: Any) -> TrustedLog:
    if not isinstance(body, dict) or set(body) - _KEYS:
        raise _bad(field, f"has a key that is none of: {', '.join(sorted(_KEYS))}")
    if not isinstance(body.get("key"), str):
        raise _bad(f"{field}.key", "is missing")
    verifier = _key(f"{field}.key", Verifier.parse, body["key"])
    if body.get("origin", verifier.name) != verifier.name:
        raise _bad(f"{field}.origin", "is not the name of the key")
    witnesses = _strings(f"{field}.witnesses", body.get("witnesses", []))
    return TrustedLog(
        verifier=verifier,
        witnesses=tuple(
            _key(f"{field}.witnesses[{index}]", WitnessKey.parse, item)
            for index, item in enumerate(witnesses)
        ),
        places=tuple(_strings(f"{field}.places", body.get("places", []))),
    )


def _key(field: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except LogError as error:
        raise _bad(field, error.message) from None


def _strings(field: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(
        isinstance(item, str) and item.isprintable() for item in value
    ):
        raise _bad(field, "must be a list of printable strings")
    return value


def _bad(field: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        "audit.trust_invalid",
        f"--trust: {field or 'the file'}: {problem}",
        advice="`countersign audit trust` writes such a file; docs/auditing.md shows one.",
    )
