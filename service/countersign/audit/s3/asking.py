"""One request to a store, answered one way or another: no exception goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from countersign.audit.s3.probe import Answer

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

Call = Callable[["S3Client"], Any]
FAULTS: Final = (ClientError, BotoCoreError)
"""All that boto3 raises once a client is made."""


def ask(call: Call, s3: S3Client) -> tuple[Answer, dict[str, Any]]:
    """How the store answered, and with what; nothing if it did not."""
    try:
        reply: dict[str, Any] = call(s3)
    except ClientError as error:
        reply = dict(error.response)
        status = reply.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return Answer(status=status, code=reply.get("Error", {}).get("Code", "")), reply
    except BotoCoreError as error:
        return Answer(status=0, code=type(error).__name__), {}
    return Answer(status=reply["ResponseMetadata"]["HTTPStatusCode"]), reply
