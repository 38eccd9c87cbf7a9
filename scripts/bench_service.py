"""The real service in a directory of its own, and what it costs while it runs.

Nothing is stubbed: the command line enrols, `countersign serve` runs with its
own OPA, SQLite and published log. CPU is read per process, from the kernel.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

import psutil
from bench_contexts import CALLER

from countersign.credentials import read_credential

BIN: Final = Path(sys.executable).parent
START_S: Final = 60
SETTLE_S: Final = 1.6
"""The log writer follows within its flush interval; its work belongs to the decisions."""

_SETTINGS: Final = {
    "requests_per_s = 1000.0": "requests_per_s = 0.0",
    "max_open_reviews = 100": "max_open_reviews = 1000000",
    "max_await_s = 60.0": "max_await_s = 900.0",
    "deadline_s = 1.0": "deadline_s = 10.0",  # a crowded machine must not turn into denials
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """Seconds of CPU that each process has used."""

    service_s: float
    opa_s: float

    def since(self, before: Cpu) -> Cpu:
        """What was used after `before`."""
        return Cpu(service_s=self.service_s - before.service_s, opa_s=self.opa_s - before.opa_s)


class Service:
    """One running service: the caller asks, bob decides, alice owns the caller."""

    def __init__(self, home: Path, policy: Path | None = None) -> None:
        """`policy` is a directory of Rego to use in place of the shipped one."""
        self.home = home
        _countersign("init", str(home))
        if policy is not None:
            shutil.rmtree(home / "policy")
            shutil.copytree(policy, home / "policy")
        settings = home / "countersign.toml"
        self.endpoint = f"127.0.0.1:{free_port()}"
        changes = _SETTINGS | {
            "127.0.0.1:7443": self.endpoint,
            "127.0.0.1:7444": f"127.0.0.1:{free_port()}",
        }
        text = settings.read_text("utf-8")
        for default, ours in changes.items():
            if default not in text:
                sys.exit(f"bench: the default settings do not say {default!r} any more")
            text = text.replace(default, ours)
        settings.write_text(text, "utf-8")
        self._config = ("--config", str(settings))
        self._enrol("alice", "person", "add", "alice", "--name", "Alice", "--group", "data-owners")
        self.person = self._enrol(
            "bob", "person", "add", "bob", "--name", "Bob", "--group", "release-managers"
        )
        self.caller = self._enrol(
            CALLER, "caller", "add", CALLER, "--owner", "alice",
            "--resource", "deployment:*", "--resource", "database:*",
        )  # fmt: skip
        self._start()

    def _enrol(self, name: str, *command: str) -> str:
        """Register a subject; its token."""
        path = self.home / f"{name}.credential"
        _countersign(*command, *self._config, "--credential", str(path))
        token = read_credential(path).token
        if token is None:
            sys.exit(f"bench: the credential of {name} has no token")
        return token

    def _start(self) -> None:
        with (self.home / "service.log").open("w") as log:
            self._process = subprocess.Popen(
                [BIN / "countersign", "serve", *self._config, "--log-level", "warning"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            log_text = (self.home / "service.log").read_text()
            sys.exit(f"bench: the service did not start:\n{log_text}")
        self._status_port = json.loads(line)["status_port"]
        self._service = psutil.Process(self._process.pid)
        deadline = time.monotonic() + START_S
        while not self._opas():
            if time.monotonic() > deadline:
                sys.exit("bench: the service runs no OPA")
            time.sleep(0.05)

    def _opas(self) -> list[psutil.Process]:
        return [child for child in self._service.children() if child.name() == "opa"]

    def cpu(self) -> Cpu:
        """CPU used so far."""
        return Cpu(service_s=_seconds(self._service), opa_s=sum(map(_seconds, self._opas())))

    def settled_cpu(self) -> Cpu:
        """CPU used so far, once the log writer has caught up."""
        time.sleep(SETTLE_S)
        return self.cpu()

    def rss_bytes(self) -> int:
        """Resident memory of the service itself."""
        resident: int = self._service.memory_info().rss
        return resident

    def decisions(self) -> dict[str, int]:
        """Decisions of Check so far by effect, as the service itself counts them."""
        url = f"http://127.0.0.1:{self._status_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            page = answer.read().decode()
        counts = {}
        for line in page.splitlines():
            if line.startswith("countersign_decisions_total{") and 'method="check"' in line:
                effect = line.partition('effect="')[2].partition('"')[0]
                counts[effect] = int(float(line.rpartition(" ")[2]))
        return counts

    def waiters(self) -> int:
        """Awaits in progress, as the service itself counts them."""
        url = f"http://127.0.0.1:{self._status_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("countersign_waiters "):
                    return int(float(line.split()[1]))
        return 0

    def stop(self) -> None:
        """End it as an operator would; kill it if it does not."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _countersign(*arguments: str) -> None:
    done = subprocess.run(
        [BIN / "countersign", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        sys.exit(f"bench: countersign {' '.join(arguments[:2])} failed:\n{done.stderr}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
