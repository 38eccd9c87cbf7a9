"""A change of the files takes effect whole, recorded first, or not at all."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from countersign.credentials import SubjectKind, new_token, token_hash
from countersign.directory import Directory, diff
from countersign.errors import ConfigurationError, UnavailableError
from countersign.model import PersonId, TenantId
from countersign.registry import Judge, Registry, files, watcher

DEFAULT = TenantId("default")
TOKEN = new_token(SubjectKind.CALLER)
NEXT = new_token(SubjectKind.CALLER)


def callers(*tokens: str, owner: str = "alice") -> str:
    hashes = ", ".join(f'"{token_hash(token)}"' for token in tokens)
    return f"""\
[[callers]]
id = "export-agent"
actors = ["export-bot"]
environments = ["production"]
resources = ["table:*"]
owners = ["{owner}"]
token_sha256 = [{hashes}]
"""


def people(*ids: str) -> str:
    return "".join(f'[[people]]\nid = "{who}"\nname = "{who.title()}"\n' for who in ids)


class Core:
    """Stands where the core is: it records changes, or fails to."""

    def __init__(self) -> None:
        self.recorded: list[tuple[Directory, Directory]] = []
        self.editors: list[PersonId | None] = []
        self.errors: list[str | None] = []
        self.fault: Exception | None = None
        self.in_force_while_recording: list[Directory] = []
        self.registry: Registry | None = None

    async def record(self, old: Directory, new: Directory, by: PersonId | None) -> None:
        assert self.registry is not None
        self.in_force_while_recording.append(self.registry.current)
        if self.fault is not None:
            raise self.fault
        self.recorded.append((old, new))
        self.editors.append(by)


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclasses.dataclass(frozen=True)
class Site:
    callers: Path
    people: Path
    channels: Path
    core: Core
    registry: Registry
    clock: Clock

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        return self.callers, self.people, self.channels


@pytest.fixture
def site(tmp_path: Path) -> Site:
    paths = tuple(tmp_path / f"{name}.toml" for name in ("callers", "people", "channels"))
    paths[0].write_text(callers(TOKEN))
    paths[1].write_text(people("alice"))
    core, clock = Core(), Clock()
    core.registry = Registry(
        *paths, on_change=core.record, on_error=core.errors.append, clock=clock
    )
    return Site(
        callers=paths[0],
        people=paths[1],
        channels=paths[2],
        core=core,
        registry=core.registry,
        clock=clock,
    )


def works(site: Site, token: str) -> bool:
    return site.registry.current.caller_by_token(token_hash(token)) is not None


def test_a_wrong_file_at_the_start_refuses_to_start(tmp_path: Path) -> None:
    (tmp_path / "callers.toml").write_text("oops")
    (tmp_path / "people.toml").write_text("")
    with pytest.raises(ConfigurationError):
        Registry(tmp_path / "callers.toml", tmp_path / "people.toml")


async def test_nothing_happens_while_nothing_changes(site: Site) -> None:
    before = site.registry.current
    assert not await site.registry.poll()
    assert not await site.registry.reload()
    assert site.registry.current is before
    assert site.core.recorded == []


async def test_a_token_is_rotated_with_two_hashes_and_revoked_by_the_next_poll(site: Site) -> None:
    site.callers.write_text(callers(TOKEN, NEXT))
    assert await site.registry.poll()
    assert works(site, TOKEN)
    assert works(site, NEXT)
    site.callers.write_text(callers(NEXT))
    assert await site.registry.poll()
    assert not works(site, TOKEN)
    assert works(site, NEXT)


async def test_a_revocation_of_the_same_size_in_the_same_tick_is_seen(site: Site) -> None:
    for token in (NEXT, TOKEN, NEXT, TOKEN, NEXT):
        site.callers.write_text(callers(token))
        stat = site.people.stat()
        os.utime(site.callers, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert await site.registry.poll()
        assert works(site, token)


async def test_a_change_is_recorded_before_it_takes_effect(site: Site) -> None:
    old = site.registry.current
    site.callers.write_text(callers(NEXT))
    assert await site.registry.poll()
    assert site.core.in_force_while_recording == [old]
    assert site.core.recorded == [(old, site.registry.current)]
    changes = diff(*site.core.recorded[0])[DEFAULT]["callers"]
    assert list(changes["changed"]["export-agent"]) == ["token_sha256"]
    assert site.core.editors == [None]


@pytest.mark.parametrize(
    "fault",
    [
        UnavailableError("audit.unavailable", "the log is full"),
        ConfigurationError("x.y", "even this one"),
        RuntimeError("a bug with a secret in it"),
    ],
)
async def test_a_change_that_cannot_be_recorded_waits_and_is_tried_again(
    site: Site, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "_SETTLED_NS", -(10**18))
    site.callers.write_text(callers(NEXT))
    site.core.fault = fault
    for _ in range(3):
        assert not await site.registry.poll()
        assert works(site, TOKEN)
        assert not works(site, NEXT)
    assert len(site.core.in_force_while_recording) == 3
    assert len(site.core.errors) == 1
    assert "secret" not in str(site.registry.error)
    site.core.fault = None
    assert await site.registry.poll()
    assert works(site, NEXT)
    assert site.registry.error is None
    assert site.core.errors[-1] is None


async def test_a_wrong_version_leaves_the_last_good_one_in_force_and_is_told_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    before = site.registry.current
    site.callers.write_text(callers(NEXT, owner="zed"))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert not await site.registry.poll()
    assert site.registry.current is before
    assert "owners[0] is not a registered person" in str(site.registry.error)
    assert site.core.errors == [site.registry.error]
    assert len(caplog.records) == 1
    assert "owners[0]" in caplog.text
    assert site.core.in_force_while_recording == []

    site.people.write_text(people("alice", "zed"))
    assert await site.registry.poll()
    assert works(site, NEXT)
    assert site.core.errors[-1] is None


async def test_both_files_are_judged_together_never_half_applied(site: Site) -> None:
    site.people.write_text(people("bob"))
    assert not await site.registry.poll()
    assert site.registry.current.person(DEFAULT, PersonId("bob")) is None
    assert site.registry.current.person(DEFAULT, PersonId("alice")) is not None
    site.callers.write_text(callers(TOKEN, owner="bob"))
    assert await site.registry.poll()
    assert site.registry.current.person(DEFAULT, PersonId("bob")) is not None
    assert site.registry.current.person(DEFAULT, PersonId("alice")) is None
    assert len(site.core.recorded) == 1


async def test_taking_a_wrong_version_back_ends_the_error(site: Site) -> None:
    site.callers.write_text("oops")
    assert not await site.registry.poll()
    assert site.core.errors == [site.registry.error]
    site.callers.write_text(callers(TOKEN))
    assert not await site.registry.poll()
    assert site.registry.error is None
    assert site.core.errors[-1] is None
    assert site.core.recorded == []


async def test_a_missing_file_revokes_nobody_and_says_so(site: Site) -> None:
    site.callers.unlink()
    assert not await site.registry.poll()
    assert works(site, TOKEN)
    assert "callers.toml cannot be read" in str(site.registry.error)
    site.callers.write_text(callers(NEXT))
    assert await site.registry.poll()
    assert not works(site, TOKEN)


async def test_a_file_replaced_by_rename_is_seen(site: Site) -> None:
    beside = site.callers.with_suffix(".new")
    beside.write_text(callers(NEXT))
    beside.replace(site.callers)
    assert await site.registry.poll()
    assert works(site, NEXT)


async def test_a_file_that_is_still_being_written_is_not_taken_over(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def the_editor_goes_on(_: float) -> None:
        site.callers.write_text(callers(NEXT))

    site.callers.write_text("")  # as an editor that writes in place begins
    with monkeypatch.context() as patched:
        patched.setattr(watcher.asyncio, "sleep", the_editor_goes_on)
        assert not await site.registry.poll()
    assert works(site, TOKEN)
    assert await site.registry.poll()
    assert works(site, NEXT)
    assert not works(site, TOKEN)


async def test_a_comment_is_no_change_and_needs_no_record(site: Site) -> None:
    site.callers.write_text("# reviewed\n" + callers(TOKEN))
    assert not await site.registry.poll()
    assert site.registry.error is None
    assert site.core.in_force_while_recording == []


async def test_an_old_stamp_spares_reading_and_reload_reads_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    read = files.Source.read

    def counted(path: Path) -> files.Source:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(files.Source, "read", counted)
    await site.registry.poll()
    assert len(reads) == 2, "a stamp this young proves nothing"
    monkeypatch.setattr(watcher, "_SETTLED_NS", -(10**18))
    await site.registry.poll()
    assert len(reads) == 4
    await site.registry.poll()
    assert len(reads) == 4
    await site.registry.reload()
    assert len(reads) == 6
    site.callers.touch()
    await site.registry.poll()
    assert len(reads) == 8
    site.callers.write_text("oops")
    await site.registry.poll()
    await site.registry.poll()
    assert len(reads) == 12, "what changed is read twice; found wrong, it is not judged again"


async def test_polls_take_turns_so_a_change_is_recorded_once(site: Site) -> None:
    site.callers.write_text(callers(NEXT))
    results = await asyncio.gather(*(site.registry.poll() for _ in range(5)))
    assert sorted(results) == [False, False, False, False, True]
    assert len(site.core.recorded) == 1


async def test_watching_polls_until_cancelled(site: Site) -> None:
    recorded = asyncio.Event()
    record = site.core.record

    async def record_and_tell(old: Directory, new: Directory, by: PersonId | None) -> None:
        await record(old, new, by)
        recorded.set()

    registry = Registry(site.callers, site.people, on_change=record_and_tell)
    watching = asyncio.create_task(registry.watch(0.001))
    site.callers.write_text(callers(NEXT))
    await asyncio.wait_for(recorded.wait(), timeout=30)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


async def test_nobody_has_to_listen(site: Site) -> None:
    registry = Registry(site.callers, site.people)
    site.callers.write_text(callers(NEXT))
    assert await registry.poll()
    site.callers.write_text("oops")
    assert not await registry.poll()
    assert registry.error is not None


# --- channels, which may be missing ---


async def test_the_channels_may_be_missing_come_and_go(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "_SETTLED_NS", -(10**18))
    await site.registry.poll()
    token = new_token(SubjectKind.CHANNEL)
    site.channels.write_text(
        f'[[channels]]\nid = "bot"\nissuers = ["teams:t"]\ntoken_sha256 = ["{token_hash(token)}"]\n'
    )
    assert await site.registry.poll()
    assert site.registry.current.channel_by_token(token_hash(token)) is not None
    site.channels.unlink()
    assert await site.registry.poll()
    assert site.registry.current.channel_by_token(token_hash(token)) is None
    site.channels.write_text("oops")
    assert not await site.registry.poll()
    assert "channels.toml" in str(site.registry.error)


# --- how old what is in force is ---


async def test_what_is_in_force_ages_until_it_is_confirmed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "_SETTLED_NS", -(10**18))
    await site.registry.poll()
    site.clock.now += 7
    assert site.registry.age_s() == 7
    await site.registry.poll()
    assert site.registry.age_s() == 0, "unchanged stamps confirm it"
    site.clock.now += 7
    site.callers.write_text(callers(NEXT))
    await site.registry.poll()
    assert site.registry.age_s() == 0, "a change taken over is fresh"
    site.clock.now += 7
    await site.registry.reload()
    assert site.registry.age_s() == 0


@pytest.mark.parametrize("wrong", ["oops", None])
async def test_what_is_in_force_ages_while_the_files_are_wrong(
    site: Site, monkeypatch: pytest.MonkeyPatch, wrong: str | None
) -> None:
    monkeypatch.setattr(watcher, "_SETTLED_NS", -(10**18))
    site.callers.unlink() if wrong is None else site.callers.write_text(wrong)
    for age in (3, 6, 9):
        site.clock.now += 3
        assert not await site.registry.poll()
        assert site.registry.age_s() == age
    site.callers.write_text(callers(TOKEN))
    await site.registry.poll()
    assert site.registry.age_s() == 0


async def test_what_is_in_force_ages_while_a_change_cannot_be_recorded(site: Site) -> None:
    site.core.fault = UnavailableError("audit.unavailable", "full")
    site.callers.write_text(callers(NEXT))
    site.clock.now += 3
    assert not await site.registry.poll()
    assert site.registry.age_s() == 3


# --- an operator's edit ---

OLGA = PersonId("olga")


def anything(_old: Directory, _new: Directory) -> None:
    pass


def writing(site: Site, text: str) -> Callable[[Judge], str]:
    """An edit as `Registers` makes one: it reads, asks the judge, and replaces."""

    def change(judge: Judge) -> str:
        before, was = files.load(*site.paths), site.callers.read_text()
        site.callers.write_text(text)
        after = files.load(*site.paths)
        site.callers.write_text(was)
        judge(before, after)
        site.callers.write_text(text)
        return "done"

    return change


async def test_an_edit_is_recorded_as_its_makers_and_in_force_on_return(site: Site) -> None:
    assert await site.registry.edit(writing(site, callers(NEXT)), OLGA, anything) == "done"
    assert works(site, NEXT)
    assert not works(site, TOKEN)
    assert site.core.editors == [OLGA]


async def test_what_others_changed_before_is_not_the_editors(site: Site) -> None:
    site.people.write_text(people("alice", "bob"))
    await site.registry.edit(writing(site, callers(NEXT)), OLGA, anything)
    assert site.core.editors == [None, OLGA]
    first, second = (diff(*change)[DEFAULT] for change in site.core.recorded)
    assert first["people"]["added"] == ["bob"]
    assert second["people"]["added"] == []


async def test_what_others_change_meanwhile_is_not_the_editors(site: Site) -> None:
    write = writing(site, callers(NEXT))

    def change(judge: Judge) -> None:
        site.people.write_text(people("alice", "bob"))
        write(judge)
        site.people.write_text(people("alice", "bob", "carol"))

    await site.registry.edit(change, OLGA, anything)
    assert site.core.editors == [None, OLGA, None]
    told = [diff(*recorded)[DEFAULT] for recorded in site.core.recorded]
    assert [change["people"]["added"] for change in told] == [["bob"], [], ["carol"]]
    assert [list(change["callers"]["changed"]) for change in told] == [[], ["export-agent"], []]
    assert site.registry.current.person(DEFAULT, PersonId("carol")) is not None


async def test_what_is_recorded_already_is_not_recorded_again(site: Site) -> None:
    write = writing(site, callers(NEXT))

    def change(judge: Judge) -> None:
        site.people.write_text(people("alice", "bob"))
        write(judge)

    record, full = site.core.record, UnavailableError("audit.unavailable", "full")

    async def once(old: Directory, new: Directory, by: PersonId | None) -> None:
        await record(old, new, by)
        site.core.fault = full

    site.registry._on_change = once
    with pytest.raises(UnavailableError):
        await site.registry.edit(change, OLGA, anything)
    assert site.core.editors == [None]
    assert site.registry.current.person(DEFAULT, PersonId("bob")) is None, "all or nothing"
    site.core.fault, site.registry._on_change = None, record
    assert await site.registry.poll()
    assert site.core.editors == [None, OLGA]
    assert works(site, NEXT)


async def test_others_look_while_an_edit_waits_for_another_editor(site: Site) -> None:
    tries, write = 0, writing(site, callers(TOKEN, NEXT))
    tried, loop = asyncio.Event(), asyncio.get_running_loop()

    def change(judge: Judge) -> str:
        nonlocal tries
        tries += 1
        loop.call_soon_threadsafe(tried.set)
        if site.registry.current.person(DEFAULT, PersonId("bob")) is None:
            raise ConfigurationError("directory.held", "somebody else edits")
        return write(judge)

    editing = asyncio.create_task(site.registry.edit(change, OLGA, anything))
    await tried.wait()
    site.people.write_text(people("alice", "bob"))
    assert await site.registry.poll()
    assert await editing == "done"
    assert tries > 1
    assert site.core.editors == [None, OLGA]


async def test_another_editor_is_not_waited_for_for_ever(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(_: Judge) -> None:
        raise ConfigurationError("directory.held", "somebody else edits")

    monkeypatch.setattr(watcher, "HELD_S", 0)
    with pytest.raises(ConfigurationError):
        await site.registry.edit(held, OLGA, anything)


async def test_an_editor_who_hangs_up_while_the_files_change_is_still_who_changed_them(
    site: Site,
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    write, loop = writing(site, callers(NEXT)), asyncio.get_running_loop()

    def change(judge: Judge) -> str:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(30)
        return write(judge)

    editing = asyncio.create_task(site.registry.edit(change, OLGA, anything))
    await begun.wait()
    editing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await editing
    go_on.set()
    await site.registry.poll()  # takes its turn after the edit
    assert site.core.editors == [OLGA]
    assert works(site, NEXT)


async def test_an_edit_whose_maker_hangs_up_before_it_begins_is_dropped(site: Site) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    record = site.core.record

    async def slowly(old: Directory, new: Directory, by: PersonId | None) -> None:
        begun.set()
        await go_on.wait()
        await record(old, new, by)

    site.registry._on_change = slowly
    first = asyncio.create_task(site.registry.edit(writing(site, callers(NEXT)), OLGA, anything))
    await begun.wait()
    ran: list[Judge] = []
    second = asyncio.create_task(site.registry.edit(ran.append, OLGA, anything))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go_on.set()
    await first
    await site.registry.poll()
    assert ran == []


async def test_an_edit_that_raises_is_told_and_leaves_no_trace(site: Site) -> None:
    def refuse(_old: Directory, _new: Directory) -> None:
        raise ConfigurationError("directory.x", "no")

    with pytest.raises(ConfigurationError):
        await site.registry.edit(writing(site, callers(NEXT)), OLGA, refuse)
    assert works(site, TOKEN)
    site.callers.write_text(callers(NEXT))
    assert await site.registry.poll()
    assert site.core.editors == [None]


async def test_files_that_are_wrong_are_not_edited(site: Site) -> None:
    site.people.write_text("oops")
    with pytest.raises(UnavailableError) as refused:
        await site.registry.edit(writing(site, callers(NEXT)), OLGA, anything)
    assert refused.value.code == "admin.registers_invalid"
    assert token_hash(NEXT) not in site.callers.read_text()
    assert str(site.people) not in str(refused.value), "an operator of one tenant is told no path"


async def test_an_edit_that_cannot_be_recorded_says_so_and_stays_its_makers(site: Site) -> None:
    site.core.fault = UnavailableError("audit.unavailable", "full")
    with pytest.raises(UnavailableError) as refused:
        await site.registry.edit(writing(site, callers(NEXT)), OLGA, anything)
    assert refused.value.code == "admin.not_in_force"
    assert works(site, TOKEN)
    assert not works(site, NEXT)
    site.core.fault = None
    assert await site.registry.poll()
    assert works(site, NEXT)
    assert site.core.editors == [OLGA]


async def test_an_editor_who_hangs_up_leaves_no_change_unrecorded(site: Site) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    record = site.core.record

    async def slowly(old: Directory, new: Directory, by: PersonId | None) -> None:
        begun.set()
        await go_on.wait()
        await record(old, new, by)

    site.registry._on_change = slowly
    editing = asyncio.create_task(site.registry.edit(writing(site, callers(NEXT)), OLGA, anything))
    await begun.wait()
    editing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await editing
    go_on.set()
    await site.registry.poll()  # takes its turn after the edit
    assert site.core.editors == [OLGA]
    assert works(site, NEXT)
