"""The fake cloud, met by the real clients: MSAL, requests, aiohttp, PyJWT.

Each runs in a process of its own that was given `Cloud.environment()` and nothing
else, as a bot is in production.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from simulators.teams.cloud import SERVICE_URL, Cloud, Trouble
from simulators.teams.entra import Application, TokenRefusedError
from simulators.teams.realm import GOVERNMENT

METADATA = "https://login.botframework.com/v1/.well-known/openidconfiguration"

CONFIDENTIAL = """
import json, msal, sys
authority, app_id, proof, scope = json.loads(sys.argv[1])
app = msal.ConfidentialClientApplication(app_id, authority=authority, client_credential=proof)
print(json.dumps(app.acquire_token_for_client([scope])))
"""
IDENTITY = """
import json, msal, requests, sys
app_id, resource = json.loads(sys.argv[1])
client = msal.ManagedIdentityClient(
    msal.UserAssignedManagedIdentity(client_id=app_id), http_client=requests.Session()
)
print(json.dumps(client.acquire_token_for_client(resource=resource)))
"""
FETCH = """
import asyncio, aiohttp, json, sys
async def main():
    async with aiohttp.ClientSession(trust_env=True) as session:
        told = []
        for url in json.loads(sys.argv[1]):
            try:
                async with session.get(url) as answer:
                    told.append([answer.status, await answer.text()])
            except aiohttp.ClientError as error:
                told.append([0, type(error).__name__])
        print(json.dumps(told))
