"""Real `countersign serve` processes: started, stopped, killed, looked into.

A `Service` is one directory with settings, keys, registers, policy, store and
log, and at most one process at a time that serves it, with real OPA under it.
It keeps its port over restarts, so that clients find it again. When a test is
over, everything any of its processes wrote is held against two rules: no
traceback, and no raw value that the test planted (`plant`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import grpc
import psutil
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc

import realparts
from countersign.audit.merkle import leaf_hash
from countersign.audit.note import Signer
from countersign.audit.verify import Result, verify
from countersign.cli import operator
from countersign.client import Client, Context, Resource, ReviewsClient, Timing
from countersign.client.status import STATUS_DETAILS, CallFailed
from countersign.credentials import Credential, write_credential
from countersign.keys import read_key
from countersign.model import (
    Account,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    Person,
    PersonId,
    RecordRef,
    TenantId,
)
from countersign.registry import Registers
from countersign.v1 import (
    activity_pb2,
    admin_pb2,
    decisions_pb2,
    deliveries_pb2,
    reviews_pb2,
    trust_pb2,
)

COMMAND = Path(sys.executable).parent / "countersign"
PATIENCE_S = 60
"""Longest wait for anything; nothing takes that long unless it hangs."""
TIMING = Timing(call_s=PATIENCE_S, report_s=PATIENCE_S, max_backoff_s=0.3, reconnect_s=0.3)
_PORTS = range(20_000, 32_000)  # below those a connection may take by itself
_SERVICES = {
    "Decisions": decisions_pb2.DESCRIPTOR.services_by_name["Decisions"],
    "Activity": activity_pb2.DESCRIPTOR.services_by_name["Activity"],
    "Admin": admin_pb2.DESCRIPTOR.services_by_name["Admin"],
    "Deliveries": deliveries_pb2.DESCRIPTOR.services_by_name["Deliveries"],
    "Reviews": reviews_pb2.DESCRIPTOR.services_by_name["Reviews"],
    "Trust": trust_pb2.DESCRIPTOR.services_by_name["Trust"],
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A call that ended in a status, as its sender sees it."""

    code: grpc.StatusCode
    message: str
    reason: str
    fields: Mapping[str, str]
    details: bytes
    """`grpc-status-details-bin`, to be compared byte for byte."""

    @property
    def everything(self) -> bytes:
        return self.message.encode() + self.details


class Line:
    """Raw calls with one credential, past everything the SDK would catch."""

    def __init__(
        self, channel: grpc.Channel, token: str | None, *metadata: tuple[str, str]
    ) -> None:
        self._channel = channel
        self._metadata = metadata
        if token is not None:
            self._metadata += (("authorization", f"Bearer {token}"),)

    def begin(self, method: str, request: Message | bytes, *, timeout_s: float = 30) -> Any:
        """Start `Service.Method`; returns a future. Bytes are sent as they are."""
        service, _, name = method.partition(".")
        answer = GetMessageClass(_SERVICES[service].methods_by_name[name].output_type)
        data = request if isinstance(request, bytes) else request.SerializeToString()
        call = self._channel.unary_unary(
            f"/countersign.v1.{service}/{name}",
            request_serializer=None,
            response_deserializer=answer.FromString,
        )
        return call.future(data, timeout=timeout_s, metadata=self._metadata)

    def call(self, method: str, request: Message | bytes, *, timeout_s: float = 30) -> Any:
        """The answer of `Service.Method`."""
        return self.begin(method, request, timeout_s=timeout_s).result()

    def refused(self, method: str, request: Message | bytes) -> Refused:
        """The status of a call that must not succeed."""
        try:
            self.call(method, request)
        except grpc.RpcError as error:
            return refused(error)
        raise AssertionError(f"{method} was answered")


