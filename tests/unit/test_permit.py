"""A permit stands for one context, one executor and a short time."""

from __future__ import annotations

import base64
import dataclasses
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign import canonical
from countersign.model import (
    ActionContext,
    CallerId,
    DecisionId,
    PermitClaims,
    PermitId,
    Principal,
    Resource,
    ReviewId,
    TenantId,
)
from countersign.permit import PermitError, PermitKeys, public_jwk, verify

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = PermitKeys("countersign", [KEY])
SALT = bytes(range(100, 132))
CONTEXT = ActionContext(
    actor=Principal(type="workload", id="agent"),
    on_behalf_of=(),
    action="db.export",
    resource=Resource(type="table", id="crm.customers", owner="", attributes={}),
    environment="production",
    arguments={"rows": 10},
    reason="",
    session="",
)


def commitment(context=CONTEXT, tenant="default"):
    bound = canonical.bound_bytes(tenant, canonical.encode(context.to_json()))
    return canonical.commitment(bound, SALT).hex()


CLAIMS = PermitClaims(
    id=PermitId("pmt_1"),
    tenant=TenantId("default"),
    caller=CallerId("agent"),
    audience="agent",
    action="db.export",
    commitment=commitment(),
    decision=DecisionId("dec_1"),
    review=ReviewId("rev_1"),
    policy_revision="r1",
    seq=7,
    kid=KEYS.kid,
    issued_at_s=1_000,
    expires_at_s=1_120,
)
TOKEN = KEYS.mint(CLAIMS, SALT)


def check(token=TOKEN, keys=KEYS, **changes):
    values = {"issuer": "countersign", "audience": "agent", "context": CONTEXT, "now_s": 1_050}
    return verify(token, keys.jwks(), **(values | changes))


def code(token=TOKEN, keys=KEYS, **changes):
    with pytest.raises(PermitError) as error:
        check(token, keys, **changes)
    return error.value.code


def parts(token=TOKEN):
    return [json.loads(base64.urlsafe_b64decode(p + "==")) for p in token.split(".")[:2]]


def test_a_good_permit_says_who_may_do_what():
    permit = check()
    assert (permit.permit_id, permit.action, permit.seq) == ("pmt_1", "db.export", 7)


def test_the_same_claims_and_salt_give_the_same_token():
    assert KEYS.mint(CLAIMS, SALT) == TOKEN
    rotated = PermitKeys("countersign", [OTHER, KEY])
    assert rotated.kid != KEYS.kid
    assert rotated.mint(CLAIMS, SALT) == TOKEN
    assert check(keys=rotated).permit_id == "pmt_1"


def test_the_header_and_claims_are_those_of_the_specification():
    header, payload = parts()
    assert header == {"alg": "EdDSA", "typ": "countersign-permit+jwt", "kid": KEYS.kid}
    names = "iss aud sub jti iat exp tenant action commitment salt review decision policy_revision"
    assert list(payload) == [*names.split(), "seq"]


def test_the_key_id_is_the_rfc_7638_thumbprint():
    # RFC 8037, appendix A.1 and A.3.
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    jwk = public_jwk(key.public_key())
    assert jwk["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert jwk["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"issuer": "other"}, "permit.issuer"),
        ({"audience": "gateway"}, "permit.audience"),
        ({"now_s": 1_120}, "permit.expired"),
        ({"context": dataclasses.replace(CONTEXT, arguments={"rows": 11})}, "permit.mismatch"),
        ({"context": dataclasses.replace(CONTEXT, reason="x")}, "permit.mismatch"),
    ],
)
def test_anything_else_than_what_it_was_given_for_is_refused(change, expected):
    assert code(**change) == expected


def test_a_permit_of_another_tenant_does_not_open_this_context():
    foreign = dataclasses.replace(CLAIMS, tenant=TenantId("other"))
    assert code(KEYS.mint(foreign, SALT)) == "permit.mismatch"


def forged(header, payload, key=KEY):
    def b64(data):
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=")

    signed = b64(header) + b"." + b64(payload)
    signature = base64.urlsafe_b64encode(key.sign(signed)).rstrip(b"=") if key else b""
    return (signed + b"." + signature).decode()


def test_what_is_not_signed_by_a_listed_key_under_our_type_is_refused():
    header, payload = parts()
    assert code(forged(header, payload, OTHER)) == "permit.signature"
    assert code(forged({**header, "kid": "x"}, payload)) == "permit.unknown_key"
    assert code(forged({**header, "typ": "JWT"}, payload)) == "permit.malformed"
    assert code(forged({**header, "alg": "none"}, payload, None)) == "permit.signature"
    assert code(forged({**header, "alg": "HS256"}, payload)) == "permit.signature"
    assert code("not.a.permit") == "permit.malformed"
    assert code(TOKEN[:-4] + "AAAA") == "permit.signature"


@pytest.mark.parametrize("claim", ["salt", "commitment", "jti", "tenant", "seq"])
def test_a_permit_that_lacks_a_claim_is_refused(claim):
    header, payload = parts()
    del payload[claim]
    assert code(forged(header, payload)) == "permit.malformed"


def test_a_permit_signed_by_a_key_that_is_gone_cannot_be_rebuilt():
    with pytest.raises(PermitError) as error:
        PermitKeys("countersign", [OTHER]).mint(CLAIMS, SALT)
    assert error.value.code == "permit.key_gone"
