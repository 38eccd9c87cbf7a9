"""Who sends, judged without any network: each demand on a token alone."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from countersign_bot.inbound.keys import SigningKey
from countersign_bot.inbound.refusal import Refusal, RefusedError
from countersign_bot.inbound.token import SKEW_S, Bearer, Verified, bearer, verify

PRIVATE = generate_private_key(public_exponent=65_537, key_size=2048)
KEY = SigningKey(public=PRIVATE.public_key(), endorsements=frozenset({"msteams"}))
ISSUER = "https://api.botframework.com"
APP = "0c8b7e0e-3d5c-4a55-8a35-0b0f4f6f2b22"
URL = "https://smba.trafficmanager.net/emea/"
NOW = 1_800_000_000


def token(**changed: Any) -> Bearer:
    told = {"iss": ISSUER, "aud": APP, "serviceurl": URL, "nbf": NOW - 60, "exp": NOW + 600}
    claims = {name: value for name, value in (told | changed).items() if value is not None}
    return bearer([f"Bearer {jwt.encode(claims, PRIVATE, 'RS256', headers={'kid': 'k'})}"])


def verified(given: Bearer, *, now_s: float = NOW, key: SigningKey | None = KEY) -> Verified:
    return verify(given, key, issuer=ISSUER, app_id=APP, now_s=now_s)


def refusal(given: Bearer, **told: Any) -> Refusal:
    with pytest.raises(RefusedError) as refused:
        verified(given, **told)
    return refused.value.refusal


def test_a_good_token_says_where_it_comes_from() -> None:
    assert verified(token()) == Verified(service_url=URL, channels=frozenset({"msteams"}))


def test_it_ends_five_minutes_after_its_end_to_the_second() -> None:
    assert verified(token(exp=NOW), now_s=NOW + SKEW_S - 1)
    assert refusal(token(exp=NOW), now_s=NOW + SKEW_S) is Refusal.PROOF_EXPIRED


def test_it_begins_five_minutes_before_its_beginning_to_the_second() -> None:
    assert verified(token(nbf=NOW), now_s=NOW - SKEW_S)
    assert refusal(token(nbf=NOW), now_s=NOW - SKEW_S - 1) is Refusal.PROOF_EARLY


@pytest.mark.parametrize("value", [None, True, "1800000600", [], float("nan"), float("inf")])
@pytest.mark.parametrize("claim", ["exp", "nbf"])
def test_a_token_without_an_end_or_a_beginning_is_refused(claim: str, value: Any) -> None:
    assert refusal(token(**{claim: value})) is Refusal.PROOF_CLAIM


@pytest.mark.parametrize(
    "issuer",
    [None, "", f"{ISSUER}/", ISSUER.upper(), "https://api.botframework.us"],
)
def test_the_issuer_is_exactly_the_bot_framework_of_the_cloud(issuer: Any) -> None:
    assert refusal(token(iss=issuer)) is Refusal.PROOF_ISSUER


def test_an_issuer_of_entra_is_refused_though_the_key_is_good() -> None:
    for issuer in (
        f"https://sts.windows.net/{APP}/",
        f"https://login.microsoftonline.com/{APP}/v2.0",
    ):
        assert refusal(token(iss=issuer, appid=APP)) is Refusal.PROOF_ISSUER


@pytest.mark.parametrize("audience", [None, "", [APP], APP.upper(), ISSUER])
def test_the_audience_is_exactly_this_bot(audience: Any) -> None:
    assert refusal(token(aud=audience)) is Refusal.PROOF_AUDIENCE


def test_without_an_app_id_no_token_is_good() -> None:
    with pytest.raises(RefusedError) as refused:
        verify(token(aud=""), KEY, issuer=ISSUER, app_id="", now_s=NOW)
    assert refused.value.refusal is Refusal.PROOF_AUDIENCE


def test_a_key_that_is_not_published_signs_nothing() -> None:
    assert refusal(token(), key=None) is Refusal.PROOF_KEY_UNKNOWN
    other = generate_private_key(public_exponent=65_537, key_size=2048).public_key()
    wrong = SigningKey(public=other, endorsements=KEY.endorsements)
    assert refusal(token(), key=wrong) is Refusal.PROOF_SIGNATURE


@pytest.mark.parametrize("url", [None, "", 7])
def test_it_names_a_service_url(url: Any) -> None:
    assert refusal(token(serviceurl=url)) is Refusal.PROOF_CLAIM


def test_the_body_must_name_the_same_service_url_and_an_endorsed_channel() -> None:
    sender = verified(token())
    sender.require(service_url=URL, channel="msteams")
    with pytest.raises(RefusedError) as refused:
        sender.require(service_url=URL.removesuffix("/"), channel="msteams")
    assert refused.value.refusal is Refusal.PROOF_SERVICE_URL
    with pytest.raises(RefusedError) as refused:
        sender.require(service_url=URL, channel="slack")
    assert refused.value.refusal is Refusal.PROOF_CHANNEL


def test_only_rs256_is_read() -> None:
    for algorithm, key in (("HS256", "k" * 64), ("PS256", PRIVATE), ("none", None)):
        text = jwt.encode({"iss": ISSUER}, key, algorithm, headers={"kid": "k"})
        with pytest.raises(RefusedError) as refused:
            bearer([f"Bearer {text}"])
        assert refused.value.refusal is Refusal.PROOF_ALGORITHM


def test_the_algorithm_of_a_header_changed_later_is_of_no_use() -> None:
    """The signature is checked as RS256, whatever a `Bearer` was made of."""
    text = jwt.encode({"iss": ISSUER}, "k" * 64, "HS256", headers={"kid": "k"})
    assert refusal(Bearer(token=text, kid="k")) is Refusal.PROOF_MALFORMED


def test_a_token_does_not_show_itself() -> None:
    given = token()
    assert given.token not in repr(given)
