"""One request to S3, until it is answered or it is time to give up.

A reply that is lost, a server that is busy, two that race: tried again, each
time after a random part of a growing pause. What S3 answers besides is told
apart by status, because error codes differ from server to server. Used by `sink`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own
    HTTPClientError,
    IncompleteReadError,
)

from countersign.audit.sink import OutageError
from countersign.errors import LogError

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
_BUSY: Final = frozenset({408, 409, 429, 500, 502, 503, 504})


class ExistsError(Exception):
    """412: an object of this name is there already."""


class RefusedError(LogError):
    """S3 understood and said no: asking again will not help."""


class Calls:
    """Requests with patience."""

    def __init__(
        self, *, patience_s: float = 15.0, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._patience_s = patience_s
        self._pause = pause

    def run(self, what: str, call: Callable[[], Any]) -> Any:
        """The answer; None for 404.

        Raises `ExistsError` for 412, and `LogError log.sink_unavailable` when S3
        refuses (`RefusedError`) or is not there (`OutageError`): the publisher tries
        again later.
        """
        end = time.monotonic() + self._patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return call()
            except ClientError as error:
                status = status_of(error)
                if status == 404:
                    return None
                if status == 412:
                    raise ExistsError(what) from None
                why = f"{status} {code_of(error)}"
                if status not in _BUSY:
                    raise _unavailable(what, why, RefusedError) from None
                if time.monotonic() > end:
                    raise _unavailable(what, why, OutageError) from None
            except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
                if time.monotonic() > end:
                    raise _unavailable(what, type(error).__name__, OutageError) from None
            except BotoCoreError as error:  # no credentials any more, say
                raise _unavailable(what, type(error).__name__, OutageError) from None
            self._pause(random.uniform(0, pause_s))  # noqa: S311 - not for secrecy
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def status_of(error: ClientError) -> int:
    """The HTTP status of an answer that is an error."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: ClientError) -> str:
    """S3's word for it; a plain word, whatever the server sends."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code[:60] if code.isalnum() else "no code"


def _unavailable(what: str, why: str, error: type[LogError]) -> LogError:
    return error(
        "log.sink_unavailable",
        f"{what}: {why}",
        advice="Check that the bucket answers and what the writer may do there; publishing "
        "goes on by itself once it can.",
    )
