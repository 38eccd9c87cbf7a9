"""Who is calling: tokens, JWTs and certificates, and what each is refused for."""

from __future__ import annotations

import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from countersign.credentials import (
    SubjectKind,
    new_token,
    proof_of_account,
    proof_of_mtls,
    proof_of_token,
    token_hash,
)
from countersign.directory import Directory, Login
from countersign.edge import authentication
from countersign.edge.authentication import (
    MAX_TOKEN_CHARS,
    Authenticated,
    Authenticator,
    as_caller,
    as_person,
    as_reader,
)
from countersign.errors import NotPermittedError, UnauthenticatedError, UnavailableError
from countersign.issuers import Issuers, IssuerSource, KeySourceError
from countersign.model import (
    SECOND_US,
    Account,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    Person,
    PersonId,
    TenantId,
)
from countersign.tokens import IssuerSettings, TokenUse

ACME, OTHER = TenantId("acme"), TenantId("other")
NOW_S = 1_800_000_000
LOGIN = "https://login.example"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ANOTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
AUDIENCES = {
    TokenUse.CALLER: "cs-callers",
    TokenUse.PERSON: "cs-people",
    TokenUse.EVIDENCE: "cs-evidence",
}

AGENT = Caller(
    tenant=ACME,
    id=CallerId("agent"),
    actors=("bot",),
    environments=("production",),
    resources=("*:*",),
    owners=(PersonId("alice"),),
    clients=("agent-app",),
)


def person(id: str, *subjects: str, tenant: TenantId = ACME) -> Person:
    accounts = tuple(Account(issuer=LOGIN, subject=subject) for subject in subjects)
    return Person(tenant=tenant, id=PersonId(id), name=id, groups=frozenset(), accounts=accounts)


ALICE = person("alice", "00u-alice", "00u-shared")
ZOE = person("zoe", "00u-zoe", "00u-shared", tenant=OTHER)
TEAMS = Channel(tenant=ACME, id=ChannelId("teams"), issuers=("teams:contoso",))
OF_AGENT, OF_ALICE, OF_TEAMS = (new_token(kind) for kind in SubjectKind)


def login(subject: Caller | Person | Channel, kind: SubjectKind, token: str, **more) -> Login:
    return Login(
        tenant=subject.tenant,
        kind=kind,
        subject=subject.id,
        token_sha256=(token_hash(token),),
        **more,
    )


LOGINS = [
    login(
        AGENT,
        SubjectKind.CALLER,
        OF_AGENT,
        mtls_subject="spiffe://acme/agent",
        jwt=(Account(issuer=LOGIN, subject="machine"),),
    ),
    login(ALICE, SubjectKind.PERSON, OF_ALICE, mtls_subject="alice.acme.test"),
    login(TEAMS, SubjectKind.CHANNEL, OF_TEAMS, mtls_subject="teams.acme.test"),
]
DIRECTORY = Directory.of([AGENT], [ALICE, ZOE], LOGINS, [TEAMS])
NOBODY = Directory.of([], [])


class Call:
    """What gRPC tells of a call."""

    def __init__(
        self, authorization: str | None = None, *names: str, common_name: str = ""
    ) -> None:
        self.metadata = [("user-agent", "test")]
        if authorization is not None:
            self.metadata.append(("authorization", authorization))
        self.peer: dict[str, list[bytes]] = {}
        if names or common_name:
            self.peer = {
                "transport_security_type": [b"ssl"],
                "x509_common_name": [common_name.encode()],
                "x509_subject_alternative_name": [name.encode() for name in names],
            }

    def invocation_metadata(self):
        return self.metadata

    def auth_context(self):
        return self.peer


class Site:
    """An authenticator, the directory it looks at, and the issuer it trusts."""

    def __init__(self, *tenants: TenantId) -> None:
        self.directory = DIRECTORY
        self.now_s = NOW_S
        self.keys: bytes | Exception = self.published(KEY)
        settings = IssuerSettings(
            issuer=LOGIN, tenants=tenants or (ACME,), audiences=AUDIENCES, algorithms=("EdDSA",)
        )
        source = IssuerSource(settings=settings, jwks_url=f"{LOGIN}/keys")
        self.issuers = Issuers([source], fetch=self.fetch)
        self.authenticator = Authenticator(lambda: self.directory, self.issuers, lambda: self.now_s)

    @staticmethod
    def published(key: Ed25519PrivateKey) -> bytes:
        listed = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "k"}
        return json.dumps({"keys": [listed]}).encode()

    async def fetch(self, url: str) -> bytes:
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys

    async def known(self, call: Call) -> Authenticated:
        return await self.authenticator.subject(call)

    async def refused(self, call: Call) -> UnauthenticatedError:
        with pytest.raises(UnauthenticatedError) as error:
            await self.known(call)
        return error.value


