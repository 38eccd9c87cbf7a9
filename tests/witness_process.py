"""A real `countersign witness serve` process, and requests to it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from countersign.audit.cosignature import WitnessKey
from countersign.audit.note import Verifier
from countersign.audit.trust import Trust, TrustedLog
from countersign.audit.witness.request import Request
from service import COMMAND, PATIENCE_S, watchdog

ENVIRONMENT: dict[str, str] = {}
"""All that its processes inherit."""


class WitnessProcess:
    """One witness: its key, its state, and at most one process. Keeps its port."""

    def __init__(self, directory: Path, logs: Sequence[Verifier]) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.state = directory / "state"
        self.port = 0
        self.process: subprocess.Popen[str] | None = None
        self._said = ""
        made = self._run("key", "--out", "witness.key", "--name", "witness.example/w1")
        self.key = WitnessKey.parse(made.stdout.strip())
        trust = Trust(logs=tuple(TrustedLog(verifier=each) for each in logs))
        (directory / "logs.toml").write_text(trust.encode())

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "witness", *arguments],
            cwd=self.directory,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def serving(self) -> list[str]:
        """The arguments that serve with this key and state."""
        listen = ("--listen", f"127.0.0.1:{self.port}")
        return ["serve", "--key", "witness.key", "--logs", "logs.toml", "--state", "state", *listen]

    def refuses_to_start(self) -> str:
        """What it says when it does not start."""
        done = self._run(*self.serving())
        assert done.returncode in (1, 2), done.stderr
        return done.stderr

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.kill()
        assert "Traceback" not in self.said, self.said

    def start(self) -> Self:
        """Start, and wait until it answers."""
        with (self.directory / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [COMMAND, "witness", *self.serving()],
                cwd=self.directory,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout is not None
        with watchdog(self.process):
            line = self.process.stdout.readline()
        if not line:
            self.process.wait(PATIENCE_S)
            raise AssertionError((self.directory / "stderr").read_text())
        self.port = json.loads(line)["port"]
        return self

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self._said += (self.directory / "stderr").read_text()
        self.process = None
        return code

    @property
    def said(self) -> str:
        """All that its processes wrote so far."""
        running = (self.directory / "stderr").read_text() if self.process else ""
        return self._said + running

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(self, request: Request | bytes) -> tuple[int, str, bytes]:
        """Status, content type and body of an answer to `add-checkpoint`."""
        body = request if isinstance(request, bytes) else request.encode()
        return self.exchange("POST", "/add-checkpoint", body)

    def exchange(self, method: str, path: str, body: bytes = b"") -> tuple[int, str, bytes]:
        """One request on a connection of its own."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            line.request(method, path, body)
            answer = line.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read()
        finally:
            line.close()
