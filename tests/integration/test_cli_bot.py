"""What whoever runs the bot is told when something is not as it should be.

Real `countersign bot` processes in a played cloud: each problem names its setting and
the remedy, none shows a secret or a traceback.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import bot_world
from countersign.credentials import Credential, SubjectKind, new_token, write_credential
from service import COMMAND, PATIENCE_S, _free_port
from simulators.teams.cloud import Cloud


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def typed(cloud: Cloud, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [COMMAND, "bot", *words],
        cwd=home,
        env=cloud.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert cloud.bot.secret
    assert cloud.bot.secret not in told
    return done


def give_credential(home: Path) -> Path:
    """A channel's, for a service that is not there."""
    path = home / "bot-credential.toml"
    token = new_token(SubjectKind.CHANNEL)
    write_credential(path, Credential(endpoint=f"127.0.0.1:{_free_port()}", token=token))
    return path


def test_a_port_in_use_is_told_by_its_setting(cloud: Cloud, tmp_path: Path) -> None:
    give_credential(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        bot_world.settings(tmp_path, cloud, **{"listen.address": f'"{address}"'})
        done = typed(cloud, tmp_path, "serve")
    assert done.returncode == 1
    assert f"listen.address: {address} is in use [bot.listen]" in done.stderr
    assert done.stdout == ""


def test_the_doctor_says_what_is_missing_and_nothing_twice(cloud: Cloud, tmp_path: Path) -> None:
    bot_world.settings(tmp_path, cloud)
    without = typed(cloud, tmp_path, "doctor", "--json")
    assert without.returncode == 1
    found = {each["name"]: each for each in json.loads(without.stdout)["findings"]}
    assert found["Entra"]["ok"]
    assert found["signatures"]["ok"]
    assert not found["credential"]["ok"]
    assert "bot-credential.toml cannot be read" in found["credential"]["detail"]
    give_credential(tmp_path)
    down = typed(cloud, tmp_path, "doctor")
    assert down.returncode == 1
    assert "FAIL service" in down.stdout
    assert "[unavailable]" in down.stdout
    (tmp_path / "secret").write_text("not the one that Entra knows")
    wrong = typed(cloud, tmp_path, "doctor")
    assert "FAIL Entra" in wrong.stdout
    assert "app.tenant are the registration's" in wrong.stdout
    assert wrong.stderr == ""


def test_a_secret_in_the_settings_is_refused_and_not_shown(cloud: Cloud, tmp_path: Path) -> None:
    give_credential(tmp_path)
    bot_world.settings(tmp_path, cloud, **{"app.secret": f'"{cloud.bot.secret}"'})
    done = typed(cloud, tmp_path, "serve")
    assert done.returncode == 1
    assert "app.secret: names no file [bot.secret]" in done.stderr
    bot_world.settings(tmp_path, cloud, **{"app.secret": '"env:BOT_SECRET"'})
    unset = typed(cloud, tmp_path, "serve")
    assert "app.secret: names a variable that is not set here" in unset.stderr
