"""The witness itself: judges, remembers, then cosigns.

Requests for one log are taken one after another: what is compared is what is
replaced. The cosignature is made first and leaves last, after the checkpoint it
is about is durable. Called by `server`, from a thread for each request.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from countersign.audit.cosignature import WitnessSigner
from countersign.audit.note import Checkpoint, Note
from countersign.audit.trust import Trust
from countersign.audit.witness.memory import Memory, folder
from countersign.audit.witness.request import SIZE_TYPE, Request, encode_size
from countersign.audit.witness.rules import Doubt, Refusal, judge
from countersign.errors import ConfigurationError, LogError

log = logging.getLogger(__name__)

TEXT: Final = "text/plain; charset=utf-8"
_LEVELS: Final = {
    Doubt.NONE: logging.INFO,
    Doubt.UNPROVEN: logging.ERROR,
    Doubt.FORK: logging.CRITICAL,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back over HTTP."""

    status: HTTPStatus
    body: bytes
    type: str = TEXT


def _seconds() -> int:
    return int(time.time())


class Witness:
    """Cosigns checkpoints of the logs it knows."""

    def __init__(
        self,
        signer: WitnessSigner,
        logs: Trust,
        memory: Memory,
        *,
        now: Callable[[], int] = _seconds,
    ) -> None:
        """Raises `ConfigurationError` when what is remembered of a log is damaged."""
        self._signer = signer
        self._keys = {each.origin: each.keys for each in logs.logs}
        self._memory = memory
        self._now = now
        self._turns = {origin: threading.Lock() for origin in self._keys}
        self._folders = {folder(origin): origin for origin in self._keys}
        for origin in self._keys:
            note = memory.newest(origin)
            if note is None:
                log.warning("%s: no checkpoint was cosigned yet, the first is believed", origin)
            else:
                log.info("%s: cosigned up to size %d", origin, Checkpoint.parse(note.text).size)

    def newest(self, name: str) -> Answer:
        """The newest cosigned checkpoint of the log whose origin has this SHA-256 in hex."""
        origin = self._folders.get(name)
        note = None if origin is None else self._memory.newest(origin)
        if note is None:
            return Answer(status=HTTPStatus.NOT_FOUND, body=b"no checkpoint of it here\n")
        return Answer(status=HTTPStatus.OK, body=note.encode())

    def add_checkpoint(self, body: bytes) -> Answer:
        """The answer to one `add-checkpoint`."""
        try:
            request = Request.parse(body)
        except LogError as error:
            return Answer(status=HTTPStatus.BAD_REQUEST, body=f"{error.message}\n".encode())
        origin = request.head.origin
        turn = self._turns.get(origin)
        if turn is None:
            refusal = judge(request, None, None)
            return _refused(refusal) if refusal else _broken()
        with turn:
            try:
                return self._in_turn(origin, request)
            except (LogError, ConfigurationError) as error:
                log.error("%s: not cosigned: %s", origin, error.message)
                return _broken()

    def _in_turn(self, origin: str, request: Request) -> Answer:
        was = self._memory.newest(origin)
        seen = None if was is None else Checkpoint.parse(was.text)
        refusal = judge(request, self._keys[origin], seen)
        if refusal is not None:
            self._tell(origin, request, refusal)
            return _refused(refusal)
        earlier_s = 0 if was is None else self._memory.time_s(was) or 0
        line = self._signer.cosign(request.note, max(self._now(), earlier_s))
        key_id = self._keys[origin].signer(request.note, request.head.size).key_id
        by_log = [s for s in request.note.signatures if s.key_id == key_id]
        self._memory.keep(origin, Note(text=request.note.text, signatures=(*by_log, line)))
        log.info("%s: cosigned size %d", origin, request.head.size)
        return Answer(status=HTTPStatus.OK, body=line.line().encode())

    def _tell(self, origin: str, request: Request, refusal: Refusal) -> None:
        """A fork or a roll-back was attempted, or a client is merely late."""
        size, level = request.head.size, _LEVELS[refusal.doubt]
        if refusal.doubt is not Doubt.NONE:
            where = self._memory.keep_refused(origin, refusal.doubt, request.note)
            log.log(
                level,
                "%s: %s: a signed checkpoint of size %d is refused: %s; kept as %s",
                *(origin, refusal.doubt.name, size, refusal.reason, where or "nothing: too many"),
            )
        elif refusal.size is not None and size < refusal.size:
            log.warning(
                "%s: ROLL-BACK? a signed checkpoint of size %d was sent, %d is cosigned",
                *(origin, size, refusal.size),
            )
        else:
            log.info("%s: size %d: %d, %s", origin, size, refusal.status, refusal.reason)


def _refused(refusal: Refusal) -> Answer:
    if refusal.size is not None:
        body = encode_size(refusal.size)
        return Answer(status=refusal.status, body=body, type=SIZE_TYPE)
    return Answer(status=refusal.status, body=f"{refusal.reason}\n".encode())


def _broken() -> Answer:
    return Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR, body=b"not cosigned; try again\n")
