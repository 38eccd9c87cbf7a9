"""What an auditor trusts, in one file: which logs, under which keys, seen by whom.

Pure. The file is the root of everything an auditor concludes, so its keys are
compared once by a way of their own, and the file is kept where whoever could
change a log cannot change it. TOML, so that people can read and comment it:

    format = "countersign/trust/v1"

    [[logs]]
    origin = "log.example/acme"
    key = "log.example/acme+<key id>+<base64>"      C2SP verifier key
    retired = []                                    {key = "…", until = 4711}: keys before it, the
                                                    oldest first, and the last size each signed
    witnesses = []                                  C2SP witness keys, all of them required
    receipts = ""                                   C2SP key of its receipts, if wanted
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
from countersign.audit.logkeys import LogKeys, Retired
from countersign.audit.note import MAX_LOG_SIZE, Verifier
from countersign.audit.receipt import key_name
from countersign.errors import ConfigurationError, LogError

FORMAT: Final = "countersign/trust/v1"
MAX_BYTES: Final = 1_048_576
_KEYS: Final = frozenset({"origin", "key", "receipts", "retired", "witnesses", "places"})
_HEAD: Final = """\
# What this auditor trusts. Compare each key with its owner, by a way of its own,
# and keep this file where whoever could change the log cannot change it.
"""
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrustedLog:
    """One log and the key that signs its checkpoints."""

    verifier: Verifier
    retired: tuple[Retired, ...] = ()
    """Keys before it, the oldest first."""
    witnesses: tuple[WitnessKey, ...] = ()
    """All of them must have cosigned what is believed."""
    places: tuple[str, ...] = ()
    receipts: Verifier | None = None
    """Signs promises that a record will be in the log."""

    @property
    def origin(self) -> str:
        """The log's name: that of its key."""
        return self.verifier.name

    @property
    def keys(self) -> LogKeys:
        """All keys the log ever had. Raises `LogError` when they cannot be one log's."""
        return LogKeys(current=self.verifier, retired=self.retired)


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
    receipts = f"receipts = {_text(str(log.receipts))}\n" if log.receipts is not None else ""
    return (
        f"\n[[logs]]\norigin = {_text(log.origin)}\nkey = {_text(str(log.verifier))}\n"
        f"retired = {_retired(log)}\n{receipts}"
        f"witnesses = {_list(tuple(map(str, log.witnesses)))}\nplaces = {_list(log.places)}\n"
    )


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _retired(log: TrustedLog) -> str:
    items = (f"{{key = {_text(str(e.verifier))}, until = {e.until}}}" for e in log.retired)
    return f"[{', '.join(items)}]"


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
    receipts = body.get("receipts", "")
    if not isinstance(receipts, str):
        raise _bad(f"{field}.receipts", "must be a verifier key")
    promised = _key(f"{field}.receipts", Verifier.parse, receipts) if receipts else None
    if promised is not None and promised.name != key_name(verifier.name):
        raise _bad(f"{field}.receipts", "is not the key of this log's receipts")
    witnesses = _strings(f"{field}.witnesses", body.get("witnesses", []))
    log = TrustedLog(
        verifier=verifier,
        retired=_read_retired(f"{field}.retired", body.get("retired", [])),
        witnesses=tuple(
            _key(f"{field}.witnesses[{index}]", WitnessKey.parse, item)
            for index, item in enumerate(witnesses)
        ),
        receipts=promised,
        places=tuple(_strings(f"{field}.places", body.get("places", []))),
    )
    try:
        _ = log.keys
    except LogError as error:
        raise _bad(f"{field}.retired", error.message) from None
    return log


def _read_retired(field: str, body: Any) -> tuple[Retired, ...]:
    if not isinstance(body, list):
        raise _bad(field, "must be a list of {key, until}")
    found = []
    for index, item in enumerate(body):
        if not isinstance(item, dict) or set(item) != {"key", "until"}:
            raise _bad(f"{field}[{index}]", "must be {key, until}")
        until = item["until"]
        if type(until) is not int or not 0 <= until <= MAX_LOG_SIZE:
            raise _bad(f"{field}[{index}].until", "must be the size of a checkpoint")
        if not isinstance(item["key"], str):
            raise _bad(f"{field}[{index}].key", "must be a verifier key")
        verifier = _key(f"{field}[{index}].key", Verifier.parse, item["key"])
        found.append(Retired(verifier=verifier, until=until))
    return tuple(found)


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
