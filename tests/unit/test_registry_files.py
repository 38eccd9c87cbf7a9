"""The two files of callers and people: read strictly, added to safely."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import re
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
from countersign.registry import files as registry_files
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


def refusal(files: Files) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(files.callers, files.people)
    assert refused.value.code == "directory.invalid_file"
    return str(refused.value)


# --- reading ---


def test_both_files_together_make_a_directory(files: Files) -> None:
    directory = load(files.callers, files.people)
    agent = directory.caller_by_token(token_hash(CALLER_TOKEN))
    assert agent == Caller(
        tenant=DEFAULT_TENANT,
        id=CallerId("export-agent"),
        actors=("export-bot",),
        environments=("production",),
        resources=("table:*",),
        owners=(PersonId("alice"),),
    )
    alice = directory.person_by_token(token_hash(PERSON_TOKEN))
    assert alice == Person(
        tenant=DEFAULT_TENANT,
        id=PersonId("alice"),
        name="Alice Example",
        groups=frozenset({"data-owners"}),
        accounts=("alice@example.com",),
    )
    bob = directory.person(DEFAULT_TENANT, PersonId("bob"))
    assert bob is not None
    assert bob.groups == frozenset()


def test_every_optional_key_is_read(files: Files) -> None:
    files.callers.write_text(
        CALLERS
        + """
[[callers]]
id = "child"
tenant = "default"
mtls_subject = "spiffe://example/child"
actors = ["child-bot"]
environments = ["dev"]
resources = ["*:*"]
owners = ["bob"]
users = ["alice"]
parent = "export-agent"
audience = "gateway"
"""
    )
    files.people.write_text(PEOPLE + 'tenant = "default"\nmtls_subject = "CN=bob"\n')
    directory = load(files.callers, files.people)
    child = directory.caller_by_mtls("spiffe://example/child")
    assert child is not None
    assert (child.users, child.parent, child.audience) == (("alice",), "export-agent", "gateway")
    bob = directory.person_by_mtls("CN=bob")
    assert bob is not None
    assert bob.id == "bob"


def test_empty_files_are_a_directory_of_nobody(files: Files) -> None:
    files.callers.write_text("")
    files.people.write_text("# nobody yet\n")
    assert load(files.callers, files.people).tenants == frozenset()


def test_a_missing_file_is_named_with_the_remedy(files: Files) -> None:
    files.people.unlink()
    with pytest.raises(ConfigurationError, match=r"people\.toml cannot be read") as refused:
        load(files.callers, files.people)
    assert refused.value.code == "directory.unreadable"
    assert refused.value.advice


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('id = "export-agent"', "", "[[callers]] number 1: id is missing"),
        ('id = "export-agent"', "id = 7", "[[callers]] number 1: id must be a string"),
        ('id = "export-agent"', 'id = "export-agent"\ntenant = ""', "tenant must be a string"),
        ('actors = ["export-bot"]', "", 'number 1 "export-agent": actors is missing'),
        ('actors = ["export-bot"]', 'actors = "export-bot"', "actors must be a list of strings"),
        ('actors = ["export-bot"]', "actors = [1]", "actors must be a list of strings"),
        ('actors = ["export-bot"]', 'actors = ["a", "a"]', "actors lists something twice"),
        ('environments = ["production"]', "", "environments is missing"),
        ('resources = ["table:*"]', "", "resources is missing"),
        ('owners = ["alice"]', "", "owners is missing"),
        ('owners = ["alice"]', 'owner = ["alice"]', 'the key "owner" is unknown; known are actors'),
        ("token_sha256 =", "token =", 'the key "token" is unknown'),
        ("token_sha256 = [", 'TOKEN = ["x"]\ntoken_sha256 = [', "a key is unknown"),
        ("token_sha256 = [", "# [", "token_sha256 is missing, and mtls_subject too"),
        ("token_sha256 = [", 'parent = ["x"]\ntoken_sha256 = [', "parent must be a string"),
        ("token_sha256 = [", 'audience = ""\ntoken_sha256 = [', "audience must be a string"),
        ("token_sha256 = [", 'mtls_subject = ""\ntoken_sha256 = [', "mtls_subject must be"),
        ("[[callers]]", "[callers]", "callers must be tables"),
        ("[[callers]]", "callers = [1]\n[x]", 'the key "x" is unknown'),
        ("[[callers]]", "[[people]]", 'the key "people" is unknown; known are callers'),
        ("owners = [", "owners = TOKEN [", "is not TOML (at line 7, column 10)"),
        ("[[callers]]", "\x00", "is not TOML (at line 2"),
        ("[[callers]]", "x = " + "[" * 20_000, "is not TOML"),
        ("nightly", "\udcff", "is not TOML in UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_by_place_and_key_and_never_shows_a_token(
    files: Files, old: str, new: str, names: str
) -> None:
    assert old in CALLERS
    text = CALLERS.replace(old, new.replace("TOKEN", CALLER_TOKEN), 1)
    files.callers.write_bytes(text.encode("utf-8", "surrogateescape"))
    told = refusal(files)
    assert names in told
    assert str(files.callers) in told
    assert CALLER_TOKEN not in told


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('id = "bob"', "", "[[people]] number 2: id is missing"),
        ('name = "Bob Example"', "", 'number 2 "bob": name is missing'),
        ('name = "Bob Example"', 'name = "B"\nemail = "b@x"', 'the key "email" is unknown'),
        ('name = "Bob Example"', 'name = "B"\ngroups = "g"', "groups must be a list"),
        ('name = "Bob Example"', 'name = "B"\naccounts = [["x"]]', "accounts must be a list"),
    ],
)
def test_a_wrong_person_is_refused_by_place_and_key(
    files: Files, old: str, new: str, names: str
) -> None:
    assert old in PEOPLE
    files.people.write_text(PEOPLE.replace(old, new, 1))
    assert names in refusal(files)


def test_a_token_where_its_hash_belongs_is_not_repeated(files: Files) -> None:
    files.callers.write_text(CALLERS.replace(token_hash(CALLER_TOKEN), CALLER_TOKEN))
    with pytest.raises(ConfigurationError) as refused:
        load(files.callers, files.people)
    assert refused.value.code == "directory.invalid_token_hash"
    assert CALLER_TOKEN not in str(refused.value)


def test_the_reference_page_shows_files_that_load_and_names_every_key(files: Files) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/callers-and-people.md").read_text()
    callers, people = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    files.callers.write_text(callers)
    files.people.write_text(people)
    directory = load(files.callers, files.people)
    assert len(directory.callers(DEFAULT_TENANT)) == 2
    assert len(directory.people(DEFAULT_TENANT)) == 3
    about_callers, about_people = page.split("## people.toml")
    for keys, text in (
        (registry_files._CALLER_KEYS, about_callers),
        (registry_files._PERSON_KEYS, about_people),
    ):
        assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == keys


# --- adding ---


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
    parse = registry_files.parse
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

    monkeypatch.setattr(registry_files, "parse", while_another_tries)
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
