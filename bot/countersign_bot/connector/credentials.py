"""The bot's own tokens for the connector, by MSAL.

A single-tenant app proves itself by secret or certificate, a user-assigned managed
identity by where it runs. MSAL blocks, so it works in a thread; one asks and all wait,
for so long and no longer. Tokens are kept until shortly before they end, and never
logged: what Entra refuses is told by its error code alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msal
import requests

from countersign_bot.connector.errors import PassingError

ACQUIRE_WITHIN_S: Final = 10.0
REQUEST_WITHIN_S: Final = 5.0
_EARLY_S: Final = 300.0
_CODE: Final = re.compile(r"[a-z_]{1,40}")
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AppSecret:
    """Of an app registration."""

    secret: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AppCertificate:
    """Of an app registration. PEM, both."""

    certificate: str
    key: str = dataclasses.field(repr=False)


class Credentials(Protocol):
    """Where the connector's tokens come from."""

    async def token(self) -> str:
        """One that is good now; empty when none is wanted. Raises `PassingError`."""
        ...

    def refuse(self, token: str) -> None:
        """Teams did not take this one: get another next time."""
        ...


class NoCredentials:
    """For a simulator that asks for none, in development."""

    async def token(self) -> str:
        return ""

    def refuse(self, token: str) -> None:
        """There is none."""


class MsalCredentials:
    """Tokens that `acquire` gets: blocking, with MSAL's dict as its answer.

    It is asked with True when a token that MSAL may have kept is of no use. `clock`
    is monotonic.
    """

    def __init__(
        self,
        acquire: Callable[[bool], Mapping[str, Any]],
        *,
        clock: Callable[[], float],
        within_s: float = ACQUIRE_WITHIN_S,
    ) -> None:
        self._acquire = acquire
        self._clock = clock
        self._within_s = within_s
        self._token = ""
        self._good_until = -math.inf
        self._anew = False
        self._acquiring: asyncio.Task[None] | None = None

    async def token(self) -> str:
        if self._clock() < self._good_until:
            return self._token
        if self._acquiring is None:
            self._acquiring = asyncio.create_task(self._get())
            self._acquiring.add_done_callback(self._got)
        try:
            async with asyncio.timeout(self._within_s):
                # A thread cannot be stopped: it ends by itself, and is asked for then.
                await asyncio.shield(self._acquiring)
        except TimeoutError:
            raise PassingError("teams.token", "no token from Entra in time") from None
        return self._token

    def refuse(self, token: str) -> None:
        if token == self._token:
            self._good_until, self._anew = -math.inf, True

    def _got(self, task: asyncio.Task[None]) -> None:
        self._acquiring = None
        if not task.cancelled():
            task.exception()  # seen, though everybody may have given up waiting

    async def _get(self) -> None:
        """Raises `PassingError`."""
        try:
            answer = await asyncio.to_thread(self._acquire, self._anew)
        except Exception as error:  # noqa: BLE001 - MSAL and what it uses raise what they like
            _log.error("no token from Entra: %s", type(error).__name__)
            raise PassingError("teams.token", "Entra cannot be asked for a token") from None
        token, lifetime_s = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(lifetime_s, int | float):
            code = _CODE.fullmatch(str(answer.get("error", "")))
            _log.error("no token from Entra: it answers %s", code[0] if code else "nothing usable")
            raise PassingError("teams.token", "Entra gives no token for this bot")
        self._token, self._anew = token, False
        # Half of a short life, rather than none of it.
        self._good_until = self._clock() + max(lifetime_s - _EARLY_S, lifetime_s / 2)


def single_tenant(
    *, app_id: str, authority: str, scope: str, proof: AppSecret | AppCertificate
) -> Callable[[bool], Mapping[str, Any]]:
    """Asks Entra by the client credentials grant (RFC 6749 section 4.4).

    `authority` is the login URL and the app's tenant.
    """
    made: list[msal.ConfidentialClientApplication] = []

    def acquire(anew: bool) -> Mapping[str, Any]:  # noqa: FBT001 - see MsalCredentials
        if not made:  # asks Entra where things are, so not before a token is needed
            made.append(
                msal.ConfidentialClientApplication(
                    app_id,
                    authority=authority,
                    client_credential=_client_credential(proof),
                    timeout=REQUEST_WITHIN_S,
                )
            )
        if anew:
            made[0].remove_tokens_for_client()
        answer: Mapping[str, Any] = made[0].acquire_token_for_client(scopes=[scope])
        return answer

    return acquire


def managed_identity(*, client_id: str, scope: str) -> Callable[[bool], Mapping[str, Any]]:
    """Asks the machine it runs on, as a user-assigned managed identity."""

    def acquire(_: bool) -> Mapping[str, Any]:  # noqa: FBT001 - see MsalCredentials
        # A client for each: what a former one keeps might be what Teams refused.
        with _Prompt() as session:
            client = msal.ManagedIdentityClient(
                msal.UserAssignedManagedIdentity(client_id=client_id), http_client=session
            )
            answer: Mapping[str, Any] = client.acquire_token_for_client(
                resource=scope.removesuffix("/.default")
            )
            return answer

    return acquire


class _Prompt(requests.Session):
    """A session that waits no longer than `REQUEST_WITHIN_S`, and for this machine alone."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False  # no proxy is to see what is for this machine

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", REQUEST_WITHIN_S)
        return super().request(*args, **kwargs)


def _client_credential(proof: AppSecret | AppCertificate) -> str | dict[str, str]:
    if isinstance(proof, AppSecret):
        return proof.secret
    return {"private_key": proof.key, "public_certificate": proof.certificate}
