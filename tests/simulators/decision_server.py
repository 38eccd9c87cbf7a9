"""A small real gRPC server of `Decisions`, `Activity` and `Reviews`, with faults on demand.

The rules are those of `countersign.client.testing.DecisionPoint`; what this
adds is the wire: authentication, rich status, long polls that really wait, TLS,
restarts on the same port, and a script of faults. A fault is taken from the
front of its method's list, one a call:

- `unavailable`: refused before anything happened
- `lose_reply`: committed, but the answer is lost
- `hang`: committed, but the answer comes after the caller's deadline
- `reconnect`: an Await that is told to go elsewhere
- `answer`: exactly this message, whatever was asked
"""

from __future__ import annotations

import collections
import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NoReturn, Self

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from countersign.client.status import STATUS_DETAILS, CallFailed
from countersign.client.testing import DecisionPoint, Desk
from countersign.v1 import (
    activity_pb2_grpc,
    decisions_pb2,
    decisions_pb2_grpc,
    reviews_pb2,
    reviews_pb2_grpc,
)

Fault = Callable[[Callable[[], Message], grpc.ServicerContext], Message]


class DecisionServer:
    """`with DecisionServer(token) as server:` listens on `server.endpoint`."""

    def __init__(self, token: str, *, tls: grpc.ServerCredentials | None = None) -> None:
        self.token = token
        self.point = DecisionPoint(time.time)
        self.point.changed = self._wake
        self.desk = Desk(self.point, time.time, page_size=2)  # clients have to turn pages
        self.people = {token: "bob"}
        """Own credentials: token to person."""
        self.channel_token = ""
        self.accounts: dict[tuple[str, str], str] = {}
        """Who is who, for the channel: issuer and subject to person."""
        self.calls: list[tuple[str, Message]] = []
        self.waiting = threading.Semaphore(0)
        """Released each time an Await starts to wait."""
        self._tls = tls
        self._port = 0
        self._faults: dict[str, collections.deque[Fault]] = collections.defaultdict(
            collections.deque
        )
        self._condition = threading.Condition()
        self._generation = 0
        self._server: grpc.Server | None = None

    # --- faults --------------------------------------------------------------

    def unavailable(self, method: str, *, times: int = 1) -> None:
        def fault(_: Callable[[], Message], context: grpc.ServicerContext) -> Message:
            context.abort(grpc.StatusCode.UNAVAILABLE, "made unavailable")

        self._faults[method].extend([fault] * times)

    def lose_reply(self, method: str, *, times: int = 1) -> None:
        def fault(serve: Callable[[], Message], context: grpc.ServicerContext) -> Message:
            serve()
            context.abort(grpc.StatusCode.UNAVAILABLE, "connection lost")

        self._faults[method].extend([fault] * times)

    def hang(self, method: str, *, times: int = 1) -> None:
        def fault(serve: Callable[[], Message], context: grpc.ServicerContext) -> Message:
            answer = serve()
            gone = threading.Event()
            if context.add_callback(gone.set):
                gone.wait(10)
            return answer

        self._faults[method].extend([fault] * times)

    def reconnect(self, *, times: int = 1) -> None:
        def fault(serve: Callable[[], Message], context: grpc.ServicerContext) -> Message:
            answer = decisions_pb2.AwaitResponse(reconnect=True)
            answer.review.CopyFrom(self.point.status(self.calls[-1][1].review_id))  # type: ignore[attr-defined]
            return answer

        self._faults["Await"].extend([fault] * times)

    def answer(self, method: str, message: Message) -> None:
        self._faults[method].append(lambda _serve, _context: message)

    def fail(self, method: str, failed: CallFailed) -> None:
        def fault(_: Callable[[], Message], context: grpc.ServicerContext) -> Message:
            _abort(context, failed)

        self._faults[method].append(fault)

    # --- life ----------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen; again on the same port after `stop`, with all state kept."""
        server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=16), options=[("grpc.so_reuseport", 0)]
        )
        decisions_pb2_grpc.add_DecisionsServicer_to_server(_Decisions(self), server)
        activity_pb2_grpc.add_ActivityServicer_to_server(_Activity(self), server)
        reviews_pb2_grpc.add_ReviewsServicer_to_server(_Reviews(self), server)
        address = f"127.0.0.1:{self._port}"
        if self._tls is None:
            self._port = server.add_insecure_port(address)
        else:
            self._port = server.add_secure_port(address, self._tls)
        server.start()
        self._server = server

    def stop(self) -> None:
        """Cut every connection."""
        assert self._server is not None
        stopped = self._server.stop(grace=0)
        self._wake()
        stopped.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- serving -------------------------------------------------------------

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    def serve(self, method: str, request: Message, context: grpc.ServicerContext) -> Any:
        self.authenticate(context)
        self.calls.append((method, request))

        def commit() -> Message:
            if isinstance(request, decisions_pb2.AwaitRequest):
                return self._await(request, context)
            return self.point.handle(method, request)

        try:
            if self._faults[method]:
                return self._faults[method].popleft()(commit, context)
            return commit()
        except CallFailed as failed:
            _abort(context, failed)

    def authenticate(self, context: grpc.ServicerContext) -> None:
        sent = dict(context.invocation_metadata())
        if sent.get("authorization") != f"Bearer {self.token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "unknown credential")

    def person(self, request: Any, context: grpc.ServicerContext) -> str:
        """Who speaks; a channel must say it, and nobody else may."""
        sent = dict(context.invocation_metadata())["authorization"].removeprefix("Bearer ")
        named = "person" in request.DESCRIPTOR.fields_by_name and request.HasField("person")
        if named == (sent != self.channel_token):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "a channel names who acts")
        if named:
            account = (request.person.issuer, request.person.subject)
            return self.accounts.get(account) or context.abort(
                grpc.StatusCode.PERMISSION_DENIED, "nobody's account"
            )
        if sent not in self.people:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "unknown credential")
        return self.people[sent]

    def _await(
        self, request: decisions_pb2.AwaitRequest, context: grpc.ServicerContext
    ) -> decisions_pb2.AwaitResponse:
        until = time.monotonic() + request.max_wait.ToTimedelta().total_seconds()
        while True:
            seen = self._generation
            answer = self.point.handle("Await", request)
            assert isinstance(answer, decisions_pb2.AwaitResponse)
            left_s = until - time.monotonic()
            if answer.changed or left_s <= 0 or not context.is_active():
                return answer
            self.waiting.release()
            with self._condition:
                self._condition.wait_for(lambda seen=seen: self._generation != seen, left_s)

    def _wake(self) -> None:
        with self._condition:
            self._generation += 1
            self._condition.notify_all()


