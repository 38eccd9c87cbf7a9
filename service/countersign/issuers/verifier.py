"""Verify tokens with the current keys of whoever they say they are from."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias, cast

from countersign.errors import ConfigurationError
from countersign.issuers.fetch import HttpFetch, read_file
from countersign.issuers.held import Freshness, HeldKeys
from countersign.issuers.source import IssuerSource
from countersign.tokens import (
    IssuerSettings,
    TokenError,
    TokenUse,
    VerifiedToken,
    issuer_of,
    verify,
)

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
_FILE_POLL_S: Final = 5.0
"""A file costs nobody a request, so a change of it is seen soon."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Issuer:
    settings: IssuerSettings
    held: HeldKeys


class Issuers:
    """All issuers an operator trusts. Without any, no token is good."""

    def __init__(
        self,
        sources: Sequence[IssuerSource],
        *,
        clock: Callable[[], float] = time.monotonic,
        fetch: Fetch | None = None,
        freshness: Freshness | None = None,
    ) -> None:
        """`clock` is monotonic. Raises `ConfigurationError` when two have one name."""
        self._clock = clock
        freshness = freshness or Freshness()
        fetch = fetch or HttpFetch()
        self._issuers = {
            source.settings.issuer: _Issuer(
                settings=source.settings, held=_held(source, freshness, fetch, clock)
            )
            for source in sources
        }
        if len(self._issuers) < len(sources):
            raise ConfigurationError(
                "issuers.invalid",
                "issuers: one issuer is given twice",
                advice="Give each issuer one table; it can list several tenants.",
            )

    def has(self, use: TokenUse) -> bool:
        """Whether any issuer's tokens are accepted for this use."""
        return any(use in issuer.settings.audiences for issuer in self._issuers.values())

    @property
    def failures(self) -> Mapping[str, str]:
        """Issuers whose keys could not be read at the last attempt, and why."""
        found = {name: issuer.held.failure for name, issuer in self._issuers.items()}
        return {name: failure for name, failure in found.items() if failure is not None}

    async def start(self) -> None:
        """Read every key set once, so that `failures` tells before the first token comes."""
        await asyncio.gather(*map(_warm, self._issuers.values()))

    async def verify(self, token: str, use: TokenUse, *, now_s: int) -> VerifiedToken:
        """What a good token says; see `tokens.verify` for what is left to compare.

        Raises `TokenError`: `token.keys_unavailable` when the issuer's keys are not
        at hand, `token.unknown_key` marked retryable when they may not be the newest.
        """
        came = self._clock()
        issuer = self._issuers.get(issuer_of(token))
        if issuer is None:
            raise TokenError(
                "token.unknown_issuer",
                "the token's issuer is not trusted here",
                advice="The operator lists trusted issuers under [[issuers]].",
            )
        try:
            return await _verify(token, issuer, use, now_s)
        except TokenError as error:
            if error.code != "token.unknown_key":
                raise
        newest = await issuer.held.read_since(came)
        try:
            return await _verify(token, issuer, use, now_s)
        except TokenError as error:
            error.retryable |= error.code == "token.unknown_key" and not newest
            raise


async def _verify(token: str, issuer: _Issuer, use: TokenUse, now_s: int) -> VerifiedToken:
    keys = await issuer.held.current()
    return verify(token, settings=issuer.settings, keys=keys, use=use, now_s=now_s)


async def _warm(issuer: _Issuer) -> None:
    with contextlib.suppress(TokenError):
        await issuer.held.current()


def _held(
    source: IssuerSource, freshness: Freshness, fetch: Fetch, clock: Callable[[], float]
) -> HeldKeys:
    read: Callable[[], Awaitable[bytes]]
    if source.jwks_file is not None:
        read = functools.partial(asyncio.to_thread, read_file, source.jwks_file)
        freshness = dataclasses.replace(
            freshness, refresh_s=_FILE_POLL_S, min_refetch_s=_FILE_POLL_S
        )
    else:
        read = functools.partial(fetch, cast(str, source.jwks_url))
    return HeldKeys(source.settings.issuer, read, freshness, clock)
