"""The child that asks Presidio: one frame in, one frame out.

    python -I -m countersign.recognizers.worker FILE ENTITY[,ENTITY…]

The first frame out says what was loaded or why not; after that each `{"texts"}`
is answered by `{"found"}`, one list a text, or null for one that nobody can look at.
Invariants: no text leaves but as offsets (3): what anything in here prints or logs
goes nowhere; no network, at import or later. It ends when its input does. Started by
`child`.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from countersign.recognizers import frames

if TYPE_CHECKING:
    from countersign.recognizers.engine import Engine, Found

_NETWORK: Final = frozenset(
    {
        *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"),
        *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"),
    }
)


_MAX_WHY: Final = 600


class _NetworkError(PermissionError):
    """Something in here wanted to talk to somebody."""


def _no_network(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _NETWORK:
        raise _NetworkError("no network here")


def main(file: str, entities: str) -> None:
    """Serve until the input ends."""
    out = _quiet()
    sys.addaudithook(_no_network)
    try:
        from countersign.recognizers import engine  # noqa: PLC0415 - after it is quiet

        path = Path(file)
        os.chdir(path.parent)
        loaded = engine.load(path, entities.split(","))
        loaded.find("Write to somebody@example.com when ready.")  # what loads late loads now
    except Exception as error:  # noqa: BLE001 - no text was seen yet: it may say why
        _send(out, {"error": _why(error)})
        return
    _send(out, {"id": loaded.id})
    while (message := _receive(sys.stdin.buffer)) is not None:
        _send(out, {"found": [_found(loaded, text) for text in message["texts"]]})


def _found(loaded: Engine, text: str) -> list[Found] | None:
    """What stands in a text; None where a recognizer fails on it: nobody looked at it then."""
    try:
        return loaded.find(text)
    except Exception:  # noqa: BLE001 - it costs this text, and whoever wrote it only
        return None


def _why(error: Exception) -> str:
    """What is wrong, in one line: Presidio's own words often stand in the cause."""
    if type(error).__name__ == "NotLoadedError":
        return str(error)
    words = f"{type(error).__name__}: {error}"
    if error.__cause__ is not None:
        words += f": {error.__cause__}"
    return " ".join(words.split())[:_MAX_WHY]


def _quiet() -> BinaryIO:
    """The way out; nobody else has it, and whatever they print is thrown away."""
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    return out


def _send(out: BinaryIO, message: object) -> None:
    out.write(frames.encode(message))
    out.flush()


def _receive(source: BinaryIO) -> Any:
    head = source.read(frames.LENGTH_BYTES)
    if not head:
        return None
    return frames.decode(source.read(frames.length(head)))


if __name__ == "__main__":
    main(*sys.argv[1:])
