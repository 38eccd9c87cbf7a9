"""Tokens, the names of proofs, and the private files a client keeps a token in.

A token is `csc_` (a caller), `csp_` (a person) or `csh_` (a channel) and 256
random bits as 43 base64url characters, so that a secret scanner knows one on
sight. It carries no checksum: length and alphabet already catch a truncated
paste, and any other typing error is simply nobody's token. The server keeps SHA-256 of the whole
token, prefix included, so a caller's token can never be passed off as a
person's; a hash of 256 random bits needs neither salt nor stretching, and
looking it up in a table tells an attacker's stopwatch nothing about a token.

A client's token is in its credential file. One that expires, as a JWT of an
issuer does, is in a token file of its own, which whoever fetches it keeps fresh.

A proof is the name of one way in, by which the store remembers since when it is
whose and when it was last used: `<kind>:<64 hex digits>`, the same for ever, and
nobody's address can be read off it.

Invariant 7 begins here: machine and human credentials differ in kind. Standard
library only, because the client imports this. Used by the client, the edge, the
directory, the registry and the command line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import hashlib
import json
import os
import re
import secrets
import stat
import tomllib
from pathlib import Path
from typing import Any, Final

from countersign.errors import ConfigurationError

_TOKEN_BYTES: Final = 32
# 43 characters hold 258 bits: the last one has two spare bits, always zero.
_TOKEN: Final = re.compile(r"(cs[cph])_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_ENDPOINT: Final = re.compile(r"unix:[^\s]+|([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_LINE: Final = re.compile(r"[!-~]+")
# Three parts of base64url, the first of which begins as every JSON object does.
_JWT: Final = re.compile(r"e[wy][A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FILE_KEYS: Final = ("token_file", "ca_file", "cert_file", "key_file")
_KEYS: Final = frozenset({"endpoint", "token", *_FILE_KEYS})
MAX_FILE_BYTES: Final = 65_536
MAX_TOKEN_FILE_BYTES: Final = 8_192
"""What a server reads of a bearer token; it takes a few bytes less."""


class SubjectKind(enum.StrEnum):
    """What a credential speaks for."""

    CALLER = "caller"
    PERSON = "person"
    CHANNEL = "channel"


_PREFIXES: Final = {
    SubjectKind.CALLER: "csc",
    SubjectKind.PERSON: "csp",
    SubjectKind.CHANNEL: "csh",
}
_KINDS: Final = {prefix: kind for kind, prefix in _PREFIXES.items()}


def new_token(kind: SubjectKind) -> str:
    """A fresh token of 256 random bits. Show it once; keep only its hash."""
    return f"{_PREFIXES[kind]}_{secrets.token_urlsafe(_TOKEN_BYTES)}"


def token_kind(token: str) -> SubjectKind | None:
    """Whose kind of token this is; None when it is not a token at all."""
    match = _TOKEN.fullmatch(token)
    return _KINDS[match[1]] if match else None


def token_hash(token: str) -> str:
    """SHA-256 of the whole token, as 64 lower-case hex digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def proof_of_token(sha256_hex: str) -> str:
    """The proof that a token is, by its hash: that names it, and tells nothing of it."""
    return f"token:{sha256_hex}"


def proof_of_mtls(subject: str) -> str:
    """The proof that a certificate with this subject alternative name is."""
    return f"mtls:{_digest('mtls', subject)}"


def proof_of_account(issuer: str, subject: str) -> str:
    """The proof that an account is, whether by a JWT or as a channel asserts it."""
    return f"account:{_digest('account', issuer, subject)}"


