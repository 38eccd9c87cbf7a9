"""Issuers' keys are read when needed, seldom whatever comes, and never believed for long."""

from __future__ import annotations

import asyncio
import json
import logging

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from countersign.errors import ConfigurationError
from countersign.issuers import Issuers, IssuerSource, KeySourceError
from countersign.model import TenantId
from countersign.tokens import IssuerSettings, TokenError, TokenUse

NOW = 1_800_000_000
ISSUER = "https://id.example.test"
URL = "https://id.example.test/keys"
OLD = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NEW = Ed25519PrivateKey.from_private_bytes(bytes(32))
AUDIENCES = {TokenUse.EVIDENCE: "cs-evidence", TokenUse.PERSON: "cs-decide"}


def trust(issuer=ISSUER, audiences=None):
    return IssuerSettings(
        issuer=issuer, tenants=(TenantId("default"),), audiences=audiences or AUDIENCES
    )


def jwks(**keys):
    listed = [
        OKPAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid}
        for kid, key in keys.items()
    ]
    return json.dumps({"keys": listed}).encode()


def token(key=OLD, kid="old", issuer=ISSUER):
    told = {"iss": issuer, "sub": "alice", "aud": "cs-evidence", "iat": NOW, "exp": NOW + 300}
    return jwt.encode(told, key, "EdDSA", headers={"kid": kid})


