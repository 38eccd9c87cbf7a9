"""A process that publishes is killed at every point where it touches the disk.

The kill is a real SIGKILL of a real child, at the n-th system call that makes
something durable (link, fsync), for every n until the child gets through. The
store stays as it was: its note of what was published is lost with the child.
"""

import asyncio
import os
import shutil
import signal

from audit_world import LOG_ID, VKEY, MemorySource, publish
from countersign.audit import local, plan
from countersign.audit.verify import verify


class _Mortal:
    """`os`, whose owner dies before the n-th durable call."""

    def __init__(self, lives):
        self.lives = lives

    def __getattr__(self, name):
        call = getattr(os, name)
        return self._counted(call) if name in ("link", "fsync") else call

    def _counted(self, call):
        def counted(*arguments):
            if self.lives == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.lives -= 1
            return call(*arguments)

        return counted


def killed_after(calls, source, root):
    """Publish in a child that dies at that call; whether it did die."""
    child = os.fork()
    if child == 0:
        local.os = _Mortal(calls)
        asyncio.run(publish(source, root))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def evidence(directory):
    """Everything that may never change once it is there."""
    return {
        path.relative_to(directory): path.read_bytes()
        for kind in ("records", "checkpoints", "tile")
        for path in (directory / kind).rglob("*")
        if path.is_file() and ".writing-" not in path.name and path.parent.suffix != ".p"
    }


def test_no_kill_loses_doubles_or_changes_a_record(tmp_path):
    source = MemorySource(250)
    base = tmp_path / "base"
    asyncio.run(publish(source, base))
    source.add(20)
    state = source.published, source.frontier
    calls, died = 0, True
    while died:
        root = shutil.copytree(base, tmp_path / f"killed-{calls}")
        source.published, source.frontier = state
        died = killed_after(calls, source, root)
        before = evidence(root / LOG_ID)
        directory = asyncio.run(publish(source, root))
        after = evidence(directory)
        assert all(after[name] == data for name, data in before.items())
        result = verify(directory, VKEY)
        assert result.ok, (calls, result.findings)
        assert (result.size, result.segments, result.pending) == (270, 2, 0)
        segments = sorted(directory.glob("records/*/*/*.gz"), key=lambda path: path.name)
        lines = b"".join(plan.decompress(path.read_bytes(), 1 << 24) for path in segments)
        assert lines == plan.lines_of(source.rows)
        calls += 1
    assert calls > 20, "the child was killed at every step of a publication"


def test_killed_again_and_again_it_still_gets_there(tmp_path):
    source = MemorySource()
    for calls in range(12):
        source.add(7)
        killed_after(calls, source, tmp_path)
    directory = asyncio.run(publish(source, tmp_path))
    result = verify(directory, VKEY)
    assert result.ok, result.findings
    assert result.size == len(source.rows)
