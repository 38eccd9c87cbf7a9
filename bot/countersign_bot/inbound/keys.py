"""The keys that sign what Teams sends: read ahead, kept, and read again for a new one.

They come from the cloud's OpenID metadata, whose address is pinned. Reading never
stands in the way of a request whose key is known: after a day they are read again
behind it. A key id nobody knows makes them be read at once, since that is how a
rotation looks; but at most every 10 s, so that whoever makes up ids causes at most
six requests a minute and delays the first token of a rotated key by no more than
that. While the metadata cannot be read, the last keys stay good for five days, for
which Microsoft keeps its list stable; then nothing is (invariant 2).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from countersign.canonical import StrictJsonError, parse_object
from countersign.tokens.keys import KeySet as JwkSet
from countersign.tokens.keys import KeySetError as UnusableKeySetError
from countersign_bot.inbound.refusal import Refusal, RefusedError
from countersign_bot.outgoing import Outgoing, OutgoingError

FETCH_WITHIN_S: Final = 5.0
MAX_DOCUMENT_BYTES: Final = 512 * 1024
ALGORITHM: Final = "RS256"
_log = logging.getLogger(__name__)


class KeySetError(Exception):
    """No usable key set. Names the fault and no content."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A public key, and the channels it may sign for."""

    public: RSAPublicKey
    endorsements: frozenset[str]


KeySet: TypeAlias = Mapping[str, SigningKey]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old keys may be, and how often they are read."""

    refresh_s: float = 24 * 3600.0
    """Older ones are read again, behind the request that found them so."""
    min_refetch_s: float = 10.0
    """Between two reads that unknown key ids, or failed reads, lead to."""
    max_stale_s: float = 5 * 24 * 3600.0
    """How old they may be when they cannot be read again."""


def parse_key_set(data: bytes) -> dict[str, SigningKey]:
    """The RSA keys for signatures in a JWK Set (RFC 7517), by `kid`.

    A key of another kind or too short is left out. Raises `KeySetError`.
    """
    try:
        usable = JwkSet.parse(data).keys
    except UnusableKeySetError as error:
        raise KeySetError(error.message) from None
    endorsed: dict[str, frozenset[str]] = {}
    for item in _document(data)["keys"]:
        if isinstance(item, dict) and isinstance(kid := item.get("kid"), str):
            names = _endorsements(item)
            endorsed[kid] = endorsed.get(kid, names) & names
    found = {
        key.kid: SigningKey(public=key.public, endorsements=endorsed[key.kid])
        for key in usable
        if key.kid and ALGORITHM in key.algorithms
    }
    if not found:
        raise KeySetError("the key set holds no key that can be used")
    return found


def keys_url(metadata: bytes) -> str:
    """Where the keys are, by the OpenID metadata. Raises `KeySetError`."""
    url = _document(metadata).get("jwks_uri")
    if not isinstance(url, str) or not url.startswith("https://"):
        raise KeySetError("the metadata names no https address of keys")
    return url


async def fetch(outgoing: Outgoing, metadata_url: str) -> bytes:
    """The key set, as bytes. Raises `KeySetError`, after at most `FETCH_WITHIN_S`."""
    try:
        async with asyncio.timeout(FETCH_WITHIN_S):
            metadata = await _get(outgoing, metadata_url)
            return await _get(outgoing, keys_url(metadata))
    except TimeoutError:
        raise KeySetError(f"no keys within {FETCH_WITHIN_S:g} s") from None


class Keys:
    """The keys of one cloud. `read` gets the bytes of a key set, `clock` is monotonic."""

    def __init__(
        self,
        read: Callable[[], Awaitable[bytes]],
        *,
        clock: Callable[[], float],
        freshness: Freshness | None = None,
    ) -> None:
        self._get = read
        self._clock = clock
        self._freshness = freshness or Freshness()
        self._keys: KeySet = {}
        self._read_at = -math.inf
        self._tried_at = -math.inf
        self._asked_at = -math.inf
        """When an unknown key id last led to a read."""
        self._reading: asyncio.Task[None] | None = None
        self.failure: str | None = None
        """What was wrong at the last read; None when nothing was."""

    @property
    def ready(self) -> bool:
        """Whether there are keys, and none too old."""
        return self._clock() - self._read_at <= self._freshness.max_stale_s

    async def start(self) -> None:
        """Read once, so that the first request need not wait. Raises nothing."""
        await self._read_now()

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def find(self, kid: str) -> SigningKey | None:
        """The key of that id. Raises `RefusedError` when there are no keys at all."""
        if not self.ready:
            if self._may_try(self._tried_at) or self._reading is not None:
                await self._read_now()
        elif self._clock() - self._read_at >= self._freshness.refresh_s:
            self._read_behind()
        if not self.ready:
            raise RefusedError(Refusal.KEYS_UNAVAILABLE, "the signing keys cannot be read now")
        if kid not in self._keys and self._may_try(self._asked_at):
            self._asked_at = self._clock()
            await self._read_now()
        return self._keys.get(kid)

    def _may_try(self, since: float) -> bool:
        return self._clock() - since >= self._freshness.min_refetch_s

    def _read_behind(self) -> None:
        if self._reading is None and self._may_try(self._tried_at):
            self._reading = self._begin()

    async def _read_now(self) -> None:
        # One who gives up waiting must not take the answer from the others.
        self._reading = self._reading or self._begin()
        await asyncio.shield(self._reading)

    def _begin(self) -> asyncio.Task[None]:
        self._tried_at = self._clock()
        return asyncio.create_task(self._read())

    async def _read(self) -> None:
        """Replace the keys if that succeeds. Raises nothing."""
        began = self._clock()
        try:
            keys = parse_key_set(await self._get())
        except KeySetError as error:
            self._report(str(error))
        except Exception as error:  # noqa: BLE001 - whoever waits needs an answer, not a traceback
            self._report(f"{type(error).__name__} while reading the keys")
        else:
            self._keys, self._read_at = keys, began
            self._report(None)
        finally:
            self._reading = None

    def _report(self, failure: str | None) -> None:
        """Tell a new state once."""
        if failure != self.failure and failure is None:
            _log.info("the signing keys of the Bot Framework are read again")
        elif failure != self.failure:
            _log.error("the signing keys of the Bot Framework: %s", failure)
        self.failure = failure


async def _get(outgoing: Outgoing, url: str) -> bytes:
    try:
        reply = await outgoing.send(
            "GET",
            url,
            headers={"Accept": "application/json"},
            within_s=FETCH_WITHIN_S,
            max_bytes=MAX_DOCUMENT_BYTES,
        )
    except OutgoingError as error:
        raise KeySetError(str(error)) from None
    if reply.status != 200:
        raise KeySetError(f"the server answers {reply.status}")
    return reply.body


def _document(data: bytes) -> dict[str, Any]:
    try:
        return parse_object(data, max_depth=8)
    except StrictJsonError as error:
        raise KeySetError(f"not the JSON it should be: {error.problem}") from None


def _endorsements(item: Mapping[str, Any]) -> frozenset[str]:
    told = item.get("endorsements")
    names = told if isinstance(told, list) else []
    return frozenset(name for name in names if isinstance(name, str))
