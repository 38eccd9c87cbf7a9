"""What all clients share: one connection, opened from a credential file and closed again."""

from __future__ import annotations

import abc
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from countersign.client.aio_line import AioLine
from countersign.client.exchange import Timing
from countersign.client.line import Line
from countersign.credentials import Credential, read_credential


class _Opened(abc.ABC):
    _endpoint: str

    @abc.abstractmethod
    def __init__(self, credential: Credential, *, timing: Timing | None = None) -> None:
        """Say hello to nobody yet: the connection opens with the first call."""

    @classmethod
    def from_credential(cls, path: str | os.PathLike[str], *, timing: Timing | None = None) -> Self:
        """A client for the server and with the token that a credential file names.

        Raises `ConfigurationError` when the file is missing, malformed or exposed.
        """
        return cls(read_credential(Path(path)), timing=timing)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._endpoint}>"


class Opened(_Opened):
    """A blocking client with a connection of its own."""

    _line: Line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Calls that still run fail."""
        self._line.close()


class AsyncOpened(_Opened):
    """The same for asyncio."""

    _line: AioLine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection. Calls that still run fail."""
        await self._line.close()