def refused(error: grpc.RpcError) -> Refused:
    """What a failed call says."""
    failed = CallFailed.of(error)
    details = dict(error.trailing_metadata() or ())
    return Refused(
        code=failed.code,
        message=failed.message,
        reason=failed.reason,
        fields=failed.fields,
        details=details.get(STATUS_DETAILS, b""),
    )


def context(action: str, table: str = "customers", **more: Any) -> Context:
    """What the agent wants to do, in a few words."""
    return Context(
        action=action,
        actor=more.pop("actor", "agent"),
        environment=more.pop("environment", "production"),
        resource=Resource("table", table, owner="data-owners"),
        **more,
    )


class Service:
    """One Countersign and its processes. Use as a context manager."""

    open: ClassVar[weakref.WeakSet[Service]] = weakref.WeakSet()
    """Those in use now: what they say is worth reading when a story fails."""

    def __init__(
        self, directory: Path, *, policy: Path | None = None, opa: Path | None = None
    ) -> None:
        self.directory = directory
        self.command: Sequence[str | Path] = (COMMAND,)
        """What `countersign` is run by."""
        self.environment: dict[str, str] = {}
        """All that its processes inherit."""
        self.log_root = directory / "log"
        """Where a story that moves the published log says that it is."""
        self.uid: int | None = None
        """Which OS user its processes are; None: the tests' own."""
        self.port = _free_port()
        self.status_port = 0
        self.tokens: dict[str, str] = {}
        self.process: subprocess.Popen[str] | None = None
        self.generation = 0
        """How many processes there were, the one that runs included."""
        self._said = ""
        self._planted: set[str] = set()
        self._closing = contextlib.ExitStack()
        with contextlib.redirect_stdout(None):
            operator.init(directory)
        if policy is not None:
            shutil.rmtree(directory / "policy")
            shutil.copytree(policy, directory / "policy")
        self.configure(
            {
                "server.listen": f"127.0.0.1:{self.port}",
                "server.status_listen": "127.0.0.1:0",
                "log.flush_after_s": 0.05,
                "directory.poll_s": 0.1,
                "directory.new_account_wait_s": 0,
                "policy.opa": str(opa or realparts.opa()),
            }
        )

    def __enter__(self) -> Self:
        Service.open.add(self)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        Service.open.discard(self)
        self._closing.close()
        if self.process is not None:
            self.kill()
        if kind is None:
            self.require_discreet()

    # --- setting it up ---

    def configure(self, settings: Mapping[str, str | float | list[str]]) -> None:
        """Change values of `countersign.toml`, by `section.key`."""
        path = self.directory / "countersign.toml"
        left, lines, section = dict(settings), [], ""
        for line in path.read_text().splitlines():
            section = line.strip("[]") if line.startswith("[") else section
            key = f"{section}.{line.partition(' = ')[0]}"
            lines.append(
                f"{key.rpartition('.')[2]} = {json.dumps(left.pop(key))}" if key in left else line
            )
        assert not left, f"no such settings: {left}"
        path.write_text("\n".join(lines) + "\n")

    def person(self, id: str, *groups: str, tenant: str = "default", **facts: Any) -> None:
        """Register a person; `tokens[id]` is their credential."""
        person = Person(
            tenant=TenantId(tenant),
            id=PersonId(id),
            name=id.title(),
            groups=frozenset(groups),
            **facts,
        )
        self.tokens[id] = self._registers.add(person)

    def caller(
        self,
        id: str,
        owner: str,
        *,
        tenant: str = "default",
        users: tuple[str, ...] = (),
        actors: tuple[str, ...] = (),
        jwt: Account | None = None,
        **facts: Any,
    ) -> None:
        """Register a caller, for every table unless told otherwise.

        `tokens[id]` is its credential; `jwt` an account with which it can log in as well.
        """
        defaults = {"environments": ("production", "dev"), "resources": ("table:*",)}
        caller = Caller(
            tenant=TenantId(tenant),
            id=CallerId(id),
            actors=(id, *actors),
            owners=(PersonId(owner),),
            users=tuple(map(PersonId, users)),
            **(defaults | facts),
        )
        self.tokens[id] = self._registers.add(caller)
        if jwt is not None:  # a key of the table just appended
            with self._registers.callers.open("a") as register:
                register.write(
                    f'jwt = [{{ issuer = "{jwt.issuer}", subject = "{jwt.subject}" }}]\n'
                )

    def bot(self, id: str, *issuers: str, tenant: str = "default") -> None:
        """Register a channel; `tokens[id]` is its credential."""
        bot = Channel(tenant=TenantId(tenant), id=ChannelId(id), issuers=issuers)
        self.tokens[id] = self._registers.add(bot)

    def append_settings(self, text: str) -> None:
        """Add tables to `countersign.toml`: floors, quotas, issuers."""
        with (self.directory / "countersign.toml").open("a") as settings:
            settings.write(text)

    @property
    def _registers(self) -> Registers:
        return Registers(
            callers=self.directory / "callers.toml",
            people=self.directory / "people.toml",
            channels=self.directory / "channels.toml",
        )

    def plant(self, *values: str) -> None:
        """Raw values that must never be seen outside the process."""
        self._planted.update(values)

    # --- its process ---

    def start(self, *, fault: str = "") -> Self:
        """Start the process and wait until it is ready."""
        process = self._spawn(fault)
        assert process.stdout is not None
        with watchdog(process):
            line = process.stdout.readline()
        if not line:
            code = process.wait(PATIENCE_S)
            # Clients that came back at once can lead it to its fault point before it says so.
            if fault and code == -signal.SIGKILL:
                return self
            raise AssertionError(f"it ended with {code}:\n{self._collect()}")
        ready = json.loads(line)
        assert ready["event"] == "ready"
        self.port, self.status_port = ready["port"], ready["status_port"]
        return self

    def refuses_to_start(self) -> str:
        """Start the process, see it end with an error, and return what it said."""
        process = self._spawn("")
        with watchdog(process):
            code = process.wait(PATIENCE_S)
        said = self._collect()
        assert code not in (0, -signal.SIGKILL), said
        return said

    def _spawn(self, fault: str) -> subprocess.Popen[str]:
        assert self.process is None, "one process at a time"
        self.generation += 1
        environment = {**self.environment, **({"COUNTERSIGN_FAULT": fault} if fault else {})}
        with (self.directory / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [*self.command, "serve"],
                cwd=self.directory,
                env=environment,
                user=self.uid,
                group=self.uid,
                extra_groups=None if self.uid is None else (),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        return self.process

    def stop(self) -> int:
        """SIGTERM; the exit code once it ended by itself."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def reload(self) -> None:
        """SIGHUP: look at policy and registers again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait until the process is gone, by whatever end; its exit code."""
        assert self.process is not None
        with watchdog(self.process):
            code = self.process.wait(PATIENCE_S)
        self._collect()
        return code

    def killed_itself(self) -> None:
        """Wait for the death at an armed fault point."""
        assert self.ended() == -signal.SIGKILL, self._said

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _collect(self) -> str:
        """Keep what the ended process wrote."""
        assert self.process is not None
        assert self.process.stdout is not None
        new = self.process.stdout.read() + (self.directory / "stderr").read_text()
        self.process.stdout.close()
        self.process = None
        self._said += new
        return new

    @property
    def said(self) -> str:
        """All that its processes wrote so far."""
        running = (self.directory / "stderr").read_text() if self.process else ""
        return self._said + running

    def opa(self) -> psutil.Process:
        """The OPA that works for the process now."""
        assert self.process is not None
        (child,) = psutil.Process(self.process.pid).children()
        return child

    # --- talking to it ---

    def credential(self, subject: str) -> Credential:
        return Credential(endpoint=f"127.0.0.1:{self.port}", token=self.tokens[subject])

    def client(self, subject: str) -> Client:
        """The SDK, as this caller."""
        return self._closing.enter_context(Client(self.credential(subject), timing=TIMING))

    def reviewer(self, subject: str) -> ReviewsClient:
        """The SDK, as this person."""
        return self._closing.enter_context(ReviewsClient(self.credential(subject), timing=TIMING))

    def line(self, subject: str | None, *metadata: tuple[str, str]) -> Line:
        """Raw calls, as this subject or as nobody."""
        token = None if subject is None else self.tokens[subject]
        return Line(self.channel(), token, *metadata)

    def channel(self) -> grpc.Channel:
        """A connection of its own."""
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=options)
        return self._closing.enter_context(channel)

    def status(self, page: str) -> tuple[int, str]:
        """One page of the status server."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.status_port}{page}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        found = re.search(rf"^{name} (\S+)$", self.status("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def health(self) -> str:
        """What `grpc.health.v1` says."""
        stub = health_pb2_grpc.HealthStub(self.channel())
        status = stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))

    def types(self, *words: str, as_: str) -> subprocess.CompletedProcess[str]:
        """Run the command with this subject's credential file."""
        credential = self.directory.parent / f"{as_}.credential"
        if not credential.exists():
            write_credential(credential, self.credential(as_))
        done = subprocess.run(
            [*self.command, *words, "--credential", credential],
            cwd=self.directory.parent,
            env={"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    # --- looking into it ---

    def log_directory(self, tenant: str = "default") -> Path:
        return self.log_root / "countersign.local" / tenant

    def log_key(self, tenant: str = "default") -> str:
        """The verifier key of a log, from the key file itself."""
        key = read_key("keys.log", self.directory / "keys" / "log.pem")
        return str(Signer(name=f"countersign.local/{tenant}", key=key).verifier)

    def verified_log(self, tenant: str = "default") -> tuple[Result, list[bytes]]:
        """The published log, found good, and its records."""
        head = self.log_directory(tenant) / "checkpoint"
        while True:
            before = head.read_bytes()
            result = verify(self.log_directory(tenant), self.log_key(tenant))
            if not self.alive or head.read_bytes() == before:
                break  # else it was published to while it was read: look anew
        assert result.ok, result.findings
        records = self.published(tenant)
        assert [json.loads(record)["seq"] for record in records] == list(range(len(records)))
        return result, records

    def published(self, tenant: str = "default") -> list[bytes]:
        """The records published so far. A log that grows cannot be verified by its files."""
        records: list[bytes] = []
        for path in sorted(self.log_directory(tenant).glob("records/*/*/*.jsonl.gz")):
            records += gzip.decompress(path.read_bytes()).splitlines()
        return records

    def traces(self) -> Iterator[tuple[str, bytes]]:
        """All that it left behind or shows, uncompressed, by name."""
        for path in sorted((*self.directory.glob("state/*"), *self.directory.glob("log/**/*"))):
            if path.is_file():
                data = path.read_bytes()
                yield (str(path), gzip.decompress(data) if path.suffix == ".gz" else data)
        yield "output", self.said.encode()
        if self.alive:
            yield "metrics", self.status("/metrics")[1].encode()

    def require_discreet(self) -> None:
        """Nothing planted is seen anywhere, and nothing failed unexpectedly."""
        assert "Traceback" not in self.said, self.said
        assert " failed: " not in self.said, self.said
        for name, data in self.traces():
            for value in self._planted:
                assert value.encode() not in data, f"{value!r} is in {name}"


def is_logged(ref: RecordRef | None, records: list[bytes]) -> bool:
    """Whether a record that was acknowledged is where it was said to be."""
    return ref is not None and leaf_hash(records[ref.seq]) == ref.leaf_hash


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for a condition of another process that has no event to wait for."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@contextlib.contextmanager
def watchdog(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process that hangs, by a signal of its own, so that nobody waits for ever."""
    timer = threading.Timer(PATIENCE_S, process.send_signal, (signal.SIGABRT,))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _free_port() -> int:
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
