"""HTTP/1.1 as OPA speaks it, without any IO: bytes out, one answer in.

Strict on purpose, since both ends are ours: an answer has exactly one framing
(`Content-Length`, or `chunked` and nothing else), a bounded head and body, and
nothing after its end. Whatever is not that raises `WireError`, which closes
the connection. Called by `pool`. Framing: RFC 9112 sections 4, 6 and 7.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Final, cast

MAX_HEAD_BYTES: Final = 16 * 1024
_MAX_SIZE_LINE_BYTES: Final = 16
_CRLF: Final = b"\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_DIGITS: Final = frozenset(b"0123456789")
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")


class WireError(Exception):
    """The other end did not answer in the HTTP we know. Names the rule only."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One complete answer. Its body may carry input: never show it."""

    status: int
    body: bytes = dataclasses.field(repr=False)
    reusable: bool
    """Whether the connection may carry another request."""


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: opa\r\n\r\n".encode("ascii")


def post_head(path: str) -> bytes:
    """A POST request up to the value of `Content-Length`; see `post`."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: opa\r\nContent-Type: application/json\r\nContent-Length: "
    ).encode("ascii")


def post(head: bytes, body: bytes) -> bytes:
    """A POST request: `head` from `post_head`, made once a path."""
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    status: int
    length: int | None
    """Bytes of the body; None: it comes in chunks."""
    reusable: bool


class AnswerReader:
    """Reads one answer from chunks of bytes however they were cut."""

    __slots__ = ("_body", "_data", "_head", "_max_body_bytes", "_missing")

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._data = bytearray()
        self._body = bytearray()
        self._head: _Head | None = None
        self._missing = 0

    @property
    def started(self) -> bool:
        """Whether anything of the answer has been read."""
        return self._head is not None or bool(self._data)

    def feed(self, data: bytes) -> Answer | None:
        """Take more bytes; the answer once complete. Raises `WireError`."""
        self._data += data
        head = self._head or self._read_head()
        if head is None:
            return None
        if head.length is None:
            return self._read_chunks()
        if len(self._data) < head.length:
            return None
        return self._finish(bytes(self._data[: head.length]), head.length)

    def _read_head(self) -> _Head | None:
        end = self._data.find(_HEAD_END, 0, MAX_HEAD_BYTES)
        if end < 0:
            if len(self._data) >= MAX_HEAD_BYTES:
                raise WireError("the head is too long")
            return None
        self._head = head = _parse_head(bytes(self._data[:end]))
        if head.length is not None and head.length > self._max_body_bytes:
            raise WireError("the body is too long")
        del self._data[: end + len(_HEAD_END)]
        return head

    def _read_chunks(self) -> Answer | None:
        """`_missing` counts down one chunk with its CRLF; 0 is before a size line."""
        while True:
            if self._missing:
                if len(self._data) < self._missing:
                    return None
                if self._data[self._missing - 2 : self._missing] != _CRLF:
                    raise WireError("a chunk does not end where it said")
                self._body += self._data[: self._missing - 2]
                del self._data[: self._missing]
                self._missing = 0
            size = self._read_size()
            if size is None:
                return None
            if size == 0:
                return self._read_end()
            self._missing = size + 2

    def _read_size(self) -> int | None:
        """The next chunk's size; the last one's line stays until its end is here."""
        end = self._data.find(_CRLF, 0, _MAX_SIZE_LINE_BYTES)
        if end < 0:
            if len(self._data) >= _MAX_SIZE_LINE_BYTES:
                raise WireError("a chunk size is malformed")
            return None
        token = bytes(self._data[:end])
        if not token or len(token) > 8 or not _HEX_DIGITS.issuperset(token):
            raise WireError("a chunk size is malformed")
        size = int(token, 16)
        if size == 0:
            return 0
        if len(self._body) + size > self._max_body_bytes:
            raise WireError("the body is too long")
        del self._data[: end + 2]
        return size

    def _read_end(self) -> Answer | None:
        end = self._data.find(_CRLF)
        tail = self._data[end : end + 4]
        if not _HEAD_END.startswith(tail):
            raise WireError("trailer fields are not accepted")
        if len(tail) < len(_HEAD_END):
            return None
        return self._finish(bytes(self._body), end + len(_HEAD_END))

    def _finish(self, body: bytes, end: int) -> Answer:
        if len(self._data) > end:
            raise WireError("bytes follow the answer")
        head = cast("_Head", self._head)
        return Answer(status=head.status, body=body, reusable=head.reusable)


@functools.lru_cache(maxsize=256)
def _parse_head(head: bytes) -> _Head:
    """Remembered, since OPA's heads of one second differ only in their length."""
    status_line, *fields = head.split(_CRLF)
    length: int | None = None
    chunked, reusable = False, True
    for field in fields:
        name, colon, value = field.partition(b":")
        if not colon or not name or name != name.strip():
            raise WireError("a header line is malformed")
        name, value = name.lower(), value.strip()
        if name == b"content-length":
            if length is not None:
                raise WireError("Content-Length is given twice")
            length = _count(value)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise WireError("an unknown transfer coding")
            chunked = True
        elif name == b"connection" and value.lower() != b"keep-alive":
            reusable = False
    if chunked == (length is not None):
        raise WireError("must have either a Content-Length or chunks")
    return _Head(status=_status(status_line), length=length, reusable=reusable)


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if version != b"HTTP/1.1" or len(code) != 3 or not _DIGITS.issuperset(code):
        raise WireError("the status line is malformed")
    if rest[3:4] not in (b"", b" ") or not 200 <= int(code) <= 599:
        raise WireError("not a final status")
    return int(code)


def _count(token: bytes) -> int:
    if not token or len(token) > 10 or not _DIGITS.issuperset(token):
        raise WireError("Content-Length is malformed")
    return int(token)