def signed(subject: str, audience: str, key: Ed25519PrivateKey = KEY, **claims) -> str:
    told = {"iss": LOGIN, "sub": subject, "aud": audience, "iat": NOW_S, "exp": NOW_S + 300}
    return jwt.encode(told | claims, key, "EdDSA", headers={"kid": "k"})


def bearer(token: str) -> Call:
    return Call(f"Bearer {token}")


# --- tokens ---


async def test_a_token_proves_its_one_subject() -> None:
    site = Site()
    for token, subject in ((OF_AGENT, AGENT), (OF_ALICE, ALICE), (OF_TEAMS, TEAMS)):
        known = await site.known(bearer(token))
        assert known == Authenticated(subject=subject, proof=proof_of_token(token_hash(token)))
        assert (await site.known(Call(f"bearer {token}"))).subject is subject


async def test_a_token_that_is_removed_works_no_longer_at_once() -> None:
    site = Site()
    assert await site.known(bearer(OF_AGENT))
    assert await site.known(bearer(signed("machine", "cs-callers")))
    site.directory = NOBODY
    for call in (bearer(OF_AGENT), bearer(signed("machine", "cs-callers"))):
        assert (await site.refused(call)).code == "credential.unknown"


async def test_more_than_a_credential_can_be_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site, longest = Site(), MAX_TOKEN_CHARS - len("Bearer ")
    looked_at: list[str] = []
    monkeypatch.setattr(authentication, "token_kind", looked_at.append)
    await site.refused(bearer("a" * longest))
    await site.refused(bearer("a" * (longest + 1)))
    assert [len(token) for token in looked_at] == [longest, 0]


# --- JWTs of issuers ---


async def test_a_jwt_of_an_issuer_proves_a_machine_or_a_person_by_its_audience() -> None:
    site = Site()
    machine = await site.known(bearer(signed("machine", "cs-callers")))
    assert machine == Authenticated(subject=AGENT, proof=proof_of_account(LOGIN, "machine"))
    alice = await site.known(bearer(signed("00u-alice", "cs-people", azp="console")))
    assert alice == Authenticated(subject=ALICE, proof=proof_of_account(LOGIN, "00u-alice"))


@pytest.mark.parametrize(
    "token",
    [
        signed("00u-alice", "cs-callers"),
        signed("machine", "cs-people"),
        signed("00u-alice", "cs-evidence"),
        signed("00u-alice", "somebody-else"),
        signed("00U-ALICE", "cs-people"),
        signed("alice", "cs-people"),
        signed("00u-zoe", "cs-people"),
        signed("00u-alice", "cs-people", iss="https://evil.example"),
        signed("00u-alice", "cs-people", key=ANOTHER_KEY),
        signed("00u-alice", "cs-people", exp=NOW_S - 60),
        signed("00u-alice", "cs-people", act={"sub": "agent-app"}),
        signed("00u-alice", "cs-people", azp="agent-app"),
        signed("00u-alice", "cs-people", client_id="agent-app"),
        signed("00u-alice", ["cs-people", "cs-callers"]),
        "a.b.c",
        "..",
        signed("00u-alice", "cs-people") + ".x",
    ],
    ids=[
        *("person-as-machine", "machine-as-person", "evidence", "foreign-audience"),
        *("other-case", "person-id", "other-tenant", "foreign-issuer", "forged", "expired"),
        *("acted-for", "agents-client", "agents-client-id", "two-audiences"),
        *("garbage", "empty-parts", "four-parts"),
    ],
)
async def test_a_jwt_that_proves_nobody_is_refused_like_any_unknown_credential(token: str) -> None:
    site = Site()
    error, nothing = await site.refused(bearer(token)), await site.refused(Call())
    assert (error.code, error.message, error.advice) == (
        nothing.code, nothing.message, nothing.advice,
    )  # fmt: skip


async def test_a_jwt_leads_to_one_tenant_or_nowhere() -> None:
    shared = bearer(signed("00u-shared", "cs-people"))
    assert (await Site(ACME).known(shared)).subject is ALICE
    assert (await Site(OTHER).known(shared)).subject is ZOE
    await Site(ACME, OTHER).refused(shared)
    assert (await Site(ACME, OTHER).known(bearer(signed("00u-zoe", "cs-people")))).subject is ZOE


