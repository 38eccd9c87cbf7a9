"""Signing the permit of an answer, here or by somebody who takes a moment.

The approval is spent by then, on record, and nothing is lost when the signer is away: the
caller is told to try again, and the same `request_id` gets the permit of the same
claims (invariant 5). No answer that grants leaves without one (invariant 2).
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from countersign.errors import PreconditionError, UnavailableError
from countersign.flow.answer import Answer
from countersign.permit import PermitError, PermitKeys
from countersign.signing import SigningError

log = logging.getLogger(__name__)

_THREADS: Final = 4
"""Signatures at a time, so that a slow signer holds up nobody else's threads."""


class Minting:
    """Makes permits of one issuer."""

    def __init__(self, keys: PermitKeys) -> None:
        self._keys = keys
        self._threads = ThreadPoolExecutor(_THREADS, "permits") if not keys.quick else None

    async def token(self, answer: Answer) -> str:
        """The token of an answer's permit; empty without one. `UnavailableError` unsigned."""
        salt = answer.decision.salt
        if not answer.permit or not salt:
            return ""
        try:
            if self._threads is None:
                return self._keys.mint(answer.permit, salt)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._keys.mint, answer.permit, salt)
        except PermitError as error:  # only of a claim that is repeated
            raise PreconditionError(error.code, error.message, advice=error.advice) from None
        except SigningError as error:
            log.error("no permit was signed: %s", error)
            raise UnavailableError(
                error.code,
                "the permit cannot be signed now; the decision is on record",
                advice="Try again with the same request_id: it gets the permit of this decision.",
            ) from None
