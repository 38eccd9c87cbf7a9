"""One HTTP request and its answer, within bounds.

The request carries nothing but what it is given: no cookies, no credentials, no
proxy, whatever the environment says, and no redirect is followed. The caller's
deadline is kept by closing, so that no thread waits for a server that trickles.
Called for keys of issuers, for witnesses, for signers and for policy bundles.
"""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import io
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

_MAX_HEAD_BYTES: Final = 64 * 1024
_CHUNK_BYTES: Final = 16 * 1024
_URL: Final = re.compile(r"[!-~]{1,2048}")


class TooLargeError(Exception):
    """The answer is larger than it may be."""


class NotHttpError(Exception):
    """What came back is not a whole answer."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said."""

    status: int
    type: str
    body: bytes
    tag: str = ""
    """Its ETag."""


async def exchange(
    url: SplitResult,
    *,
    tls: ssl.SSLContext | None,
    max_bytes: int,
    accept: str = "*/*",
    post: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The answer to a GET, or to a POST of these bytes, with these headers besides.

    Raises `OSError`, `UnicodeError`, `TooLargeError`, `NotHttpError`. The caller sets the
    deadline.
    """
    secure = url.scheme == "https"
    reader, writer = await asyncio.open_connection(
        url.hostname, url.port or (443 if secure else 80), ssl=tls if secure else None
    )
    try:
        writer.write(_request(url, accept, post, headers))
        received = bytearray()
        while chunk := await reader.read(_CHUNK_BYTES):
            received += chunk
            if len(received) > max_bytes + _MAX_HEAD_BYTES:
                raise TooLargeError
    finally:
        writer.transport.abort()
    return _answer(bytes(received), max_bytes)


def exchange_local(
    socket_path: Path, target: str, *, deadline_s: float, max_bytes: int, post: bytes | None = None
) -> Answer:
    """The answer of a server on a unix socket to a GET, or to a POST of these bytes. Blocks.

    Raises `OSError` (`TimeoutError` when the whole took too long), `TooLargeError`,
    `NotHttpError`.
    """
    ends_at = time.monotonic() + deadline_s
    url = urlsplit(f"http://localhost{target}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(deadline_s)
        line.connect(str(socket_path))
        line.sendall(_request(url, "*/*", post))
        received = bytearray()
        while chunk := _receive(line, ends_at):
            received += chunk
            if len(received) > max_bytes + _MAX_HEAD_BYTES:
                raise TooLargeError
    return _answer(bytes(received), max_bytes)


def _receive(line: socket.socket, ends_at: float) -> bytes:
    left_s = ends_at - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    line.settimeout(left_s)
    return line.recv(_CHUNK_BYTES)


def url_problem(text: str) -> str:
    """What is wrong with an address for such requests, in words; empty if nothing.

    Over plain HTTP anybody on the way could answer, so it is for loopback only.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if not _URL.fullmatch(text) or not host or parts.fragment:
        return "must be an absolute URL, in ASCII"
    if "@" in parts.netloc:
        return "must carry no credentials"
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        return "must be https (http is for loopback addresses only)"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _request(
    url: SplitResult, accept: str, post: bytes | None, headers: Mapping[str, str] | None = None
) -> bytes:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    method = "GET" if post is None else "POST"
    length = "" if post is None else f"Content-Length: {len(post)}\r\n"
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: {accept}\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: countersign\r\n"
        f"{length}{more}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (post or b"")


class _Received:
    """What `http.client` wants of a socket, over an answer that is already here."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _answer(received: bytes, max_bytes: int) -> Answer:
    answer = http.client.HTTPResponse(cast(socket.socket, _Received(received)))
    try:
        answer.begin()
        body = answer.read()
    except (http.client.HTTPException, ValueError):
        raise NotHttpError from None
    if len(body) > max_bytes:
        raise TooLargeError
    return Answer(
        status=answer.status,
        type=answer.headers.get("Content-Type", "").strip(),
        body=body,
        tag=answer.headers.get("ETag", "").strip(),
    )