async def test_a_client_of_any_tenant_of_the_issuer_is_a_machine() -> None:
    hers = bearer(signed("00u-zoe", "cs-people", azp="agent-app"))
    await Site(ACME, OTHER).refused(hers)
    assert (await Site(OTHER).known(hers)).subject is ZOE


async def test_without_trusted_issuers_no_jwt_is_a_credential() -> None:
    authenticator = Authenticator(lambda: DIRECTORY)
    with pytest.raises(UnauthenticatedError):
        await authenticator.subject(bearer(signed("machine", "cs-callers", iat=int(time.time()))))
    assert (await authenticator.subject(bearer(OF_AGENT))).subject is AGENT


async def test_missing_keys_are_a_fault_of_ours_and_not_an_unknown_credential() -> None:
    site = Site()
    site.keys = KeySourceError("cannot be reached")
    with pytest.raises(UnavailableError) as error:
        await site.known(bearer(signed("00u-alice", "cs-people")))
    assert error.value.code == "token.keys_unavailable"
    assert (await site.known(bearer(OF_ALICE))).subject is ALICE


async def test_a_jwt_ends_when_it_says_however_often_it_was_good() -> None:
    site, call = Site(), bearer(signed("00u-alice", "cs-people"))
    for _ in range(3):
        assert (await site.known(call)).subject is ALICE
    site.now_s = NOW_S + 300 + 30
    await site.refused(call)


# --- certificates ---


async def test_a_certificate_is_known_by_an_alternative_name_and_never_by_its_common_name() -> None:
    site = Site()
    known = await site.known(Call(None, "other.test", "spiffe://acme/agent", common_name="x"))
    assert known == Authenticated(subject=AGENT, proof=proof_of_mtls("spiffe://acme/agent"))
    assert (await site.known(Call(None, "alice.acme.test"))).subject is ALICE
    assert (await site.known(Call(None, "teams.acme.test"))).subject is TEAMS
    for call in (
        Call(None, common_name="alice.acme.test"),
        Call(None, "other.test", common_name="spiffe://acme/agent"),
        Call(None, "ALICE.acme.test"),
        Call(None, "*.acme.test"),
    ):
        await site.refused(call)


async def test_a_certificate_of_two_subjects_is_nobodys() -> None:
    site = Site()
    await site.refused(Call(None, "alice.acme.test", "spiffe://acme/agent"))
    twice = Call(None, "alice.acme.test", "alice.acme.test")
    assert (await site.known(twice)).subject is ALICE


async def test_a_wrong_token_is_not_mended_by_a_certificate() -> None:
    await Site().refused(Call("Bearer wrong", "alice.acme.test"))


async def test_names_of_a_peer_without_tls_prove_nothing() -> None:
    call = Call(None, "alice.acme.test")
    del call.peer["transport_security_type"]
    await Site().refused(call)


# --- roles ---


def test_each_role_lets_in_its_kinds_and_says_why_not() -> None:
    def refusal(role, subject) -> str:
        with pytest.raises(NotPermittedError) as error:
            role(subject)
        return error.value.code

    assert as_caller(AGENT) is AGENT
    assert refusal(as_caller, ALICE) == "person.not_a_caller"
    assert refusal(as_caller, TEAMS) == "channel.not_a_caller"
    assert as_reader(ALICE) is ALICE
    assert as_reader(TEAMS) is TEAMS
    assert refusal(as_reader, AGENT) == "caller.not_a_person"
    assert as_person(ALICE) is ALICE
    assert refusal(as_person, AGENT) == "caller.not_a_person"
    assert refusal(as_person, TEAMS) == "channel.not_a_person"


# --- last used ---


async def test_when_each_proof_was_last_used_is_told_once() -> None:
    site = Site()
    await site.known(bearer(OF_AGENT))
    site.now_s += 7
    await site.known(bearer(OF_AGENT))
    await site.known(bearer(signed("00u-alice", "cs-people")))
    await site.refused(bearer(new_token(SubjectKind.CALLER)))
    later = (NOW_S + 7) * SECOND_US
    assert site.authenticator.drain_used() == {
        (ACME, proof_of_token(token_hash(OF_AGENT))): later,
        (ACME, proof_of_account(LOGIN, "00u-alice")): later,
    }
    assert site.authenticator.drain_used() == {}


async def test_what_is_noted_of_use_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MAX_USED", 1)
    site = Site()
    for token in (OF_AGENT, OF_ALICE):
        assert await site.known(bearer(token))
    site.now_s += 1
    await site.known(bearer(OF_AGENT))
    assert site.authenticator.drain_used() == {
        (ACME, proof_of_token(token_hash(OF_AGENT))): (NOW_S + 1) * SECOND_US
    }
