"""Whoever reads a copy of a log needs no settings, and is told so."""

from __future__ import annotations

from pathlib import Path

import pytest

from typed import types


@pytest.mark.parametrize(
    "words", [("audit", "search"), ("policy", "impact", "--bundle", "candidate")]
)
def test_without_settings_it_says_how_to_name_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COUNTERSIGN_CONFIG", raising=False)
    told = types(*words)
    assert told.code not in {0, 3}
    assert "[config.missing]" in told.err
    assert "Name a copy of a log with --log" in told.err
