"""The clouds Teams lives in: who signs there, where to log in, whom to write to.

Issuer, OpenID metadata, login and scope of the public cloud and of US Government are
those of "Authentication with the Bot Connector API" and of "Deploy a bot to Azure
Government" in Microsoft's Bot Service documentation; the hosts of the connector are
those of "Proactive messages" in its Teams documentation. GCC shares the public
cloud's sign-in and has a connector of its own; GCC High and DoD share that of US
Government.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from typing import Final

_MAX_URL_CHARACTERS: Final = 512
_PATH: Final = r"(/[A-Za-z0-9._~-]*)*"
_SERVICE_URL: Final = re.compile(rf"https://(?P<host>[a-z0-9.-]+)(:443)?{_PATH}")
_LOOPBACK_URL: Final = re.compile(rf"http://(127\.0\.0\.1|localhost)(:[0-9]{{1,5}})?{_PATH}")


class CloudName(enum.StrEnum):
    """What the settings call a cloud."""

    PUBLIC = "public"
    GCC = "gcc"
    GCC_HIGH = "gcc_high"
    DOD = "dod"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """What differs between clouds."""

    issuer: str
    """`iss` of every token that the connector sends us, whole."""
    metadata_url: str
    """OpenID metadata, which names the keys."""
    login_url: str
    """Where the bot gets its own tokens; a tenant id follows."""
    scope: str
    """For what the bot asks a token."""
    hosts: frozenset[str]
    """Of the connector: nobody else gets the bot's token."""


_PUBLIC: Final = Cloud(
    issuer="https://api.botframework.com",
    metadata_url="https://login.botframework.com/v1/.well-known/openidconfiguration",
    login_url="https://login.microsoftonline.com/",
    scope="https://api.botframework.com/.default",
    hosts=frozenset({"smba.trafficmanager.net"}),
)
_US_GOVERNMENT: Final = Cloud(
    issuer="https://api.botframework.us",
    metadata_url="https://login.botframework.azure.us/v1/.well-known/openidconfiguration",
    login_url="https://login.microsoftonline.us/",
    scope="https://api.botframework.us/.default",
    hosts=frozenset(),
)
CLOUDS: Final = {
    CloudName.PUBLIC: _PUBLIC,
    CloudName.GCC: dataclasses.replace(
        _PUBLIC, hosts=frozenset({"smba.infra.gcc.teams.microsoft.com"})
    ),
    CloudName.GCC_HIGH: dataclasses.replace(
        _US_GOVERNMENT, hosts=frozenset({"smba.infra.gov.teams.microsoft.us"})
    ),
    CloudName.DOD: dataclasses.replace(
        _US_GOVERNMENT, hosts=frozenset({"smba.infra.dod.teams.microsoft.us"})
    ),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHosts:
    """Where a service URL may point, so that the bot's token may go there."""

    names: frozenset[str]
    loopback: bool = False
    """Also plain HTTP to this machine: in development only."""

    def allow(self, url: str) -> bool:
        """Whether that is https, to one of the hosts, at the usual port.

        Judged by the whole text, with few characters allowed: so nobody who reads
        it another way, as for a backslash, `@` or `#`, comes to another host.
        """
        if len(url) > _MAX_URL_CHARACTERS:
            return False
        match = _SERVICE_URL.fullmatch(url)
        if match is not None:
            return match["host"] in self.names
        return self.loopback and _LOOPBACK_URL.fullmatch(url) is not None
