"""Where the keys of an issuer are: a file of the operator, or a URL of the issuer."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from countersign.errors import ConfigurationError
from countersign.tokens import IssuerSettings

_URL: Final = re.compile(r"[!-~]{1,2048}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSource:
    """An issuer and its JWK Set: `jwks_file` or `jwks_url`. Raises `ConfigurationError`.

    The URL is pinned: it is never taken from a token or found by discovery. Over
    plain HTTP anybody on the way could be the issuer, so it is for loopback only.
    """

    settings: IssuerSettings
    jwks_file: Path | None = None
    jwks_url: str | None = None

    def __post_init__(self) -> None:
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise _wrong("give each issuer one of jwks_file and jwks_url")
        if self.jwks_url is not None:
            _check_url(self.jwks_url)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _wrong("jwks_url is not a URL") from None
    if not _URL.fullmatch(url) or not host or parts.fragment:
        raise _wrong("jwks_url must be the absolute URL of a JWK Set, in ASCII")
    if "@" in parts.netloc:
        raise _wrong("jwks_url must carry no credentials; a key set is public")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise _wrong("jwks_url must be https (http is for loopback addresses only)")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError("issuers.invalid", f"issuers: {problem}")
