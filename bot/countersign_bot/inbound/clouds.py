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
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

_MAX_URL_CHARACTERS: Final = 512


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


def is_service_url(url: str, hosts: Collection[str]) -> bool:
    """Whether a token of ours may go there: https, one of these hosts, its usual port.

    Judged by the whole text, since another reader might split it another way.
    """
    if not (url.isascii() and url.isprintable()) or len(url) > _MAX_URL_CHARACTERS:
        return False
    if any(mark in url for mark in "\\@?# "):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme != "https" or port not in (None, 443):
        return False
    return (parts.hostname or "") in hosts and url.startswith("https://")
