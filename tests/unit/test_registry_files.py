"""The two files of callers and people: read strictly."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from countersign.credentials import SubjectKind, new_token, proof_of_token, token_hash
from countersign.errors import ConfigurationError
from countersign.model import Account, Caller, CallerId, Channel, ChannelId, Person, PersonId
from countersign.registry import DEFAULT_TENANT, load
from countersign.registry import files as registry_files

CALLER_TOKEN = new_token(SubjectKind.CALLER)
PERSON_TOKEN = new_token(SubjectKind.PERSON)

CHANNEL_TOKEN = new_token(SubjectKind.CHANNEL)
TWICE = ", ".join(['{ issuer = "i", subject = "s" }'] * 2)
NO_ISSUER = '{ subject = "s" }'
MORE = '{ issuer = "i", subject = "s", name = "n" }'

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
accounts = [{{ issuer = "https://login.example", subject = "00u1" }}]
aliases = ["alice@example.com"]
token_sha256 = ["{token_hash(PERSON_TOKEN)}"]

[[people]]
id = "bob"
name = "Bob Example"
"""


CHANNELS = f"""\
[[channels]]
id = "teams"
issuers = ["teams:contoso", "https://login.example"]
token_sha256 = ["{token_hash(CHANNEL_TOKEN)}"]
"""


@dataclasses.dataclass(frozen=True)
class Files:
    callers: Path
    people: Path
    channels: Path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    names = (f"{name}.toml" for name in ("callers", "people", "channels"))
    found = Files(*(tmp_path / name for name in names))
    found.callers.write_text(CALLERS, encoding="utf-8")
    found.people.write_text(PEOPLE, encoding="utf-8")
    return found


def refusal(files: Files) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(files.callers, files.people, files.channels)
    assert refused.value.code == "directory.invalid_file"
    return str(refused.value)


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
        accounts=(Account(issuer="https://login.example", subject="00u1"),),
        aliases=("alice@example.com",),
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
clients = ["agent-app"]
jwt = [{ issuer = "https://login.example", subject = "machine" }]
"""
    )
    files.people.write_text(
        PEOPLE
        + f"""\
tenant = "default"
mtls_subject = "bob.people.example"
token_sha256 = ["{"ab" * 32}"]
shown_to = {{ {"ab" * 6} = "alice" }}

