"""How real parts are found, fetched and refused."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import realparts

PIN = "1.22.2"


@pytest.fixture
def opa_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`scripts/opa`, putting OPA into a temporary place."""
    loader = importlib.machinery.SourceFileLoader("opa_script", str(realparts.ROOT / "scripts/opa"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(script)
    (tmp_path / ".tools").mkdir()
    monkeypatch.setattr(script, "HERE", tmp_path / ".tools" / "opa")
    return script


def program(path: Path, version: str) -> bytes:
    """A program that answers as `opa version` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'Version: {version}'\n", encoding="utf-8")
    path.chmod(0o755)
    return path.read_bytes()


def release(script: ModuleType, directory: Path, version: str = PIN) -> tuple[str, str]:
    """Publish a release in `directory`; return the asset's name and digest."""
    script.RELEASES = directory.as_uri()
    name = script.asset()
    content = program(directory / f"v{PIN}" / name, version)
    return name, hashlib.sha256(content).hexdigest()


def test_a_release_with_the_pinned_digest_is_taken(opa_script: ModuleType, tmp_path: Path) -> None:
    name, digest = release(opa_script, tmp_path / "releases")

    assert "digest as pinned" in opa_script.released(PIN, {name: digest})
    assert opa_script.good_version(opa_script.HERE, PIN) == PIN


def test_a_release_with_another_digest_never_runs(opa_script: ModuleType, tmp_path: Path) -> None:
    name, _ = release(opa_script, tmp_path / "releases")

    with pytest.raises(opa_script.WayClosedError, match="refused"):
        opa_script.released(PIN, {name: "0" * 64})
    assert not list(opa_script.HERE.parent.iterdir())


def test_a_platform_without_a_pinned_digest_downloads_nothing(opa_script: ModuleType) -> None:
    opa_script.RELEASES = "file:///nothing-may-be-asked-here"

    with pytest.raises(opa_script.WayClosedError, match="pins no sha256"):
        opa_script.released(PIN, {})


def test_an_unreachable_release_is_a_way_closed(opa_script: ModuleType, tmp_path: Path) -> None:
    opa_script.RELEASES = (tmp_path / "absent").as_uri()

    with pytest.raises(opa_script.WayClosedError, match="no download"):
        opa_script.released(PIN, {opa_script.asset(): "0" * 64})


@pytest.mark.parametrize("version", ["1.22.1", "0.70.0", "2.0.0", "?"])
def test_an_opa_of_another_version_is_not_linked(
    opa_script: ModuleType, tmp_path: Path, version: str
) -> None:
    program(tmp_path / "opa", version)

    with pytest.raises(opa_script.WayClosedError, match="wanted"):
        opa_script.link(tmp_path / "opa", PIN, "on PATH")
    assert not opa_script.HERE.exists()


def test_a_later_minor_version_is_good(opa_script: ModuleType, tmp_path: Path) -> None:
    program(tmp_path / "opa", "1.30.0")

    assert opa_script.link(tmp_path / "opa", PIN, "on PATH").startswith("OPA 1.30.0")


def test_the_pins_are_read_from_one_file(opa_script: ModuleType) -> None:
    text = (realparts.ROOT / "opa.version").read_text(encoding="utf-8")
    version, digests = opa_script.read_pins(text)

    assert opa_script.numbers(version) == realparts.opa_pin()
    assert len(digests) == sum(line.startswith("sha256") for line in text.splitlines())


def test_a_missing_part_is_skipped_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERSIGN_REQUIRE_REAL_PARTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="run `make x`"):
        realparts._required(None, "run `make x`")


def test_a_missing_part_fails_where_all_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_REQUIRE_REAL_PARTS", "1")
    with pytest.raises(pytest.fail.Exception, match="run `make x`"):
        realparts._required(None, "run `make x`")
