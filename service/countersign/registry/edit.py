"""Changes of the registers that are safe to make at any time, by anybody.

Invariants kept: every edit holds the registers against other editors, reads
them, changes one table, and replaces that one file only after all registers
together made a valid directory and the `judge` let it through; until then, and
whatever fails, nothing has changed. Whoever edits by hand holds nothing: so the
registers are read again last of all, and the edit starts over when they differ.
Tokens are made here and kept nowhere: the registers get their hashes. Whoever was
shown a token, or added an account, stands beside it (`shown_to`), because they could
be the one who uses it.

Used by the command line on the host, and by the edge for operators.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from countersign.credentials import SubjectKind, new_token, proof_of_account, token_hash
from countersign.directory import Directory
from countersign.errors import ConfigurationError
from countersign.model import Caller, Person, PersonId
from countersign.registry import tables
from countersign.registry.files import DEFAULT_TENANT, Source, parse
from countersign.registry.replace import held, replace
from countersign.registry.subjects import Subject, Who, kind_of, registered
from countersign.registry.tables import Values

Judge: TypeAlias = Callable[[Directory, Directory], None]
"""Raises unless the directory may change from the first to the second."""
_Change: TypeAlias = Callable[[str], str]
MAX_TOKENS: Final = 4
"""Of one subject at once: rotation needs two."""
TOKEN_NAME_CHARS: Final = 12
"""How much of a token's hash names it. A prefix proves nothing."""
MAX_TRIES: Final = 5
"""Of one edit, while the registers are being changed by hand."""
_WRITING_S: Final = 0.05
"""Whoever writes a file in place is done with it after so long."""
_NAMES: Final = {
    SubjectKind.CALLER: "callers",
    SubjectKind.PERSON: "people",
    SubjectKind.CHANNEL: "channels",
}


def _anything(_old: Directory, _new: Directory) -> None:
    """Whoever may write the files may change everything in them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """The files that say who may ask and who may decide. `channels` may be missing."""

    callers: Path
    people: Path
    channels: Path
    wait_s: float = 10.0
    """How long another editor is waited for."""

    def load(self) -> Directory:
        """What they say now. Raises `ConfigurationError` unless all of it is right."""
        return _parse(self._sources())

    def add(self, subject: Subject) -> str:
        """Register a new subject and return its token, which is kept nowhere.

        Raises `ConfigurationError`, and changes nothing, unless the result loads.
        """
        token, entries = _first_token(subject, None)
        name = _NAMES[kind_of(subject)]
        self._edit(kind_of(subject), lambda text: tables.appended(text, name, entries), None)
        return token

    def put(
        self, subject: Subject, *, maker: PersonId | None = None, judge: Judge = _anything
    ) -> str | None:
        """Register a subject; or replace what is registered of it but its credentials.

        Returns the token of a new one. `maker` gets to see it, and answers for new accounts.
        """
        who, name = Who.of(subject), _NAMES[kind_of(subject)]
        token, entries = _first_token(subject, maker)
        new = False

        def change(text: str) -> str:
            nonlocal new
            index = _index(text, who)
            new = index is None
            if index is None:
                return tables.appended(text, name, entries)
            table = tables.tables(text, name)[index]
            values = _with_makers(table, registered(subject), maker)
            return tables.changed(text, name, index, values)

        self._edit(who.kind, change, judge)
        return token if new else None

    def remove(self, who: Who, *, judge: Judge = _anything) -> None:
        """Take a subject out; its credentials stop working."""
        self._edit(
            who.kind,
            lambda text: tables.removed(text, _NAMES[who.kind], _found(text, who)),
            judge,
        )

    def rotate(self, who: Who, *, maker: PersonId | None = None, judge: Judge = _anything) -> str:
        """Make a new token beside the old ones and return it for `maker`; it is kept nowhere."""
        token = new_token(who.kind)

        def change(text: str) -> str:
            index, table = _table(text, who)
            hashes = _hashes(table)
            if len(hashes) >= MAX_TOKENS:
                raise ConfigurationError(
                    "directory.too_many_tokens",
                    f"{who}: it has {len(hashes)} tokens, and {MAX_TOKENS} are the most",
                    advice=f"Take old ones away first: countersign {who.kind} revoke {who.id}",
                )
            values: Values = {"token_sha256": (*hashes, token_hash(token))}
            values = _with_makers(table, values, maker)
            return tables.changed(text, _NAMES[who.kind], index, values)

        self._edit(who.kind, change, judge)
        return token

    def revoke(
        self, who: Who, name: str = "", *, every: bool = False, judge: Judge = _anything
    ) -> tuple[str, ...]:
        """Take tokens away, and return the names of those that no longer work.

        The one called `name`; without a name all but the newest; or `every` one.
        """
        gone: tuple[str, ...] = ()

        def change(text: str) -> str:
            nonlocal gone
            index, table = _table(text, who)
            hashes = _hashes(table)
            if name:
                left = tuple(sha256 for sha256 in hashes if token_name(sha256) != name)
                if left == hashes:
                    raise _no_such_token(who)
            else:
                left = () if every else hashes[-1:]
            if not left and hashes and not _does_without(who.kind, table):
                raise _last_credential(who)
            gone = tuple(token_name(sha256) for sha256 in hashes if sha256 not in left)
            values = _with_makers(table, {"token_sha256": left}, None)
            return tables.changed(text, _NAMES[who.kind], index, values)

        self._edit(who.kind, change, judge)
        return gone

    # --- one edit ---

    def _edit(self, kind: SubjectKind, change: _Change, judge: Judge | None) -> None:
        """Hold, read, change, parse everything together, judge, and only then replace.

        Without a judge what is there may be wrong, if it is right afterwards.
        """
        with held(self._paths().values(), wait_s=self.wait_s):
            for number in range(MAX_TRIES):
                if number:
                    time.sleep(_WRITING_S)
                if self._edited(kind, change, judge):
                    return
        raise ConfigurationError(
            "directory.held",
            "the registers are being changed by hand all the time",
            advice="Nothing was changed; try again in a moment.",
        )

    def _edited(self, kind: SubjectKind, change: _Change, judge: Judge | None) -> bool:
        """One try; whether the registers stayed as they were until it was done."""
        sources = self._sources()
        before = None if judge is None else _parse(sources)
        old = sources[kind]
        new = Source(path=old.path, data=_changed(old, change))
        after = _parse({**sources, kind: new})
        if judge is not None and before is not None:
            judge(before, after)
        if new.data == old.data:
            return True
        return replace(new.path, new.data, unless=lambda: self._sources() != sources)

    def _sources(self) -> dict[SubjectKind, Source]:
        return {which: _read_if_there(path) for which, path in self._paths().items()}

    def _paths(self) -> dict[SubjectKind, Path]:
        return {
            SubjectKind.CALLER: self.callers,
            SubjectKind.PERSON: self.people,
            SubjectKind.CHANNEL: self.channels,
        }


def add_caller(callers_path: Path, people_path: Path, caller: Caller) -> str:
    """Register a caller where the channels are beside the people; see `Registers.add`."""
    return _beside(callers_path, people_path).add(caller)


def add_person(callers_path: Path, people_path: Path, person: Person) -> str:
    """Register a person where the channels are beside the people; see `Registers.add`."""
    return _beside(callers_path, people_path).add(person)


def _beside(callers: Path, people: Path) -> Registers:
    return Registers(callers=callers, people=people, channels=people.with_name("channels.toml"))


def token_name(sha256_hex: str) -> str:
    """How a token is called where it may be seen; an account likewise, by its proof."""
    return sha256_hex[:TOKEN_NAME_CHARS]


# --- tables and values ---


def _first_token(subject: Subject, maker: PersonId | None) -> tuple[str, Values]:
    """A token for a new subject, and the table that registers both."""
    token = new_token(kind_of(subject))
    values: Values = {
        "id": subject.id,
        "tenant": subject.tenant,
        **registered(subject),
        "token_sha256": (token_hash(token),),
    }
    return token, _with_makers({}, values, maker)


def _with_makers(table: Mapping[str, Any], values: Values, maker: PersonId | None) -> Values:
    """New values of a table, with who made which of the ways in that it has then."""
    known, before = table.get("shown_to", {}), set(_ways_in(table))
    makers: dict[str, str] = {}
    for name in _ways_in({**table, **values}):
        by = known.get(name) or known.get(token_name(name)) if name in before else maker
        if by is not None:
            makers[name] = by
    return {**values, "shown_to": makers}


def _ways_in(table: Mapping[str, Any]) -> Iterator[str]:
    """The digests of a subject's tokens, and of the accounts that prove a person."""
    yield from table.get("token_sha256", ())
    for account in table.get("accounts", ()):
        yield proof_of_account(account["issuer"], account["subject"]).partition(":")[2]


