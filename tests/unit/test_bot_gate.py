"""The two halves of a request belong together, and a token leaves for known hosts alone."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from jwt.algorithms import RSAAlgorithm
from msrest.pipeline import Request
from msrest.universal_http import ClientRequest

from countersign_bot.connector import RefusedError as NotSentError
from countersign_bot.connector.sender import Sender
from countersign_bot.inbound import Refusal, RefusedError, ServiceHosts
from countersign_bot.inbound.gate import BotFrameworkGate, Served
from countersign_bot.inbound.keys import Keys
from countersign_bot.inbound.token import bearer
from countersign_bot.outgoing import Outgoing, Reply

PRIVATE = generate_private_key(public_exponent=65_537, key_size=2048)
ISSUER = "https://api.botframework.com"
APP = "0c8b7e0e-3d5c-4a55-8a35-0b0f4f6f2b22"
TENANT = "5f1d3a52-0f0a-4c0b-9a3e-7d3f5d0c1a11"
URL = "https://smba.trafficmanager.net/emea/"
HOSTS = ServiceHosts(names=frozenset({"smba.trafficmanager.net"}))


def gate(*, endorsements: tuple[str, ...] = ("msteams",)) -> BotFrameworkGate:
    jwk = RSAAlgorithm.to_jwk(PRIVATE.public_key(), as_dict=True)
    jwk |= {"kid": "k", "endorsements": list(endorsements), "use": "sig"}
    jwk.pop("key_ops", None)

    async def read() -> bytes:
        return json.dumps({"keys": [jwk]}).encode()

    keys = Keys(read, clock=time.monotonic)
    served = Served(app_id=APP, tenants=frozenset({TENANT}), hosts=HOSTS)
    return BotFrameworkGate(served, issuer=ISSUER, keys=keys)


def authorization(service_url: str = URL) -> list[str]:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": APP, "nbf": now, "exp": now + 600, "serviceurl": service_url}
    return [f"Bearer {jwt.encode(claims, PRIVATE, 'RS256', headers={'kid': 'k'})}"]


def body(**changed: Any) -> bytes:
    told = {
        "type": "message",
        "channelId": "msteams",
        "serviceUrl": URL,
        "from": {"id": "29:bob", "aadObjectId": TENANT},
        "recipient": {"id": f"28:{APP}"},
        "conversation": {"id": "a:1", "tenantId": TENANT},
        "channelData": {"tenant": {"id": TENANT}},
    }
    return json.dumps(told | changed).encode()


async def test_a_body_is_admitted_from_the_sender_its_token_names() -> None:
    here = gate()
    assert here.admit(await here.sender(authorization()), body()).tenant == TENANT
    elsewhere = await here.sender(authorization("https://smba.trafficmanager.net/amer/"))
    with pytest.raises(RefusedError) as refused:
        here.admit(elsewhere, body())
    assert refused.value.refusal is Refusal.PROOF_SERVICE_URL


async def test_a_body_is_admitted_from_a_key_for_teams_alone() -> None:
    here = gate(endorsements=("slack",))
    with pytest.raises(RefusedError) as refused:
        here.admit(await here.sender(authorization()), body())
    assert refused.value.refusal is Refusal.PROOF_CHANNEL


async def test_a_body_without_a_sender_is_never_admitted() -> None:
    with pytest.raises(TypeError):
        gate().admit(None, body())


def test_there_is_one_authorization_header_with_one_scheme() -> None:
    (good,) = authorization()
    assert bearer([good]).kid == "k"
    for told in (
        [],
        [good, good],
        [good.replace("Bearer", "bearer")],
        [good.removeprefix("Bearer ")],
    ):
        with pytest.raises(RefusedError):
            bearer(told)
    with pytest.raises(RefusedError) as refused:
        bearer([good + "A" * 6_000])
    assert refused.value.refusal is Refusal.PROOF_MALFORMED


class Recording(Outgoing):
    """Sends nothing, and remembers what it was to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []

    async def send(self, method: str, url: str, **told: Any) -> Reply:
        self.sent.append((url, dict(told["headers"])))
        return Reply(status=200, headers={}, body=b"{}")


class OneToken:
    async def token(self) -> str:
        return "the-bots-token"

    def refuse(self, token: str) -> None:
        raise AssertionError(token)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v3/conversations/a/activities",
        "https://smba.trafficmanager.net@evil.example/v3/conversations",
        "http://smba.trafficmanager.net/v3/conversations",
        "https://smba.trafficmanager.net:444/v3/conversations",
        "//smba.trafficmanager.net/v3/conversations",
    ],
)
def test_the_last_step_sends_a_token_to_known_hosts_alone(url: str) -> None:
    """Whatever was checked before: it knows the address that is really asked."""
    outgoing = Recording()
    sender = Sender(outgoing, OneToken(), HOSTS)
    with pytest.raises(NotSentError):
        asyncio.run(sender.send(Request(ClientRequest("POST", url))))
    assert outgoing.sent == []
    good = f"{URL}v3/conversations/19%3Aa%40thread.tacv2/activities"
    asyncio.run(sender.send(Request(ClientRequest("POST", good))))
    assert outgoing.sent == [(good, {"Authorization": "Bearer the-bots-token"})]
