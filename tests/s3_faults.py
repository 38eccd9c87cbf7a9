"""A proxy before an S3 server that does what networks and servers do on bad days.

It passes requests on byte for byte, so signatures hold, and then does as it is told:
refuses, answers busy, loses the answer of what succeeded, or drips it.
"""

from __future__ import annotations

import contextlib
import enum
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit


class Fault(enum.Enum):
    """What becomes of one request."""

    NONE = 0
    BUSY = 503
    BROKEN = 500
    RACE = 409
    THROTTLED = 429
    REFUSED = 1
    """Closed before it reaches the server."""
    LOST = 2
    """Done, and the answer never comes."""
    DRIP = 3
    """Done, and the answer comes in small pieces."""
    HANG = 4
    """Taken, and nothing is done or said until the proxy ends."""


SHORT = tuple(fault for fault in Fault if fault not in (Fault.NONE, Fault.HANG))
"""Faults that are over at once."""


class Proxy:
    """Faults are chosen by `choose(method, path)`, for each request."""

    def __init__(self, endpoint: str) -> None:
        self.choose: Callable[[str, str], Fault] = lambda _method, _path: Fault.NONE
        self.ended = threading.Event()
        self.seen: list[tuple[str, str, Fault]] = []
        self._upstream = urlsplit(endpoint)
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Proxy]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def upstream(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._upstream.hostname, self._upstream.port, timeout=30)


class _Handler(BaseHTTPRequestHandler):
    proxy: ClassVar[Proxy]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.choose(self.command, self.path)
        self.proxy.seen.append((self.command, self.path, fault))
        if fault is Fault.HANG:
            self.proxy.ended.wait()
        if fault in (Fault.REFUSED, Fault.HANG):
            self.close_connection = True
            return
        if fault.value >= 400:
            self._say(fault.value, [], b"<Error><Code>Fault</Code></Error>")
            return
        upstream = self.proxy.upstream()
        upstream.request(self.command, self.path, body=body, headers=dict(self.headers.items()))
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        if fault is Fault.LOST:
            self.close_connection = True
            return
        headers = [
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}
        ]
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self._say(answer.status, [*headers, ("Content-Length", length or "0")], data, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815 - the base class's names

    def _say(
        self, status: int, headers: list[tuple[str, str]], data: bytes, fault: Fault = Fault.NONE
    ) -> None:
        self.send_response_only(status)
        for name, value in headers or [("Content-Length", str(len(data)))]:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is not Fault.DRIP:
            self.wfile.write(data)
            return
        for at in range(0, len(data), 7):
            self.wfile.write(data[at : at + 7])
            self.wfile.flush()
            time.sleep(0.001)
