"""`bot.toml`: what is refused names its key and the remedy, and never shows a value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import realparts
from countersign.errors import ConfigurationError
from countersign_bot.inbound.clouds import CLOUDS, CloudName
from countersign_bot.settings import Settings, load

APP = "0C8B7E0E-3D5C-4A55-8A35-0B0F4F6F2B22"
TENANT = "5f1d3a52-0f0a-4c0b-9a3e-7d3f5d0c1a11"
GOOD = {
    "tenants": f'["{TENANT.upper()}"]',
    "app.id": f'"{APP}"',
    "app.tenant": f'"{TENANT}"',
    "app.secret": '"env:BOT_SECRET"',
}
CANARY = "canary~secret~8Q"


def written(directory: Path, **changed: str) -> Settings:
    lines = GOOD | changed
    file = directory / "bot.toml"
    file.write_text("".join(f"{key} = {value}\n" for key, value in lines.items() if value))
    return load(file)


def problem(directory: Path, **changed: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        written(directory, **changed)
    return str(error.value)


def test_little_has_to_be_said(tmp_path: Path) -> None:
    settings = written(tmp_path)
    assert settings.bot_id == f"28:{APP.lower()}"
    assert settings.tenants == [TENANT]
    assert settings.cloud is CLOUDS[CloudName.PUBLIC]
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 3978)
    assert settings.hosts().names == {"smba.trafficmanager.net"}
    assert not settings.hosts().loopback


@pytest.mark.parametrize("cloud", ["public", "gcc", "gcc_high", "dod"])
def test_each_cloud_has_its_own_issuer_login_and_hosts(tmp_path: Path, cloud: str) -> None:
    chosen = written(tmp_path, **{"app.cloud": f'"{cloud}"'})
    end = "us" if cloud in {"gcc_high", "dod"} else "com"
    assert chosen.cloud.issuer == f"https://api.botframework.{end}"
    assert chosen.cloud.scope == f"{chosen.cloud.issuer}/.default"
    assert chosen.cloud.login_url == f"https://login.microsoftonline.{end}/"
    others = {host for name, other in CLOUDS.items() if name != cloud for host in other.hosts}
    assert chosen.cloud.hosts
    assert chosen.cloud.hosts.isdisjoint(others)


def test_an_operator_may_add_hosts(tmp_path: Path) -> None:
    settings = written(tmp_path, **{"teams.hosts": '["smba.acme.example"]'})
    assert settings.hosts().allow("https://smba.acme.example/")
    assert settings.hosts().allow("https://smba.trafficmanager.net/")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"tenants": ""}, "tenants: is missing"),
        ({"tenants": "[]"}, "tenants:"),
        ({"tenants": '["*"]'}, "tenants.0:"),
        ({"app.id": '"my-bot"'}, "app.id:"),
        ({"app.id": ""}, "app.id: is missing"),
        ({"app.id": "", "development": "true", "listen.address": '"0.0.0.0:3978"',
          "listen.behind_proxy": "true"}, "app.id: is missing"),
        ({"app.tenant": ""}, "tenant: a single-tenant app needs"),
        ({"app.type": '"multi_tenant"'}, "app.type:"),
        ({"app.type": '"managed_identity"'}, "a managed identity has none"),
        ({"app.secret": ""}, "secret: give either"),
        ({"app.certificate": '"bot.crt"'}, "certificate, key: belong together"),
        ({"app.certificate": '"a"', "app.key": '"b"'}, "secret: give either"),
        ({"app.cloud": '"china"'}, "app.cloud:"),
        ({"app.password": '"x"'}, "app.password: unknown key"),
        ({"base": '"/"'}, "base: unknown key"),
        ({"teams.hosts": '["https://smba.example/"]'}, "teams.hosts.0:"),
        ({"teams.hosts": '["*.example"]'}, "teams.hosts.0:"),
        ({"teams.timezone": '"Mars/Base"'}, "teams.timezone: name one of the IANA"),
        ({"teams.language": '"<b>"'}, "teams.language:"),
        ({"teams.console_url": '"http://c.example/"'}, "teams.console_url: must be an https"),
        ({"teams.console_url": '"https://u@c.example/"'}, "teams.console_url: must be an https"),
        ({"listen.address": '"0.0.0.0:3978"'}, "beyond loopback give tls_certificate"),
        ({"listen.address": '"127.0.0.1:70000"'}, "the port is at most"),
        ({"listen.address": '"3978"'}, "listen.address:"),
        ({"listen.tls_certificate": '"a"'}, "tls_certificate, tls_key: belong together"),
        ({"limits.conversation_per_s": "100.0"}, "limits.conversation_per_s:"),
        ({"limits.conversation_burst": "8"}, "limits.conversation_burst:"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, changed: dict[str, str], told: str) -> None:
    assert told in problem(tmp_path, **changed)


def test_without_an_app_id_it_starts_for_a_simulator_on_this_machine_only(tmp_path: Path) -> None:
    alone = {"app.id": "", "app.secret": "", "app.tenant": ""}
    assert "development = true" in problem(tmp_path, **alone)
    assert written(tmp_path, **alone, development="true").is_open
    for address in ("0.0.0.0:3978", "[::]:3978", "bot.example:3978"):
        told = problem(
            tmp_path, **alone, development="true",
            **{"listen.address": f'"{address}"', "listen.behind_proxy": "true"},
        )  # fmt: skip
        assert "listen on loopback" in told
    assert not written(tmp_path, development="true").is_open


def test_a_wrong_form_is_told_in_words_and_not_as_a_pattern(tmp_path: Path) -> None:
    for key, words in {
        "tenants": "8-4-4-4-12, not a name or domain",
        "app.id": "8-4-4-4-12, not a name or domain",
        "app.tenant": "8-4-4-4-12, not a name or domain",
        "listen.address": "HOST:PORT, such as",
        "teams.language": "such as en or de-AT",
        "teams.hosts": "a host's name alone",
    }.items():
        value = '"contoso: EN"'
        told = problem(
            tmp_path, **{key: f"[{value}]" if key in ("tenants", "teams.hosts") else value}
        )
        assert words in told
        assert "pattern" not in told
        assert "bot-settings.md" in told


def test_no_error_shows_what_was_written(tmp_path: Path) -> None:
    for key in ("app.id", "app.tenant", "teams.language", "listen.address", "app.cloud"):
        assert CANARY not in problem(tmp_path, **{key: f'"{CANARY}"'})
    (tmp_path / "bot.toml").write_text(f'app.secret = "{CANARY}\n')
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path / "bot.toml")
    assert CANARY not in str(error.value)


def test_a_secret_comes_from_a_private_file_or_the_environment(tmp_path: Path) -> None:
    settings = written(tmp_path)
    assert settings.proof({"BOT_SECRET": f"{CANARY}\n"}).secret == CANARY  # type: ignore[union-attr]
    assert CANARY not in repr(settings.proof({"BOT_SECRET": CANARY}))
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text(f"{CANARY}\n")
    settings = written(tmp_path, **{"app.secret": '"secret"'})
    assert settings.proof({}).secret == CANARY  # type: ignore[union-attr]
    file.chmod(0o644)
    with pytest.raises(ConfigurationError) as error:
        settings.proof({})
    assert "chmod 600" in str(error.value)


@pytest.mark.parametrize("place", [CANARY, "env:UNSET", f"env:{CANARY}", "empty", "binary", "."])
def test_a_secret_that_is_not_where_it_should_be_is_named_and_not_shown(
    tmp_path: Path, place: str
) -> None:
    for name, data in (("empty", b"\n"), ("binary", b"\xff\xfe")):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_bytes(data)
    settings = written(tmp_path, **{"app.secret": f'"{place}"'})
    with pytest.raises(ConfigurationError) as error:
        settings.proof({})
    told = str(error.value)
    assert "app.secret" in told
    assert "env:NAME" in told
    assert CANARY not in told


def test_the_reference_has_every_key_and_its_default() -> None:
    page = (realparts.ROOT / "docs" / "reference" / "bot-settings.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name, field in Settings.model_fields.items():
        if name == "base":
            continue
        sections = getattr(field.annotation, "model_fields", None)
        assert sections is None or f"## `[{name}]`" in page
        sections = sections or {name: field}
        for key, inner in sections.items():
            (row,) = [line for line in rows if f"`{key}`" in line.split("|")[1]]
            default = inner.get_default(call_default_factory=True)
            told = "required" if inner.is_required() else f"`{json.dumps(default)}`"
            assert row.split("|")[2].strip() == told, key


def test_a_certificate_comes_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "bot.crt").write_text("-----BEGIN CERTIFICATE-----\nMII=\n")
    key = tmp_path / "bot.key"
    key.touch(0o600)
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n")
    changed = {"app.secret": "", "app.certificate": '"bot.crt"', "app.key": '"bot.key"'}
    proof = written(tmp_path, **changed).proof({})
    assert CANARY in proof.key  # type: ignore[union-attr]
    assert CANARY not in repr(proof)
    for file, field in ((tmp_path / "bot.crt", "app.certificate"), (key, "app.key")):
        good = file.read_text()
        file.write_text("nothing")
        with pytest.raises(ConfigurationError) as error:
            written(tmp_path, **changed).proof({})
        assert field in str(error.value)
        file.write_text(good)
