"""`countersign doctor`: what is missing, and how to mend it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import typer

from countersign import __version__
from countersign.cli.finding import Finding, told
from countersign.cli.operator import ConfigOption, JsonOption
from countersign.config import Config, config_path, load, opa_candidates
from countersign.errors import ConfigurationError, CountersignError
from countersign.issuers import Issuers
from countersign.keyring import keyring_of
from countersign.policy.admission import Admission
from countersign.policy.binary import check_version, find_opa
from countersign.policy.bundle import Bundle, build
from countersign.policy.opa import OpaPolicy
from countersign.policy.snapshot import Snapshot
from countersign.policy.sources.directory import snapshot
from countersign.policy_source import admission_settings, source_of
from countersign.recognizers import Pool
from countersign.registry import Registers

app = typer.Typer()
_PACKAGES = ("grpcio", "protobuf", "pydantic", "google-re2", "cryptography", "PyJWT", "uvloop")


@app.command()
def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Look at settings, keys, registers, OPA and policy; exit code 1 if anything is wrong."""
    return told(_examine(config_path(config)), as_json=as_json)


def _examine(path: Path) -> list[Finding]:
    findings = [_versions()]
    settings: list[Config] = []
    findings.append(_try("settings", lambda: _settings(path, settings)))
    opa: list[Path] = []
    config = settings[0] if settings else Config()
    findings.append(_try("opa", lambda: _opa(config, opa)))
    if not settings:
        return findings
    findings.append(_try("keys", lambda: _keys(config)))
    findings.append(_try("registers", lambda: _registers(config)))
    if config.sanitizer.rules:
        findings.append(_try("rules", lambda: _rules(config)))
    if config.presidio.file:
        findings.append(_try("presidio", lambda: _presidio(config)))
    if config.issuers:
        findings.append(_try("issuers", lambda: _issuers(config)))
    if opa:
        findings.append(_try("policy", lambda: _policy(config, opa[0])))
    if opa and config.policy.shadow.directory:
        findings.append(_try("shadow", lambda: _shadow(config, opa[0])))
    findings.append(_try("store", lambda: _store(config)))
    return findings


def _try(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=look())
    except CountersignError as error:
        return Finding(name=name, ok=False, detail=error.message, remedy=error.advice)


def _versions() -> Finding:
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    python = f"Python {platform.python_version()} ({sys.executable})"
    sqlite = f"SQLite {sqlite3.sqlite_version}"
    detail = f"countersign {__version__}, {python}, {sqlite}, {packages}"
    return Finding(name="versions", ok=True, detail=detail)


def _settings(path: Path, found: list[Config]) -> str:
    found.append(load(path))
    return f"{path.absolute()}"


def _opa(config: Config, found: list[Path]) -> str:
    configured = config.path(config.policy.opa) if config.policy.opa else None
    path = find_opa(configured, opa_candidates())
    found.append(path)
    return f"{check_version(path)} at {path}"


def _keys(config: Config) -> str:
    ring = keyring_of(config)
    kinds = sorted({source.kind.name.lower() for _, source in config.keys.sources()})
    count = len(ring.permits)
    return f"log key, receipt key and {count} permit key(s), all different; from {', '.join(kinds)}"


def _registers(config: Config) -> str:
    section = config.directory
    directory = Registers(
        callers=config.path(section.callers),
        people=config.path(section.people),
        channels=config.path(section.channels),
    ).load()
    callers = sum(len(directory.callers(tenant)) for tenant in directory.tenants)
    people = sum(len(directory.people(tenant)) for tenant in directory.tenants)
    if not callers or not people:
        raise ConfigurationError(
            "directory.empty",
            f"{callers} caller(s) and {people} person(s) are registered",
            advice="Add them: `countersign person add`, `countersign caller add`.",
        )
    channels = sum(len(directory.channels(tenant)) for tenant in directory.tenants)
    tenants = len(directory.tenants)
    return f"{callers} caller(s), {people} person(s), {channels} channel(s), {tenants} tenant(s)"


def _rules(config: Config) -> str:
    rules = config.custom_rules()
    return f"{len(rules.table)} table(s) of your own rules, each found by its examples"


def _presidio(config: Config) -> str:
    return asyncio.run(_recognizers(config))


async def _recognizers(config: Config) -> str:
    settings = config.recognizers()
    if settings is None:
        return "none"
    pool = await Pool.start(settings)
    await pool.stop()
    return f"looks for {', '.join(settings.entities)}"


def _issuers(config: Config) -> str:
    issuers = Issuers(config.issuer_sources())
    asyncio.run(issuers.start())
    for name, why in sorted(issuers.failures.items()):
        raise ConfigurationError(
            "issuers.invalid",
            f"{name}: its keys cannot be read: {why}",
            advice="Correct jwks_url or jwks_file; its tokens are refused until then.",
        )
    return f"keys of {len(config.issuers)} issuer(s) read"


def _policy(config: Config, opa: Path) -> str:
    version = source_of(config, kept=False).fetch("")
    assert version is not None  # noqa: S101 - no version is the empty one
    bundle = asyncio.run(_admitted(config, opa, version))
    told = f"{version.origin}: revision {bundle.revision}, passes all that it has to"
    return f"{told}, signed by {version.signed_by}" if version.signed_by else told


def _shadow(config: Config, opa: Path) -> str:
    """What is tried beside it only has to compile."""
    candidate = snapshot(config.path(config.policy.shadow.directory))
    bundle = build(opa, candidate)
    return f"{candidate.origin}: revision {bundle.revision}, compiles, and decides nothing"


async def _admitted(config: Config, opa: Path, version: Snapshot) -> Bundle:
    """What a service would have it pass before it answers."""
    admission = Admission(opa, settings=admission_settings(config))
    bundle = await admission.admit(version)
    await OpaPolicy(opa).try_bundle(bundle, admission.probe)
    return bundle


def _store(config: Config) -> str:
    path = config.path(config.store.path)
    return f"{path} ({path.stat().st_size} bytes)" if path.exists() else f"{path} (made at start)"
