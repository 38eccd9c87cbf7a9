"""Settings: the default file is the documentation, and a wrong one is named."""

from __future__ import annotations

import importlib.resources
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from countersign.config import Config, credential_path, load, opa_candidates
from countersign.errors import ConfigurationError
from countersign.model import Assurance, TenantId
from countersign.tokens import TokenUse


def written(tmp_path, text):
    path = tmp_path / "countersign.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_default_file_shows_every_key_with_its_default(tmp_path):
    text = importlib.resources.files("countersign").joinpath("default.toml").read_text("utf-8")
    shown = tomllib.loads(text)
    defaults = Config().model_dump()
    assert [defaults.pop(name) for name in ("floors", "quotas")] == [{}, {}]
    assert [defaults.pop(name) for name in ("issuers", "witnesses")] == [[], []]
    assert [defaults["policy"].pop(name) for name in ("bundle", "git")] == [None, None]
    assert shown == defaults
    assert load(written(tmp_path, text), {}).base == tmp_path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nlisten = 7443", "server.listen"),
        ("[server]\nlisten = 'nowhere'", "server.listen"),
        ("[server]\nmax_context_bytes = 2000000", "server.max_context_bytes"),
        ("[sever]\nlisten = '127.0.0.1:1'", "sever: unknown key"),
        ("[limits]\npermit_tll_s = 5", "limits.permit_tll_s: unknown key"),
        ("[floors.production]\nleast_quorum = 0", "floors.production.least_quorum"),
        ("base = '/'", "base: unknown key"),
        ("[log]\ndurability = 'maybe'", "log.durability"),
        ("not toml", "not TOML"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path, text, named):
    with pytest.raises(ConfigurationError) as error:
        load(written(tmp_path, text), {})
    assert named in str(error.value)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigurationError, match="countersign init"):
        load(tmp_path / "countersign.toml", {})


def test_floors_reach_the_flow_and_star_is_everywhere_else(tmp_path):
    text = '[floors.production]\nleast_quorum = 2\n[floors."*"]\nmax_use_within_s = 60'
    limits = load(written(tmp_path, text), {}).flow_limits()
    assert limits.floor("production").least_quorum == 2
    assert limits.floor("dev").max_use_within_s == 60


def test_how_long_tags_stay_the_same_reaches_the_flow_and_the_record(tmp_path):
    assert load(written(tmp_path, ""), {}).flow_limits().tag_rotation_days == 90
    settings = load(written(tmp_path, "[sanitizer]\ntag_rotation_days = 7"), {})
    assert settings.flow_limits().tag_rotation_days == 7
    assert settings.effective("default")["sanitizer"]["tag_rotation_days"] == 7
    for days in (-1, 3_661):
        with pytest.raises(ConfigurationError, match=r"sanitizer\.tag_rotation_days"):
            load(written(tmp_path, f"[sanitizer]\ntag_rotation_days = {days}"), {})


def test_issuers_quotas_and_the_rest_of_a_floor_reach_who_keeps_them(tmp_path):
    text = """
[floors.production]
least_assurance = "person"
require_reason = true
allow_break_glass = false
[quotas.acme]
max_open_reviews = 3
requests_per_s = 5.0
[[issuers]]
issuer = "https://login.example"
tenants = ["acme"]
jwks_file = "keys/jwks.json"
evidence_audience = "ours"
"""
    settings = load(written(tmp_path, text), {})
    floor = settings.flow_limits().floor("production")
    assert (floor.least_assurance, floor.require_reason) == (Assurance.PERSON, True)
    assert (floor.allow_break_glass, floor.allow_batch) == (False, True)
    assert settings.flow_limits().quota(TenantId("acme")).max_open_reviews == 3
    assert settings.flow_limits().quota(TenantId("other")).max_open_reviews == 1000
    assert settings.tenant_rate("acme") == (5.0, 10_000)
    assert settings.tenant_rate("other")[0] == 0
    (source,) = settings.issuer_sources()
    assert source.jwks_file == tmp_path / "keys" / "jwks.json"
    assert dict(source.settings.audiences) == {TokenUse.EVIDENCE: "ours"}


def test_one_audience_for_two_uses_is_refused(tmp_path):
    text = """
[[issuers]]
issuer = "https://login.example"
jwks_file = "jwks.json"
evidence_audience = "ours"
person_audience = "ours"
"""
    with pytest.raises(ConfigurationError, match="must differ"):
        load(written(tmp_path, text), {}).issuer_sources()


def test_the_record_of_a_start_holds_no_place(tmp_path):
    shown = json.dumps(load(written(tmp_path, ""), {}).effective("default"))
    for place in ("127.0.0.1", "keys/", "callers.toml", "countersign.db", str(tmp_path)):
        assert place not in shown
    assert '"permit_ttl_s": 120' in shown


def test_a_tenants_record_holds_no_setting_of_another(tmp_path):
    text = """
[quotas.secret-merger]
max_open_reviews = 3
[quotas."*"]
max_open_reviews = 4
[[issuers]]
issuer = "https://login.example"
tenants = ["default", "secret-merger"]
jwks_file = "keys/jwks.json"
evidence_audience = "ours"
[[issuers]]
issuer = "https://secret-merger.example"
tenants = ["secret-merger"]
jwks_file = "keys/jwks.json"
evidence_audience = "ours"
"""
    settings = load(written(tmp_path, text), {})
    assert "secret-merger" not in json.dumps(settings.effective("default"))
    own = settings.effective("secret-merger")
    assert set(own["quotas"]) == {"secret-merger", "*"}
    assert len(own["issuers"]) == 2


def test_the_environment_names_files_and_nothing_else(tmp_path):
    path = tmp_path / "c"
    assert credential_path(None, {"COUNTERSIGN_CREDENTIAL": str(path)}) == path
    with pytest.raises(ConfigurationError) as error:
        credential_path(None, {})
    assert error.value.code == "credential.missing"
    named = opa_candidates({"OPA": "/x/opa", "PATH": "/a:/b"})
    assert named == (Path("/x/opa"),)  # a wrong one is never silently replaced by another
    candidates = [str(place) for place in opa_candidates({"OPA": "", "PATH": "/a:/b"})]
    assert candidates[-2:] == ["/a/opa", "/b/opa"]


def test_a_private_key_is_taken_out_of_the_environment_that_children_inherit(tmp_path, monkeypatch):
    path = written(tmp_path, '[keys]\nlog = "env:COUNTERSIGN_TEST_KEY"')
    monkeypatch.setenv("COUNTERSIGN_TEST_KEY", "secret")
    for _ in range(2):
        config = load(path)
        assert config.variables == {"COUNTERSIGN_TEST_KEY": "secret"}
        assert "secret" not in repr(config)
        assert "secret" not in json.dumps(config.model_dump(mode="json"))
    asked = "import os; print('COUNTERSIGN_TEST_KEY' in os.environ)"
    child = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True)
    assert child.stdout == b"False\n"
    with pytest.raises(ConfigurationError, match="variables: unknown key"):
        load(written(tmp_path, "variables = {}"), {})
