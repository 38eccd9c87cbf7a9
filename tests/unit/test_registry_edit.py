"""The files of callers and people, changed safely."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from countersign.credentials import (
    SubjectKind,
    new_token,
    proof_of_account,
    token_hash,
    token_kind,
)
from countersign.directory import Directory
from countersign.errors import ConfigurationError
from countersign.model import (
    Account,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    Person,
    PersonId,
    TenantId,
)
from countersign.registry import DEFAULT_TENANT, Registers, Who, add_caller, add_person, load
from countersign.registry import edit as registry_edit
from countersign.registry.edit import MAX_TOKENS
from countersign.registry.files import Source
from countersign.registry.replace import LOCK_NAME

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
aliases = ["alice@example.com"]
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
    clients=("client-1",),
)
CAROL = Person(
    tenant=DEFAULT_TENANT,
    id=PersonId("carol"),
    name='Carol "Möller" \\ 李',
    groups=frozenset({"security", "data-owners"}),
    accounts=(
        Account(issuer="https://idp.example", subject='c"1'),
        Account(issuer="teams:t", subject="9"),
    ),
    aliases=("carol@example.com",),
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
        person = dataclasses.replace(CAROL, id=PersonId(f"p{before}"), accounts=(), aliases=())
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
        LOCK_NAME,
        "callers.toml",
        "people.toml",
    ]


def test_nobody_is_added_twice_or_under_anothers_account(files: Files) -> None:
    for twin in (
        dataclasses.replace(CAROL, id=PersonId("bob")),
        dataclasses.replace(CAROL, aliases=("ALICE@example.com",)),
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
    left = sorted(path.name for path in files.people.parent.iterdir())
    assert left == [LOCK_NAME, "callers.toml", "people.toml"]


def test_no_other_adder_gets_in_between_reading_and_replacing(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = registry_edit.parse
    held: list[bool] = []

    def while_another_tries(*sources: Source) -> Directory:
        other = os.open(files.people.with_name(LOCK_NAME), os.O_RDWR)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.append(False)
        except BlockingIOError:
            held.append(True)
        finally:
            os.close(other)
        return parse(*sources)

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


# --- changing, removing, rotating, revoking ---

REVIEWED = f"""\
# Agents of the data team.
# Reviewed by carol.

[[callers]]   # first
id = "export-agent"   # nightly
actors = ["export-bot"]
environments = [
  "production",  # since May
  "staging",
]
resources = ["table:*"]
owners = ["alice"]  # ask her
token_sha256 = [
  "{token_hash(CALLER_TOKEN)}",  # on host 7
]
mtls_subject = "export.internal"

# The next one is an experiment.
[[callers]]
id = 'other'
actors = ["other"]
environments = ["dev"]
resources = ["table:*"]
owners = ["bob"]
token_sha256 = ["{"ab" * 32}"]

