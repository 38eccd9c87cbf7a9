"""The files of callers and people, changed safely."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from countersign.credentials import SubjectKind, new_token, token_hash
from countersign.directory import Directory
from countersign.errors import ConfigurationError
from countersign.model import Caller, CallerId, Person, PersonId, TenantId
from countersign.registry import DEFAULT_TENANT, add_caller, add_person, load
from countersign.registry import edit as registry_edit
from countersign.registry.files import Source

CALLER_TOKEN = new_token(SubjectKind.CALLER)
PERSON_TOKEN = new_token(SubjectKind.PERSON)

CALLERS = f"""\
# Agents of the data team.
[[callers]]
id = "export-agent"   # nightly
actors = ["export-bot"]
environments = ["production"]
resources = ["table:*"]
owners = ["alice"]
token_sha256 = ["{token_hash(CALLER_TOKEN)}"]
"""
PEOPLE = f"""\
[[people]]
id = "alice"
name = "Alice Example"
groups = ["data-owners"]
accounts = ["alice@example.com"]
token_sha256 = ["{token_hash(PERSON_TOKEN)}"]

[[people]]
id = "bob"
name = "Bob Example"
"""
AGENT = Caller(
    tenant=DEFAULT_TENANT,
    id=CallerId("fresh-agent"),
    actors=("fresh-bot", "fresh-bot-2"),
    environments=("dev",),
    resources=("table:*", 'key:a"b\\c'),
    owners=(PersonId("bob"),),
    users=(PersonId("alice"),),
    parent=CallerId("export-agent"),
    audience="https://gateway.example",
)
CAROL = Person(
    tenant=DEFAULT_TENANT,
    id=PersonId("carol"),
    name='Carol "Möller" \\ 李',
    groups=frozenset({"security", "data-owners"}),
    accounts=("carol@example.com",),
)


@dataclasses.dataclass(frozen=True)
class Files:
    callers: Path
    people: Path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    found = Files(callers=tmp_path / "callers.toml", people=tmp_path / "people.toml")
    found.callers.write_text(CALLERS, encoding="utf-8")
    found.people.write_text(PEOPLE, encoding="utf-8")
    return found


def test_a_caller_is_appended_and_its_token_works(files: Files) -> None:
    token = add_caller(files.callers, files.people, AGENT)
    text = files.callers.read_text(encoding="utf-8")
    assert text.startswith(CALLERS + "\n[[callers]]\n")
    assert token not in text
    directory = load(files.callers, files.people)
    assert directory.caller_by_token(token_hash(token)) == AGENT
    assert directory.caller_by_token(token_hash(CALLER_TOKEN)) is not None


def test_a_person_is_appended_and_their_token_works(files: Files) -> None:
    token = add_person(files.callers, files.people, CAROL)
    assert files.people.read_text(encoding="utf-8").startswith(PEOPLE + "\n[[people]]\n")
    assert load(files.callers, files.people).person_by_token(token_hash(token)) == CAROL


def test_the_first_ones_make_the_files_and_only_the_owner_can_read_them(tmp_path: Path) -> None:
    fresh = Files(callers=tmp_path / "c.toml", people=tmp_path / "p.toml")
    before = os.umask(0)
    try:
        add_person(fresh.callers, fresh.people, dataclasses.replace(CAROL, id=PersonId("bob")))
        alone = dataclasses.replace(AGENT, users=(), parent=None)
        add_caller(fresh.callers, fresh.people, alone)
    finally:
        os.umask(before)
    for path in (fresh.callers, fresh.people):
        assert path.stat().st_mode & 0o777 == 0o600
    assert load(fresh.callers, fresh.people).callers(DEFAULT_TENANT) == (alone,)


def test_adding_never_opens_a_file_further_and_keeps_its_group_reading(files: Files) -> None:
    for before, after in ((0o644, 0o640), (0o600, 0o600), (0o666, 0o640), (0o400, 0o600)):
        files.people.chmod(before)
        person = dataclasses.replace(CAROL, id=PersonId(f"p{before}"), accounts=())
        add_person(files.callers, files.people, person)
        assert files.people.stat().st_mode & 0o777 == after


def test_a_file_without_a_last_newline_is_continued_on_a_new_line(files: Files) -> None:
    files.people.write_text(PEOPLE.rstrip("\n") + "  # the last word")
    add_person(files.callers, files.people, CAROL)
    assert len(load(files.callers, files.people).people(DEFAULT_TENANT)) == 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": "export-agent"}, "directory.duplicate_id"),
        ({"owners": ("zed",)}, "directory.unknown_person"),
        ({"owners": ()}, "directory.invalid_file"),
        ({"id": 'x"\n[[callers]]\nid = "y'}, "directory.invalid_id"),
        ({"audience": "a\udcffb"}, "directory.invalid_file"),
    ],
)
def test_what_would_not_load_is_not_added(files: Files, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        add_caller(files.callers, files.people, dataclasses.replace(AGENT, **changes))
    assert refused.value.code == code
    assert files.callers.read_text() == CALLERS
    assert sorted(path.name for path in files.callers.parent.iterdir()) == [
        "callers.toml",
        "people.toml",
    ]


def test_nobody_is_added_twice_or_under_anothers_account(files: Files) -> None:
    for twin in (
        dataclasses.replace(CAROL, id=PersonId("bob")),
        dataclasses.replace(CAROL, accounts=("ALICE@example.com",)),
    ):
        with pytest.raises(ConfigurationError):
            add_person(files.callers, files.people, twin)
    assert files.people.read_text() == PEOPLE


def test_a_broken_file_is_not_added_to(files: Files) -> None:
    files.callers.write_text(CALLERS + "oops")
    with pytest.raises(ConfigurationError):
        add_caller(files.callers, files.people, AGENT)
    assert files.callers.read_text() == CALLERS + "oops"


def test_a_linked_file_is_replaced_where_it_is(files: Files, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "people.toml"
    link.parent.mkdir()
    link.symlink_to(files.people)
    add_person(files.callers, link, CAROL)
    assert link.is_symlink()
    assert len(load(files.callers, files.people).people(DEFAULT_TENANT)) == 3


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        add_person(tmp_path / "callers.toml", tmp_path / "none" / "people.toml", CAROL)
    assert refused.value.code == "directory.unwritable"
    assert refused.value.advice


def test_a_failing_disk_leaves_the_old_file_and_nothing_beside_it(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left") as refused:
        add_person(files.callers, files.people, CAROL)
    assert refused.value.code == "directory.unwritable"
    assert files.people.read_text() == PEOPLE
    assert len(list(files.people.parent.iterdir())) == 2


def test_no_other_adder_gets_in_between_reading_and_replacing(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = registry_edit.parse
    held: list[bool] = []

    def while_another_tries(callers: Source, people: Source) -> Directory:
        other = os.open(files.people.parent, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.append(False)
        except BlockingIOError:
            held.append(True)
        finally:
            os.close(other)
        return parse(callers, people)

    monkeypatch.setattr(registry_edit, "parse", while_another_tries)
    add_person(files.callers, files.people, CAROL)
    assert held == [True]


_ADD_TEN = """
import sys
from typing import Any
from pathlib import Path
from countersign.model import Person, PersonId, TenantId
from countersign.registry import add_person
for number in range(10):
    person = Person(
        tenant=TenantId("default"), id=PersonId(f"{sys.argv[3]}-{number}"), name="N",
        groups=frozenset(),
    )
    add_person(Path(sys.argv[1]), Path(sys.argv[2]), person)
"""


def test_adders_at_the_same_time_lose_nothing(files: Files) -> None:
    runs = [
        subprocess.Popen([sys.executable, "-c", _ADD_TEN, files.callers, files.people, name])
        for name in ("a", "b", "c")
    ]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0]
    people = load(files.callers, files.people).people(TenantId("default"))
    assert len(people) == 2 + 30
