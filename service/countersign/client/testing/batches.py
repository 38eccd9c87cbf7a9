"""BatchCheck of the decision point in memory: each item as though it came alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from google.protobuf.message import Message

from countersign.client.status import CallFailed
from countersign.v1 import context_pb2, decisions_pb2


def batch_check(
    handle: Callable[[str, Message], Message], request: decisions_pb2.BatchCheckRequest
) -> decisions_pb2.BatchCheckResponse:
    """Answer each item by `handle`."""
    return decisions_pb2.BatchCheckResponse(results=[_one(handle, item) for item in request.items])


def _one(
    handle: Callable[[str, Message], Message], item: decisions_pb2.CheckRequest
) -> decisions_pb2.BatchCheckResult:
    try:
        answer = cast("decisions_pb2.CheckResponse", handle("Check", item))
    except CallFailed as failed:
        error = decisions_pb2.CheckError(
            status=failed.code.value[0],
            reason=context_pb2.Reason(code=failed.reason, message=failed.message),
            field=next(iter(failed.fields), ""),
            advice=failed.advice,
        )
        return decisions_pb2.BatchCheckResult(error=error)
    return decisions_pb2.BatchCheckResult(answer=answer)