asyncio.run(main())
"""


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def run(cloud: Cloud, program: str, *told: Any, **environment: str) -> Any:
    """What a program prints that lives in this cloud."""
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(told)],
        env=cloud.environment() | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sign_in(cloud: Cloud, proof: Any, *, scope: str = "", tenant: str = "") -> Any:
    authority = f"https://{cloud.realm.login_host}/{tenant or cloud.tenant_id}"
    wanted = scope or f"{cloud.realm.issuer}/.default"
    return run(cloud, CONFIDENTIAL, authority, cloud.bot.app_id, proof, wanted)


def test_msal_signs_in_with_a_secret(cloud: Cloud) -> None:
    assert cloud.bot.secret
    answer = sign_in(cloud, cloud.bot.secret)
    assert cloud.entra.verify(answer["access_token"])["appid"] == cloud.bot.app_id
    assert cloud.hits[f"login.microsoftonline.com/{cloud.tenant_id}/oauth2/v2.0/token"] == 1
    assert "AADSTS7000215" in sign_in(cloud, "wrong")["error_description"]
    assert (
        "AADSTS1002012"
        in sign_in(cloud, cloud.bot.secret, scope="https://graph/.default")["error_description"]
    )


def test_msal_signs_in_with_a_certificate() -> None:
    key, certificate = key_and_certificate()
    other_key, _ = key_and_certificate()
    app = Application(app_id="cafe", tenant_id="5f1d3a52-acme", certificate=certificate)
    with Cloud(bot=app, tenant_id=app.tenant_id) as cloud:
        public = certificate.public_bytes(serialization.Encoding.PEM).decode()
        proof = {"private_key": pem(key), "public_certificate": public}
        answer = sign_in(cloud, proof)
        assert cloud.entra.verify(answer["access_token"])["tid"] == app.tenant_id
        answer = sign_in(cloud, proof | {"private_key": pem(other_key)})
        assert "AADSTS700027" in answer["error_description"]


@pytest.mark.parametrize("place", ["app_service", "virtual_machine"])
def test_msal_signs_in_as_a_managed_identity(place: str) -> None:
    app = Application(app_id="cafe", tenant_id="5f1d3a52-acme", managed=True)
    with Cloud(bot=app, tenant_id=app.tenant_id) as cloud:
        environment = getattr(cloud, place)()
        answer = run(cloud, IDENTITY, app.app_id, cloud.realm.issuer, **environment)
        assert cloud.entra.verify(answer["access_token"])["appidacr"] == "2"
        answer = run(cloud, IDENTITY, "somebody", cloud.realm.issuer, **environment)
        assert "access_token" not in answer


def test_a_token_of_teams_is_verified_by_the_keys_that_are_published(cloud: Cloud) -> None:
    token = cloud.framework.token(audience=cloud.bot.app_id, service_url=SERVICE_URL)
    (status, text), (key_status, keys) = run(
        cloud, FETCH, METADATA, METADATA.replace("openidconfiguration", "keys")
    )
    assert (status, key_status) == (200, 200)
    metadata = json.loads(text)
    assert metadata["jwks_uri"] == METADATA.replace("openidconfiguration", "keys")
    key = next(
        key
        for key in jwt.PyJWKSet.from_json(keys).keys
        if key.key_id == jwt.get_unverified_header(token)["kid"]
    )
    claims = jwt.decode(
        token, key, algorithms=["RS256"], audience=cloud.bot.app_id, issuer=metadata["issuer"]
    )
    assert claims["serviceurl"] == SERVICE_URL
    assert json.loads(keys)["keys"][0]["endorsements"][0] == "msteams"


def test_only_the_names_of_the_cloud_are_reached(cloud: Cloud) -> None:
    (status, why), *_ = run(cloud, FETCH, "https://example.org/")
    assert (status, why) == (0, "ClientHttpProxyError")
    assert cloud.proxy.refused.all() == {"example.org:443": 1}


def test_trouble_comes_and_goes(cloud: Cloud) -> None:
    assert run(cloud, FETCH, METADATA)[0][0] == 200
    cloud.trouble("login.botframework.com", Trouble(status=503))
    assert run(cloud, FETCH, METADATA)[0] == [503, ""]
    cloud.trouble("login.botframework.com/v1", Trouble(drop=True))
    assert run(cloud, FETCH, METADATA)[0][0] == 0
    cloud.peace()
    assert run(cloud, FETCH, METADATA)[0][0] == 200


def test_keys_rotate(cloud: Cloud) -> None:
    before = cloud.framework.keys.rotate()
    assert cloud.framework.keys.find(before.kid) is None
    extra = cloud.framework.keys.add()
    assert cloud.framework.keys.current is extra
    cloud.framework.keys.remove(extra)
    assert [key["kid"] for key in cloud.framework.keys.jwks()["keys"]] == [
        cloud.framework.keys.current.kid
    ]


@pytest.mark.parametrize(
    "flaw",
    [
        {"audience": "https://graph.microsoft.com"},
        {"lifetime_s": -10},
        {"app_id": "somebody"},
        {"tenant_id": "elsewhere"},
        {"version": "2.0"},
        {"exp": None},
    ],
    ids=lambda flaw: next(iter(flaw)),
)
def test_a_bearer_token_is_really_checked(cloud: Cloud, flaw: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "app_id": cloud.bot.app_id,
        "tenant_id": cloud.tenant_id,
        "audience": cloud.realm.issuer,
    }
    cloud.entra.verify(cloud.entra.token(**good))
    with pytest.raises(TokenRefusedError):
        cloud.entra.verify(cloud.entra.token(**good | flaw))


def test_the_governments_cloud_has_its_own_names() -> None:
    with Cloud(realm=GOVERNMENT) as cloud:
        assert cloud.bot.secret
        answer = sign_in(cloud, cloud.bot.secret)
        assert cloud.entra.verify(answer["access_token"])["aud"] == "https://api.botframework.us"
        assert run(cloud, FETCH, METADATA)[0][0] == 0
        government = METADATA.replace("botframework.com", "botframework.azure.us")
        assert json.loads(run(cloud, FETCH, government)[0][1])["issuer"] == cloud.realm.issuer


def key_and_certificate() -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bot")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(hours=1))
    return key, builder.sign(key, hashes.SHA256())


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
