"""Errors as gRPC status with `google.rpc` details. The only place that knows codes.

Every status carries `ErrorInfo` with a stable reason; a wrong field also
`BadRequest`. Messages name the field and the remedy, never a value. What is
not one of ours becomes INTERNAL with nothing but a reference to the log.
"""

from __future__ import annotations

from typing import Final

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from countersign.errors import (
    ExhaustedError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    PreconditionError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)
from countersign.v1 import context_pb2, decisions_pb2

DOMAIN: Final = "countersign"
_CODES: Final[tuple[tuple[type[RequestError], grpc.StatusCode], ...]] = (
    (InvalidRequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
    (NotPermittedError, grpc.StatusCode.PERMISSION_DENIED),
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (PreconditionError, grpc.StatusCode.FAILED_PRECONDITION),
    (ExhaustedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE),
)


def code_of(error: RequestError) -> grpc.StatusCode:
    """The status code of one of our request errors."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return grpc.StatusCode.INTERNAL


def of_item(error: RequestError) -> decisions_pb2.CheckError:
    """The same of one item of a batch."""
    return decisions_pb2.CheckError(
        status=code_of(error).value[0],
        reason=context_pb2.Reason(code=error.code, message=error.message),
        field=error.field if isinstance(error, InvalidRequestError) else "",
        advice=error.advice,
    )


def trailers(code: grpc.StatusCode, error: RequestError) -> tuple[tuple[str, bytes], ...]:
    """The `grpc-status-details-bin` trailer of an error."""
    info = error_details_pb2.ErrorInfo(reason=error.code, domain=DOMAIN)
    if error.advice:
        info.metadata["advice"] = error.advice
    details = [info]
    if isinstance(error, InvalidRequestError):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.problem
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    status = status_pb2.Status(code=code.value[0], message=error.message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)