# the end
"""
EXPORT = Who(tenant=DEFAULT_TENANT, kind=SubjectKind.CALLER, id="export-agent")
OTHER = Who(tenant=DEFAULT_TENANT, kind=SubjectKind.CALLER, id="other")
ALICE = Who(tenant=DEFAULT_TENANT, kind=SubjectKind.PERSON, id="alice")
BOT = Who(tenant=DEFAULT_TENANT, kind=SubjectKind.CHANNEL, id="bot")
CHANNEL = Channel(tenant=DEFAULT_TENANT, id=ChannelId("bot"), issuers=("teams:t",))
OLGA = PersonId("olga")


@pytest.fixture
def registers(files: Files) -> Registers:
    files.callers.write_text(REVIEWED)
    return Registers(
        callers=files.callers,
        people=files.people,
        channels=files.people.with_name("channels.toml"),
    )


def registered(registers: Registers, id: str) -> Caller:
    caller = registers.load().caller(DEFAULT_TENANT, CallerId(id))
    assert caller is not None
    return caller


def refused_code(edit: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as refused:
        edit()
    assert refused.value.advice
    return refused.value.code


def test_a_change_keeps_credentials_and_everything_else_as_it_was_written(
    registers: Registers,
) -> None:
    wanted = dataclasses.replace(
        registered(registers, "export-agent"),
        environments=("production", "dev"),
        owners=(PersonId("bob"),),
        audience="gateway",
    )
    assert registers.put(wanted) is None
    assert registered(registers, "export-agent") == wanted
    assert registers.callers.read_text() == REVIEWED.replace(
        '  "staging",\n', '  "dev",\n'
    ).replace('owners = ["alice"]', 'owners = ["bob"]').replace(
        'mtls_subject = "export.internal"\n',
        'mtls_subject = "export.internal"\naudience = "gateway"\n',
    )


def test_what_is_said_already_changes_no_byte(registers: Registers) -> None:
    assert registers.put(registered(registers, "export-agent")) is None
    assert registers.callers.read_text() == REVIEWED
    stamp = registers.callers.stat().st_mtime_ns
    assert registers.put(registered(registers, "other")) is None
    assert registers.callers.stat().st_mtime_ns == stamp


def test_a_default_is_taken_out_again(registers: Registers) -> None:
    caller = registered(registers, "other")
    registers.put(dataclasses.replace(caller, users=(PersonId("alice"),), clients=("c",)))
    assert 'users = ["alice"]' in registers.callers.read_text()
    registers.put(caller)
    assert registers.callers.read_text() == REVIEWED


def test_every_field_of_every_kind_comes_back_as_it_was_put(registers: Registers) -> None:
    assert registers.put(AGENT)
    assert registered(registers, "fresh-agent") == AGENT
    assert registers.put(CAROL)
    carol = registers.load().person(DEFAULT_TENANT, CAROL.id)
    assert carol == CAROL
    fewer = dataclasses.replace(CAROL, accounts=CAROL.accounts[1:], groups=frozenset())
    assert registers.put(fewer) is None
    assert registers.load().person(DEFAULT_TENANT, CAROL.id) == fewer
    assert registers.put(CHANNEL)
    wider = dataclasses.replace(CHANNEL, issuers=("teams:t", "https://idp.example"))
    assert registers.put(wider) is None
    assert registers.load().channels(DEFAULT_TENANT) == (wider,)


def test_the_first_channel_makes_its_file_and_its_token_works(registers: Registers) -> None:
    token = registers.add(CHANNEL)
    assert token_kind(token) is SubjectKind.CHANNEL
    assert registers.load().channel_by_token(token_hash(token)) == CHANNEL
    assert registers.channels.stat().st_mode & 0o777 == 0o600


def test_the_same_id_in_another_tenant_is_another_subject(registers: Registers) -> None:
    other = TenantId("other")
    registers.add(dataclasses.replace(CAROL, tenant=other, id=PersonId("alice")))
    registers.remove(Who(tenant=other, kind=SubjectKind.PERSON, id="alice"))
    assert registers.people.read_text() == PEOPLE


def test_a_removed_subject_takes_its_own_lines_only(registers: Registers) -> None:
    registers.remove(OTHER)
    assert registers.callers.read_text() == (
        REVIEWED.partition("[[callers]]\nid = 'other'")[0] + "\n# the end\n"
    )
    registers.remove(EXPORT)
    assert registers.callers.read_text() == (
        "# Agents of the data team.\n# Reviewed by carol.\n\n"
        "# The next one is an experiment.\n\n# the end\n"
    )


def test_groups_and_tables_in_any_order_stay_where_they_are(registers: Registers) -> None:
    groups = '\n[[groups]]\nid = "all"\nincludes = ["data-owners"]\n'
    registers.people.write_text(PEOPLE + groups)
    token = registers.add(CAROL)
    assert registers.people.read_text().startswith(PEOPLE + groups + "\n[[people]]\n")
    carol = Who.of(CAROL)
    registers.rotate(carol)
    registers.put(dataclasses.replace(CAROL, name="C"))
    assert registers.people.read_text().startswith(PEOPLE + groups + "\n[[people]]\n")
    assert registers.load().person_by_token(token_hash(token)) is not None
    registers.remove(carol)
    assert registers.people.read_text() == PEOPLE + groups


def test_rotation_overlaps_and_revocation_ends_the_old(registers: Registers) -> None:
    new = registers.rotate(EXPORT)
    directory = registers.load()
    for token in (CALLER_TOKEN, new):
        assert directory.caller_by_token(token_hash(token)) is not None
    assert "# on host 7" in registers.callers.read_text()
    assert new not in registers.callers.read_text()
    assert registers.revoke(EXPORT) == (token_hash(CALLER_TOKEN)[:12],)
    directory = registers.load()
    assert directory.caller_by_token(token_hash(CALLER_TOKEN)) is None
    assert directory.caller_by_token(token_hash(new)) is not None
    assert registers.revoke(EXPORT) == (), "the newest one stays"


def test_one_token_is_revoked_by_its_name(registers: Registers) -> None:
    new = registers.rotate(EXPORT)
    assert registers.revoke(EXPORT, token_hash(new)[:12]) == (token_hash(new)[:12],)
    assert registers.callers.read_text() == REVIEWED
    code = refused_code(lambda: registers.revoke(EXPORT, token_hash(new)[:12]))
    assert code == "directory.unknown_token"
    assert refused_code(lambda: registers.revoke(EXPORT, "ab")) == "directory.unknown_token"


def test_tokens_are_bounded(registers: Registers) -> None:
    for _ in range(MAX_TOKENS - 1):
        registers.rotate(EXPORT)
    before = registers.callers.read_text()
    assert refused_code(lambda: registers.rotate(EXPORT)) == "directory.too_many_tokens"
    assert registers.callers.read_text() == before
    assert len(registers.revoke(EXPORT)) == MAX_TOKENS - 1
    registers.rotate(EXPORT)


def test_the_last_credential_of_a_machine_is_not_taken_away(registers: Registers) -> None:
    registers.add(CHANNEL)
    for who in (OTHER, BOT):
        assert refused_code(lambda who=who: registers.revoke(who, every=True)) == (
            "directory.last_credential"
        )
    assert refused_code(lambda: registers.revoke(OTHER, "ab" * 6)) == "directory.last_credential"
    assert registers.callers.read_text() == REVIEWED
    assert len(registers.revoke(EXPORT, every=True)) == 1, "its certificate still works"
    assert len(registers.revoke(ALICE, every=True)) == 1, "people have accounts"


@pytest.mark.parametrize("who", [EXPORT, ALICE, BOT])
def test_nobody_is_not_changed(registers: Registers, who: Who) -> None:
    stranger = dataclasses.replace(who, id="zed")
    elsewhere = dataclasses.replace(who, tenant=TenantId("other"))
    for unknown in (stranger, elsewhere):
        for edit in (registers.remove, registers.rotate, registers.revoke):
            assert refused_code(lambda: edit(unknown)) == "directory.not_registered"  # noqa: B023
    assert registers.callers.read_text() == REVIEWED


def test_a_person_a_caller_needs_is_not_removed(registers: Registers) -> None:
    assert refused_code(lambda: registers.remove(ALICE)) == "directory.unknown_person"
    assert registers.people.read_text() == PEOPLE


def test_whoever_was_shown_a_token_stands_beside_it_while_it_works(registers: Registers) -> None:
    first = registers.put(AGENT, maker=OLGA)
    assert first is not None
    second = registers.rotate(Who.of(AGENT), maker=PersonId("pia"))
    third = registers.rotate(Who.of(AGENT))
    registers.put(dataclasses.replace(AGENT, audience=""), maker=PersonId("mallory"))
    table = tomllib.loads(registers.callers.read_text())["callers"][2]
    assert table["shown_to"] == {token_hash(first): "olga", token_hash(second): "pia"}
    assert token_hash(third) in table["token_sha256"]
    registers.revoke(Who.of(AGENT), token_hash(first)[:12])
    table = tomllib.loads(registers.callers.read_text())["callers"][2]
    assert table["shown_to"] == {token_hash(second): "pia"}
    registers.revoke(Who.of(AGENT))
    assert "shown_to" not in registers.callers.read_text()


def test_whoever_added_an_account_stands_beside_it_while_it_is_there(registers: Registers) -> None:
    first, second = CAROL.accounts
    registers.add(dataclasses.replace(CAROL, accounts=(first,)))
    registers.put(CAROL, maker=OLGA)
    registers.rotate(Who.of(CAROL))
    registers.put(dataclasses.replace(CAROL, name="C"), maker=PersonId("mallory"))

    def maker(account: Account) -> PersonId | None:
        proof = proof_of_account(account.issuer, account.subject)
        return registers.load().shown_to(DEFAULT_TENANT, proof)

    assert maker(first) is None, "the host notes nobody"
    assert maker(second) == "olga"
    registers.put(dataclasses.replace(CAROL, accounts=(first,)), maker=OLGA)
    assert "shown_to" not in registers.people.read_text()
    registers.put(CAROL, maker=PersonId("pia"))
    assert maker(second) == "pia"


def test_who_was_shown_a_token_is_kept_when_it_stands_there_by_the_start_of_its_hash(
    registers: Registers,
) -> None:
    first = registers.put(AGENT, maker=OLGA)
    assert first is not None
    text = registers.callers.read_text()
    whole = f'{{ {token_hash(first)} = "olga" }}'
    assert whole in text
    registers.callers.write_text(text.replace(whole, f'{{ {token_hash(first)[:12]} = "olga" }}'))
    assert OLGA in registers.load().registered_chain(DEFAULT_TENANT, AGENT.id)
    second = registers.rotate(Who.of(AGENT), maker=PersonId("pia"))
    table = tomllib.loads(registers.callers.read_text())["callers"][2]
    assert table["shown_to"] == {token_hash(first): "olga", token_hash(second): "pia"}


# --- beside others who edit, by hand too ---


def test_what_is_changed_by_hand_during_an_edit_is_not_undone(registers: Registers) -> None:
    by_hand = PEOPLE.replace(f'"{token_hash(PERSON_TOKEN)}"', "")
    judged = 0

    def judge(_old: Directory, _new: Directory) -> None:
        nonlocal judged
        judged += 1
        if judged == 1:  # as an editor saves: beside, and renamed
            beside = registers.people.with_suffix(".edited")
            beside.write_text(by_hand, encoding="utf-8")
            beside.replace(registers.people)

    token = registers.put(CAROL, judge=judge)
    assert token is not None
    assert judged == 2, "what is there now is judged anew"
    directory = registers.load()
    assert directory.person_by_token(token_hash(PERSON_TOKEN)) is None, "it stays revoked"
    assert directory.person_by_token(token_hash(token)) is not None
    assert registers.people.read_text().startswith(by_hand)


def test_another_register_changed_by_hand_is_judged_anew_too(registers: Registers) -> None:
    judged: list[int] = []

    def judge(old: Directory, _new: Directory) -> None:
        judged.append(len(old.people(DEFAULT_TENANT)))
        if len(judged) == 1:
            registers.people.write_text(PEOPLE + '\n[[people]]\nid = "dan"\nname = "Dan"\n')

    registers.put(AGENT, judge=judge)
    assert judged == [2, 3]


def test_an_edit_gives_up_when_the_files_never_rest(registers: Registers) -> None:
    def judge(_old: Directory, _new: Directory) -> None:
        registers.people.write_text(registers.people.read_text() + "#\n")

    assert refused_code(lambda: registers.put(CAROL, judge=judge)) == "directory.held"
    assert registers.people.read_text() == PEOPLE + "#\n" * registry_edit.MAX_TRIES
    assert not list(registers.people.parent.glob(".people.toml.*")), "nothing is left beside"


def test_only_who_may_write_the_registers_can_hold_them(registers: Registers) -> None:
    quick = dataclasses.replace(registers, wait_s=0)
    folder = os.open(registers.people.parent, os.O_RDONLY)  # as anybody may who can look
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        quick.put(CAROL)
    finally:
        os.close(folder)
    lock = registers.people.with_name(LOCK_NAME)
    assert lock.stat().st_mode & 0o777 == 0o600
    other = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert refused_code(lambda: quick.rotate(Who.of(CAROL))) == "directory.held"
    finally:
        os.close(other)
    assert quick.rotate(Who.of(CAROL))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_what_root_edits_does_not_keep_the_owner_of_the_registers_out(files: Files) -> None:
    folder = files.people.parent
    os.chown(folder, 65_534, 65_534)
    add_person(files.callers, files.people, CAROL)
    lock = (folder / LOCK_NAME).stat()
    assert (lock.st_uid, lock.st_gid, lock.st_mode & 0o777) == (65_534, 65_534, 0o600)


# --- judged, refused, interrupted ---


def test_a_judge_sees_both_directories_and_its_word_is_final(registers: Registers) -> None:
    seen: list[tuple[int, int]] = []

    class NeverError(Exception):
        pass

    def judge(old: Directory, new: Directory) -> None:
        seen.append((len(old.callers(DEFAULT_TENANT)), len(new.callers(DEFAULT_TENANT))))
        raise NeverError

    edits = (
        lambda: registers.put(AGENT, judge=judge),
        lambda: registers.remove(OTHER, judge=judge),
        lambda: registers.rotate(OTHER, judge=judge),
        lambda: registers.revoke(EXPORT, every=True, judge=judge),
    )
    for edit in edits:
        with pytest.raises(NeverError):
            edit()
    assert seen == [(2, 3), (2, 1), (2, 2), (2, 2)]
    assert registers.callers.read_text() == REVIEWED


@pytest.mark.parametrize(
    "text",
    [
        'people = [{ id = "x", name = "X" }]\n',
        '[[people]]\nid = "x"\nname = "X"\ngroups = [\n["y"]\n]\n',
        '[["people"]]\nid = "x"\nname = "X"\n',
        '[[people]]\nid = "x"\nname = """X \\\n[[people]]"""\n',
        "\ufeff[[people]]\nid = 'x'\n",
        "[[people]]\nid = 'x'\nshown_to = 7\n",
    ],
)
def test_what_cannot_be_spliced_safely_is_left_to_the_operators_hand(
    tmp_path: Path, text: str
) -> None:
    registers = Registers(
        callers=tmp_path / "c.toml", people=tmp_path / "p.toml", channels=tmp_path / "h.toml"
    )
    registers.people.write_text(text)
    who = Who(tenant=DEFAULT_TENANT, kind=SubjectKind.PERSON, id="x")
    for edit in (registers.rotate, registers.remove):
        assert refused_code(lambda: edit(who)) in (  # noqa: B023
            "directory.unspliceable",
            "directory.invalid_file",
        )
        assert registers.people.read_text() == text


def test_sub_tables_and_windows_lines_are_understood(tmp_path: Path) -> None:
    registers = Registers(
        callers=tmp_path / "c.toml", people=tmp_path / "p.toml", channels=tmp_path / "h.toml"
    )
    text = (
        '# one\n[[people]]\nid = "x"\nname = "X"\n\n[[people.accounts]]\nissuer = "i"\n'
        'subject = "s"\n\n# two\n[[people]]\nid = "y"\nname = "Y"'
    ).replace("\n", "\r\n")
    registers.people.write_bytes(text.encode())
    token = registers.rotate(Who(tenant=DEFAULT_TENANT, kind=SubjectKind.PERSON, id="x"))
    person = registers.load().person_by_token(token_hash(token))
    assert person is not None
    assert person.accounts == (Account(issuer="i", subject="s"),)
    registers.remove(Who(tenant=DEFAULT_TENANT, kind=SubjectKind.PERSON, id="x"))
    assert registers.people.read_bytes().split(b"\n")[-3:] == text.encode().split(b"\n")[-3:]


_KILLED = """
import os, signal, sys
from pathlib import Path
from countersign.credentials import SubjectKind
from countersign.model import TenantId
from countersign.registry import Registers, Who
def killed(self, target):
    assert "token_sha256" in self.read_text(), "everything was written"
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = killed
registers = Registers(*(), **{name: Path(path) for name, path in zip(
    ("callers", "people", "channels"), sys.argv[1:], strict=True)})
registers.rotate(Who(tenant=TenantId("default"), kind=SubjectKind.CALLER, id="other"))
"""


def test_a_kill_between_write_and_rename_leaves_the_old_file(registers: Registers) -> None:
    run = subprocess.run(
        [
            sys.executable, "-c", _KILLED,
            registers.callers, registers.people, registers.channels,
        ],
        timeout=60,
        check=False,
    )  # fmt: skip
    assert run.returncode == -signal.SIGKILL
    assert registers.callers.read_text() == REVIEWED
    folder = registers.callers.parent
    assert len(list(folder.iterdir())) == 4, "what was written beside is there still"
    registers.rotate(OTHER)
    left = sorted(path.name for path in folder.iterdir())
    assert left == [LOCK_NAME, "callers.toml", "people.toml"]