class _Decisions(decisions_pb2_grpc.DecisionsServicer):
    def __init__(self, server: DecisionServer) -> None:
        for method in ("Check", "BatchCheck", "Await", "Claim", "Answer", "Cancel", "Report"):
            setattr(self, method, _bind(server, method))

    Check = BatchCheck = Await = Claim = Answer = Cancel = Report = None  # type: ignore[assignment]


class _Activity(activity_pb2_grpc.ActivityServicer):
    def __init__(self, server: DecisionServer) -> None:
        for method in ("Sanitize", "Log"):
            setattr(self, method, _bind(server, method))

    Sanitize = Log = None  # type: ignore[assignment]


def _bind(server: DecisionServer, method: str) -> Callable[..., Message]:
    return lambda request, context: server.serve(method, request, context)


class _Reviews(reviews_pb2_grpc.ReviewsServicer):
    """People by their own credentials, and channels by the accounts they name."""

    VERBS = (
        "List Get Decide BatchDecide BreakGlass CloseAfterReview AskInfo Revoke Delegate "
        "ListDelegations EndDelegation"
    ).split()

    def __init__(self, server: DecisionServer) -> None:
        self._server = server
        for verb in self.VERBS:
            setattr(self, verb, functools.partial(self._serve, verb))

    List = Get = Decide = BatchDecide = BreakGlass = CloseAfterReview = None  # type: ignore[assignment]
    AskInfo = Revoke = Delegate = ListDelegations = EndDelegation = None  # type: ignore[assignment]

    def Watch(self, request, context) -> Iterator[reviews_pb2.Review]:
        person = self._server.person(request, context)
        self._server.calls.append(("Watch", request))
        for review_id in sorted(self._server.point.reviews):
            yield self._server.desk.view(review_id, person)
        if self._server._faults["Watch"]:
            self._server._faults["Watch"].popleft()(reviews_pb2.Review, context)

    def _serve(self, verb: str, request: Message, context: grpc.ServicerContext) -> Message:
        person = self._server.person(request, context)
        self._server.calls.append((verb, request))

        def commit() -> Message:
            return self._server.desk.handle(verb, request, person)

        try:
            if self._server._faults[verb]:
                return self._server._faults[verb].popleft()(commit, context)
            return commit()
        except CallFailed as failed:
            _abort(context, failed)


def _abort(context: grpc.ServicerContext, failed: CallFailed) -> NoReturn:
    """The status the real server sends: a plain code and google.rpc details."""
    info = error_details_pb2.ErrorInfo(reason=failed.reason, domain="countersign")
    if failed.advice:
        info.metadata["advice"] = failed.advice
    bad = error_details_pb2.BadRequest()
    for field, description in failed.fields.items():
        bad.field_violations.add(field=field, description=description)
    status = status_pb2.Status(code=failed.code.value[0], message=failed.message)
    for detail in (info, bad):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    context.set_trailing_metadata(((STATUS_DETAILS, status.SerializeToString()),))
    context.abort(failed.code, failed.message)