def _digest(*parts: str) -> str:
    """A list in JSON, so that no two lists of parts read the same."""
    data = json.dumps(["countersign/proof/v1", *parts]).encode("ascii")
    return hashlib.sha256(data).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Where the server is and how to prove who is calling.

    `token` or `token_file`, or `cert_file` with `key_file` for mutual TLS, or
    both. Raises `ConfigurationError` when they do not fit together.
    """

    endpoint: str
    """`host:port`, or `unix:PATH`."""
    token: str | None = dataclasses.field(default=None, repr=False)
    token_file: Path | None = None
    """Where somebody else keeps a token fresh; looked at with each call."""
    ca_file: Path | None = None
    """Certificates that the server's is checked against; None: the system's."""
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        if not _ENDPOINT.fullmatch(self.endpoint):
            raise _wrong("endpoint", 'must be "host:port" or "unix:PATH", without a scheme')
        if self.token is not None and self.token_file is not None:
            raise _wrong("token, token_file", "exclude each other; give one of them")
        if self.token is not None and token_kind(self.token) is None:
            raise _not_a_token(self.token)
        if (self.cert_file is None) != (self.key_file is None):
            raise _wrong("cert_file, key_file", "belong together; give both or neither")
        if self.token is None and self.token_file is None and self.cert_file is None:
            raise _wrong("token", "is missing; give token, token_file, or cert_file and key_file")


def read_credential(path: Path) -> Credential:
    """Read a credential file. Relative file names in it start at its directory.

    Raises `ConfigurationError` when the file is missing, malformed, or open to
    anybody but its owner. Where files have no such modes (Windows) that check
    is left to the operating system.
    """
    data = read_private(
        path,
        if_exposed="replace its token",
        if_unreadable="Name an existing credential file that belongs to this user.",
    )
    try:
        return _credential(_table(data), path.parent)
    except ConfigurationError as error:
        raise ConfigurationError(
            error.code, f"{path}: {error.message}", advice=error.advice
        ) from None


def read_private(path: Path, *, if_exposed: str, if_unreadable: str) -> bytes:
    """The start of a file that nobody but its owner may read or write.

    `MAX_FILE_BYTES`, and one byte more when it is longer than they may be.
    `if_exposed` completes "If others may have read it, …". Raises
    `ConfigurationError`. Windows: see `read_credential`.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise ConfigurationError(
                    "credential.exposed",
                    f"{path} can be used by others than its owner (mode {mode:04o})",
                    advice=f"Run: chmod 600 {path}. If others may have read it, {if_exposed}.",
                )
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            "credential.unreadable",
            f"{path} cannot be read: {error.strerror}",
            advice=if_unreadable,
        ) from error


def read_token_file(path: Path) -> tuple[str, os.stat_result]:
    """The token in a token file, and what file it was read from.

    Raises `ConfigurationError`, which never shows what is in it, when it is
    missing, no token, or in the wrong hands. Its owner must be this user or root
    (or it could be anybody's token), and nobody else may write to it. Only they
    may read it, and the group of a file of root's, since that is how Kubernetes
    gives a pod its token. On Windows these are left to the operating system.
    """
    token, seen = _read_trusted("token_file", path)
    if token_kind(token) is None and not _JWT.fullmatch(token):
        problem = "does not hold one whole token" if token else "is empty"
        raise _bad_token_file(path, problem)
    return token, seen


def read_secret(setting: str, path: Path) -> str:
    """One line of printable ASCII from a file in the right hands, as a token file must be.

    `setting` names it in errors. Raises `ConfigurationError`.
    """
    secret, _ = _read_trusted(setting, path)
    if not _LINE.fullmatch(secret):
        raise ConfigurationError(
            "credential.malformed",
            f"{setting} {path} is not one line of printable ASCII without spaces",
            advice="It holds the secret and at most a newline.",
        )
    return secret


def _read_trusted(name: str, path: Path) -> tuple[str, os.stat_result]:
    try:
        # A pipe would make each call wait for whoever writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            seen = os.fstat(descriptor)
            if not stat.S_ISREG(seen.st_mode):
                raise _bad_token_file(path, "is not a regular file", name)
            _require_trusted(name, path, seen)
            data = file.read(MAX_TOKEN_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            "credential.unreadable",
            f"{name} {path} cannot be read: {error.strerror}",
            advice="See that whoever keeps it fresh runs, and that this user may read it.",
        ) from error
    if len(data) > MAX_TOKEN_FILE_BYTES:
        raise _bad_token_file(path, f"is longer than {MAX_TOKEN_FILE_BYTES} bytes", name)
    return data.decode("latin-1").removesuffix("\n").removesuffix("\r"), seen


