"""Where the keys of an issuer are: a file of the operator, or a URL of the issuer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from countersign.errors import ConfigurationError
from countersign.exchange import url_problem
from countersign.tokens import IssuerSettings


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
        problem = url_problem(self.jwks_url) if self.jwks_url is not None else ""
        if problem:
            raise _wrong(f"jwks_url {problem}")


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError("issuers.invalid", f"issuers: {problem}")
