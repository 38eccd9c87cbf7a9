"""How a failed call is read, and which error it becomes.

A status code other than OK means that no decision was made. The rich status
(`google.rpc.Status` in the trailing metadata) gives the stable reason code and
the field; a server or proxy that sends none, or garbage, is read by its plain
code. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from countersign.client.errors import (
    CountersignClientError,
    Exhausted,
    InvalidContext,
    InvalidRequest,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    ProtocolError,
    Unauthenticated,
    Unavailable,
)
from countersign.v1 import decisions_pb2

STATUS_DETAILS: Final = "grpc-status-details-bin"


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class CallFailed(Exception):  # noqa: N818 - a fact given to a conversation, not raised to users
    """One attempt ended without an answer; what the status said."""

    code: grpc.StatusCode
    message: str = ""
    reason: str = ""
    """The stable code of `google.rpc.ErrorInfo`."""
    advice: str = ""
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """`google.rpc.BadRequest`: field to problem."""

    @property
    def passing(self) -> bool:
        """The server was away or the reply was lost: the same call may be made again."""
        return self.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

    @classmethod
    def of(cls, error: grpc.RpcError) -> CallFailed:
        """Read a gRPC error, with the rich status when the server sent a sound one."""
        status = status_pb2.Status()
        trailing: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
        for key, value in trailing:
            if key == STATUS_DETAILS and isinstance(value, bytes):
                status = _parse(value)
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        for detail in status.details:
            for known in (info, bad):
                if detail.Is(known.DESCRIPTOR):
                    detail.Unpack(known)
        return cls(
            code=error.code(),
            message=error.details() or "",
            reason=info.reason,
            advice=info.metadata.get("advice", ""),
            fields={item.field: item.description for item in bad.field_violations},
        )


def _parse(data: bytes) -> status_pb2.Status:
    try:
        return status_pb2.Status.FromString(data)
    except DecodeError:  # the plain status is enough to go on
        return status_pb2.Status()


_ERRORS: Final[Mapping[grpc.StatusCode, tuple[type[CountersignClientError], str, str]]] = {
    grpc.StatusCode.UNAUTHENTICATED: (
        Unauthenticated,
        "unauthenticated",
        "Check that the credential is the one issued for this server and was not revoked.",
    ),
    grpc.StatusCode.PERMISSION_DENIED: (
        NotPermitted,
        "not_permitted",
        "Ask the operator to register this caller for what it does.",
    ),
    grpc.StatusCode.NOT_FOUND: (
        NotFound,
        "not_found",
        "Check the id, and that it belongs to this credential.",
    ),
    grpc.StatusCode.FAILED_PRECONDITION: (
        PreconditionFailed,
        "precondition.failed",
        "Look at the review's state first.",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        Exhausted,
        "exhausted",
        "Slow down, or ask the operator for a higher limit.",
    ),
    grpc.StatusCode.UNAVAILABLE: (
        Unavailable,
        "unavailable",
        "Nothing was decided. See that the server is up, with TLS unless it is on this machine.",
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        Unavailable,
        "unavailable.late",
        "Nothing was decided. Try again, or allow the server more time.",
    ),
    grpc.StatusCode.UNIMPLEMENTED: (
        ProtocolError,
        "protocol.unimplemented",
        "Server and SDK are of different versions; upgrade the older one.",
    ),
}
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_UNEXPECTED: Final = (
    ProtocolError,
    "protocol.failure",
    "Nothing was decided. Tell the operator of the server.",
)


def error_of(failed: CallFailed) -> CountersignClientError:
    """The error a user sees for a call that failed for good."""
    if failed.code is grpc.StatusCode.INVALID_ARGUMENT:
        field, problem = next(iter(failed.fields.items()), ("request", failed.message))
        # The server names what is inside a context by its JSON pointer.
        kind = InvalidContext if field.startswith(("/", "context")) else InvalidRequest
        return kind(field, problem, code=failed.reason or "request.invalid")
    error, code, advice = _ERRORS.get(failed.code, _UNEXPECTED)
    return error(
        failed.reason or code,
        failed.message or f"the server answered {failed.code.name}",
        advice=failed.advice or advice,
    )


def of_item(error: decisions_pb2.CheckError) -> CountersignClientError:
    """The error of one item of a batch, as its call alone would have raised it."""
    code = _CODES.get(error.status, grpc.StatusCode.UNKNOWN)
    problem = error.reason.message.removeprefix(f"{error.field}: ")
    return error_of(
        CallFailed(
            code=code,
            message=error.reason.message,
            reason=error.reason.code,
            advice=error.advice,
            fields={error.field: problem} if error.field else {},
        )
    )
