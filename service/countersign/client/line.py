"""One connection to the decision surface: calls with patience, watches that go on.

Shared by a `ReviewsClient` and the views it makes; the fakes have one of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from countersign.client.channel import metadata, open_channel
from countersign.client.exchange import Exchange, Timing
from countersign.client.status import CallFailed, error_of
from countersign.client.sync import carry_out, closed, invoke
from countersign.credentials import Credential
from countersign.v1 import reviews_pb2
from countersign.v1.reviews_pb2_grpc import ReviewsStub


class Line:
    """Carries requests of `Reviews` with one credential."""

    def __init__(self, credential: Credential, timing: Timing) -> None:
        self._metadata = metadata(credential)
        self._channel = open_channel(credential)
        self._stub = ReviewsStub(self._channel)
        self._timing = timing
        self._exchange = Exchange(timing)

    def close(self) -> None:
        """Calls that still run fail, later ones too."""
        self._channel.close()

    def call(self, method: str, request: Message) -> Any:
        """One answer, in as many attempts as it takes."""
        return carry_out(
            self._exchange.call(method, request),
            invoke=lambda call: invoke(self._stub, call, self._metadata),
        )

    def watch(self, request: reviews_pb2.WatchReviewsRequest) -> Iterator[reviews_pb2.Review]:
        """One stream after the other; raises when the server stays away for too long."""
        attempt, heard_s = 0, time.monotonic()
        while True:
            try:
                stream = self._stub.Watch(request, metadata=self._metadata)
            except ValueError as error:  # what grpc says of a closed channel
                raise closed() from error
            try:
                for review in stream:
                    attempt, heard_s = 0, time.monotonic()
                    yield review
            except grpc.RpcError as error:
                failed = CallFailed.of(error)
                if not failed.passing or time.monotonic() - heard_s >= self._timing.max_outage_s:
                    raise error_of(failed) from error
            finally:
                stream.cancel()
            time.sleep(self._exchange.backoff_s(attempt))
            attempt += 1