[[groups]]
id = "approvers"
tenant = "default"
includes = ["data-owners"]
"""
    )
    directory = load(files.callers, files.people)
    child = directory.caller_by_mtls("spiffe://example/child")
    assert child is not None
    assert (child.users, child.parent, child.audience) == (("alice",), "export-agent", "gateway")
    assert child.clients == ("agent-app",)
    assert directory.caller_by_login("https://login.example", "machine", (DEFAULT_TENANT,)) is child
    assert directory.groups_of(DEFAULT_TENANT, PersonId("alice")) == {"data-owners", "approvers"}
    assert directory.shown_to(DEFAULT_TENANT, proof_of_token("ab" * 32)) == "alice"
    bob = directory.person_by_mtls("bob.people.example")
    assert bob is not None
    assert bob.id == "bob"


def test_channels_are_read_from_a_file_that_may_be_missing(files: Files) -> None:
    assert load(files.callers, files.people, files.channels).channels(DEFAULT_TENANT) == ()
    files.channels.write_text(CHANNELS)
    directory = load(files.callers, files.people, files.channels)
    assert directory.channel_by_token(token_hash(CHANNEL_TOKEN)) == Channel(
        tenant=DEFAULT_TENANT,
        id=ChannelId("teams"),
        issuers=("teams:contoso", "https://login.example"),
    )
    assert load(files.callers, files.people).channels(DEFAULT_TENANT) == ()


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('id = "teams"', "", "[[channels]] number 1: id is missing"),
        ("issuers = [", "x = [", 'the key "x" is unknown; known are conversations, id, issuers'),
        ("token_sha256 = [", "# [", "token_sha256 is missing, and mtls_subject too"),
        ("[[channels]]", "[[callers]]", 'the key "callers" is unknown; known are channels'),
        ("token_sha256 = [", "jwt = []\ntoken_sha256 = [", 'the key "jwt" is unknown'),
    ],
)
def test_a_wrong_channel_is_refused_by_place_and_key(
    files: Files, old: str, new: str, names: str
) -> None:
    assert old in CHANNELS
    files.channels.write_text(CHANNELS.replace(old, new, 1))
    assert names in refusal(files)


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
        ("token_sha256 = [", "# [", "token_sha256 is missing, and mtls_subject and jwt too"),
        ("token_sha256 = [", "jwt = []\n# [", "token_sha256 is missing"),
        ("token_sha256 = [", 'jwt = ["x"]\ntoken_sha256 = [', "jwt must be a list of accounts"),
        ("token_sha256 = [", 'clients = "x"\ntoken_sha256 = [', "clients must be a list"),
        ("token_sha256 = [", "shown_to = [1]\ntoken_sha256 = [", "shown_to must say who"),
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
        ('name = "Bob Example"', 'name = "B"\naliases = [["x"]]', "aliases must be a list"),
        ('name = "Bob Example"', 'name = "B"\naccounts = ["b@x"]', "other names belong in aliases"),
        ('name = "Bob Example"', f'name = "B"\naccounts = [{TWICE}]', "lists something twice"),
        ('name = "Bob Example"', f'name = "B"\naccounts = [{NO_ISSUER}]', "must be a list of"),
        ('name = "Bob Example"', f'name = "B"\naccounts = [{MORE}]', "must be a list of accounts"),
        ('name = "Bob Example"', 'name = "B"\njwt = []', 'the key "jwt" is unknown'),
        ('name = "Bob Example"', 'name = "B"\n[[groups]]\nx = 1', 'number 1: the key "x"'),
        ('name = "Bob Example"', 'name = "B"\n[[groups]]', "[[groups]] number 1: id is missing"),
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
    callers, people, groups, channels = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    files.callers.write_text(callers)
    files.people.write_text(people + groups)
    files.channels.write_text(channels)
    directory = load(files.callers, files.people, files.channels)
    assert len(directory.callers(DEFAULT_TENANT)) == 2
    assert len(directory.people(DEFAULT_TENANT)) == 4
    assert len(directory.groups(DEFAULT_TENANT)) == 1
    assert len(directory.channels(DEFAULT_TENANT)) == 1
    about = re.split(r"^##+ ", page, flags=re.MULTILINE)
    for keys, title in (
        (registry_files._CALLER_KEYS, "callers.toml"),
        (registry_files._PERSON_KEYS, "people.toml"),
        (registry_files._GROUP_KEYS, "Groups of groups"),
        (registry_files._CHANNEL_KEYS, "channels.toml"),
    ):
        (text,) = (part for part in about if part.startswith(f"{title}\n"))
        assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == keys


def test_a_channels_conversations_are_read_and_may_not_be_ambiguous(files: Files) -> None:
    two = '[{ name = "data", id = "19:a" }, { name = "money", id = "19:b" }]'
    given = CHANNELS.replace("issuers = [", f"conversations = {two}\nissuers = [", 1)
    files.channels.write_text(given)
    (channel,) = load(files.callers, files.people, files.channels).channels(DEFAULT_TENANT)
    assert [(each.name, each.id) for each in channel.conversations] == [
        ("data", "19:a"),
        ("money", "19:b"),
    ]
    for twice, field in ((("money", "data"), "name"), (("19:b", "19:a"), "id")):
        files.channels.write_text(given.replace(*twice))
        with pytest.raises(ConfigurationError, match=f"have the same {field}") as caught:
            load(files.callers, files.people, files.channels)
        assert caught.value.code == "directory.duplicate_conversation"
    files.channels.write_text(given.replace('name = "money"', "name = 3"))
    assert "conversations must be a list of conversations" in refusal(files)
