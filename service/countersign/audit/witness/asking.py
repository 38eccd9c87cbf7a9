"""Asking one witness to cosign: the log's side of `add-checkpoint`.

What comes back is believed only as a cosignature that fits the key in the
settings. That a witness has *more* than we do, or other records, is its word alone,
and still reason to stop and look: it is what a log that went back would see.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from countersign.audit.cosignature import WitnessKey
from countersign.audit.note import Checkpoint, Note, Signature
from countersign.audit.prove import prove_extends
from countersign.audit.tiles import Reader
from countersign.audit.witness.request import PATH, SIZE_TYPE, Request, decode_size
from countersign.errors import LogError
from countersign.exchange import Answer, NotHttpError, TooLargeError, exchange

CONTRADICTED: Final = frozenset({"log.rolled_back", "log.forked"})
"""What a witness can say that no retry mends."""
_MAX_ANSWER_BYTES: Final = 64 * 1024
_REST_S: Final = 5.0
"""How long one that did not answer is left alone, so that many logs do not wait in turn."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A witness, as the settings name it."""

    url: str
    """Its submission prefix."""
    key: WitnessKey
    deadline_s: float = 5.0


class Asking:
    """One witness and what it is known to have, in memory only."""

    def __init__(
        self, place: Place, *, tls: ssl.SSLContext | None = None, rest_s: float = _REST_S
    ) -> None:
        self.key = place.key
        self._url = urlsplit(f"{place.url.rstrip('/')}/{PATH}")
        self._deadline_s = place.deadline_s
        self._tls = tls
        self._rest_s = rest_s
        self._sizes: dict[str, int] = {}
        self._rests_until = 0.0

    @property
    def name(self) -> str:
        """The witness's own name."""
        return self.key.name

    async def cosign(self, note: Note, read: Reader) -> Signature:
        """Its cosignature of a checkpoint; `read` gives tiles, for proofs.

        Raises `LogError`: `witness.unavailable`; `witness.refused`; `log.rolled_back` when it
        has cosigned more than this; `log.forked` when it has cosigned other records.
        """
        head = Checkpoint.parse(note.text)
        # Not knowing, say our own size: at worst the answer is the size that it has.
        old = min(self._sizes.get(head.origin, head.size), head.size)
        for _ in range(3):
            proof: tuple[bytes, ...] = ()
            if 0 < old < head.size:
                proof = await asyncio.to_thread(prove_extends, old, head.size, read)
            request = Request(old=old, proof=proof, note=note, head=head)
            answer = await self._send(request.encode())
            size = decode_size(answer.body) if answer.type == SIZE_TYPE else None
            if answer.status == 200:
                line = self._line(note, answer.body)
                self._sizes[head.origin] = head.size
                return line
            if answer.status == 422 and old:
                raise self._forked(old)
            if answer.status != 409 or size is None:
                raise self._refused(f"answers {answer.status}")
            if size > head.size:
                raise self._ahead(size, head.size)
            if size == old:
                raise self._forked(old)
            self._sizes[head.origin] = old = size
        raise self._refused("names another size each time")

    async def _send(self, body: bytes) -> Answer:
        now = asyncio.get_running_loop().time
        if now() < self._rests_until:
            raise self._unavailable("did not answer a moment ago")
        try:
            async with asyncio.timeout(self._deadline_s):
                if self._tls is None and self._url.scheme == "https":
                    self._tls = await asyncio.to_thread(ssl.create_default_context)
                return await exchange(
                    self._url, tls=self._tls, max_bytes=_MAX_ANSWER_BYTES, post=body
                )
        except TimeoutError:
            problem = f"gave no whole answer within {self._deadline_s:g} s"
        except (OSError, UnicodeError) as error:
            problem = f"cannot be reached ({type(error).__name__})"
        except (NotHttpError, TooLargeError):
            problem = "does not answer in HTTP/1.1 of bearable size"
        self._rests_until = now() + self._rest_s
        raise self._unavailable(problem)

    def _line(self, note: Note, body: bytes) -> Signature:
        """Its own cosignature among the lines of an answer, verified."""
        try:
            lines = Note.parse(f"{note.text}\n".encode() + body).signatures
            own = [each for each in lines if each.key_id == self.key.key_id]
            if self.key.cosigned_s(Note(text=note.text, signatures=tuple(own))) is not None:
                return next(each for each in own if each.name == self.name)
        except LogError:
            pass
        raise self._refused("answers without a cosignature by its key")

    def _unavailable(self, problem: str) -> LogError:
        return LogError("witness.unavailable", f"the witness {self.name} {problem}")

    def _refused(self, problem: str) -> LogError:
        return LogError(
            "witness.refused",
            f"the witness {self.name} {problem}",
            advice="Ask who runs it whether it knows this log and its key; compare [[witnesses]].",
        )

    def _ahead(self, theirs: int, ours: int) -> LogError:
        return LogError(
            "log.rolled_back",
            f"the witness {self.name} has cosigned {theirs} records of this log, {ours} are here",
            advice="Store and log were put back to an older copy, or another service signs as this "
            "log. Restore the newest ones, or start a new log under another log name. If the "
            "witness itself is wrong, take it out of [[witnesses]].",
        )

    def _forked(self, size: int) -> LogError:
        return LogError(
            "log.forked",
            f"the witness {self.name} has cosigned {size} other records of this log",
            advice="Store and log were rewritten, or another service signs as this log. Keep "
            "both, and compare with the checkpoint that the witness shows. If the witness itself "
            "is wrong, take it out of [[witnesses]].",
        )


async def check_witnesses(
    witnesses: Sequence[Asking], note: Note, read: Reader, passed_over: Callable[[LogError], None]
) -> None:
    """Ask every witness what it has of this log; `passed_over` is told why one is.

    Raises `LogError` when one has cosigned more than this checkpoint, or other records.
    """
    asked = (each.cosign(note, read) for each in witnesses)
    for found in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(found, LogError) and found.code not in CONTRADICTED:
            passed_over(found)
        elif isinstance(found, BaseException):
            raise found