class Web:
    """An issuer's server, its clock, and how often it was asked."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.now = 1000.0
        self.open = asyncio.Event()
        self.open.set()

    def clock(self) -> float:
        return self.now

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def issuers(self, **sources) -> Issuers:
        source = IssuerSource(settings=trust(), **(sources or {"jwks_url": URL}))
        return Issuers([source], clock=self.clock, fetch=self.fetch)


DOWN = KeySourceError("cannot be reached (ConnectionRefusedError)")


async def subject(issuers: Issuers, presented: str) -> str:
    return (await issuers.verify(presented, TokenUse.EVIDENCE, now_s=NOW)).subject


async def refusal(issuers: Issuers, presented: str) -> tuple[str, bool]:
    """The code of a refusal, and whether to try again."""
    with pytest.raises(TokenError) as error:
        await subject(issuers, presented)
    return error.value.code, error.value.retryable


async def test_keys_are_read_at_the_first_need_and_then_kept():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    assert web.asked == []
    assert await subject(issuers, token()) == "alice"
    web.now += 299
    assert await subject(issuers, token()) == "alice"
    assert web.asked == [URL]


async def test_all_who_need_keys_at_once_share_one_read():
    web = Web(jwks(old=OLD))
    web.open.clear()
    issuers = web.issuers()
    waiting = [asyncio.create_task(subject(issuers, token())) for _ in range(50)]
    await asyncio.sleep(0)
    web.open.set()
    assert set(await asyncio.gather(*waiting)) == {"alice"}
    assert len(web.asked) == 1


async def test_one_who_stops_waiting_takes_nothing_from_the_others():
    web = Web(jwks(old=OLD))
    web.open.clear()
    issuers = web.issuers()
    first, second = (asyncio.create_task(subject(issuers, token())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    web.open.set()
    assert await second == "alice"
    assert first.cancelled()
    assert len(web.asked) == 1


async def test_a_key_that_was_rotated_in_is_found_at_once():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    await subject(issuers, token())
    web.answer = jwks(old=OLD, new=NEW)
    web.now += 30
    assert await subject(issuers, token(NEW, "new")) == "alice"
    assert await subject(issuers, token()) == "alice"
    assert len(web.asked) == 2


async def test_a_key_that_was_withdrawn_stops_working_at_the_next_refresh():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    await subject(issuers, token())
    web.answer = jwks(new=NEW)
    web.now += 299
    assert await subject(issuers, token()) == "alice"
    web.now += 1
    assert await refusal(issuers, token()) == ("token.unknown_key", False)
    assert await subject(issuers, token(NEW, "new")) == "alice"


async def test_a_flood_of_made_up_key_ids_makes_one_request():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    await subject(issuers, token())
    web.now += 60
    flood = [refusal(issuers, token(NEW, f"kid-{n}")) for n in range(200)]
    found = await asyncio.gather(*flood)
    assert {code for code, _ in found} == {"token.unknown_key"}
    assert len(web.asked) == 2
    for n in range(200):
        await refusal(issuers, token(NEW, f"more-{n}"))
    assert len(web.asked) == 2
    web.now += 29
    await refusal(issuers, token(NEW, "still"))
    assert len(web.asked) == 2
    web.now += 1
    await refusal(issuers, token(NEW, "again"))
    assert len(web.asked) == 3


async def test_an_unknown_key_is_worth_another_try_only_while_newer_keys_may_be_published():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    assert await refusal(issuers, token(NEW, "new")) == ("token.unknown_key", False)
    web.now += 1
    assert await refusal(issuers, token(NEW, "new")) == ("token.unknown_key", True)
    web.now += 30
    assert await refusal(issuers, token(NEW, "new")) == ("token.unknown_key", False)
    web.now += 31
    web.answer = DOWN
    assert await refusal(issuers, token(NEW, "new")) == ("token.unknown_key", True)


async def test_a_bad_token_never_has_keys_read_again():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    await subject(issuers, token())
    web.now += 60
    assert await refusal(issuers, token(NEW, "old")) == ("token.bad_signature", False)
    assert await refusal(issuers, "a.b.c") == ("token.malformed", False)
    assert await refusal(issuers, token(issuer="https://other.test")) == (
        "token.unknown_issuer",
        False,
    )
    assert len(web.asked) == 1


async def test_while_the_issuer_is_down_its_old_keys_stay_good_for_a_bounded_time():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    await subject(issuers, token())
    web.answer = DOWN
    web.now += 3600
    assert await subject(issuers, token()) == "alice"
    web.now += 1
    assert await refusal(issuers, token()) == ("token.keys_unavailable", True)
    web.answer = jwks(old=OLD)
    web.now += 29
    assert await subject(issuers, token()) == "alice"


async def test_an_issuer_that_is_down_is_asked_seldom():
    web = Web(DOWN)
    issuers = web.issuers()
    for _ in range(100):
        assert await refusal(issuers, token()) == ("token.keys_unavailable", True)
    assert len(web.asked) == 1
    web.now += 30
    await refusal(issuers, token())
    assert len(web.asked) == 2


@pytest.mark.parametrize("fault", [DOWN, RuntimeError("a value that must not be seen")])
async def test_what_is_wrong_with_keys_is_told_and_logged_once(fault, caplog):
    caplog.set_level(logging.INFO)
    web = Web(fault)
    issuers = web.issuers()
    await issuers.start()
    for _ in range(3):
        web.now += 30
        await refusal(issuers, token())
    assert list(issuers.failures) == [ISSUER]
    assert type(fault).__name__ in issuers.failures[ISSUER] or fault is DOWN
    assert "must not be seen" not in issuers.failures[ISSUER] + caplog.text
    assert len(caplog.records) == 1
    web.answer = jwks(old=OLD)
    web.now += 30
    await subject(issuers, token())
    assert issuers.failures == {}
    assert len(caplog.records) == 2


async def test_a_key_set_that_is_not_right_does_not_replace_a_good_one():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    await subject(issuers, token())
    web.answer = b"<html>"
    web.now += 300
    assert await subject(issuers, token()) == "alice"
    assert "key set" in issuers.failures[ISSUER]


async def test_an_issuer_that_gives_away_a_private_key_is_believed_no_more():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    await subject(issuers, token())
    web.answer = json.dumps({"keys": [OKPAlgorithm.to_jwk(OLD, as_dict=True)]}).encode()
    web.now += 300
    assert await refusal(issuers, token()) == ("token.keys_unavailable", True)
    assert "private key" in issuers.failures[ISSUER]


async def test_an_issuer_can_withdraw_all_its_keys():
    web = Web(jwks(old=OLD))
    issuers = web.issuers()
    await subject(issuers, token())
    web.answer = b'{"keys":[]}'
    web.now += 300
    assert await refusal(issuers, token()) == ("token.unknown_key", False)
    assert issuers.failures == {ISSUER: "the key set holds no key that can be used"}


async def test_the_key_of_one_issuer_vouches_for_nobody_of_another():
    other = "https://other.example.test"
    sets = {URL: jwks(old=OLD), "https://other.example.test/keys": jwks(old=NEW)}

    async def fetch(url):
        return sets[url]

    sources = [
        IssuerSource(settings=trust(), jwks_url=URL),
        IssuerSource(settings=trust(other), jwks_url=f"{other}/keys"),
    ]
    issuers = Issuers(sources, fetch=fetch)
    assert (await issuers.verify(token(), TokenUse.EVIDENCE, now_s=NOW)).issuer == ISSUER
    assert await subject(issuers, token(NEW, issuer=other)) == "alice"
    assert await refusal(issuers, token(NEW)) == ("token.bad_signature", False)
    assert await refusal(issuers, token(OLD, issuer=other)) == ("token.bad_signature", False)


async def test_a_file_is_read_again_soon_after_it_changed(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(old=OLD))
    web = Web(DOWN)
    issuers = web.issuers(jwks_file=path)
    assert await subject(issuers, token()) == "alice"
    path.write_bytes(jwks(new=NEW))
    assert await subject(issuers, token()) == "alice"
    web.now += 5
    assert await refusal(issuers, token()) == ("token.unknown_key", False)
    assert await subject(issuers, token(NEW, "new")) == "alice"
    assert web.asked == []


async def test_a_file_that_is_gone_or_too_large_is_a_failure(tmp_path):
    path = tmp_path / "jwks.json"
    web = Web(DOWN)
    issuers = web.issuers(jwks_file=path)
    await issuers.start()
    assert issuers.failures == {ISSUER: "the file cannot be read: No such file or directory"}
    path.write_bytes(b" " * (256 * 1024) + jwks(old=OLD))
    web.now += 5
    assert await refusal(issuers, token()) == ("token.keys_unavailable", True)
    assert issuers.failures == {ISSUER: "the key set is larger than 262144 bytes"}
    path.write_bytes(jwks(old=OLD))
    web.now += 5
    assert await subject(issuers, token()) == "alice"


async def test_without_issuers_no_token_is_good():
    issuers = Issuers([])
    await issuers.start()
    assert not any(map(issuers.has, TokenUse))
    assert await refusal(issuers, token()) == ("token.unknown_issuer", False)


def test_what_is_accepted_is_known_beforehand():
    issuers = Web(DOWN).issuers()
    assert [use for use in TokenUse if issuers.has(use)] == [TokenUse.EVIDENCE, TokenUse.PERSON]


def test_an_issuer_is_given_once():
    source = IssuerSource(settings=trust(), jwks_url=URL)
    with pytest.raises(ConfigurationError):
        Issuers([source, source])


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example.test/keys?tenant=1",
        "http://127.0.0.1:8080/keys",
        "http://[::1]:8080/keys",
        "http://localhost/keys",
    ],
)
def test_keys_come_from_an_https_url_or_from_loopback(url):
    assert IssuerSource(settings=trust(), jwks_url=url).jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "keys",
        "//id.example.test/keys",
        "https:///keys",
        "http://id.example.test/keys",
        "http://127.0.0.1.example.test/keys",
        "http://localhost.example.test/keys",
        "http://10.0.0.1/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "https://user:password@id.example.test/keys",
        "https://user@id.example.test/keys",
        "https://id.example.test/keys#one",
        "https://id.example.test/ke ys",
        "https://id.example.test/keys\r\nHost: other",
        "https://id.example.test:port/keys",
        "https://id.example.test:99999/keys",
        "https://[::1/keys",
        "https://id.éxample.test/keys",
    ],
)
def test_keys_come_from_nowhere_else(url):
    with pytest.raises(ConfigurationError) as error:
        IssuerSource(settings=trust(), jwks_url=url)
    assert "password" not in str(error.value)


def test_keys_come_from_one_place(tmp_path):
    for places in ({}, {"jwks_url": URL, "jwks_file": tmp_path / "jwks.json"}):
        with pytest.raises(ConfigurationError):
            IssuerSource(settings=trust(), **places)
