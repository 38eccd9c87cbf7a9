"""The policy source that the settings name, and what they ask of a version.

Used by `app`, and by commands about that policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from countersign.config import BundleSection, Config, GitSection, opa_candidates
from countersign.credentials import read_secret
from countersign.errors import ConfigurationError
from countersign.policy.admission import AdmissionSettings
from countersign.policy.binary import find_opa
from countersign.policy.signatures import BundleKey
from countersign.policy.snapshot import Source
from countersign.policy.sources.bundle import BundleSource, Place
from countersign.policy.sources.directory import DirectorySource
from countersign.policy.sources.file import FilePlace
from countersign.policy.sources.git import GitSettings, GitSource, History
from countersign.policy.sources.http import HttpPlace
from countersign.policy.sources.last_good import LastGood
from countersign.policy.sources.unsigned import Unsigned


def admission_settings(config: Config) -> AdmissionSettings:
    """What the settings ask of a version before it answers."""
    section = config.policy
    return AdmissionSettings(
        tests=section.tests,
        test_timeout_s=section.test_timeout_s,
        probes=section.probes,
        deadline_s=section.deadline_s,
    )


def source_of(config: Config, *, kept: bool = True) -> Source:
    """A directory, a bundle or a git repository. Raises `ConfigurationError`; asks nobody yet.

    Not `kept`: what is there or an error, and never what was accepted last instead.
    """
    if config.policy.git is not None:
        git = _git(config, config.policy.git)
        return LastGood(git, config.path(config.policy.cache)) if kept else git
    if config.policy.bundle is not None:
        return _bundle(config, config.policy.bundle, kept=kept)
    directory = DirectorySource(config.path(config.policy.directory))
    if config.policy.approval and kept:  # what was approved has to be there at the next start
        return LastGood(Unsigned(directory), config.path(config.policy.cache))
    return directory


def _bundle(config: Config, section: BundleSection, *, kept: bool) -> Source:
    key = None
    if section.verification_key:
        configured = config.path(config.policy.opa) if config.policy.opa else None
        key = BundleKey(
            opa=find_opa(configured, opa_candidates()),
            file=config.path(section.verification_key),
            key_id=section.key_id,
            algorithm=section.algorithm,
            scope=section.scope,
        )
    elif section.key_id or section.scope:
        raise ConfigurationError(
            "policy.source_invalid",
            "policy.bundle.verification_key is not given, but what it must have signed is",
            advice="Name the public key, or take key_id and scope out.",
        )
    source = BundleSource(_place(config, section), key)
    if not kept or (section.file and not config.policy.approval):
        return source
    return LastGood(source, config.path(config.policy.cache))


_HTTPS_ALONE: Final = ("token", "ca")
_S3_ALONE: Final = ("endpoint", "region")


def _place(config: Config, section: BundleSection) -> Place:
    if section.file:
        _require_unset(section, (*_HTTPS_ALONE, *_S3_ALONE), "a file")
        return FilePlace(config.path(section.file), max_bytes=section.max_bytes)
    if not section.url.startswith("s3://"):
        _require_unset(section, _S3_ALONE, "https")
        return HttpPlace(
            section.url,
            token=_secret(config, "policy.bundle.token", section.token),
            ca=config.path(section.ca) if section.ca else None,
            deadline_s=section.deadline_s,
            max_bytes=section.max_bytes,
        )
    _require_unset(section, _HTTPS_ALONE, "s3, whose credentials and authorities come as for AWS")
    from countersign.policy.sources.s3 import S3Place  # noqa: PLC0415 - an extra

    return S3Place(
        section.url,
        endpoint=section.endpoint,
        region=section.region,
        deadline_s=section.deadline_s,
        max_bytes=section.max_bytes,
    )


def _require_unset(section: BundleSection, names: Sequence[str], what: str) -> None:
    """Nobody shall believe that a setting is heeded which is not."""
    for name in names:
        if getattr(section, name):
            raise ConfigurationError(
                "policy.source_invalid",
                f"policy.bundle.{name} is not for {what}",
                advice="Take it out.",
            )


def _git(config: Config, section: GitSection) -> GitSource:
    def path(setting: str) -> Path | None:
        return config.path(setting) if setting else None

    if section.signed == "every" and not section.signers:
        raise ConfigurationError(
            "policy.source_invalid",
            "policy.git.signers is not given, but every commit must be signed",
            advice="Name ssh's ALLOWED SIGNERS file, or take signed out.",
        )
    return GitSource(
        GitSettings(
            url=section.url,
            ref=section.ref,
            path=section.path,
            base=config.base.absolute(),
            signers=path(section.signers),
            history=History(section.signed),
            allow_rewrite=section.allow_rewrite,
            user=section.user,
            token=_secret(config, "policy.git.token", section.token),
            ca=path(section.ca),
            ssh_key=path(section.ssh_key),
            known_hosts=path(section.known_hosts),
            deadline_s=section.deadline_s,
            max_bytes=section.max_bytes,
        ),
        config.path(config.policy.cache),
    )


def _secret(config: Config, setting: str, text: str) -> Callable[[], str] | None:
    """What reads a secret each time that it is needed, so that it can be changed."""
    if not text:
        return None
    if not text.startswith("env:"):
        return lambda: read_secret(setting, config.path(text))
    value = config.variables.get(text.removeprefix("env:"), "")
    if not value:
        raise ConfigurationError(
            "policy.source_invalid",
            f"{setting}: the environment variable that it names is not set",
            advice="Set it, or name a file.",
        )
    return lambda: value
