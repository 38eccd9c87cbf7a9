"""The bot's settings: one TOML file, `bot.toml`.

The only module of the bot that reads the environment. A wrong key or value is a
`ConfigurationError` that names it and never echoes a value. Paths are relative to the
file's directory. A secret never stands in the file: a setting says where it is, by a
path or as `env:NAME`.
"""

from __future__ import annotations

import os
import re
import tomllib
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator as After
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from countersign.credentials import Credential, read_credential, read_private, toml_problem
from countersign.errors import ConfigurationError
from countersign_bot.connector.credentials import AppCertificate, AppSecret
from countersign_bot.inbound.clouds import CLOUDS, Cloud, CloudName, ServiceHosts

SETTINGS_NAME: Final = "bot.toml"
MAX_SECRET_CHARACTERS: Final = 16_384
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ENV: Final = "env:"
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_UUID: Final = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ID: Final = rf"^{_UUID}$"
_MAYBE_ID: Final = rf"^({_UUID})?$"
_ADDRESS: Final = r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$"
_HOST: Final = r"^[a-z0-9-]+(\.[a-z0-9-]+)+$"
_LANGUAGE: Final = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"
_AN_ID: Final = "an id as Entra shows it: 32 hex digits as 8-4-4-4-12, not a name or domain"
_MEANT: Final = {
    _ID: _AN_ID,
    _MAYBE_ID: _AN_ID,
    _ADDRESS: "HOST:PORT, such as 127.0.0.1:3978",
    _HOST: "a host's name alone, in small letters, such as smba.example.com",
    _LANGUAGE: "a language tag, such as en or de-AT",
}
"""What each pattern wants, in words."""
_EntraId = Annotated[str, Field(pattern=_ID), After(str.lower)]
_MaybeEntraId = Annotated[str, Field(pattern=_MAYBE_ID), After(str.lower)]
_Address = Annotated[str, Field(pattern=_ADDRESS)]
_Host = Annotated[str, Field(pattern=_HOST, max_length=253)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class AppSection(_Section):
    """`[app]`: the bot's registration in Entra, and how it proves itself there."""

    id: _MaybeEntraId = ""
    type: Literal["single_tenant", "managed_identity"] = "single_tenant"
    tenant: _MaybeEntraId = ""
    cloud: Literal["public", "gcc", "gcc_high", "dod"] = "public"
    secret: str = ""
    certificate: str = ""
    key: str = ""

    @model_validator(mode="after")
    def _proves_itself_one_way(self) -> Self:
        if not self.id:
            return self
        if self.type == "managed_identity":
            if self.secret or self.certificate or self.key:
                raise ValueError("secret, certificate, key: a managed identity has none; leave out")
            return self
        if not self.tenant:
            raise ValueError("tenant: a single-tenant app needs the id of its Entra tenant")
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate, key: belong together; give both or neither")
        if bool(self.secret) == bool(self.certificate):
            raise ValueError("secret: give either secret, or certificate and key")
        return self


class ListenSection(_Section):
    """`[listen]`: where Teams comes in."""

    address: _Address = "127.0.0.1:3978"
    tls_certificate: str = ""
    tls_key: str = ""
    behind_proxy: bool = False

    @property
    def host(self) -> str:
        """Without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """0: any that is free."""
        return int(self.address.rpartition(":")[2])

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in _LOOPBACK

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.port > 65_535:
            raise ValueError("address: the port is at most 65535")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate, tls_key: belong together; give both or neither")
        if not (self.tls_certificate or self.on_loopback or self.behind_proxy):
            raise ValueError(
                "address: beyond loopback give tls_certificate and tls_key, or behind_proxy = true "
                "when something in front of it speaks TLS"
            )
        return self


class ServiceSection(_Section):
    """`[service]`: Countersign, where reviews are decided."""

    credential: str = "bot-credential.toml"


def _known_zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError("name one of the IANA time zone database, such as Europe/Berlin")
    return name


def _page(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme != "https" or not parts.hostname or parts.username is not None):
        raise ValueError("must be an https address without a user")
    return url


class TeamsSection(_Section):
    """`[teams]`: what shared cards speak, and where else the connector may be."""

    hosts: Annotated[list[_Host], Field(max_length=20)] = Field(default_factory=list)
    language: Annotated[str, Field(pattern=_LANGUAGE)] = "en"
    timezone: Annotated[str, After(_known_zone)] = "UTC"
    console_url: Annotated[str, Field(max_length=512), After(_page)] = ""


class LimitsSection(_Section):
    """`[limits]`: how fast the bot writes."""

    conversation_per_s: Annotated[float, Field(gt=0, le=5)] = 1.0
    conversation_burst: Annotated[int, Field(ge=1, le=7)] = 5
    tenant_per_s: Annotated[float, Field(gt=0, le=50)] = 20.0
    tenant_burst: Annotated[int, Field(ge=1, le=50)] = 20


class Settings(_Section):
    """The whole file."""

    tenants: Annotated[list[_EntraId], Field(min_length=1, max_length=100)]
    """Entra tenants that are served."""
    app: AppSection = AppSection()
    listen: ListenSection = ListenSection()
    service: ServiceSection = ServiceSection()
    teams: TeamsSection = TeamsSection()
    limits: LimitsSection = LimitsSection()
    development: bool = False

    base: Path = Field(default=Path(), exclude=True)
    """The file's directory."""

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Self:
        """Without an app id there is nothing to check a token against."""
        if not self.app.id and not (self.development and self.listen.on_loopback):
            raise ValueError(
                "app.id: is missing; without it anybody could decide. Only a simulator does "
                "without: then set development = true and listen on loopback"
            )
        return self

    @property
    def is_open(self) -> bool:
        """Development without an app id: whoever is on this machine is believed."""
        return not self.app.id

    @property
    def cloud(self) -> Cloud:
        """The cloud the bot lives in."""
        return CLOUDS[CloudName(self.app.cloud)]

    @property
    def bot_id(self) -> str:
        """The bot's id in Teams."""
        return f"28:{self.app.id}"

    def hosts(self) -> ServiceHosts:
        """Where the bot's token may go: of the cloud, and the operator's."""
        return ServiceHosts(
            names=self.cloud.hosts | frozenset(self.teams.hosts), loopback=self.is_open
        )

    def path(self, setting: str) -> Path:
        """A path of the file, made absolute."""
        return (self.base / setting).absolute()

    def credential(self) -> Credential:
        """How the bot proves itself to Countersign. Raises `ConfigurationError`."""
        return read_credential(self.path(self.service.credential))

    def proof(self, environment: Mapping[str, str] | None = None) -> AppSecret | AppCertificate:
        """How a single-tenant app proves itself to Entra. Raises `ConfigurationError`."""
        if self.app.secret:
            return AppSecret(secret=self._secret("app.secret", self.app.secret, environment))
        certificate = self._secret("app.certificate", self.app.certificate, environment, open_=True)
        if "-----BEGIN CERTIFICATE-----" not in certificate:
            raise _wrong("app.certificate", "holds no certificate in PEM")
        key = self._secret("app.key", self.app.key, environment)
        if "PRIVATE KEY-----" not in key:
            raise _wrong("app.key", "holds no private key in PEM")
        return AppCertificate(certificate=certificate, key=key)

    def _secret(
        self,
        field: str,
        place: str,
        environment: Mapping[str, str] | None,
        *,
        open_: bool = False,
    ) -> str:
        """What is at a path or in the environment. `open_`: it may be read by anybody.

        No message shows the place, since somebody may have put the secret there.
        """
        if place.startswith(_ENV):
            name = place.removeprefix(_ENV)
            environ = os.environ if environment is None else environment
            text = environ.get(name, "") if _ENV_NAME.fullmatch(name) else ""
        else:
            text = _read(field, self.path(place), open_=open_)
        text = text.strip()
        if not text:
            unset = "names a variable that is not set here, or is empty"
            raise _wrong(field, unset if place.startswith(_ENV) else "names an empty file")
        if len(text) > MAX_SECRET_CHARACTERS:
            raise _wrong(field, f"is over {MAX_SECRET_CHARACTERS} characters")
        return text


def load(path: Path) -> Settings:
    """Read and check the file. Raises `ConfigurationError`."""
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            "bot.settings",
            f"{path} cannot be read: {error.strerror}",
            advice=f"Name an existing {SETTINGS_NAME}.",
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError("bot.settings", f"{path} {toml_problem(error)}") from None
    if "base" in data:
        raise ConfigurationError("bot.settings", f"{path}: base: unknown key")
    data["base"] = path.absolute().parent
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        problems = "\n  ".join(_problem(item) for item in error.errors(include_input=False))
        raise ConfigurationError(
            "bot.settings",
            f"{path}:\n  {problems}",
            advice="docs/reference/bot-settings.md names every key and what it may be.",
        ) from None


def _problem(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key"
    if error["type"] == "missing":
        return f"{where}: is missing"
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        text = f"must be {_MEANT[error['ctx']['pattern']]}"
    return f"{where}: {text}" if where else text


def _read(field: str, path: Path, *, open_: bool) -> str:
    try:
        if not path.is_file():
            raise _wrong(field, "names no file")
        if open_:
            with path.open("rb") as file:
                data = file.read(MAX_SECRET_CHARACTERS + 1)
        else:
            data = read_private(
                path, if_exposed="replace it", if_unreadable="Let this user own the file."
            )
        return data.decode("utf-8")
    except (OSError, ValueError):
        raise _wrong(field, "cannot be read as text") from None


def _wrong(field: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        "bot.secret",
        f"{field}: {problem}",
        advice="Give the path of a file that holds it, or env:NAME for a variable of the "
        "environment; never what is to be kept secret itself.",
    )
