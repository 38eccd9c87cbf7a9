"""The witness over HTTP: `POST /add-checkpoint`, and what it has cosigned, for anybody.

Plain HTTP, for loopback or behind a proxy that ends TLS. There is nothing secret in
it and nobody to authenticate: a checkpoint is signed by its log. Bodies, threads and
waiting are bounded. `GET /<SHA-256 of the origin>/checkpoint` is our own, for auditors.
"""

from __future__ import annotations

import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

from countersign.audit.witness.request import MAX_REQUEST_BYTES, PATH
from countersign.audit.witness.service import Answer, Witness

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 64
PATIENCE_S: Final = 10.0
"""How long a connection may be silent."""
_MAX_DRAINED: Final = 4 * MAX_REQUEST_BYTES


class Server(ThreadingHTTPServer):
    """Serves one witness until `shutdown`."""

    daemon_threads = True
    request_queue_size = 128
    """Who comes while all is busy waits; the default of 5 resets the sixth."""

    def __init__(self, host: str, port: int, witness: Witness) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.witness = witness
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((host, port), _Handler)
        self.port = int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, if there is one to spare."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection's requests."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - inherited
        """A connection that broke is its client's matter; its address is not logged."""
        log.debug("a connection broke")


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "countersign"
    sys_version = ""
    timeout: ClassVar[float] = PATIENCE_S

    def do_POST(self) -> None:
        body = self._body()
        if isinstance(body, Answer):
            self._send(body, close=True)
        elif self.path != f"/{PATH}":
            self._send(_lost())
        else:
            self._send(self.server.witness.add_checkpoint(body))

    def do_GET(self) -> None:
        name, slash, what = self.path.removeprefix("/").partition("/")
        known = slash and what == "checkpoint"
        self._send(self.server.witness.newest(name) if known else _lost())

    def _body(self) -> bytes | Answer:
        """The body, or why it is not read."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            return Answer(status=HTTPStatus.LENGTH_REQUIRED, body=b"say the body's length\n")
        if len(length) > 9 or int(length) > MAX_REQUEST_BYTES:
            if len(length) <= 9 and int(length) <= _MAX_DRAINED:
                self.rfile.read(int(length))  # so that the answer is not lost to a reset
            return Answer(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, body=b"too large\n")
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            return Answer(status=HTTPStatus.BAD_REQUEST, body=b"the body is cut\n")
        return body

    def _send(self, answer: Answer, *, close: bool = False) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Access lines are of no use here."""


def _lost() -> Answer:
    return Answer(status=HTTPStatus.NOT_FOUND, body=f"POST /{PATH} is what is here\n".encode())
