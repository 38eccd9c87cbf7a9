"""Get the bytes of a key set from a file or a URL, within bounds.

The request carries nothing but its address. A redirect is an error, because the
operator named the place that is trusted. The deadline is for all of it, name
resolution and TLS included. See `exchange`.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from countersign.errors import CountersignError
from countersign.exchange import NotHttpError, TooLargeError, exchange

MAX_KEY_SET_BYTES: Final = 256 * 1024
DEADLINE_S: Final = 5.0


class KeySourceError(CountersignError):
    """A key set that could not be read. Names the fault, and no content."""

    def __init__(self, problem: str) -> None:
        super().__init__("issuers.key_source", problem)


class HttpFetch:
    """Gets key sets by GET. `tls` replaces the system's trust, as for a private CA."""

    def __init__(
        self, *, deadline_s: float = DEADLINE_S, tls: ssl.SSLContext | None = None
    ) -> None:
        self._deadline_s = deadline_s
        self._tls = tls

    async def __call__(self, url: str) -> bytes:
        """The body of a plain 200 answer. Raises `KeySourceError`."""
        place = urlsplit(url)
        try:
            async with asyncio.timeout(self._deadline_s):
                if self._tls is None and place.scheme == "https":
                    self._tls = await asyncio.to_thread(ssl.create_default_context)
                answer = await exchange(
                    place,
                    tls=self._tls,
                    max_bytes=MAX_KEY_SET_BYTES,
                    accept="application/json",
                )
        except TimeoutError:
            raise KeySourceError(f"no whole answer within {self._deadline_s:g} s") from None
        except (OSError, UnicodeError) as error:
            raise KeySourceError(f"cannot be reached ({type(error).__name__})") from None
        except TooLargeError:
            raise _too_large() from None
        except NotHttpError:
            raise KeySourceError("the answer is not whole HTTP/1.1") from None
        if 300 <= answer.status < 400:
            problem = "the server redirects, which is not followed; name the last address"
            raise KeySourceError(problem)
        if answer.status != 200:
            raise KeySourceError(f"the server answers {answer.status}")
        return answer.body


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises `KeySourceError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_SET_BYTES + 1)
    except OSError as error:
        raise KeySourceError(f"the file cannot be read: {error.strerror}") from None
    if len(data) > MAX_KEY_SET_BYTES:
        raise _too_large()
    return data


def _too_large() -> KeySourceError:
    return KeySourceError(f"the key set is larger than {MAX_KEY_SET_BYTES} bytes")
