"""What a setting of `[keys]` names, and how it is opened."""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from countersign.errors import ConfigurationError
from countersign.keys.external import ExternalKey
from countersign.keys.files import decode_key, read_key
from countersign.signing import SigningError, SigningKey

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)


class Kind(enum.Enum):
    """Where a key is."""

    FILE = ""
    ENVIRONMENT = "env"
    SIGNER = "unix"
    KMS = "aws-kms"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One key, as the settings name it."""

    kind: Kind
    place: str
    """A path, a variable, a socket's path or a key id."""
    name: str = ""
    """Of the key, at a signer."""

    @classmethod
    def parse(cls, setting: str, text: str) -> Self:
        """Read `PATH`, `env:NAME`, `unix:PATH#NAME` or `aws-kms:KEY`. `ConfigurationError`."""
        scheme, colon, rest = text.partition(":")
        kind = next((each for each in Kind if each.value and each.value == scheme), Kind.FILE)
        if not colon or kind is Kind.FILE:
            return cls(kind=Kind.FILE, place=text)
        if kind is not Kind.SIGNER:
            if not rest or (kind is Kind.ENVIRONMENT and not _VARIABLE.fullmatch(rest)):
                raise _bad(setting)
            return cls(kind=kind, place=rest)
        path, _, name = rest.rpartition("#")
        if not path or not _NAME.fullmatch(name):
            raise _bad(setting)
        return cls(kind=kind, place=path, name=name)

    def __str__(self) -> str:
        name = f"#{self.name}" if self.name else ""
        return f"{self.kind.value}:{self.place}{name}" if self.kind.value else self.place


def open_key(
    setting: str,
    source: Source,
    *,
    path: Callable[[str], Path],
    variables: Mapping[str, str],
    deadline_s: float,
) -> SigningKey:
    """The key that a setting names. Blocks. Raises `ConfigurationError`.

    `path` makes a path of the settings absolute; `variables` are those that the settings
    name, already taken out of the environment.
    """
    try:
        match source.kind:
            case Kind.FILE:
                return read_key(setting, path(source.place))
            case Kind.ENVIRONMENT:
                return _of_variable(setting, source.place, variables)
            case Kind.SIGNER:
                socket = path(source.place)
                return ExternalKey(setting, socket, source.name, deadline_s=deadline_s)
            case Kind.KMS:
                return _of_kms(setting, source.place, deadline_s)
    except SigningError as error:
        raise ConfigurationError(error.code, error.message, advice=error.advice) from None


def _of_variable(setting: str, name: str, variables: Mapping[str, str]) -> SigningKey:
    if not variables.get(name):
        raise ConfigurationError(
            "keys.unreadable",
            f"{setting}: the environment has no {name}",
            advice="Set it for the service alone, to a PEM key or the base64 of its PKCS #8.",
        )
    return decode_key(setting, variables[name])


def _of_kms(setting: str, key_id: str, deadline_s: float) -> SigningKey:
    if importlib.util.find_spec("boto3") is None:
        raise ConfigurationError(
            "keys.not_installed",
            f"{setting}: AWS KMS needs boto3, which is not installed",
            advice="Install it with: pip install 'countersign[s3]'",
        )
    from countersign.keys.kms import KmsKey  # noqa: PLC0415 - an extra

    return KmsKey(setting, key_id, deadline_s=deadline_s)


def _bad(setting: str) -> ConfigurationError:
    return ConfigurationError(
        "keys.source_invalid",
        f"{setting}: it is not a path, env:NAME, unix:PATH#NAME or aws-kms:KEY",
        advice="docs/reference/signers.md explains each.",
    )
