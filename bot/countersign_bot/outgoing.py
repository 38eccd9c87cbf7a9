"""HTTPS from the bot to Microsoft, within bounds.

Through `HTTPS_PROXY` where the environment names one, and trusting what
`SSL_CERT_FILE` names. No redirect is followed, since a request carries a token or asks
for the keys that everything rests on; no cookie is kept; nothing of a `.netrc` is sent.
The time is for all of it: name, proxy, TLS and the last byte of the answer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import Mapping
from typing import Final, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

MAX_CONNECTIONS: Final = 32


class OutgoingError(Exception):
    """No whole answer. The message names the fault and nothing of the request."""


class TooLateError(OutgoingError):
    """No whole answer within the time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of a repeated one, the last."""
    body: bytes


class Outgoing:
    """A pool of connections, from `async with` to its end."""

    async def __aenter__(self) -> Self:
        # Made here, not by aiohttp when it is imported: the environment counts now.
        context = await asyncio.to_thread(ssl.create_default_context)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=MAX_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        within_s: float,
        max_bytes: int,
    ) -> Reply:
        """The answer, whatever its status. `url` is encoded already. Raises `OutgoingError`."""
        proxy, proxy_auth = _proxy(url)
        try:
            async with (
                asyncio.timeout(within_s),
                self._session.request(
                    method,
                    URL(url, encoded=True),
                    headers={**headers, "Accept-Encoding": "identity"},
                    data=body,
                    proxy=proxy,
                    proxy_auth=proxy_auth,
                    allow_redirects=False,
                ) as answer,
            ):
                data = await _bounded(answer, max_bytes)
                kept = {name.lower(): value for name, value in answer.headers.items()}
                return Reply(status=answer.status, headers=kept, body=data)
        except TimeoutError:
            raise TooLateError(f"no whole answer within {within_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise OutgoingError(f"cannot be reached ({type(error).__name__})") from None


async def _bounded(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    data = bytearray()
    async for chunk in answer.content.iter_chunked(16_384):
        data += chunk
        if len(data) > max_bytes:
            answer.close()
            raise OutgoingError(f"the answer is over {max_bytes} bytes")
    return bytes(data)


def _proxy(url: str) -> tuple[URL | None, aiohttp.BasicAuth | None]:
    """The proxy of the environment for that URL, and what it wants to know."""
    place = urlsplit(url)
    named = getproxies().get(place.scheme)
    if not named or proxy_bypass(place.hostname or ""):
        return None, None
    proxy = URL(named)
    if proxy.user is None:
        return proxy, None
    return proxy.with_user(None), aiohttp.BasicAuth(proxy.user, proxy.password or "")
