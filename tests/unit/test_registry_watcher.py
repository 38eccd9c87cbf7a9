"""A change of the files takes effect whole, recorded first, or not at all."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from pathlib import Path

import pytest

from countersign.credentials import SubjectKind, new_token, token_hash
from countersign.directory import Directory, diff
from countersign.errors import ConfigurationError, UnavailableError
from countersign.model import PersonId, TenantId
from countersign.registry import Registry, files, watcher

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
        self.errors: list[str | None] = []
        self.fault: Exception | None = None
        self.in_force_while_recording: list[Directory] = []
        self.registry: Registry | None = None

    async def record(self, old: Directory, new: Directory) -> None:
        assert self.registry is not None
        self.in_force_while_recording.append(self.registry.current)
        if self.fault is not None:
            raise self.fault
        self.recorded.append((old, new))


@dataclasses.dataclass(frozen=True)
class Site:
    callers: Path
    people: Path
    core: Core
    registry: Registry


@pytest.fixture
def site(tmp_path: Path) -> Site:
    paths = (tmp_path / "callers.toml", tmp_path / "people.toml")
    paths[0].write_text(callers(TOKEN))
    paths[1].write_text(people("alice"))
    core = Core()
    core.registry = Registry(*paths, on_change=core.record, on_error=core.errors.append)
    return Site(callers=paths[0], people=paths[1], core=core, registry=core.registry)


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
    assert diff(*site.core.recorded[0])[DEFAULT]["callers"] == {
        "added": [],
        "removed": [],
        "changed": {"export-agent": ["token_sha256"]},
    }


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
    assert len(reads) == 10, "a version found wrong need not be judged again"


async def test_polls_take_turns_so_a_change_is_recorded_once(site: Site) -> None:
    site.callers.write_text(callers(NEXT))
    results = await asyncio.gather(*(site.registry.poll() for _ in range(5)))
    assert sorted(results) == [False, False, False, False, True]
    assert len(site.core.recorded) == 1


async def test_watching_polls_until_cancelled(site: Site) -> None:
    recorded = asyncio.Event()
    record = site.core.record

    async def record_and_tell(old: Directory, new: Directory) -> None:
        await record(old, new)
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
