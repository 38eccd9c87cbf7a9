"""The app for Teams: what is in the zip, and what is not."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import pytest
from typer.testing import CliRunner

from countersign.cli.root import app
from countersign_bot.manifest import package

APP_ID = "0f6f4f7e-5a0b-4c43-9d4e-2b1f9a6d0c11"
GIVEN = {
    "app_id": APP_ID,
    "name": "Countersign",
    "developer": "Example Ltd",
    "website": "https://example.com/",
}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package(**GIVEN))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_manifest_names_this_bot_and_asks_for_as_little_as_it_can(
    files: dict[str, bytes],
) -> None:
    manifest = json.loads(files["manifest.json"])
    (bot,) = manifest["bots"]
    assert (manifest["id"], bot["botId"]) == (APP_ID, APP_ID)
    assert bot["scopes"] == ["personal", "team", "groupChat"]
    assert manifest["permissions"] == ["identity"]
    assert manifest["validDomains"] == []
    assert "supportedChannelTypes" not in manifest, "no shared channels"
    assert "authorization" not in manifest, "no rights to anybody's data"
    assert manifest["developer"]["privacyUrl"] == "https://example.com/privacy"
    assert len(manifest["description"]["short"]) <= 80


def test_every_word_of_the_manifest_has_its_other_language(files: dict[str, bytes]) -> None:
    manifest, german = json.loads(files["manifest.json"]), json.loads(files["de.json"])
    (bot,) = manifest["bots"]
    told = {
        f"bots[0].commandLists[{place}].commands[{number}].description"
        for place, commands in enumerate(bot["commandLists"])
        for number, _ in enumerate(commands["commands"])
    }
    assert told <= german.keys()
    (language,) = manifest["localizationInfo"]["additionalLanguages"]
    assert language == {"languageTag": "de", "file": "de.json"}


@pytest.mark.parametrize(("icon", "side"), [("color.png", 192), ("outline.png", 32)])
def test_the_icons_have_the_sizes_that_teams_demands(
    files: dict[str, bytes], icon: str, side: int
) -> None:
    assert files[icon][:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", files[icon][16:24]) == (side, side)


def test_the_same_words_make_the_same_bytes() -> None:
    assert package(**GIVEN) == package(**GIVEN)


def test_the_command_writes_it_once_and_says_what_is_wrong(tmp_path) -> None:
    settings = tmp_path / "bot.toml"
    settings.write_text(
        f'tenants = ["{APP_ID}"]\n[app]\nid = "{APP_ID}"\ntenant = "{APP_ID}"\nsecret = "s"\n'
    )
    out = tmp_path / "app.zip"
    told = ["bot", "manifest", "--out", str(out), "--developer", "Example", "--config"]
    good = [*told, str(settings), "--website", "https://example.com"]
    assert CliRunner().invoke(app, good).exit_code == 0
    assert zipfile.is_zipfile(out)
    again = CliRunner().invoke(app, good)
    assert getattr(again.exception, "code", "") == "bot.exists"
    for website in (
        "http://example.com",
        "https://",
        "https://a b.example",
        "https://a.example/?x",
    ):
        plain = CliRunner().invoke(app, [*told, str(settings), "--website", website])
        assert plain.exit_code == 2
        assert "must be an https address" in plain.output
    for developer in ("", " ", "x" * 33, "a\nb"):
        wrong = CliRunner().invoke(app, [*good, "--developer", developer])
        assert wrong.exit_code == 2
        assert "--developer: 1 to 32 characters" in wrong.output
    nowhere = CliRunner().invoke(app, [*good, "--out", str(tmp_path / "no" / "app.zip")])
    assert getattr(nowhere.exception, "code", "") == "bot.unwritable"
