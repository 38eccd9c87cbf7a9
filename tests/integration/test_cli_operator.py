"""What an operator types at the real command: init, person, caller, serve, doctor."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import realparts
from countersign import __version__
from countersign.config import load
from countersign.credentials import read_credential, token_hash
from service import Service

COMMAND = Path(sys.executable).parent / "countersign"


def typed(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=cwd,
        env={"COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert typed(tmp_path, "init", "home").returncode == 0
    return tmp_path / "home"


def add_alice(home: Path) -> None:
    assert typed(home, "person", "add", "alice", "--name", "Alice").returncode == 0


def add_agent(home: Path) -> str:
    """Its token."""
    added = typed(
        home, "caller", "add", "agent", "--owner", "alice", "--resource", "table:*", "--json"
    )
    return str(json.loads(added.stdout)["token"])


# --- init -------------------------------------------------------------------------


def test_init_writes_what_loads_and_keeps_secrets_private(home: Path) -> None:
    assert load(home / "countersign.toml").base == home
    for name in ("keys/log.pem", "keys/permit.pem", "callers.toml", "people.toml"):
        assert mode(home / name) == 0o600, name
    assert mode(home / "keys") == 0o700
    assert (home / "policy" / "countersign" / "decision.rego").is_file()


@pytest.mark.parametrize(
    "there", ["countersign.toml", "people.toml", "callers.toml", "policy/my.rego", "keys/log.pem"]
)
def test_init_touches_nothing_where_anything_is(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("mine")
    refused = typed(tmp_path, "init")
    assert refused.returncode == 1
    assert f"{there.removesuffix('/my.rego')} is there already [init.exists]" in refused.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [Path(there).name]
    assert (tmp_path / there).read_text() == "mine"


def test_init_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = typed(tmp_path, "init", "file")
    assert refused.returncode == 1
    assert "[init.unwritable]" in refused.stderr


def test_the_steps_that_init_prints_lead_to_a_service(tmp_path: Path) -> None:
    printed = typed(tmp_path, "init", "home").stdout
    steps = printed.partition("Next:\n")[2].replace("\\\n", " ").splitlines()
    assert steps[0].split() == ["cd", "home"]
    assert steps[-1].split() == ["countersign", "serve"]
    for step in steps[1:-2]:
        words = step.replace("'", "").split()
        assert words.pop(0) == "countersign"
        assert typed(tmp_path / "home", *words).returncode == 0, step
    directory = tomllib.loads((tmp_path / "home" / "people.toml").read_text())
    assert {person["id"] for person in directory["people"]} == {"alice", "bob"}


# --- registers ----------------------------------------------------------------------


def test_a_credential_is_shown_once_and_is_a_credential_file(home: Path) -> None:
    added = typed(home, "person", "add", "alice", "--name", "Alice", "--group", "data-owners")
    lines = re.findall(r"^  (\w+ = .*)$", added.stdout, re.MULTILINE)
    shown = tomllib.loads("\n".join(lines))
    assert set(shown) == {"endpoint", "token"}
    pasted = home / "alice.credential"
    pasted.touch(mode=0o600)
    pasted.write_text("\n".join(lines))
    assert read_credential(pasted).token == shown["token"]
    kept = "".join(path.read_text() for path in home.glob("*.toml"))
    assert shown["token"] not in kept


def test_a_credential_file_is_private_and_holds_the_only_copy(home: Path) -> None:
    add_alice(home)
    added = typed(
        home, "caller", "add", "agent", "--owner", "alice", "--resource", "table:*",
        "--credential", "agent.credential",
    )  # fmt: skip
    assert added.returncode == 0
    assert mode(home / "agent.credential") == 0o600
    token = read_credential(home / "agent.credential").token
    assert token is not None
    assert token not in added.stdout + added.stderr


def test_scripts_get_json(home: Path) -> None:
    added = json.loads(typed(home, "person", "add", "al", "--name", "Al", "--json").stdout)
    assert set(added) == {"endpoint", "subject", "token"}
    assert added["subject"] == "person al"


@pytest.mark.parametrize(
    ("words", "code", "remedy"),
    [
        ("person add alice --name A", "directory.duplicate_id", "Give it another id"),
        ("person add Zoe --name Zoe", "directory.invalid_id", "An id is 1 to 128 of"),
        ("person add z --name Z --alias alice", "directory.duplicate_account", "remove it"),
        ("person add z --name Z --credential no/z", "credential.unwritable", "existing directory"),
        ("person add z --name Z --credential people.toml", "credential.exists", "another file"),
        ("caller add c --owner zoe --resource t:*", "directory.unknown_person", "Register the"),
        ("caller add c --owner alice --resource t", "directory.invalid_pattern", "type:id"),
        ("person rotate zoe", "directory.not_registered", "person list"),
        ("caller show zoe", "directory.not_registered", "caller list"),
        ("caller revoke agent --token 0123456789ab", "directory.unknown_token", "caller show"),
        ("caller revoke agent --all", "directory.last_credential", "caller remove agent"),
        ("person remove alice", "directory.unknown_person", "Register the person"),
        ("person add zoe --name Z --replace", "directory.not_registered", "person list"),
        ("person rotate alice --credential people.toml", "credential.exists", "another file"),
        (
            "caller add c --owner alice --resource t:* --parent p",
            "directory.unknown_parent",
            "Register the parent",
        ),
    ],
)
def test_what_cannot_be_registered_is_refused_and_nothing_written(
    home: Path, words: str, code: str, remedy: str
) -> None:
    add_alice(home)
    add_agent(home)
    before = {path: path.read_bytes() for path in home.glob("*.toml")}
    refused = typed(home, *words.split())
    assert refused.returncode == 1
    assert f"[{code}]" in refused.stderr
    assert remedy in refused.stderr
    assert {path: path.read_bytes() for path in home.glob("*.toml")} == before


def test_wrong_usage_is_2(home: Path) -> None:
    assert typed(home, "caller", "add", "agent", "--owner", "alice").returncode == 2
    assert typed(home, "channel", "add", "bot").returncode == 2
    both = typed(home, "caller", "revoke", "agent", "--token", "0", "--all")
    assert both.returncode == 2
    assert "exclude each other" in both.stderr
    account = typed(home, "person", "add", "z", "--name", "Z", "--account", "teams:t")
    assert account.returncode == 2
    assert "ISSUER SUBJECT" in account.stderr
    level = typed(home, "serve", "--log-level", "loud")
    assert level.returncode == 2
    assert "'debug', 'info', 'warning', 'error'" in level.stderr


def names(home: Path, kind: str, id: str) -> list[str]:
    shown = json.loads(typed(home, kind, "show", id, "--json").stdout)
    return [way["name"] for way in shown["credentials"]]


def test_a_token_is_rotated_and_the_old_one_revoked(home: Path) -> None:
    add_alice(home)
    old = token_hash(add_agent(home))[:12]
    rotated = typed(home, "caller", "rotate", "agent", "--credential", "new.credential")
    assert "end the others: countersign caller revoke agent" in rotated.stdout
    token = read_credential(home / "new.credential").token
    assert token is not None
    assert token not in rotated.stdout + rotated.stderr
    new = token_hash(token)[:12]
    assert names(home, "caller", "agent") == [old, new]
    revoked = typed(home, "caller", "revoke", "agent")
    assert revoked.stdout == f"No longer valid for caller agent: {old}\n"
    assert names(home, "caller", "agent") == [new]
    again = json.loads(typed(home, "caller", "revoke", "agent", "--json").stdout)
    assert again == {"subject": "caller agent", "revoked": []}
    json.loads(typed(home, "caller", "rotate", "agent", "--json").stdout)
    named = json.loads(typed(home, "caller", "revoke", "agent", "--token", new, "--json").stdout)
    assert named["revoked"] == [new]


def test_a_list_is_a_table_and_says_who_knows_the_last_use(home: Path) -> None:
    assert typed(home, "channel", "list").stdout == "Nobody is registered.\n"
    add_alice(home)
    add_agent(home)
    lines = typed(home, "caller", "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "OWNERS", "CREDENTIALS"]
    assert lines[1].split() == ["agent", "alice", "1"]
    assert "--as" in lines[-1]
    listed = json.loads(typed(home, "caller", "list", "--json").stdout)
    assert [caller["id"] for caller in listed] == ["agent"]
    assert listed[0]["environments"] == ["dev", "staging", "production"]


def test_a_channel_is_registered_shown_replaced_and_removed(home: Path) -> None:
    added = json.loads(typed(home, "channel", "add", "bot", "--issuer", "teams:t", "--json").stdout)
    assert added["token"].startswith("csh_")
    again = typed(home, "channel", "add", "bot", "--issuer", "teams:t")
    assert again.returncode == 1
    assert 'channel "bot" is registered already' in again.stderr
    assert "--replace" in again.stderr
    other = typed(home, "channel", "add", "other", "--issuer", "teams:t")
    assert "[service]" in other.stdout
    replaced = typed(
        home, "channel", "add", "bot", "--issuer", "teams:t", "--issuer", "teams:u", "--replace"
    )
    assert replaced.stdout.endswith("Its credentials stay.\n")
    shown = typed(home, "channel", "show", "bot").stdout
    assert "teams:u" in shown
    assert token_hash(added["token"])[:12] in shown
    assert "last used" in shown.splitlines()[-1]
    removed = json.loads(typed(home, "channel", "remove", "bot", "--json").stdout)
    assert removed == {"subject": "channel bot", "removed": True}
    left = json.loads(typed(home, "channel", "list", "--json").stdout)
    assert [each["id"] for each in left] == ["other"]


def test_a_person_has_accounts_and_aliases(home: Path) -> None:
    typed(
        home, "person", "add", "bob", "--name", "Bob", "--account", "https://idp.example 00u 1",
        "--alias", "bob@example.com",
    )  # fmt: skip
    bob = json.loads(typed(home, "person", "show", "bob", "--json").stdout)
    assert bob["accounts"] == [{"issuer": "https://idp.example", "subject": "00u 1"}]
    assert bob["aliases"] == ["bob@example.com"]
    assert "jwt" in [way["kind"] for way in bob["credentials"]]


def test_tenants_are_apart_on_the_host_too(home: Path) -> None:
    add_alice(home)
    assert typed(home, "person", "add", "alice", "--name", "A", "--tenant", "t2").returncode == 0
    listed = json.loads(typed(home, "person", "list", "--tenant", "t2", "--json").stdout)
    assert [person["name"] for person in listed] == ["A"]
    assert typed(home, "person", "remove", "alice", "--tenant", "t2").returncode == 0
    assert names(home, "person", "alice")


def test_an_operators_credential_decides_the_tenant(home: Path) -> None:
    add_alice(home)
    refused = typed(home, "person", "list", "--as", "alice.credential", "--tenant", "t2")
    assert "[register.tenant]" in refused.stderr


# --- serve, doctor, version -----------------------------------------------------------


def test_serve_says_when_it_is_ready_and_ends_with_0(tmp_path: Path) -> None:
    with Service(tmp_path / "service") as service:
        service.start()  # reads the ready line, and connects where it says
        assert service.status("/readyz")[0] == 200
        assert service.stop() == 0


def test_serve_without_settings_names_the_remedy(tmp_path: Path) -> None:
    refused = typed(tmp_path, "serve")
    assert refused.returncode == 1
    assert "there is no countersign.toml [config.missing]" in refused.stderr
    assert "countersign init" in refused.stderr


def test_a_wrong_setting_is_named_and_not_quoted(home: Path) -> None:
    path = home / "countersign.toml"
    path.write_text(path.read_text().replace("permit_ttl_s = 120", "permit_ttl_s = 99999"))
    refused = typed(home, "serve")
    assert refused.returncode == 1
    assert "limits.permit_ttl_s" in refused.stderr
    assert "99999" not in refused.stderr


def findings(home: Path) -> dict[str, Any]:
    done = typed(home, "doctor", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["ok"] else 1)
    return {finding["name"]: finding for finding in told["findings"]}


def test_doctor_finds_everything_in_place(tmp_path: Path) -> None:
    with Service(tmp_path / "service") as service:
        service.person("alice")
        service.caller("agent", "alice")
        found = findings(service.directory)
        assert [name for name, finding in found.items() if not finding["ok"]] == []
        assert set(found) == {
            "keys", "opa", "policy", "registers", "settings", "store", "versions",
        }  # fmt: skip
        told = typed(service.directory, "doctor")
        assert told.stdout.endswith("Everything is in place.\n")


def test_doctor_names_what_is_missing_with_the_remedy(home: Path) -> None:
    realparts.opa()
    path = home / "countersign.toml"
    path.write_text(path.read_text().replace('opa = ""', 'opa = "no/opa"'))
    (home / "keys" / "permit.pem").chmod(0o644)
    found = findings(home)
    wrong = {name for name, finding in found.items() if not finding["ok"]}
    assert wrong == {"keys", "opa", "registers"}
    assert all(found[name]["remedy"] for name in wrong)
    assert "countersign person add" in found["registers"]["remedy"]
    (home / "countersign.toml").unlink()
    assert "countersign init" in findings(home)["settings"]["remedy"]


def test_doctor_looks_at_the_candidate_that_is_tried_in_shadow(tmp_path: Path) -> None:
    with Service(tmp_path / "service") as service:
        service.configure({"policy.shadow.directory": "candidate"})
        missing = findings(service.directory)["shadow"]
        assert not missing["ok"]
        assert "candidate" in missing["detail"]
        candidate = service.directory / "candidate"
        candidate.mkdir()
        (candidate / "a.rego").write_text("package countersign\n\ndecision := {\n")
        assert "does not compile" in findings(service.directory)["shadow"]["detail"]
        (candidate / "a.rego").write_text("package countersign\n\ndecision := {}\n")
        assert findings(service.directory)["shadow"]["ok"]


def test_version(tmp_path: Path) -> None:
    assert typed(tmp_path, "version").stdout == f"{__version__}\n"
