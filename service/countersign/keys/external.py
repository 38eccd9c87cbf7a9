"""A key that somebody else holds: a signer on a unix socket, asked once for each signature.

The signer stands before a KMS, an HSM or a token of its own; the private key never comes
here. HTTP/1.1, one request a connection, two verbs (docs/reference/signers.md):

    GET  /v1/keys/NAME          200 and the 32 bytes of the public key
    POST /v1/keys/NAME/sign     the bytes to sign; 200 and the 64 bytes of the signature

Anything else is a refusal. Calls block, up to the deadline: off the event loop. After one
that failed, the signer is left alone for a moment, so that a queue does not wait for
it one deadline after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.exchange import NotHttpError, TooLargeError, exchange_local
from countersign.signing import SigningError

PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
REST_S: Final = 1.0


class ExternalKey:
    """One key of one signer. `setting` names it in errors."""

    def __init__(
        self,
        setting: str,
        socket: Path,
        name: str,
        *,
        deadline_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Asks for the public key, which is then believed for as long as this lives.

        Raises `SigningError`.
        """
        self._setting = setting
        self._socket = socket
        self._path = f"/v1/keys/{name}"
        self._deadline_s = deadline_s
        self._clock = clock
        self._rests_until = 0.0
        raw = self._ask(self._path, None, PUBLIC_BYTES)
        try:
            self._public = Ed25519PublicKey.from_public_bytes(raw)
        except ValueError:
            raise self._problem("says a public key that is none of Ed25519") from None

    def public_key(self) -> Ed25519PublicKey:
        """As the signer said at the start."""
        return self._public

    def sign(self, data: bytes, /) -> bytes:
        """64 bytes, not verified yet. Raises `SigningError`."""
        if self._clock() < self._rests_until:
            raise self._problem("did not sign a moment ago")
        try:
            return self._ask(f"{self._path}/sign", data, SIGNATURE_BYTES)
        except SigningError:
            self._rests_until = self._clock() + REST_S
            raise

    def _ask(self, target: str, post: bytes | None, size: int) -> bytes:
        try:
            answer = exchange_local(
                self._socket, target, deadline_s=self._deadline_s, max_bytes=size, post=post
            )
        except TimeoutError:
            problem = f"gave no whole answer within {self._deadline_s:g} s"
        except OSError as error:
            problem = f"cannot be reached ({type(error).__name__})"
        except (NotHttpError, TooLargeError):
            problem = f"does not answer in HTTP/1.1 with {size} bytes"
        else:
            if answer.status == 200 and len(answer.body) == size:
                return answer.body
            problem = f"answers {answer.status} with {len(answer.body)} bytes"
        raise self._problem(problem)

    def _problem(self, problem: str) -> SigningError:
        return unavailable(
            self._setting,
            f"the signer at {self._socket} {problem}",
            "Is the signer running, does it know this key, and may this user connect to it?",
        )


def unavailable(setting: str, problem: str, advice: str) -> SigningError:
    """Nothing was signed; trying again is right once that is mended."""
    return SigningError("keys.unavailable", f"{setting}: {problem}", advice=advice)
