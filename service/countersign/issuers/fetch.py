"""Get the bytes of a key set from a file or a URL, within bounds.

The request carries nothing but its address: no cookies, no credentials, no
proxy, whatever the environment says. A redirect is an error, because the
operator named the place that is trusted. The deadline is for all of it, name
resolution and TLS included, and is kept by closing; so no thread waits for a
server that trickles.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
import ssl
from pathlib import Path
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

from countersign.errors import CountersignError

MAX_KEY_SET_BYTES: Final = 256 * 1024
DEADLINE_S: Final = 5.0
_MAX_HEAD_BYTES: Final = 64 * 1024
_CHUNK_BYTES: Final = 16 * 1024


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
        try:
            async with asyncio.timeout(self._deadline_s):
                received = await self._exchange(urlsplit(url))
        except TimeoutError:
            raise KeySourceError(f"no whole answer within {self._deadline_s:g} s") from None
        except (OSError, UnicodeError) as error:
            raise KeySourceError(f"cannot be reached ({type(error).__name__})") from None
        return _body(received)

    async def _exchange(self, url: SplitResult) -> bytes:
        """Everything the server says until it closes."""
        secure = url.scheme == "https"
        if secure and self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        reader, writer = await asyncio.open_connection(
            url.hostname, url.port or (443 if secure else 80), ssl=self._tls if secure else None
        )
        try:
            writer.write(_request(url))
            received = bytearray()
            while chunk := await reader.read(_CHUNK_BYTES):
                received += chunk
                if len(received) > MAX_KEY_SET_BYTES + _MAX_HEAD_BYTES:
                    raise _too_large()
            return bytes(received)
        finally:
            writer.transport.abort()


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


def _request(url: SplitResult) -> bytes:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return (
        f"GET {target} HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: application/json\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: countersign\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


class _Received:
    """What `http.client` wants of a socket, over an answer that is already here."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _body(received: bytes) -> bytes:
    answer = http.client.HTTPResponse(cast(socket.socket, _Received(received)))
    try:
        answer.begin()
        body = answer.read()
    except (http.client.HTTPException, ValueError):
        raise KeySourceError("the answer is not whole HTTP/1.1") from None
    if 300 <= answer.status < 400:
        raise KeySourceError("the server redirects, which is not followed; name the last address")
    if answer.status != 200:
        raise KeySourceError(f"the server answers {answer.status}")
    if len(body) > MAX_KEY_SET_BYTES:
        raise _too_large()
    return body


def _too_large() -> KeySourceError:
    return KeySourceError(f"the key set is larger than {MAX_KEY_SET_BYTES} bytes")
