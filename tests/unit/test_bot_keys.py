"""Signing keys: which are taken, and when they are read again. Time is the test's own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from countersign_bot.inbound.keys import Freshness, Keys, KeySetError, keys_url, parse_key_set
from countersign_bot.inbound.refusal import RefusedError

PUBLIC = rsa.generate_private_key(public_exponent=65_537, key_size=2048).public_key()
DAY_S = 24 * 3600.0


def jwk(kid: str = "one", **changed: Any) -> dict[str, Any]:
    told = RSAAlgorithm.to_jwk(PUBLIC, as_dict=True)
    told = {"kty": "RSA", "kid": kid, "n": told["n"], "e": told["e"], "endorsements": ["msteams"]}
    return {name: value for name, value in (told | changed).items() if value is not None}


def jwks(*items: Any) -> bytes:
    return json.dumps({"keys": list(items)}).encode()


class Source:
    """Publishes keys; may be away."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.away = False
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.now = 0.0

    async def read(self) -> bytes:
        self.reads += 1
        await self.open.wait()
        if self.away:
            raise KeySetError("away")
        return jwks(*map(jwk, self.kids))

    def keys(self) -> Keys:
        return Keys(self.read, clock=lambda: self.now, freshness=Freshness())


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_they_are_read_once_for_a_day() -> None:
    source = Source("one")
    keys = source.keys()
    await keys.start()
    for source.now in (0.0, 3600.0, DAY_S - 1):
        assert await keys.find("one")
    assert source.reads == 1


async def test_after_a_day_they_are_read_again_behind_the_request() -> None:
    source = Source("one")
    keys = source.keys()
    await keys.start()
    source.now = DAY_S
    source.open.clear()
    assert await keys.find("one")  # without waiting for what is closed
    await settled()
    assert source.reads == 2
    source.kids = ("two",)
    source.open.set()
    await settled()
    assert await keys.find("one") is None
    assert await keys.find("two")


async def test_an_unknown_id_reads_at_once_and_then_not_for_ten_seconds() -> None:
    source = Source("one")
    keys = source.keys()
    await keys.start()
    source.kids = ("one", "two")
    assert await keys.find("two")
    assert source.reads == 2
    for number in range(50):
        assert await keys.find(f"made-up-{number}") is None
    assert source.reads == 2
    source.kids = ("three",)
    source.now = 10.0
    assert await keys.find("three")
    assert source.reads == 3


async def test_while_they_cannot_be_read_the_last_ones_are_good_for_five_days() -> None:
    source = Source("one")
    keys = source.keys()
    await keys.start()
    source.away = True
    for source.now in (DAY_S, 2 * DAY_S, 5 * DAY_S):
        assert await keys.find("one")
        await settled()
    assert keys.failure == "away"
    source.now = 5 * DAY_S + 1
    with pytest.raises(RefusedError):
        await keys.find("one")
    assert not keys.ready
    source.away = False
    source.now += 10
    assert await keys.find("one")
    assert (keys.ready, keys.failure) == (True, None)


async def test_while_they_cannot_be_read_requests_do_not_become_a_flood() -> None:
    source = Source("one")
    source.away = True
    keys = source.keys()
    await keys.start()
    for _ in range(50):
        with pytest.raises(RefusedError):
            await keys.find("one")
    assert source.reads == 1


async def test_all_who_wait_wait_for_one_read_and_none_takes_it_away() -> None:
    source = Source("one")
    source.open.clear()
    keys = source.keys()
    waiting = [asyncio.create_task(keys.find("one")) for _ in range(10)]
    await settled()
    waiting[0].cancel()
    source.open.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(found[1:])
    assert source.reads == 1
    await keys.close()


def test_only_rsa_keys_for_signatures_that_are_long_enough_are_taken() -> None:
    short = RSAAlgorithm.to_jwk(
        rsa.generate_private_key(public_exponent=65_537, key_size=1024).public_key(), as_dict=True
    )
    curve = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    left_out = [
        jwk("short") | {"n": short["n"]},
        curve | {"kid": "curve"},
        jwk("encrypts", use="enc"),
        jwk("other", alg="RS512"),
        jwk("even", e="Ag"),
        jwk("no number", n=7),
        jwk("not ASCII", n="ä"),
        jwk(""),
        jwk(None),  # type: ignore[arg-type]
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        "a string",
    ]
    assert set(parse_key_set(jwks(*left_out, jwk("good")))) == {"good"}


def test_a_key_without_endorsements_has_none() -> None:
    found = parse_key_set(jwks(jwk("one", endorsements=None), jwk("two", endorsements="msteams")))
    assert found["one"].endorsements == found["two"].endorsements == frozenset()


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b"\xff", b"{" * 100_000]
)
def test_what_is_no_key_set_is_told_without_its_content(data: bytes) -> None:
    with pytest.raises(KeySetError):
        parse_key_set(data)


@pytest.mark.parametrize("url", ["http://login.example/keys", "", 7, "file:///etc/passwd"])
def test_keys_come_by_https_alone(url: Any) -> None:
    with pytest.raises(KeySetError):
        keys_url(json.dumps({"jwks_uri": url}).encode())
