"""A CONNECT proxy on loopback that leads to one place, and there only."""

from __future__ import annotations

import asyncio
import contextlib

from simulators.teams.counting import Counting

_MAX_HEAD_BYTES = 16_384


class Proxy:
    """Takes the named hosts to a port here, and refuses every other name."""

    def __init__(self, hosts: tuple[str, ...], target_port: int) -> None:
        self._hosts = frozenset(hosts)
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self.refused = Counting()
        """What was asked for in vain, by `host:port`."""
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, limit=_MAX_HEAD_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Take no more, and cut what is open."""
        assert self._server is not None
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Cut every connection that is open now, as a network that fails does."""
        for line in list(self._lines):
            line.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, address, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ")
            host, _, port = address.rpartition(":")
            if method != "CONNECT" or host not in self._hosts or port != "443":
                self.refused.add(address)
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            await self._join(reader, writer)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass  # the other side went away, or spoke no HTTP
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until either side ends."""
        there, to_there = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            ways = (
                asyncio.create_task(_carry(reader, to_there)),
                asyncio.create_task(_carry(there, writer)),
            )
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            to_there.close()
            with contextlib.suppress(OSError):
                await to_there.wait_closed()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()