def _hashes(table: dict[str, Any]) -> tuple[str, ...]:
    return tuple(table.get("token_sha256", ()))


def _does_without(kind: SubjectKind, table: dict[str, Any]) -> bool:
    """Whether a subject needs no token: people have accounts, or act no more."""
    return kind is SubjectKind.PERSON or bool(table.get("mtls_subject") or table.get("jwt"))


def _index(text: str, who: Who) -> int | None:
    """Which table is about a subject."""
    for index, table in enumerate(tables.tables(text, _NAMES[who.kind])):
        if (table.get("id"), table.get("tenant", DEFAULT_TENANT)) == (who.id, who.tenant):
            return index
    return None


def _found(text: str, who: Who) -> int:
    index = _index(text, who)
    if index is None:
        raise ConfigurationError(
            "directory.not_registered",
            f"no such {who.kind} is registered in its tenant",
            advice=f"See who is: countersign {who.kind} list",
        )
    return index


def _table(text: str, who: Who) -> tuple[int, dict[str, Any]]:
    index = _found(text, who)
    return index, tables.tables(text, _NAMES[who.kind])[index]


def _changed(old: Source, change: _Change) -> bytes:
    """A file's new content. What is wrong with its text is told with its path."""
    try:
        text = old.data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(
            "directory.invalid_file",
            f"{old.path} is not TOML in UTF-8",
            advice="Save it as UTF-8.",
        ) from None
    try:
        return change(text).encode("utf-8", "surrogatepass")  # parsing refuses those
    except ConfigurationError as error:
        if error.code not in ("directory.invalid_file", "directory.unspliceable"):
            raise
        message = f"{old.path}: {error.message}"
        raise ConfigurationError(error.code, message, advice=error.advice) from None


def _parse(sources: Mapping[SubjectKind, Source]) -> Directory:
    return parse(
        sources[SubjectKind.CALLER], sources[SubjectKind.PERSON], sources[SubjectKind.CHANNEL]
    )


def _read_if_there(path: Path) -> Source:
    return Source.read(path) if path.exists() else Source(path=path, data=b"")


def _no_such_token(who: Who) -> ConfigurationError:
    return ConfigurationError(
        "directory.unknown_token",
        f"{who}: it has no token of this name",
        advice=f"See the names of its tokens: countersign {who.kind} show {who.id}",
    )


def _last_credential(who: Who) -> ConfigurationError:
    return ConfigurationError(
        "directory.last_credential",
        f"{who}: this would take away its last credential",
        advice=f"Make another first (countersign {who.kind} rotate {who.id}), "
        f"or end it: countersign {who.kind} remove {who.id}",
    )
