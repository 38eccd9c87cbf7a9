"""A bundle on a web server. Blocking.

Nothing is followed to another address: the operator named the place that is
trusted, and a credential goes nowhere else. An address may hold a secret in its
query, so that is never shown. Over plain HTTP only loopback is asked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from countersign.errors import ConfigurationError
from countersign.exchange import Answer, NotHttpError, TooLargeError, exchange, url_problem
from countersign.policy.sources.bundle import Delivered


class HttpPlace:
    """A `Place`. `token` is asked for a bearer token at each request."""

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str] | None,
        ca: Path | None,
        deadline_s: float,
        max_bytes: int,
    ) -> None:
        """Raises `ConfigurationError` when the address will not do."""
        problem = url_problem(url)
        if problem:
            raise ConfigurationError(
                "policy.source_invalid",
                f"policy.bundle.url {problem}",
                advice="Give https://host/bundle.tar.gz or s3://bucket/key; a token goes into "
                "policy.bundle.token.",
            )
        self._url = urlsplit(url)
        self._token = token
        self._ca = ca
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes

    @property
    def origin(self) -> str:
        return f"{self._url.scheme}://{self._url.netloc}{self._url.path}"

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    def get(self, tag: str) -> Delivered | None:
        """See `Place`. The deadline is for all of it, name resolution and TLS included."""
        headers = {"If-None-Match": tag} if tag else {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        answer = self._ask(headers)
        if tag and answer.status == 304:
            return None
        if 300 <= answer.status < 400 and answer.status != 304:
            raise self._failed("the server redirects, which is not followed; name the last address")
        if answer.status != 200:
            raise self._failed(f"the server answers {answer.status}")
        return Delivered(archive=answer.body, tag=_sendable(answer.tag))

    def _ask(self, headers: dict[str, str]) -> Answer:
        tls = self._tls() if self._url.scheme == "https" else None

        async def ask() -> Answer:
            async with asyncio.timeout(self._deadline_s):
                return await exchange(
                    self._url, tls=tls, max_bytes=self._max_bytes, headers=headers
                )

        try:
            return asyncio.run(ask())
        except TimeoutError:
            raise self._failed(f"no whole answer within {self._deadline_s:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise self._failed(f"its certificate is not trusted: {error.verify_message}") from None
        except (OSError, UnicodeError) as error:
            raise self._failed(f"it cannot be reached ({type(error).__name__})") from None
        except TooLargeError:
            size = f"policy.bundle.max_bytes ({self._max_bytes})"
            raise self._failed(f"the answer is larger than {size}") from None
        except NotHttpError:
            raise self._failed("the answer is not whole HTTP/1.1") from None

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca)
        except (OSError, ssl.SSLError) as error:
            problem = error.strerror or "no certificates in PEM"
            raise ConfigurationError(
                "policy.source_invalid",
                f"policy.bundle.ca {self._ca}: {problem}",
                advice="Name a file of certificates in PEM.",
            ) from None

    def _failed(self, problem: str) -> ConfigurationError:
        return ConfigurationError(
            "policy.unreachable",
            f"the policy bundle at {self.origin}: {problem}",
            advice="See that policy.bundle.url names it, and that its server answers.",
        )


def _sendable(tag: str) -> str:
    """An ETag that can be sent back; another is as good as none."""
    return tag if tag.isascii() and tag.isprintable() and len(tag) <= 1024 else ""
