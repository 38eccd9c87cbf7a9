"""The service's settings: one TOML file, every key documented in its default.

The only module that reads the environment. Each section is one frozen model,
validated once; a wrong key or value is a `ConfigurationError` that names it
and never echoes a value. Paths are relative to the file's directory.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from countersign.audit.cosignature import WitnessKey
from countersign.audit.witness.asking import Place
from countersign.errors import ConfigurationError, LogError
from countersign.exchange import url_problem
from countersign.flow import Floor, Limits, Quota
from countersign.issuers import IssuerSource
from countersign.keys import Kind, Source
from countersign.model import Assurance, Durability, JsonValue, TenantId
from countersign.policy.shadow import ShadowSettings
from countersign.recognizers import ENTITY_NAME
from countersign.recognizers import Settings as RecognizerSettings
from countersign.sanitize import CustomRules, custom_rules
from countersign.tokens import IssuerSettings, TokenUse

CONFIG_NAME: Final = "countersign.toml"
_Port = Annotated[int, Field(ge=0, le=65535)]
_Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerSection(_Section):
    """`[server]`: where it listens."""

    listen: _Address = "127.0.0.1:7443"
    status_listen: _Address = "127.0.0.1:7444"
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    max_context_bytes: Annotated[int, Field(ge=1024, le=1_048_576)] = 65_536
    requests_per_s: Annotated[float, Field(ge=0)] = 1000
    requests_burst: Annotated[int, Field(ge=1)] = 2000
    drain_s: Annotated[float, Field(ge=0, le=60)] = 5
    issuer: Annotated[str, Field(min_length=1, max_length=200)] = "countersign"


class StoreSection(_Section):
    """`[store]`: durable state."""

    path: str = "state/countersign.db"


class LogSection(_Section):
    """`[log]`: the audit log."""

    sink: Literal["local", "s3"] = "local"
    directory: str = "log"
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,99}$")] = "countersign.local"
    durability: Literal["durable", "locked"] = "durable"
    flush_after_s: Annotated[float, Field(gt=0, le=60)] = 1
    heartbeat_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    lock_deadline_s: Annotated[float, Field(gt=0, le=300)] = 10
    max_backlog_bytes: Annotated[int, Field(ge=1 << 20)] = 256 << 20
    max_backlog_age_s: Annotated[float, Field(gt=0)] = 3600


_Bucket = Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")]


class S3Section(_Section):
    """`[s3]`: the buckets of `log.sink = "s3"`."""

    records_bucket: _Bucket = ""
    tiles_bucket: _Bucket = ""
    prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*$")] = ""
    region: str = ""
    endpoint: Annotated[str, Field(pattern=r"^(https?://[^/@]+)?$")] = ""
    retain_days: Annotated[int, Field(ge=1)] = 913
    max_retain_days: Annotated[int, Field(ge=1, le=36_525)] = 3653
    mode: Literal["COMPLIANCE", "GOVERNANCE"] = "COMPLIANCE"

    @model_validator(mode="after")
    def _within_the_cap(self) -> Self:
        if self.retain_days > self.max_retain_days:
            raise ValueError("retain_days: more than max_retain_days; a lock cannot be taken back")
        return self


_RemoteDeadline = Annotated[float, Field(gt=0, le=600)]


class BundleSection(_Section):
    """`[policy.bundle]`: a ready-made bundle, from a file, a web server or a bucket."""

    file: str = ""
    url: str = ""
    token: str = ""
    ca: str = ""
    endpoint: Annotated[str, Field(pattern=r"^(https?://[^/@]+)?$")] = ""
    region: str = ""
    deadline_s: _RemoteDeadline = 10
    max_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 << 20
    verification_key: str = ""
    key_id: str = ""
    algorithm: Literal[
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"
    ] = "RS256"
    scope: str = ""


class GitSection(_Section):
    """`[policy.git]`: a branch or tag of a git repository."""

    url: str
    ref: str = "main"
    path: str = ""
    signers: str = ""
    signed: Literal["tip", "every"] = "tip"
    allow_rewrite: bool = False
    user: str = "git"
    token: str = ""
    ca: str = ""
    ssh_key: str = ""
    known_hosts: str = ""
    deadline_s: _RemoteDeadline = 60
    max_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 32)] = 256 << 20


class ShadowSection(_Section):
    """`[policy.shadow]`: a candidate, asked the same and believed nothing."""

    directory: str = ""
    sample: Annotated[float, Field(ge=0, le=1)] = 1
    deadline_s: Annotated[float, Field(gt=0, le=5)] = 0.25
    max_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    max_records_per_minute: Annotated[int, Field(ge=0, le=6000)] = 60
    poll_s: Annotated[float, Field(gt=0, le=3600)] = 10

    def settings(self) -> ShadowSettings:
        """What the candidate may cost."""
        return ShadowSettings(**self.model_dump(exclude={"directory"}))


class PolicySection(_Section):
    """`[policy]`: Rego, where it comes from, what it must pass, and the OPA that runs it."""

    directory: str = "policy"
    opa: str = ""
    deadline_s: Annotated[float, Field(gt=0, le=30)] = 1
    poll_s: Annotated[float, Field(ge=0, le=86_400)] = 5
    cache: str = "state/policy"
    tests: bool = True
    test_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 60
    probes: bool = True
    keep: Annotated[int, Field(ge=1, le=100)] = 10
    tenant: str = "default"
    approval: bool = False
    approval_caller: str = "countersign-policy"
    approval_environment: str = "production"
    bundle: BundleSection | None = None
    git: GitSection | None = None
    shadow: ShadowSection = Field(default_factory=ShadowSection)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        named = [name for name in ("directory", "bundle", "git") if name in self.model_fields_set]
        if len(named) > 1:
            raise ValueError(
                f"{', '.join(named)}: policy comes from one place; take the others out"
            )
        if self.bundle is not None and bool(self.bundle.file) == bool(self.bundle.url):
            raise ValueError("bundle: give one of file and url")
        return self


class DirectorySection(_Section):
    """`[directory]`: callers and people."""

    callers: str = "callers.toml"
    people: str = "people.toml"
    channels: str = "channels.toml"
    poll_s: Annotated[float, Field(gt=0, le=60)] = 1
    max_age_s: Annotated[float, Field(gt=0, le=86_400)] = 300
    new_account_wait_s: Annotated[int, Field(ge=0, le=30 * 86_400)] = 600


class AdminSection(_Section):
    """`[admin]`: who may change registers and policy over the network."""

    groups: list[str] = Field(default_factory=list)


class IssuerSection(_Section):
    """`[[issuers]]`: whose tokens are believed, and how far."""

    issuer: str
    tenants: list[str] = Field(default_factory=lambda: ["default"])
    jwks_file: str = ""
    jwks_url: str = ""
    evidence_audience: str = ""
    caller_audience: str = ""
    person_audience: str = ""
    algorithms: list[str] = Field(default_factory=lambda: ["RS256", "ES256", "EdDSA"])
    max_lifetime_s: int = 900

    def source(self, path: Callable[[str], Path]) -> IssuerSource:
        """The source of keys it describes. Raises `ConfigurationError`."""
        audiences = {
            TokenUse.EVIDENCE: self.evidence_audience,
            TokenUse.CALLER: self.caller_audience,
            TokenUse.PERSON: self.person_audience,
        }
        return IssuerSource(
            settings=IssuerSettings(
                issuer=self.issuer,
                tenants=tuple(map(TenantId, self.tenants)),
                audiences={use: audience for use, audience in audiences.items() if audience},
                algorithms=tuple(self.algorithms),
                max_lifetime_s=self.max_lifetime_s,
            ),
            jwks_file=path(self.jwks_file) if self.jwks_file else None,
            jwks_url=self.jwks_url or None,
        )


class WitnessSection(_Section):
    """`[[witnesses]]`: who cosigns checkpoints."""

    url: str
    key: str
    deadline_s: Annotated[float, Field(gt=0, le=60)] = 5

    def place(self) -> Place:
        """The witness it describes. Raises `ConfigurationError`."""
        problem = url_problem(self.url)
        if problem:
            raise _bad_witness(f"url {problem}")
        if urlsplit(self.url).query:
            raise _bad_witness("url must have no query: it is the prefix of add-checkpoint")
        try:
            key = WitnessKey.parse(self.key)
        except LogError as error:
            raise _bad_witness(f"key: {error.message}") from None
        return Place(url=self.url, key=key, deadline_s=self.deadline_s)


class QuotaSection(_Section):
    """`[quotas.<tenant>]`: what one tenant may use of the service."""

    max_open_reviews: Annotated[int, Field(ge=1)] = 1000
    requests_per_s: Annotated[float, Field(ge=0)] = 0
    requests_burst: Annotated[int, Field(ge=1)] = 10_000


class KeysSection(_Section):
    """`[keys]`: what signs, Ed25519. `Source` says what a text may name."""

    permit: Annotated[list[str], Field(min_length=1)] = Field(
        default_factory=lambda: ["keys/permit.pem"]
    )
    log: str = "keys/log.pem"
    receipt: str = "keys/receipt.pem"
    deadline_s: Annotated[float, Field(gt=0, le=30)] = 3

    def sources(self) -> list[tuple[str, Source]]:
        """Each setting and what it names. Raises `ConfigurationError`."""
        named = [("keys.log", self.log), ("keys.receipt", self.receipt)]
        named += [("keys.permit", text) for text in self.permit]
        return [(setting, Source.parse(setting, text)) for setting, text in named]


class LimitsSection(_Section):
    """`[limits]`: bounds of the flow."""

    permit_ttl_s: Annotated[int, Field(ge=5, le=3600)] = 120
    max_open_reviews: Annotated[int, Field(ge=1)] = 100
    max_open_reviews_behind: Annotated[int, Field(ge=1)] = 50
    requests_per_s_behind: Annotated[float, Field(ge=0)] = 50
    requests_burst_behind: Annotated[int, Field(ge=1)] = 200
    deny_cool_down_s: Annotated[int, Field(ge=0)] = 60
    max_await_s: Annotated[float, Field(gt=0, le=3600)] = 60
    max_delegation_s: Annotated[int, Field(ge=0, le=366 * 86_400)] = 30 * 86_400
    max_assertion_age_s: Annotated[float, Field(gt=0, le=86_400)] = 300


class FloorSection(_Section):
    """`[floors.<environment>]`: what policy cannot go below."""

    least_quorum: Annotated[int, Field(ge=1, le=20)] = 1
    max_use_within_s: Annotated[int, Field(ge=1, le=86_400)] = 86_400
    least_assurance: Literal["channel", "person"] = "channel"
    require_reason: bool = False
    allow_batch: bool = True
    allow_break_glass: bool = True


class PresidioSection(_Section):
    """`[presidio]`: recognizers beside ours, in a process of their own."""

    file: str = ""
    entities: list[Annotated[str, Field(pattern=rf"^{ENTITY_NAME}$")]] = Field(default_factory=list)
    texts: Literal["prose", "all"] = "prose"
    deadline_s: Annotated[float, Field(ge=0.02, le=10)] = 0.5

    @model_validator(mode="after")
    def _finds_something(self) -> Self:
        if self.file and not self.entities:
            raise ValueError('entities: name what is to be found, such as ["PERSON"]')
        return self


class SanitizerSection(_Section):
    """`[sanitizer]`: what is ours."""

    internal_domains: list[str] = Field(default_factory=list)
    max_preview_bytes: Annotated[int, Field(ge=2_000, le=200_000)] = 20_000
    tag_rotation_days: Annotated[int, Field(ge=0, le=3_660)] = 90
    rules: str = ""


class Config(_Section):
    """The whole file."""

    server: ServerSection = ServerSection()
    store: StoreSection = StoreSection()
    log: LogSection = LogSection()
    s3: S3Section = S3Section()
    policy: PolicySection = PolicySection()
    directory: DirectorySection = DirectorySection()
    keys: KeysSection = KeysSection()
    limits: LimitsSection = LimitsSection()
    floors: dict[str, FloorSection] = Field(default_factory=dict)
    quotas: dict[str, QuotaSection] = Field(default_factory=dict)
    admin: AdminSection = AdminSection()
    issuers: list[IssuerSection] = Field(default_factory=list)
    witnesses: list[WitnessSection] = Field(default_factory=list)
    sanitizer: SanitizerSection = SanitizerSection()
    presidio: PresidioSection = PresidioSection()

    base: Path = Field(default=Path(), exclude=True)
    """The file's directory."""
    fault: str = Field(default="", exclude=True)
    """Fault point at which the process kills itself: for crash tests only."""
    variables: dict[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    """Private keys and tokens of the environment, by the names of their variables."""

    def effective(self, tenant: str) -> dict[str, JsonValue]:
        """The settings that bear on a tenant's decisions, for its record.

        No paths, no addresses, and nothing of another tenant (invariant 12).
        """
        sections = {
            *("admin", "directory", "floors", "issuers", "limits", "log"),
            *("policy", "presidio", "quotas", "s3", "sanitizer", "server", "witnesses"),
        }
        places: dict[str, Any] = {
            "directory": {"callers", "people", "channels"},
            "issuers": {"__all__": {"jwks_file", "jwks_url"}},
            "log": {"directory"},
            "policy": {
                **dict.fromkeys(("directory", "opa", "cache"), True),
                **dict.fromkeys(("tenant", "approval_caller", "approval_environment"), True),
                "bundle": {"file", "url", "token", "ca", "endpoint", "region", "verification_key"},
                "git": {
                    *("url", "path", "signers", "user", "token"),
                    *("ca", "ssh_key", "known_hosts"),
                },
                "shadow": {"directory"},
            },
            "presidio": {"file"},
            "s3": {"endpoint", "prefix", "records_bucket", "region", "tiles_bucket"},
            "sanitizer": {"rules"},
            "server": {"listen", "status_listen", "tls_certificate", "tls_key", "tls_client_ca"},
            "witnesses": {"__all__": {"url"}},
        }
        settings = self.model_dump(mode="json", include=sections, exclude=places)
        settings["quotas"] = {
            name: quota for name, quota in settings["quotas"].items() if name in {tenant, "*"}
        }
        settings["issuers"] = [
            {**issuer, "tenants": [tenant]}
            for issuer in settings["issuers"]
            if tenant in issuer["tenants"]
        ]
        return settings

    def path(self, setting: str) -> Path:
        """A path of the file, made absolute."""
        return (self.base / setting).absolute()

    def flow_limits(self) -> Limits:
        """The flow's bounds."""
        return Limits(
            durability=Durability(self.log.durability),
            lock_deadline_s=self.log.lock_deadline_s,
            policy_deadline_s=self.policy.deadline_s,
            permit_ttl_s=self.limits.permit_ttl_s,
            max_open_reviews=self.limits.max_open_reviews,
            max_open_reviews_behind=self.limits.max_open_reviews_behind,
            max_delegation_s=self.limits.max_delegation_s,
            new_account_wait_s=self.directory.new_account_wait_s,
            max_directory_age_s=self.directory.max_age_s,
            tag_rotation_days=self.sanitizer.tag_rotation_days,
            quotas={
                tenant: Quota(max_open_reviews=quota.max_open_reviews)
                for tenant, quota in self.quotas.items()
            },
            deny_cool_down_s=self.limits.deny_cool_down_s,
            max_await_s=self.limits.max_await_s,
            floors={
                environment: Floor(
                    least_quorum=floor.least_quorum,
                    max_use_within_s=floor.max_use_within_s,
                    least_assurance=Assurance(floor.least_assurance),
                    require_reason=floor.require_reason,
                    allow_batch=floor.allow_batch,
                    allow_break_glass=floor.allow_break_glass,
                )
                for environment, floor in self.floors.items()
            },
        )

    def issuer_sources(self) -> list[IssuerSource]:
        """Whose tokens are believed. Raises `ConfigurationError`."""
        return [issuer.source(self.path) for issuer in self.issuers]

    def witness_places(self) -> list[Place]:
        """Who cosigns checkpoints. Raises `ConfigurationError`."""
        places = [witness.place() for witness in self.witnesses]
        if len({place.key.key_id for place in places}) != len(places):
            raise _bad_witness("key: one witness is named twice")
        return places

    def custom_rules(self) -> CustomRules:
        """The operator's own sanitizer rules. Raises `ConfigurationError`."""
        if not self.sanitizer.rules:
            return CustomRules()
        path = self.path(self.sanitizer.rules)
        try:
            return custom_rules(_toml(path), name=str(path))
        except FileNotFoundError:
            raise ConfigurationError("sanitizer.rules", f"there is no {path}") from None

    def recognizers(self) -> RecognizerSettings | None:
        """Presidio's recognizers, if the operator wants any. Raises `ConfigurationError`."""
        section = self.presidio
        if not section.file:
            return None
        path = self.path(section.file)
        if not path.is_file():
            raise ConfigurationError("presidio.file", f"there is no {path}")
        return RecognizerSettings(
            file=path,
            entities=tuple(dict.fromkeys(section.entities)),
            every_text=section.texts == "all",
            deadline_s=section.deadline_s,
            own_kinds=self.custom_rules().kinds,
        )

    def tenant_rate(self, tenant: str) -> tuple[float, int]:
        """Requests a second (0: no limit) and burst of a tenant."""
        quota = self.quotas.get(tenant) or self.quotas.get("*") or QuotaSection()
        return quota.requests_per_s, quota.requests_burst


def _bad_witness(problem: str) -> ConfigurationError:
    return ConfigurationError(
        "witnesses.invalid",
        f"witnesses: {problem}",
        advice="Get the address and the key from whoever runs the witness; "
        "`countersign witness key` prints one.",
    )


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check the file. Raises `ConfigurationError`."""
    environ = os.environ if environment is None else environment
    try:
        data = _toml(path)
    except FileNotFoundError:
        raise ConfigurationError(
            "config.missing",
            f"there is no {path}",
            advice="`countersign init DIRECTORY` writes one with everything it needs.",
        ) from None
    for name in ("base", "fault", "variables"):
        if name in data:
            raise ConfigurationError("config.invalid", f"{path}: {name}: unknown key")
    data["base"] = path.absolute().parent
    data["fault"] = environ.get("COUNTERSIGN_FAULT", "")
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems = "\n  ".join(_problem(item) for item in error.errors())
        raise ConfigurationError(
            "config.invalid",
            f"{path}:\n  {problems}",
            advice="The default file explains every key: `countersign init` writes it.",
        ) from None
    config.variables.update(_taken(config, environment))
    return config


_TAKEN: Final[dict[str, str]] = {}
"""Secrets that were in this process's environment when it was first looked at."""


def _taken(config: Config, environment: Mapping[str, str] | None) -> dict[str, str]:
    """The variables that hold secrets, out of the environment that children inherit."""
    sources = [source for _, source in config.keys.sources()]
    names = {source.place for source in sources if source.kind is Kind.ENVIRONMENT}
    tokens = [remote.token for remote in (config.policy.bundle, config.policy.git) if remote]
    names |= {token.removeprefix("env:") for token in tokens if token.startswith("env:")}
    if environment is not None:
        return {name: environment[name] for name in names if name in environment}
    for name in names.intersection(os.environ):
        _TAKEN[name] = os.environ.pop(name)
    return {name: _TAKEN[name] for name in names if name in _TAKEN}


def _toml(path: Path) -> dict[str, Any]:
    """A file's tables. Raises `ConfigurationError`; that it is missing, its reader words."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError("config.unreadable", f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError("config.syntax", f"{path}: not TOML: {error}") from None


def _problem(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key"
    return f"{where}: {error['msg']}"


def opa_candidates(environment: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Where OPA may be when the file does not say: `$OPA` alone, or `.tools/opa` and PATH."""
    environ = os.environ if environment is None else environment
    if environ.get("OPA"):
        return (Path(environ["OPA"]),)
    places = [_checkout() / ".tools" / "opa"]
    places += [Path(entry) / "opa" for entry in environ.get("PATH", "").split(os.pathsep) if entry]
    return tuple(places)


def config_path(given: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """The file to use: as given, else `$COUNTERSIGN_CONFIG`, else here."""
    environ = os.environ if environment is None else environment
    return given or Path(environ.get("COUNTERSIGN_CONFIG", CONFIG_NAME))


def credential_path(given: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """The credential file to use: as given, else `$COUNTERSIGN_CREDENTIAL`.

    Raises `ConfigurationError` when there is neither.
    """
    environ = os.environ if environment is None else environment
    named = environ.get("COUNTERSIGN_CREDENTIAL", "")
    if given is None and not named:
        raise ConfigurationError(
            "credential.missing",
            "no credential file was named",
            advice="Give --credential FILE or set COUNTERSIGN_CREDENTIAL. `countersign caller add` "
            "and `countersign person add` write one.",
        )
    return given or Path(named)


def shipped_policy() -> Path:
    """The Rego library and examples that come with Countersign."""
    installed = Path(__file__).parent / "rego"
    return installed if installed.is_dir() else _checkout() / "rego"


def _checkout() -> Path:
    return Path(__file__).parents[2]
