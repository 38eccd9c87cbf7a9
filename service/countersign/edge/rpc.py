"""One call, in one visible order; every method of every service passes here.

    authenticate → role → rate → parse → verb → encode → (fault point) → answer

Requests arrive as bytes and are parsed here, so that a malformed one is
INVALID_ARGUMENT like any other bad input and never an INTERNAL of the
transport. Whatever goes wrong is counted and becomes one status.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from countersign.edge import status
from countersign.edge.authentication import Authenticated, Authenticator, Subject
from countersign.edge.metrics import Metrics
from countersign.edge.rate import RateLimit
from countersign.errors import (
    InvalidRequestError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)
from countersign.model import Caller, Channel, Person, PersonId

log = logging.getLogger(__name__)

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)
S = TypeVar("S", bound=Caller | Person | Channel)

Context = grpc.aio.ServicerContext[bytes, bytes]
DEFAULT_DEADLINE_S: Final = 30.0
MARGIN_S: Final = 0.25
"""How long before the call's deadline the answer must be on its way."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[S]):
    """Who calls and how long they will wait."""

    subject: S
    proof: str
    """By what they proved themselves; see `credentials.proof_of_token`."""
    made_by: PersonId | None
    """Who has seen that token besides, when it was made; see `Authenticated`."""
    deadline_s: float
    """Seconds the verb may take."""
    trace: str
    still: Callable[[], Awaitable[None]]
    """Raises `UnauthenticatedError` once the credential is no longer this subject's."""
    spend: Callable[[], None]
    """Counts one more request. Raises `ExhaustedError` above the rate."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Generic[S, Q, R]):
    """One method: its request type, its role and its verb."""

    request: type[Q]
    role: Callable[[Subject], S]
    verb: Callable[[Call[S], Q], Awaitable[R]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Streaming(Generic[S, Q, R]):
    """One server-streaming method."""

    request: type[Q]
    role: Callable[[Subject], S]
    verb: Callable[[Call[S], Q], AsyncIterator[R]]


class Rpc:
    """Makes gRPC handlers out of methods."""

    def __init__(
        self,
        authenticator: Authenticator,
        rate: RateLimit,
        metrics: Metrics,
        reached: Callable[[str], None],
        *,
        max_request_bytes: int,
    ) -> None:
        self._authenticator = authenticator
        self._rate = rate
        self._metrics = metrics
        self._reached = reached
        self._max_request_bytes = max_request_bytes

    def service(
        self, name: str, methods: dict[str, Unary[Any, Any, Any] | Streaming[Any, Any, Any]]
    ) -> grpc.GenericRpcHandler:
        """A service's handlers, by method name."""
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        for method, spec in methods.items():
            full = f"{name.rpartition('.')[2]}.{method}"
            if isinstance(spec, Unary):
                handlers[method] = grpc.unary_unary_rpc_method_handler(self._unary(full, spec))
            else:
                handlers[method] = grpc.unary_stream_rpc_method_handler(self._stream(full, spec))
        return grpc.method_handlers_generic_handler(name, handlers)

    def _unary(self, full: str, spec: Unary[Any, Any, Any]) -> Any:
        fault_point = f"{full.rpartition('.')[2].lower()}.answering"
        observe = self._metrics.observer(full)
        reached = self._reached

        async def handler(data: bytes, context: Context) -> bytes:
            started, tenant = time.perf_counter(), ""
            try:
                known = await self._authenticator.subject(context)
                tenant = known.subject.tenant
                call = self._call(spec, context, known)
                answer: Message = await spec.verb(call, self._parse(spec.request, data))
                reached(fault_point)
                encoded = answer.SerializeToString()
            except RequestError as error:
                code = status.code_of(error)
                observe(code.name, tenant, time.perf_counter() - started)
                await context.abort(code, error.message, status.trailers(code, error))
            except Exception as error:  # noqa: BLE001 - the last door: nothing raw may leave
                observe("INTERNAL", tenant, time.perf_counter() - started)
                await self._broken(full, error, context)
            observe("OK", tenant, time.perf_counter() - started)
            return encoded

        return handler

    def _stream(self, full: str, spec: Streaming[Any, Any, Any]) -> Any:
        observe = self._metrics.observer(full)

        async def handler(data: bytes, context: Context) -> AsyncIterator[bytes]:
            started, tenant = time.perf_counter(), ""
            try:
                known = await self._authenticator.subject(context)
                tenant = known.subject.tenant
                call = self._call(spec, context, known)
                async for answer in spec.verb(call, self._parse(spec.request, data)):
                    yield answer.SerializeToString()
            except RequestError as error:
                code = status.code_of(error)
                observe(code.name, tenant, time.perf_counter() - started)
                await context.abort(code, error.message, status.trailers(code, error))
            except Exception as error:  # noqa: BLE001 - the last door: nothing raw may leave
                observe("INTERNAL", tenant, time.perf_counter() - started)
                await self._broken(full, error, context)
            observe("OK", tenant, time.perf_counter() - started)

        return handler

    def _call(
        self,
        spec: Unary[Any, Any, Any] | Streaming[Any, Any, Any],
        context: Context,
        known: Authenticated,
    ) -> Call[Any]:
        subject = spec.role(known.subject)
        kind = type(known.subject)

        def spend() -> None:
            self._rate.spend(subject.tenant, kind.__name__, subject.id)

        spend()

        async def still() -> None:
            now = (await self._authenticator.subject(context)).subject
            if (type(now), now.tenant, now.id) != (kind, subject.tenant, subject.id):
                raise UnauthenticatedError(
                    "credential.unknown", "authorization: the credential is somebody else's now"
                )

        remaining = context.time_remaining()
        deadline_s = DEFAULT_DEADLINE_S if remaining is None else remaining
        return Call(
            subject=subject,
            proof=known.proof,
            made_by=known.made_by,
            deadline_s=max(0.0, deadline_s - MARGIN_S),
            trace=_metadata(context, "traceparent"),
            still=still,
            spend=spend,
        )

    def _parse(self, kind: type[Q], data: bytes) -> Q:
        """Parse a request, unless it is so large that parsing alone would hold others up."""
        if len(data) > self._max_request_bytes:
            raise InvalidRequestError(
                "request",
                f"is {len(data)} bytes; at most {self._max_request_bytes} are read",
                code="request.too_large",
            )
        try:
            return kind.FromString(data)
        except DecodeError:
            raise InvalidRequestError(
                "request", f"is not a {kind.DESCRIPTOR.full_name} message", code="request.malformed"
            ) from None

    async def _broken(self, full: str, error: Exception, context: Context) -> None:
        """Our own fault: the log gets type and place, the sender neither."""
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else "?"
        log.error("%s failed: %s in %s", full, type(error).__name__, place)
        internal = UnavailableError(
            "internal", "the server failed; no decision was made. The server's log says where"
        )
        code = grpc.StatusCode.INTERNAL
        await context.abort(code, internal.message, status.trailers(code, internal))


def _metadata(context: Context, name: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return ""
