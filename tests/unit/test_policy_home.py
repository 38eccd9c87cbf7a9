"""Private directories: what is left behind goes, what is in use stays."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest

from countersign.errors import ConfigurationError
from countersign.policy.home import Home, sweep


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(path) -> None:
    os.utime(path, (0, 0))


def test_a_home_is_private_and_goes_without_a_trace(temporary):
    home = Home(b"bundle")
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert home.bundle.read_bytes() == b"bundle"
    home.remove()
    home.remove()
    assert not any(temporary.iterdir())


def test_only_what_nobody_uses_is_swept(temporary):
    used, left, young = Home(b""), temporary / "countersign-opa-left", "countersign-opa-young"
    foreign = temporary / "something-else"
    for path in (left, temporary / young, foreign):
        path.mkdir()
        (path / "s").touch()
    for path in (used.path, left, foreign):
        age(path)
    sweep()
    assert not left.exists()
    assert used.bundle.exists()
    assert (temporary / young / "s").exists()
    assert (foreign / "s").exists()
    used.remove()


def test_a_link_is_not_followed(temporary):
    victim = temporary / "victim"
    victim.mkdir()
    (victim / "s").touch()
    link = temporary / "countersign-opa-link"
    link.symlink_to(victim)
    os.utime(link, (0, 0), follow_symlinks=False)
    sweep()
    assert (victim / "s").exists()


def test_a_path_too_long_for_a_socket_is_refused_and_leaves_nothing(temporary, monkeypatch):
    deep = temporary / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(ConfigurationError, match="107 bytes") as caught:
        Home(b"")
    assert "TMPDIR" in caught.value.advice
    assert not any(deep.iterdir())


def test_no_temporary_directory_is_told(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "missing"))
    with pytest.raises(ConfigurationError) as caught:
        Home(b"")
    assert caught.value.code == "opa.home"


def test_no_room_for_the_bundle_is_told_and_leaves_nothing(temporary, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        Home(b"bundle")
    assert not any(temporary.iterdir())
