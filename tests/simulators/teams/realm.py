"""Which hosts and issuers make up one of Microsoft's clouds.

Source: "Authentication with the Bot Connector API" and the configuration pages for
the government clouds.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """The names of one cloud."""

    login_host: str
    """Entra: signs in applications."""
    framework_host: str
    """Bot Framework: publishes the keys that sign what comes from Teams."""
    issuer: str
    """`iss` of those tokens, and the audience of the bot's own."""
    connector_hosts: tuple[str, ...]

    @property
    def hosts(self) -> tuple[str, ...]:
        return (self.login_host, self.framework_host, *self.connector_hosts)


PUBLIC = Realm(
    login_host="login.microsoftonline.com",
    framework_host="login.botframework.com",
    issuer="https://api.botframework.com",
    connector_hosts=("smba.trafficmanager.net", "smba.infra.gcc.teams.microsoft.com"),
)
"""The public cloud, and GCC, which differs in its connector alone."""

GOVERNMENT = Realm(
    login_host="login.microsoftonline.us",
    framework_host="login.botframework.azure.us",
    issuer="https://api.botframework.us",
    connector_hosts=(
        "smba.infra.gov.teams.microsoft.us",
        "smba.infra.dod.teams.microsoft.us",
    ),
)
"""GCC High and DoD."""