def _require_trusted(name: str, path: Path, seen: os.stat_result) -> None:
    if os.name != "posix":
        return
    if seen.st_uid not in (0, os.geteuid()):
        raise ConfigurationError(
            "credential.exposed",
            f"{name} {path} belongs to neither this user nor root",
            advice="Have it written by this user, or by root for this user's group.",
        )
    mode = stat.S_IMODE(seen.st_mode)
    if mode & (0o037 if seen.st_uid == 0 else 0o077):
        raise ConfigurationError(
            "credential.exposed",
            f"{name} {path} can be used by others than its owner (mode {mode:04o})",
            advice="Have it written with mode 0600; in Kubernetes, set runAsUser or fsGroup in "
            "the pod's securityContext.",
        )


def write_credential(path: Path, credential: Credential) -> None:
    """Create a credential file that only its owner can read.

    Raises `ConfigurationError` when anything is already there: a credential
    is never overwritten by accident.
    """
    data = _document(credential).encode("utf-8")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(
            "credential.exists",
            f"{path} is already there",
            advice="Choose another name, or remove the old credential yourself first.",
        ) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise _unwritable(path, error) from error


def toml_string(text: str) -> str:
    """A TOML basic string: JSON's, which alone leaves DEL unescaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_problem(error: ValueError | RecursionError) -> str:
    """Why text is not TOML, by its place alone: the text may hold a secret."""
    place = re.search(r"\(at [a-z0-9, ]+\)$", str(error))
    return f"is not TOML {place[0]}" if place else "is not TOML in UTF-8"


def _table(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_FILE_BYTES:
        raise _wrong("the file", f"is longer than {MAX_FILE_BYTES} bytes; is it the right one?")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _wrong("the file", toml_problem(error)) from None


def _credential(table: dict[str, Any], directory: Path) -> Credential:
    if not table.keys() <= _KEYS:
        raise _wrong("the file", f"has an unknown key; known are {', '.join(sorted(_KEYS))}")
    for key, value in table.items():
        if not isinstance(value, str) or not value:
            raise _wrong(key, "must be a string that is not empty")
    if "endpoint" not in table:
        raise _wrong("endpoint", 'is missing; add endpoint = "host:port"')
    files = {key: directory / table[key] for key in _FILE_KEYS if key in table}
    return Credential(endpoint=table["endpoint"], token=table.get("token"), **files)


def _document(credential: Credential) -> str:
    """The file's text. File names become absolute: the reader starts elsewhere."""
    entries = {"endpoint": credential.endpoint, "token": credential.token}
    for key in _FILE_KEYS:
        file: Path | None = getattr(credential, key)
        entries[key] = None if file is None else str(file.absolute())
    lines = [f"{key} = {toml_string(text)}\n" for key, text in entries.items() if text is not None]
    return "# Countersign credential: whoever can read this file can act with it.\n" + "".join(
        lines
    )


def _not_a_token(token: str) -> ConfigurationError:
    if _JWT.fullmatch(token):
        return _wrong(
            "token",
            "is a JWT, which expires; let whoever fetches it keep it in a file, "
            "and name that file as token_file",
        )
    return _wrong("token", "is not a whole token; copy it again from where it was issued")


def _bad_token_file(path: Path, problem: str, name: str = "token_file") -> ConfigurationError:
    return ConfigurationError(
        "credential.malformed",
        f"{name} {path} {problem}",
        advice="It holds one token (a signed JWT, or one of Countersign's) and at most a newline. "
        "Write it to another file and rename that.",
    )


def _wrong(field: str, problem: str) -> ConfigurationError:
    return ConfigurationError("credential.malformed", f"{field} {problem}")


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "credential.unwritable",
        f"{path} cannot be written: {error.strerror}",
        advice="Name a file in an existing directory that this user may write to.",
    )
