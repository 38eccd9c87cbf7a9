"""Python's log records in the audit log: masked by the server, sent in the background.

    import logging
    from countersign.client.logging import ActivityHandler

    logging.getLogger().addHandler(ActivityHandler(client, type="agent.log"))

Invariants: a program that logs never waits for the server and never gets an
exception from here. The queue is bounded; what it cannot take, or the server
does not, is counted (`dropped`) and reported: in the log as `<type>.dropped`
once it takes records again, and as a warning of `countersign.client` at the
end. Records of the client itself are not sent, or they would breed.
"""

from __future__ import annotations

import collections
import logging
import math
import threading
import time
from typing import Any, Final

from countersign.client.errors import CountersignClientError
from countersign.client.sync import Client

_OWN: Final = "countersign.client"
_log: Final = logging.getLogger(_OWN)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FORMATTER: Final = logging.Formatter()

MAX_TEXT: Final = 16_000
"""Of a message or traceback; the rest is cut."""
MAX_EXTRA: Final = 50
"""Of `extra`, and of the items of a value in it."""
_MAX_DEPTH: Final = 4
_MAX_INTEGER: Final = 2**53


class ActivityHandler(logging.Handler):
    """Sends records as activities: message, level, logger, exception and `extra`."""

    def __init__(
        self,
        client: Client,
        *,
        type: str = "log",
        session: str = "",
        max_queued: int = 1000,
        flush_s: float = 5.0,
        level: int = logging.NOTSET,
    ) -> None:
        """`flush_s` is the longest that `flush`, `close` and the program's end wait."""
        super().__init__(level)
        self.dropped = 0
        """Records that were not sent."""
        self._client = client
        self._type = type
        self._session = session
        self._max_queued = max_queued
        self._flush_s = flush_s
        self._queue: collections.deque[dict[str, Any]] = collections.deque()
        self._changed = threading.Condition()
        self._sending = self._closed_ = False
        self._told = 0
        self._worker = threading.Thread(target=self._work, name="countersign-log", daemon=True)
        self._worker.start()

    # --- for the program: never waits, never raises --------------------------

    def filter(self, record: logging.LogRecord) -> Any:
        """Nothing of the client's own, so that sending a record makes no other."""
        own = f"{record.name}.".startswith(f"{_OWN}.")
        if own or threading.current_thread() is self._worker:
            return False
        return super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        try:
            entry = _entry(record)
        except Exception:  # noqa: BLE001 - a record that cannot be written down is no reason to fail
            entry = None
        with self._changed:
            if entry is None or self._closed_ or len(self._queue) >= self._max_queued:
                self.dropped += 1
                return
            self._queue.append(entry)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything queued was sent or given up, at most `flush_s`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue and not self._sending, self._flush_s)

    def close(self) -> None:
        """Flush and end; what is left is dropped."""
        with self._changed:
            first, self._closed_ = not self._closed_, True
            self._changed.notify_all()
        if first:
            self.flush()
            with self._changed:
                self.dropped += len(self._queue)
                self._queue.clear()
                self._changed.notify_all()
            if self.dropped > self._told:
                _log.warning("%d log records were not sent", self.dropped - self._told)
        super().close()

    # --- in the background ----------------------------------------------------

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            sent = self._send(self._type, entry)
            with self._changed:
                self.dropped += not sent
                missing = self.dropped - self._told
            if sent and missing and self._send(f"{self._type}.dropped", {"dropped": missing}):
                self._told += missing
            with self._changed:
                self._sending = False
                self._changed.notify_all()

    def _next(self) -> dict[str, Any] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed_)
            if not self._queue:
                return None
            self._sending = True
            return self._queue.popleft()

    def _send(self, kind: str, content: dict[str, Any]) -> bool:
        try:
            self._client.log_activity(kind, content, session=self._session)
        except CountersignClientError:
            return False
        except Exception as error:  # noqa: BLE001 - the program goes on, whatever this was
            _log.warning("a log record was not sent: %s", type(error).__name__)
            return False
        return True


# --- writing records down ------------------------------------------------------


def _entry(record: logging.LogRecord) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "message": _text(record.getMessage()),
        "level": record.levelname,
        "logger": record.name,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
    }
    if record.exc_info and record.exc_info[0] is not None:
        entry["exception"] = _text(_FORMATTER.formatException(record.exc_info)[-MAX_TEXT:])
    own = [item for item in vars(record).items() if item[0] not in _STANDARD]
    if own:
        entry["extra"] = {_text(key): _plain(value) for key, value in own[:MAX_EXTRA]}
    return entry


def _plain(value: Any, depth: int = 0) -> Any:
    """A JSON value for anything: what JSON does not have becomes text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= _MAX_INTEGER:
        return int(value)
    if isinstance(value, float) and math.isfinite(value) and abs(value) <= _MAX_INTEGER:
        return value
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        items = list(value.items())[:MAX_EXTRA]
        return {_text(str(key)): _plain(item, depth + 1) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset) and depth < _MAX_DEPTH:
        return [_plain(item, depth + 1) for item in list(value)[:MAX_EXTRA]]
    return _text(str(value))


def _text(text: str) -> str:
    """Bounded, and without what UTF-8 cannot say."""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()
