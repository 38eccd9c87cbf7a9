"""A real S3 server for tests: MinIO on a free loopback port, thrown away afterwards.

`running` starts one and waits until it says that it is ready. Its credentials
are made up each time; `environment` hands them to whatever follows the AWS
chain. As a program (`make s3`) it runs one until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import realparts

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

REGION: Final = "us-east-1"
_READY_WITHIN_S: Final = 60
_POLL_S: Final = 0.05


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """Where a server is, and who may use it."""

    endpoint: str
    key_id: str
    secret: str = dataclasses.field(repr=False)
    _shared: dict[str, S3Client] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """All that a process needs to run this checkout's command against the server.

        Nothing of this machine's own AWS settings is in it.
        """
        return {
            "PYTHONPATH": str(realparts.ROOT / "service"),
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @contextlib.contextmanager
    def client(self) -> Iterator[S3Client]:
        """The project's own client, as the server's administrator."""
        from countersign.audit.s3.client import Credentials, Place, make_client

        credentials = Credentials(key_id=self.key_id, secret=self.secret)
        place = Place(endpoint=self.endpoint, region=REGION)
        with contextlib.closing(make_client(place, credentials=credentials)) as s3:
            yield s3

    def shared(self, endpoint: str = "") -> S3Client:
        """The same, and always the same one: making one costs half a second."""
        from countersign.audit.s3.client import Credentials, Place, make_client

        at = endpoint or self.endpoint
        if at not in self._shared:
            credentials = Credentials(key_id=self.key_id, secret=self.secret)
            place = Place(endpoint=at, region=REGION)
            self._shared[at] = make_client(place, credentials=credentials)
        return self._shared[at]

    def buckets(self) -> tuple[str, str]:
        """Two new ones: for records, with Object Lock, and for tiles."""
        names = f"records-{secrets.token_hex(6)}", f"tiles-{secrets.token_hex(6)}"
        for name, locked in zip(names, (True, False), strict=True):
            self.shared().create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
        return names

    def bucket(self, name: str = "", *, locked: bool = True) -> str:
        """Make a bucket, with Object Lock unless told otherwise; return its name."""
        name = name or f"test-{secrets.token_hex(6)}"
        with self.client() as s3:
            s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
        return name

    def versioned_bucket(self, name: str = "") -> str:
        """Make a bucket that keeps versions but locks nothing."""
        name = self.bucket(name, locked=False)
        with self.client() as s3:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name


@contextlib.contextmanager
def running(directory: Path, *, key_id: str = "", secret: str = "") -> Iterator[S3Server]:
    """A MinIO that keeps its data below `directory`."""
    server = S3Server(
        endpoint=f"http://127.0.0.1:{free_port()}",
        key_id=key_id or f"test{secrets.token_hex(8)}",
        secret=secret or secrets.token_urlsafe(24),
    )
    address = server.endpoint.removeprefix("http://")
    data, log = directory / "data", directory / "minio.log"
    data.mkdir(parents=True)
    command: list[Any] = [realparts.minio(), "server", "--quiet", "--address", address, data]
    environment = {
        "HOME": str(directory),
        "MINIO_ROOT_USER": server.key_id,
        "MINIO_ROOT_PASSWORD": server.secret,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        _wait_until_ready(server, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            raise AssertionError(f"MinIO ended at once: {log.read_text(errors='replace')}")
        with contextlib.suppress(OSError):
            url = f"{server.endpoint}/minio/health/ready"
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        time.sleep(_POLL_S)
    raise AssertionError(f"MinIO was not ready in time: {log.read_text(errors='replace')}")


def main() -> None:
    """Run a server in the foreground and say how to use it."""
    # Ended by another process, it ends as by Ctrl-C: the server goes with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory() as temporary,
        running(Path(temporary)) as server,
    ):
        variables = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
        lines = [
            f"MinIO for tests at {server.endpoint}; its data go when it ends (Ctrl-C).",
            *(f"export {name}={server.environment[name]}" for name in variables),
            f"countersign audit probe-store s3://scratch --create --endpoint {server.endpoint}",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
