"""Which source the settings name, and which settings name none."""

from __future__ import annotations

import pytest

import realparts
from countersign.config import Config, load
from countersign.errors import ConfigurationError
from countersign.policy.sources.bundle import BundleSource
from countersign.policy.sources.directory import DirectorySource
from countersign.policy.sources.last_good import LastGood
from countersign.policy_source import source_of

TOKEN = "s3cr3t-t0ken"


def config(tmp_path, text: str, **environment: str) -> Config:
    path = tmp_path / "countersign.toml"
    path.write_text(text, "utf-8")
    return load(path, environment)


def refused(tmp_path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        source_of(config(tmp_path, text, **environment))
    assert TOKEN not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "origin"),
    [
        ("", DirectorySource, "directory {}/policy"),
        ("[policy]\ndirectory = 'rules'", DirectorySource, "directory {}/rules"),
        ("[policy.bundle]\nfile = 'b.tar.gz'", BundleSource, "bundle {}/b.tar.gz"),
        (
            "[policy.bundle]\nurl = 'https://policy.example/b.tar.gz?sig=s3cr3t-t0ken'",
            LastGood,
            "bundle https://policy.example/b.tar.gz",
        ),
        (
            "[policy.bundle]\nurl = 's3://policies/b.tar.gz'",
            LastGood,
            "bundle s3://policies/b.tar.gz",
        ),
        ("[policy.git]\nurl = 'repo'\npath = 'prod'", LastGood, "git {}/repo main in prod"),
        (
            "[policy.git]\nurl = 'git@git.example:policy.git'\nref = 'live'\nssh_key = 'k'",
            LastGood,
            "git git@git.example:policy.git live",
        ),
    ],
)
def test_each_has_an_origin_without_a_secret(tmp_path, text, kind, origin):
    source = source_of(config(tmp_path, text))
    assert isinstance(source, kind)
    assert source.origin == origin.format(tmp_path)
    assert not isinstance(source_of(config(tmp_path, text), kept=False), LastGood)
    assert not (tmp_path / "state").exists()  # nobody was asked yet


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (
            "[policy]\ndirectory = 'p'\n[policy.git]\nurl = 'repo'",
            "directory, git: policy comes from",
        ),
        (
            "[policy.bundle]\nfile = 'b'\n[policy.git]\nurl = 'repo'",
            "bundle, git: policy comes from",
        ),
        ("[policy.bundle]", "bundle: give one of file and url"),
        (
            "[policy.bundle]\nfile = 'b'\nurl = 'https://x.example'",
            "bundle: give one of file and url",
        ),
        ("[policy.git]", "policy.git.url"),
        ("[policy.git]\nurl = 'r'\nsigned = 'some'", "policy.git.signed"),
        ("[policy.bundle]\nfile = 'b'\nalgorithm = 'none'", "policy.bundle.algorithm"),
        ("[policy.bundle]\nfile = 'b'\nalgorithm = 'HS256'", "policy.bundle.algorithm"),
        ("[policy.bundle]\nfile = 'b'\nkey_id = 'release'", "policy.bundle.verification_key"),
        ("[policy.bundle]\nurl = 's3://b.b/k'\ntoken = 'env:T'", "policy.bundle.token"),
        ("[policy.bundle]\nurl = 's3://b.b/k'\nca = 'ca.pem'", "policy.bundle.ca"),
        ("[policy.bundle]\nfile = 'b'\ntoken = 'env:T'", "policy.bundle.token is not for a file"),
        ("[policy.bundle]\nurl = 'https://x.example'\nregion = 'r'", "policy.bundle.region"),
        ("[policy.git]\nurl = 'r'\nsigned = 'every'", "policy.git.signers"),
        ("[policy.bundle]\nurl = 'https://x.example'\ntoken = 'env:GONE'", "policy.bundle.token"),
        ("[policy.git]\nurl = 'https://x.example/r'\ntoken = 'env:GONE'", "policy.git.token"),
        ("[policy.git]\nurl = 'https://bob:s3cr3t-t0ken@x.example/r'", "policy.git.url"),
        ("[policy.bundle]\nurl = 'https://bob:s3cr3t-t0ken@x.example/r'", "policy.bundle.url"),
        ("[policy]\npoll_s = -1", "policy.poll_s"),
    ],
)
def test_what_names_no_source_is_named(tmp_path, text, named):
    assert named in refused(tmp_path, text, T=TOKEN)


def test_a_token_is_taken_from_the_environment_or_read_from_a_private_file(tmp_path):
    text = "[policy.bundle]\nurl = 'https://x.example'\ntoken = '{}'"
    taken = config(tmp_path, text.format("env:POLICY_TOKEN"), POLICY_TOKEN=TOKEN, OTHER="x")
    assert taken.variables == {"POLICY_TOKEN": TOKEN}
    assert TOKEN not in repr(taken)
    assert "POLICY_TOKEN" not in str(taken.effective("default"))
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o644)
    source = source_of(config(tmp_path, text.format("token")))
    with pytest.raises(ConfigurationError) as caught:
        source.fetch("")
    assert "policy.bundle.token" in str(caught.value)
    assert "0644" in str(caught.value)
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "token").write_text(f"{TOKEN}\nHost: elsewhere\n")
    with pytest.raises(ConfigurationError) as caught:
        source.fetch("")
    assert "one line" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_with_a_key_the_named_opa_is_looked_for(tmp_path):
    text = "[policy]\nopa = '{}'\n[policy.bundle]\nfile = 'b'\nverification_key = 'k.pem'"
    assert source_of(config(tmp_path, text.format(realparts.opa())))
    assert "there is no OPA" in refused(tmp_path, text.format("gone"))


def test_what_bears_on_decisions_is_recorded_and_no_place_is(tmp_path):
    text = """
[policy.git]
url = "https://git.example/r.git"
ref = "live"
path = "prod"
signers = "people"
token = "env:T"
"""
    told = config(tmp_path, text, T=TOKEN).effective("default")["policy"]
    assert told["git"] == {
        "ref": "live",
        "signed": "tip",
        "allow_rewrite": False,
        "deadline_s": 60.0,
        "max_bytes": 256 << 20,
    }
    assert {"directory", "opa", "cache"}.isdisjoint(told)
    assert set(told) == {
        *("deadline_s", "poll_s", "bundle", "git", "shadow"),
        *("approval", "keep", "probes", "test_timeout_s", "tests"),
    }
