"""A real S3 server that enforces Object Lock: MinIO, on loopback, for one test run."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import realparts
from countersign.audit.s3.client import Credentials, Place, make_client

PATIENCE_S = 30


class S3Server:
    """A running server and its root's credentials."""

    def __init__(self, endpoint: str, key_id: str, secret: str) -> None:
        self.endpoint = endpoint
        self.credentials = Credentials(key_id=key_id, secret=secret)
        self._numbers = itertools.count(1)
        self._clients: dict[str, Any] = {}

    @property
    def environment(self) -> dict[str, str]:
        """For a process that asks as root."""
        return {
            "AWS_ACCESS_KEY_ID": self.credentials.key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret,
        }

    def client(self, endpoint: str = "") -> Any:
        """A client of the root's, who may do whatever the server lets anybody do.

        The same one each time: making one costs half a second.
        """
        at = endpoint or self.endpoint
        if at not in self._clients:
            place = Place(endpoint=at, region="us-east-1")
            self._clients[at] = make_client(place, credentials=self.credentials)
        return self._clients[at]

    def buckets(self) -> tuple[str, str]:
        """Two new ones: for records, with Object Lock, and for tiles."""
        number = next(self._numbers)
        records, tiles = f"records-{number}", f"tiles-{number}"
        client = self.client()
        client.create_bucket(Bucket=records, ObjectLockEnabledForBucket=True)
        client.create_bucket(Bucket=tiles)
        return records, tiles


@contextlib.contextmanager
def s3_server(directory: Path) -> Iterator[S3Server]:
    """Start one in that directory; stop it afterwards."""
    key_id, secret = secrets.token_hex(8), secrets.token_hex(16)
    port = _free_port()
    environment = {
        "HOME": str(directory),
        "MINIO_ROOT_USER": key_id,
        "MINIO_ROOT_PASSWORD": secret,
        "MINIO_BROWSER": "off",
    }
    process = subprocess.Popen(
        [str(realparts.minio()), "server", "--quiet", "--address", f"127.0.0.1:{port}", directory],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _until_ready(process, endpoint)
        yield S3Server(endpoint, key_id, secret)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _until_ready(process: subprocess.Popen[bytes], endpoint: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert process.poll() is None, "the S3 server ended"
        assert time.monotonic() < deadline, "the S3 server is not ready"
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{endpoint}/minio/health/ready", timeout=1).close()
            return
        time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
