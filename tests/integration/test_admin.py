"""Operators change the registers through a real server, but not what they are behind."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from countersign.client import NotFound, NotPermitted, Unavailable
from countersign.client.admin import AdminClient
from countersign.client.status import CallFailed
from countersign.credentials import (
    Credential,
    SubjectKind,
    proof_of_account,
    proof_of_token,
    read_credential,
    token_hash,
    token_kind,
    write_credential,
)
from countersign.directory import Directory, diff
from countersign.edge import registrations, room
from countersign.edge.admin import Admin
from countersign.edge.authentication import Authenticator
from countersign.edge.independence import require_operator
from countersign.edge.metrics import Metrics
from countersign.edge.policy import PolicyVerbs
from countersign.edge.rate import RateLimit
from countersign.edge.registrations import MAX_ACCOUNTS, MAX_CHARS, MAX_ENTRIES
from countersign.edge.room import MAX_AT_ONCE
from countersign.edge.rpc import Rpc
from countersign.edge.server import EdgeServer
from countersign.errors import UnauthenticatedError, UnavailableError
from countersign.model import (
    Account,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    Instant,
    JsonObject,
    Person,
    PersonId,
    TenantId,
)
from countersign.registry import Registers, Registry, Who, edit, watcher
from countersign.registry.edit import MAX_TOKENS
from countersign.registry.replace import held
from countersign.v1 import admin_pb2 as pb

T1, T2 = TenantId("default"), TenantId("other")
VERBS = pb.DESCRIPTOR.services_by_name["Admin"].methods_by_name
CALLER, PERSON, CHANNEL = (
    pb.SUBJECT_KIND_CALLER,
    pb.SUBJECT_KIND_PERSON,
    pb.SUBJECT_KIND_CHANNEL,
)


def person(id: str, *groups: str, tenant: TenantId = T1, **more: Any) -> Person:
    return Person(tenant=tenant, id=PersonId(id), name=id.title(), groups=frozenset(groups), **more)


def caller(id: str, *owners: str, tenant: TenantId = T1, **more: Any) -> Caller:
    return Caller(
        tenant=tenant,
        id=CallerId(id),
        actors=(id,),
        environments=("production",),
        resources=("table:*",),
        owners=tuple(map(PersonId, owners)),
        **more,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    code: str
    status: grpc.StatusCode
    message: str
    fields: Mapping[str, str]
    details: bytes


class NoPolicy:
    """Who keeps policy; none of these stories gets so far."""

    def __getattr__(self, verb: str) -> Any:
        raise AssertionError(verb)


class Site:
    """A server with nothing but `Admin`, its registers and what it recorded."""

    def __init__(self, folder: Path) -> None:
        self.registers = Registers(
            callers=folder / "callers.toml",
            people=folder / "people.toml",
            channels=folder / "channels.toml",
        )
        self.tokens: dict[str, str] = {}
        self.recorded: list[tuple[Mapping[TenantId, JsonObject], PersonId | None]] = []
        self.used: dict[str, Instant] = {}
        self.fault: Exception | None = None
        self.groups: tuple[str, ...] = ("operators",)
        self.too_new: dict[str, str] = {}
        self.refusals: list[tuple[str, str, Who | None, str]] = []
        self.lists: asyncio.Queue[TenantId] = asyncio.Queue()
        self.listing = asyncio.Event()
        self.listing.set()

    def register(self, *subjects: Person | Caller | Channel) -> None:
        for subject in subjects:
            self.tokens[subject.id] = self.registers.add(subject)

    async def start(self) -> None:
        self.registry = Registry(
            self.registers.callers,
            self.registers.people,
            self.registers.channels,
            on_change=self._record,
        )
        rpc = Rpc(
            Authenticator(lambda: self.registry.current),
            RateLimit(0, 1),
            Metrics(),
            lambda _: None,
            max_request_bytes=262_144,
        )
        admin = Admin(
            self.registry,
            self.registers,
            groups=self.groups,
            last_used=self._last_used,
            too_new=self._too_new,
            on_refused=self._refused,
            policy=PolicyVerbs(NoPolicy(), T1),
        )
        self.server = EdgeServer("127.0.0.1:0", None, [admin.handlers(rpc)])
        await self.server.start()
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}")

    async def stop(self) -> None:
        await self.channel.close()
        await self.server.stop(0)

    async def _record(self, old: Directory, new: Directory, by: PersonId | None) -> None:
        if self.fault is not None:
            raise self.fault
        self.recorded.append((diff(old, new), by))

    async def _last_used(self, tenant: TenantId) -> Mapping[str, Instant]:
        self.lists.put_nowait(tenant)
        await self.listing.wait()
        return self.used

    async def _too_new(self, _: Person, proof: str) -> str | None:
        return self.too_new.get(proof)

    async def _refused(self, person: Person, verb: str, who: Who | None, code: str) -> None:
        self.refusals.append((person.id, verb, who, code))

    async def call(self, who: str, verb: str, request: Message | bytes) -> Any:
        answer = GetMessageClass(VERBS[verb].output_type)
        data = request if isinstance(request, bytes) else request.SerializeToString()
        method = self.channel.unary_unary(
            f"/countersign.v1.Admin/{verb}", response_deserializer=answer.FromString
        )
        return await method(
            data, metadata=(("authorization", f"Bearer {self.tokens[who]}"),), timeout=30
        )

    async def refused(self, who: str, verb: str, request: Message | bytes) -> Refused:
        before = self.bytes()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(who, verb, request)
        assert self.bytes() == before, "nothing has changed"
        failed = CallFailed.of(caught.value)
        details = dict(caught.value.trailing_metadata() or ())
        return Refused(
            code=failed.reason,
            status=failed.code,
            message=failed.message,
            fields=failed.fields,
            details=bytes(details["grpc-status-details-bin"]),
        )

    def bytes(self) -> list[bytes]:
        paths = (self.registers.callers, self.registers.people, self.registers.channels)
        return [path.read_bytes() if path.exists() else b"" for path in paths]

    def works(self, token: str) -> bool:
        directory, sha256 = self.registry.current, token_hash(token)
        return bool(
            directory.caller_by_token(sha256)
            or directory.person_by_token(sha256)
            or directory.channel_by_token(sha256)
        )


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """mallory, olga and pia are operators; mallory is behind agent, and so behind its child.

    alice uses shared together with mallory. Another tenant has an operator too.
    """
    found = Site(tmp_path)
    found.register(
        person("mallory", "operators"),
        person("olga", "operators"),
        person("pia", "operators"),
        person("alice", "data-owners"),
        person("bob", "data-owners"),
        person("oscar", "operators", tenant=T2),
        caller("agent", "mallory"),
        caller("child", "alice", parent=CallerId("agent")),
        caller("shared", "bob", users=(PersonId("mallory"), PersonId("alice"))),
        caller("pipeline", "alice"),
        caller("stranger", "oscar", tenant=T2),
        Channel(tenant=T1, id=ChannelId("bot"), issuers=("teams:t",)),
    )
    await found.start()
    yield found
    await found.stop()


def entry(id: str, *owners: str, **more: Any) -> pb.PutCallerRequest:
    return pb.PutCallerRequest(
        caller=pb.CallerEntry(
            id=id,
            actors=more.pop("actors", [id]),
            environments=["production"],
            resources=["table:*"],
            owners=owners,
            **more,
        )
    )


def human(id: str, *groups: str, **more: Any) -> pb.PutPersonRequest:
    name = more.pop("name", id.title())
    return pb.PutPersonRequest(person=pb.PersonEntry(id=id, name=name, groups=groups, **more))


# --- what operators do ---


async def test_a_caller_is_registered_recorded_and_in_force_on_return(site: Site) -> None:
    answer = await site.call("olga", "PutCaller", entry("fresh", "alice", clients=["c-1"]))
    assert token_kind(answer.token) is SubjectKind.CALLER
    fresh = site.registry.current.caller_by_token(token_hash(answer.token))
    assert fresh is not None
    assert (fresh.owners, fresh.clients) == (("alice",), ("c-1",))
    ((changes, by),) = site.recorded
    assert by == "olga"
    assert set(changes) == {T1}
    assert changes[T1]["callers"]["added"] == ["fresh"]  # type: ignore[index,call-overload]


async def test_a_change_replaces_everything_but_the_credentials(site: Site) -> None:
    token = site.tokens["pipeline"]
    answer = await site.call("olga", "PutCaller", entry("pipeline", "bob", audience="gw"))
    assert answer.token == ""
    found = site.registry.current.caller_by_token(token_hash(token))
    assert found is not None
    assert (found.owners, found.audience) == (("bob",), "gw")


async def test_people_and_channels_are_registered_the_same_way(site: Site) -> None:
    request = human(
        "carol",
        "data-owners",
        accounts=[pb.Account(issuer="teams:t", subject="1")],
        aliases=["carol@example.com"],
    )
    token = (await site.call("olga", "PutPerson", request)).token
    carol = site.registry.current.person_by_token(token_hash(token))
    assert carol is not None
    assert carol.accounts == (Account(issuer="teams:t", subject="1"),)
    assert carol.aliases == ("carol@example.com",)
    channel = pb.PutChannelRequest(channel=pb.ChannelEntry(id="console", issuers=["idp"]))
    token = (await site.call("olga", "PutChannel", channel)).token
    assert site.registry.current.channel_by_token(token_hash(token)) is not None


async def test_a_token_is_rotated_without_a_gap_and_the_old_one_revoked(site: Site) -> None:
    for who, kind, subject in (
        ("olga", CALLER, "pipeline"),
        ("olga", PERSON, "bob"),
        ("pia", CHANNEL, "bot"),
    ):
        old = site.tokens[subject]
        request = pb.RotateTokenRequest(kind=kind, id=subject)
        new = (await site.call(who, "RotateToken", request)).token
        assert site.works(old)
        assert site.works(new)
        revoke = pb.RevokeTokensRequest(kind=kind, id=subject)
        answer = await site.call("olga", "RevokeTokens", revoke)
        assert list(answer.revoked) == [token_hash(old)[:12]]
        assert not site.works(old)
        assert site.works(new)


async def test_one_token_is_revoked_by_its_name(site: Site) -> None:
    await site.call("olga", "RotateToken", pb.RotateTokenRequest(kind=CALLER, id="pipeline"))
    name = token_hash(site.tokens["pipeline"])[:12]
    request = pb.RevokeTokensRequest(kind=CALLER, id="pipeline", name=name)
    assert list((await site.call("olga", "RevokeTokens", request)).revoked) == [name]
    assert not site.works(site.tokens["pipeline"])
    again = await site.refused("olga", "RevokeTokens", request)
    assert again.code == "admin.not_found"


async def test_a_removed_subject_is_out_at_once(site: Site) -> None:
    await site.call("olga", "RemoveSubject", pb.RemoveSubjectRequest(kind=CALLER, id="pipeline"))
    assert not site.works(site.tokens["pipeline"])
    await site.call("olga", "RemoveSubject", pb.RemoveSubjectRequest(kind=CHANNEL, id="bot"))
    assert not site.works(site.tokens["bot"])


async def test_a_list_tells_everything_but_secrets_and_when_it_was_used(site: Site) -> None:
    token = site.tokens["pipeline"]
    site.used[proof_of_token(token_hash(token))] = Instant(1_700_000_000_000_000)
    callers = (await site.call("olga", "ListCallers", pb.ListCallersRequest())).callers
    assert [found.id for found in callers] == ["agent", "child", "shared", "pipeline"]
    (way,) = callers[3].credentials
    assert (way.kind, way.name) == ("token", token_hash(token)[:12])
    assert way.last_used_at.seconds == 1_700_000_000
    assert not callers[0].credentials[0].HasField("last_used_at")
    people = (await site.call("olga", "ListPeople", pb.ListPeopleRequest())).people
    assert {found.id for found in people} == {"mallory", "olga", "pia", "alice", "bob"}
    channels = (await site.call("olga", "ListChannels", pb.ListChannelsRequest())).channels
    assert [found.id for found in channels] == ["bot"]
    told = b"".join(m.SerializeToString() for m in (*callers, *people, *channels))
    for secret in site.tokens.values():
        assert secret.encode() not in told
        assert token_hash(secret).encode() not in told


async def test_a_token_is_in_no_log_and_no_file(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        token = (await site.call("olga", "PutCaller", entry("fresh", "alice"))).token
        more = (
            await site.call("olga", "RotateToken", pb.RotateTokenRequest(kind=CALLER, id="fresh"))
        ).token
    for secret in (token, more):
        assert secret not in caplog.text
        assert secret.encode() not in b"".join(site.bytes())
        assert secret not in str(site.recorded)


# --- who may ---


async def test_nobody_but_an_operator_may(site: Site) -> None:
    requests: dict[str, Message] = {
        name: GetMessageClass(method.input_type)() for name, method in VERBS.items()
    }
    assert len(requests) == 12
    for verb, request in requests.items():
        assert (await site.refused("bob", verb, request)).code == "admin.not_operator"
        machine = await site.refused("agent", verb, request)
        assert machine.code == "caller.not_a_person"
        assert machine.status is grpc.StatusCode.PERMISSION_DENIED
        assert (await site.refused("bot", verb, request)).status in (
            grpc.StatusCode.PERMISSION_DENIED,
            grpc.StatusCode.UNAUTHENTICATED,
        )


async def test_without_groups_of_operators_there_are_none(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.groups = ()
    site.register(person("olga", "operators"), caller("agent", "olga"))
    await site.start()
    try:
        for verb, method in VERBS.items():
            refused = await site.refused("olga", verb, GetMessageClass(method.input_type)())
            assert refused.code == "admin.disabled"
    finally:
        await site.stop()


async def test_an_operator_who_was_put_out_meanwhile_changes_nothing(site: Site) -> None:
    people = site.registers.people
    people.write_text(people.read_text().replace('groups = ["operators"]', 'groups = ["x"]'))
    refused = await site.refused("olga", "PutCaller", entry("fresh", "alice"))
    assert refused.code == "admin.not_operator", "the files as they are count, not the last poll"


async def test_another_tenants_subject_is_like_none_at_all(site: Site) -> None:
    for who, mine, theirs in (("olga", "pipeline", "stranger"), ("oscar", "stranger", "pipeline")):
        assert site.tokens[mine]
        for verb in ("RemoveSubject", "RotateToken", "RevokeTokens"):
            kind = GetMessageClass(VERBS[verb].input_type)
            foreign = await site.refused(who, verb, kind(kind=CALLER, id=theirs))
            unknown = await site.refused(who, verb, kind(kind=CALLER, id="nobody-at-all"))
            assert foreign == unknown
            assert foreign.code == "admin.not_found"
            assert foreign.status is grpc.StatusCode.NOT_FOUND
    listed = (await site.call("oscar", "ListPeople", pb.ListPeopleRequest())).people
    assert [found.id for found in listed] == ["oscar"]
    owner = await site.refused("oscar", "PutCaller", entry("x", "alice"))
    nobody = await site.refused("oscar", "PutCaller", entry("x", "nobody-at-all"))
    assert owner == nobody


async def test_the_same_id_of_another_tenant_is_left_alone(site: Site) -> None:
    await site.call("oscar", "PutPerson", human("alice"))
    remove = pb.RemoveSubjectRequest(kind=PERSON, id="alice")
    await site.call("oscar", "RemoveSubject", remove)
    assert site.registry.current.person(T1, PersonId("alice")) is not None
    assert all(set(changes) == {T2} for changes, _ in site.recorded)


# --- mallory, who administers and wants to approve her own agent's action ---


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        # out of the chain of her agent, or of one it starts
        ("PutCaller", entry("agent", "bob")),
        ("PutCaller", entry("child", "alice")),
        ("PutCaller", entry("child", "alice", parent="pipeline")),
        ("PutCaller", entry("shared", "bob", users=["alice"])),
        # its scope, and who is proven behind it
        ("PutCaller", entry("agent", "mallory", actors=["agent", "pipeline"])),
        ("PutCaller", entry("shared", "bob", users=["mallory", "alice"], clients=["mine"])),
        # into a chain: only to be out of it again is of use
        ("PutCaller", entry("pipeline", "mallory")),
        ("PutCaller", entry("pipeline", "alice", users=["mallory"])),
        ("PutCaller", entry("pipeline", "alice", parent="agent")),
        ("PutCaller", entry("fresh", "mallory")),
        # away with it, to register it anew without her
        ("RemoveSubject", pb.RemoveSubjectRequest(kind=CALLER, id="child")),
        ("RemoveSubject", pb.RemoveSubjectRequest(kind=CALLER, id="shared")),
        ("RotateToken", pb.RotateTokenRequest(kind=CALLER, id="agent")),
        ("RotateToken", pb.RotateTokenRequest(kind=CALLER, id="child")),
        # herself
        ("PutPerson", human("mallory", "operators", "data-owners")),
        ("PutPerson", human("mallory", "operators", aliases=["m"])),
        ("RemoveSubject", pb.RemoveSubjectRequest(kind=PERSON, id="mallory")),
        ("RotateToken", pb.RotateTokenRequest(kind=PERSON, id="mallory")),
        ("RevokeTokens", pb.RevokeTokensRequest(kind=PERSON, id="mallory")),
        # a second account of hers that would prove somebody else to be behind a call
        (
            "PutPerson",
            human("alice", "data-owners", accounts=[pb.Account(issuer="i", subject="m2")]),
        ),
        # everybody's voice
        ("RotateToken", pb.RotateTokenRequest(kind=CHANNEL, id="bot")),
        ("PutChannel", pb.PutChannelRequest(channel=pb.ChannelEntry(id="c", issuers=["i"]))),
        ("PutChannel", pb.PutChannelRequest(channel=pb.ChannelEntry(id="bot", issuers=["i"]))),
    ],
)
async def test_mallory_changes_nothing_she_is_or_is_behind(
    site: Site, verb: str, request_: Message
) -> None:
    refused = await site.refused("mallory", verb, request_)
    assert refused.code == "admin.own_subject"
    assert refused.status is grpc.StatusCode.PERMISSION_DENIED
    assert site.recorded == []


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        ("PutPerson", human("olga", "operators", accounts=[pb.Account(issuer="i", subject="m")])),
        ("PutPerson", human("olga")),
        ("PutPerson", human("bob", "operators")),
        ("PutPerson", human("mallory-2", "operators")),
        ("RotateToken", pb.RotateTokenRequest(kind=PERSON, id="olga")),
        ("RemoveSubject", pb.RemoveSubjectRequest(kind=PERSON, id="olga")),
    ],
)
async def test_mallory_makes_no_operator_and_becomes_no_other_one(
    site: Site, verb: str, request_: Message
) -> None:
    refused = await site.refused("mallory", verb, request_)
    assert refused.code == "admin.operators_fixed"
    assert site.recorded == []


async def test_a_group_that_leads_to_the_operators_makes_no_operator_either(site: Site) -> None:
    with site.registers.people.open("a") as file:
        file.write('\n[[groups]]\nid = "operators"\nincludes = ["on-call"]\n')
    refused = await site.refused("mallory", "PutPerson", human("bob", "on-call"))
    assert refused.code == "admin.operators_fixed"


async def test_nobody_sees_both_a_callers_and_a_channels_token(site: Site) -> None:
    rotate_bot = pb.RotateTokenRequest(kind=CHANNEL, id="bot")
    await site.call("olga", "PutCaller", entry("fresh", "alice"))
    assert (await site.refused("olga", "RotateToken", rotate_bot)).code == "admin.own_subject"
    await site.call("pia", "RotateToken", rotate_bot)
    for verb, request in (
        ("PutCaller", entry("other", "alice")),
        ("RotateToken", pb.RotateTokenRequest(kind=CALLER, id="fresh")),
    ):
        assert (await site.refused("pia", verb, request)).code == "admin.own_subject"
    await site.call("pia", "PutCaller", entry("fresh", "bob"))  # shows no token


async def test_whoever_was_shown_a_callers_token_is_behind_it_while_it_works(site: Site) -> None:
    await site.call("mallory", "PutCaller", entry("fresh", "alice"))
    await site.call("mallory", "RotateToken", pb.RotateTokenRequest(kind=CALLER, id="pipeline"))
    for shown in ("fresh", "pipeline"):
        chain = site.registry.current.registered_chain(T1, CallerId(shown))
        assert PersonId("mallory") in chain
    await site.call("olga", "RotateToken", pb.RotateTokenRequest(kind=CALLER, id="fresh"))
    await site.call("olga", "RevokeTokens", pb.RevokeTokensRequest(kind=CALLER, id="fresh"))
    chain = site.registry.current.registered_chain(T1, CallerId("fresh"))
    assert chain == {PersonId("alice"), PersonId("olga")}


async def test_whoever_was_shown_a_persons_token_is_known_with_it(site: Site) -> None:
    request = pb.RotateTokenRequest(kind=PERSON, id="bob")
    token = (await site.call("mallory", "RotateToken", request)).token
    directory = site.registry.current
    assert directory.shown_to(T1, proof_of_token(token_hash(token))) == "mallory"
    assert directory.shown_to(T1, proof_of_token(token_hash(site.tokens["bob"]))) is None


async def test_an_account_that_an_operator_added_is_known_as_theirs(site: Site) -> None:
    second_self = human("second", accounts=[pb.Account(issuer="teams:t", subject="m2")])
    await site.call("mallory", "PutPerson", second_self)
    onto_bob = human("bob", accounts=[pb.Account(issuer="teams:t", subject="m3")])
    await site.call("olga", "PutPerson", onto_bob)
    directory = site.registry.current
    assert directory.shown_to(T1, proof_of_account("teams:t", "m2")) == "mallory"
    assert directory.shown_to(T1, proof_of_account("teams:t", "m3")) == "olga"


# --- mallory, with a token that she made for somebody who became an operator ---


async def second_self(site: Site) -> None:
    """eve, to whom mallory gave a token and kept a copy of it, becomes an operator."""
    site.tokens["eve"] = (await site.call("mallory", "PutPerson", human("eve", "staff"))).token
    people = site.registers.people
    people.write_text(people.read_text().replace('["staff"]', '["operators"]'))
    assert await site.registry.poll()


async def test_a_token_that_an_operator_made_administers_nothing(site: Site) -> None:
    await second_self(site)
    requests: dict[str, Message] = {
        name: GetMessageClass(method.input_type)() for name, method in VERBS.items()
    }
    for verb, request in (requests | {"PutCaller": entry("agent", "alice")}).items():
        assert (await site.refused("eve", verb, request)).code == "admin.token_known"
    eve = Who(tenant=T1, kind=SubjectKind.PERSON, id="eve")
    site.tokens["eve"] = site.registers.rotate(eve)  # on the host, for her eyes alone
    assert await site.registry.poll()
    await site.call("eve", "PutCaller", entry("pipeline", "bob"))


async def test_a_token_that_is_gone_meanwhile_tells_no_maker_and_changes_nothing(
    site: Site,
) -> None:
    await second_self(site)
    registry, directory = site.registry, site.registry.current
    eve = directory.person(T1, PersonId("eve"))
    assert eve is not None
    site.registers.revoke(Who.of(eve), every=True)
    assert await registry.poll()
    proof = proof_of_token(token_hash(site.tokens["eve"]))
    assert registry.current.shown_to(T1, proof) is None
    with pytest.raises(UnauthenticatedError):
        require_operator(eve, proof, registry.current, {"operators"})


async def test_a_token_found_to_be_made_by_an_operator_at_the_last_moment_changes_nothing(
    site: Site,
) -> None:
    people = site.registers.people  # the files as they are count, not the last poll
    own = token_hash(site.tokens["olga"])
    shown = f'token_sha256 = ["{own}"]\nshown_to = {{ {own} = "mallory" }}'
    people.write_text(people.read_text().replace(f'token_sha256 = ["{own}"]', shown))
    refused = await site.refused("olga", "PutCaller", entry("fresh", "alice"))
    assert refused.code == "admin.token_known"


async def test_an_account_that_is_too_new_waits(site: Site) -> None:
    site.too_new[proof_of_token(token_hash(site.tokens["olga"]))] = "from tomorrow on"
    refused = await site.refused("olga", "PutCaller", entry("fresh", "alice"))
    assert refused.code == "admin.account_too_new"
    assert "from tomorrow on" in refused.message
    await site.call("pia", "PutCaller", entry("fresh", "alice"))


async def test_who_was_refused_what_is_told(site: Site) -> None:
    agent = Who(tenant=T1, kind=SubjectKind.CALLER, id="agent")
    calls: list[tuple[str, str, Message, Who | None, str]] = [
        ("mallory", "PutCaller", entry("agent", "bob"), agent, "admin.own_subject"),
        (
            "mallory",
            "RotateToken",
            pb.RotateTokenRequest(kind=CALLER, id="agent"),
            agent,
            "admin.own_subject",
        ),
        (
            "mallory",
            "PutPerson",
            human("x", "operators"),
            Who(tenant=T1, kind=SubjectKind.PERSON, id="x"),
            "admin.operators_fixed",
        ),
        ("bob", "ListPeople", pb.ListPeopleRequest(), None, "admin.not_operator"),
        ("bob", "PutPerson", human("A secret"), None, "admin.not_operator"),
    ]
    for who, verb, request, _, code in calls:
        assert (await site.refused(who, verb, request)).code == code
    assert site.refusals == [(who, verb, about, code) for who, verb, _, about, code in calls]
    await site.refused("olga", "PutCaller", entry("", "bob"))
    await site.call("olga", "ListPeople", pb.ListPeopleRequest())
    assert len(site.refusals) == len(calls), "mistakes are none"


async def test_a_leaked_token_is_taken_away_by_any_operator(site: Site) -> None:
    await site.call("olga", "RotateToken", pb.RotateTokenRequest(kind=CALLER, id="agent"))
    request = pb.RevokeTokensRequest(kind=CALLER, id="agent")
    assert len((await site.call("mallory", "RevokeTokens", request)).revoked) == 1


# --- what is refused, and how ---


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (entry("", "alice"), "caller.id"),
        (entry("Fresh", "alice"), "caller.id"),
        (entry("x" * 129, "alice"), "caller.id"),
        (entry("fresh"), "caller.owners"),
        (entry("fresh", "alice", "nobody"), "caller.owners[1]"),
        (entry("fresh", "alice", "alice"), "caller.owners[1]"),
        (entry("fresh", "alice", users=["bob", "A"]), "caller.users[1]"),
        (entry("fresh", "alice", users=["nobody"]), "caller.users[0]"),
        (entry("fresh", "alice", parent="nobody"), "caller.parent"),
        (entry("pipeline", "alice", parent="pipeline"), "caller.parent"),
        (entry("fresh", "alice", parent="A"), "caller.parent"),
        (entry("fresh", "alice", audience="a\nb"), "caller.audience"),
        (entry("fresh", "alice", audience="a" * (MAX_CHARS + 1)), "caller.audience"),
        (entry("fresh", "alice", clients=["c", " d"]), "caller.clients[1]"),
        (entry("fresh", "alice", actors=[]), "caller.actors"),
        (
            entry("fresh", "alice", actors=[f"a{n}" for n in range(MAX_ENTRIES + 1)]),
            "caller.actors",
        ),
        (
            entry("fresh", "alice", credentials=[pb.CredentialInfo(name="0")]),
            "caller.credentials",
        ),
        (human("carol", name=""), "person.name"),
        (human("carol", accounts=[pb.Account(issuer="i")]), "person.accounts[0].subject"),
        (human("carol", accounts=[pb.Account(issuer="i", subject="s")] * 2), "person.accounts[1]"),
        (
            human(
                "carol",
                accounts=[pb.Account(issuer="i", subject=f"s{n}") for n in range(MAX_ACCOUNTS + 1)],
            ),
            "person.accounts",
        ),
        (human("carol", "G"), "person.groups[0]"),
        (human("carol", aliases=["C@x", "c@x"]), "person.aliases[1]"),
        (human("carol", aliases=["bob"]), "person"),
    ],
)
async def test_what_is_wrong_is_named_by_its_field_and_not_quoted(
    site: Site, request_: Message, field: str
) -> None:
    verb = "PutCaller" if isinstance(request_, pb.PutCallerRequest) else "PutPerson"
    refused = await site.refused("olga", verb, request_)
    assert refused.status is grpc.StatusCode.INVALID_ARGUMENT
    assert list(refused.fields) == [field]
    assert "nobody" not in refused.message


async def test_fields_this_server_cannot_read_are_refused(site: Site) -> None:
    unknown = bytes([0xFA, 0x01, 0x01, 0x78])  # field 31, a string
    for verb, field, data in (
        ("PutCaller", "request", entry("fresh", "alice").SerializeToString() + unknown),
        ("RotateToken", "request", pb.RotateTokenRequest(id="x").SerializeToString() + unknown),
    ):
        assert list((await site.refused("olga", verb, data)).fields) == [field]
    account = pb.Account.FromString(
        pb.Account(issuer="i", subject="s").SerializeToString() + unknown
    )
    refused = await site.refused("olga", "PutPerson", human("carol", accounts=[account]))
    assert list(refused.fields) == ["person.accounts[0]"]


async def test_requests_that_name_no_subject_say_which_field(site: Site) -> None:
    for request, field in (
        (pb.RevokeTokensRequest(id="pipeline"), "kind"),
        (pb.RevokeTokensRequest(kind=7, id="pipeline"), "kind"),  # type: ignore[arg-type]
        (pb.RevokeTokensRequest(kind=CALLER), "id"),
        (pb.RevokeTokensRequest(kind=CALLER, id="pipeline", name="0123"), "name"),
    ):
        assert list((await site.refused("olga", "RevokeTokens", request)).fields) == [field]


async def test_the_state_of_a_subject_can_be_in_the_way(site: Site) -> None:
    rotate = pb.RotateTokenRequest(kind=CALLER, id="pipeline")
    for _ in range(MAX_TOKENS - 1):
        await site.call("olga", "RotateToken", rotate)
    full = await site.refused("olga", "RotateToken", rotate)
    assert full.code == "directory.too_many_tokens"
    assert full.status is grpc.StatusCode.FAILED_PRECONDITION
    name = token_hash(site.tokens["bot"])[:12]
    last = await site.refused(
        "olga", "RevokeTokens", pb.RevokeTokensRequest(kind=CHANNEL, id="bot", name=name)
    )
    assert last.code == "directory.last_credential"
    needed = await site.refused(
        "olga", "RemoveSubject", pb.RemoveSubjectRequest(kind=PERSON, id="alice")
    )
    assert needed.code == "directory.unknown_person"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda s: s.registers.callers.write_text("oops"), "admin.registers_invalid"),
        (lambda s: s.registers.callers.unlink(), "admin.registers_invalid"),
        (lambda s: setattr(s, "fault", UnavailableError("a.b", "full")), "admin.not_in_force"),
        (
            lambda s: s.registers.channels.write_text(
                s.registers.channels.read_text().replace("[[channels]]", "[['channels']]")
            ),
            "admin.by_hand",
        ),
    ],
)
async def test_trouble_with_the_files_is_told_without_their_names(
    site: Site, spoil: Callable[[Site], object], code: str
) -> None:
    spoil(site)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await site.call("olga", "RotateToken", pb.RotateTokenRequest(kind=CHANNEL, id="bot"))
    failed = CallFailed.of(caught.value)
    assert failed.reason == code
    assert str(site.registers.callers.parent) not in failed.message + failed.advice


async def test_what_could_not_be_recorded_is_not_in_force_until_it_is(site: Site) -> None:
    site.fault = UnavailableError("audit.unavailable", "full")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await site.call(
            "olga", "RemoveSubject", pb.RemoveSubjectRequest(kind=CALLER, id="pipeline")
        )
    assert CallFailed.of(caught.value).reason == "admin.not_in_force"
    assert site.works(site.tokens["pipeline"])
    site.fault = None
    assert await site.registry.poll()
    assert not site.works(site.tokens["pipeline"])
    assert [by for _, by in site.recorded] == ["olga"]


async def test_changes_at_the_same_time_lose_nothing(site: Site) -> None:
    answers = await asyncio.gather(
        site.call("olga", "PutCaller", entry("c", "alice")),
        site.call("mallory", "PutPerson", human("p")),
        site.call("pia", "PutPerson", human("q")),
        *(site.call("oscar", "PutPerson", human(f"p{n}")) for n in range(MAX_AT_ONCE)),
    )
    assert all(site.works(answer.token) for answer in answers)
    makers = sorted(str(by) for _, by in site.recorded)
    assert makers == ["mallory", "olga"] + ["oscar"] * MAX_AT_ONCE + ["pia"]


# --- what one tenant may take up, of what is everybody's ---


async def test_a_tenants_calls_wait_in_few_places_and_no_others_are_refused(site: Site) -> None:
    site.listing.clear()
    waiting = [
        asyncio.create_task(site.call("olga", "ListPeople", pb.ListPeopleRequest()))
        for _ in range(MAX_AT_ONCE)
    ]
    for _ in waiting:
        await site.lists.get()
    for verb, request in (("ListCallers", pb.ListCallersRequest()), ("PutPerson", human("p"))):
        busy = await site.refused("pia", verb, request)
        assert busy.code == "admin.busy"
        assert busy.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    await site.call("oscar", "PutPerson", human("p"))
    site.listing.set()
    await asyncio.gather(*waiting)
    await site.call("pia", "PutPerson", human("p"))


@pytest.mark.parametrize("bound", ["MAX_SUBJECTS", "MAX_TEXTS"])
async def test_a_tenant_that_is_full_registers_no_more_by_call(
    site: Site, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(room, bound, 8)
    for verb, request in (
        ("PutPerson", human("carol", "a")),
        ("PutCaller", entry("fresh", "alice")),
        ("PutChannel", pb.PutChannelRequest(channel=pb.ChannelEntry(id="c", issuers=["i"]))),
    ):
        full = await site.refused("olga", verb, request)
        assert full.code == "admin.too_many"
        assert full.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    await site.call("olga", "PutCaller", entry("pipeline", "bob"))  # what is there can change
    await site.call("oscar", "PutPerson", human("carol", "a"))


async def test_a_list_is_put_together_off_the_event_loop(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    for name in ("caller_entry", "person_entry", "channel_entry"):
        told = getattr(registrations, name)

        def noted(*parts: Any, told: Callable[..., Message] = told) -> Message:
            threads.append(threading.get_ident())
            return told(*parts)

        monkeypatch.setattr(registrations, name, noted)
    await site.call("olga", "ListCallers", pb.ListCallersRequest())
    await site.call("olga", "ListPeople", pb.ListPeopleRequest())
    await site.call("olga", "ListChannels", pb.ListChannelsRequest())
    assert len(threads) == 10
    assert threading.get_ident() not in threads


async def test_what_is_changed_by_hand_counts_while_a_call_waits_for_the_registers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, loop = asyncio.Event(), asyncio.get_running_loop()

    def noted(paths: Iterable[Path], *, wait_s: float) -> AbstractContextManager[None]:
        loop.call_soon_threadsafe(tried.set)
        return held(paths, wait_s=wait_s)

    monkeypatch.setattr(edit, "held", noted)
    own = token_hash(site.tokens["bob"])
    with held([site.registers.people], wait_s=0):
        call = asyncio.create_task(site.call("olga", "PutPerson", human("carol")))
        await tried.wait()
        people = site.registers.people
        people.write_text(people.read_text().replace(f'token_sha256 = ["{own}"]', ""))
        assert await site.registry.poll()
        assert not call.done()
    assert not site.works(site.tokens["bob"])
    assert site.works((await call).token)


async def test_somebody_who_holds_the_registers_is_not_waited_for_long(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "HELD_S", 0)
    with held([site.registers.people], wait_s=0):
        refused = await site.refused("olga", "PutPerson", human("carol"))
        assert await site.registry.poll() is False
    assert refused.code == "admin.registers_held"
    assert refused.status is grpc.StatusCode.UNAVAILABLE


# --- by the SDK and by the command ---


def client(site: Site, who: str) -> AdminClient:
    return AdminClient(Credential(endpoint=f"127.0.0.1:{site.server.port}", token=site.tokens[who]))


async def test_the_client_has_a_word_for_every_verb(site: Site) -> None:
    def work() -> tuple[str, str]:
        with client(site, "olga") as admin:
            first = admin.put(entry("fresh", "alice").caller)
            assert admin.put(entry("fresh", "bob").caller) == ""
            assert admin.put(human("carol").person)
            second = admin.rotate(SubjectKind.CALLER, "fresh")
            name = token_hash(first)[:12]
            assert admin.revoke(SubjectKind.CALLER, "fresh", name) == [name]
            assert admin.revoke(SubjectKind.CALLER, "fresh") == []
            admin.remove(SubjectKind.PERSON, "carol")
            assert "carol" not in [entry.id for entry in admin.entries(SubjectKind.PERSON)]
        with client(site, "pia") as admin:
            assert admin.put(pb.ChannelEntry(id="console", issuers=["i"]))
            assert [e.id for e in admin.entries(SubjectKind.CHANNEL)] == ["bot", "console"]
        return first, second

    first, second = await asyncio.to_thread(work)
    assert not site.works(first)
    assert site.works(second)


async def test_the_client_sends_a_change_once_and_says_what_is_unknown(site: Site) -> None:
    await site.server.stop(0)
    with client(site, "olga") as admin, pytest.raises(Unavailable) as unanswered:
        await asyncio.to_thread(admin.rotate, SubjectKind.CALLER, "pipeline")
    assert unanswered.value.code == "admin.unanswered"
    assert "List what is registered" in unanswered.value.advice


async def test_the_client_raises_what_the_server_says(site: Site) -> None:
    with client(site, "mallory") as admin:
        with pytest.raises(NotPermitted, match=r"admin\.own_subject"):
            await asyncio.to_thread(admin.rotate, SubjectKind.CALLER, "agent")
        with pytest.raises(NotFound, match=r"admin\.not_found"):
            await asyncio.to_thread(admin.remove, SubjectKind.CALLER, "stranger")


@dataclasses.dataclass(frozen=True)
class Typed:
    code: int
    out: str
    err: str


async def typed(folder: Path, *words: str) -> Typed:
    running = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "countersign",
        *words,
        cwd=folder,
        env={"COLUMNS": "200"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(running.communicate(), 60)
    assert b"Traceback" not in err
    assert running.returncode is not None
    return Typed(running.returncode, out.decode(), err.decode())


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Path:
    """Where olga sits: another directory, with nothing but her credential."""
    folder = tmp_path / "desk"
    folder.mkdir()
    endpoint = f"127.0.0.1:{site.server.port}"
    write_credential(
        folder / "olga.credential", Credential(endpoint=endpoint, token=site.tokens["olga"])
    )
    return folder


AS = ("--as", "olga.credential")


async def test_an_operator_types_the_same_commands_from_anywhere(site: Site, desk: Path) -> None:
    added = await typed(
        desk, "caller", "add", "fresh", "--owner", "alice", "--resource", "t:*",
        "--credential", "fresh.credential", *AS,
    )  # fmt: skip
    assert added.code == 0, added.err
    assert "It is in force." in added.out
    given = read_credential(desk / "fresh.credential")
    assert given.endpoint == f"127.0.0.1:{site.server.port}"
    assert given.token is not None
    assert site.works(given.token)
    assert given.token not in added.out + added.err
    rotated = json.loads((await typed(desk, "caller", "rotate", "fresh", "--json", *AS)).out)
    assert site.works(rotated["token"])
    revoked = json.loads((await typed(desk, "caller", "revoke", "fresh", "--json", *AS)).out)
    assert revoked["revoked"] == [token_hash(given.token)[:12]]
    removed = await typed(desk, "caller", "remove", "fresh", *AS)
    assert removed.out == "Removed caller fresh. Give its id to nobody else.\n"
    assert not site.works(rotated["token"])
    assert {by for _, by in site.recorded} == {"olga"}


async def test_a_list_through_the_service_tells_the_last_use(site: Site, desk: Path) -> None:
    sha256 = token_hash(site.tokens["pipeline"])
    site.used[proof_of_token(sha256)] = Instant(1_700_000_000_000_000)
    lines = (await typed(desk, "caller", "list", *AS)).out.splitlines()
    assert lines[0].split() == ["ID", "OWNERS", "CREDENTIALS", "LAST", "USED"]
    assert lines[4] == "pipeline  alice    1            2023-11-14 22:13:20 UTC"
    assert lines[1].endswith("never seen")
    shown = (await typed(desk, "caller", "show", "pipeline", *AS)).out
    assert f"token        {sha256[:12]}  last used 2023-11-14 22:13:20 UTC" in shown


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("person rotate olga", "admin.own_subject"),
        ("person add alice --name A", "directory.duplicate_id"),
        ("person add zoe --name Z --replace", "directory.not_registered"),
        ("person show oscar", "directory.not_registered"),
        ("person remove oscar", "admin.not_found"),
        ("person list --tenant other", "register.tenant"),
        ("caller revoke pipeline --all", "register.on_host_only"),
        ("caller add x --owner nobody --resource t:*", "directory.unknown_person"),
    ],
)
async def test_what_the_service_refuses_is_one_sentence_and_a_remedy(
    site: Site, desk: Path, words: str, code: str
) -> None:
    before = site.bytes()
    refused = await typed(desk, *words.split(), *AS)
    assert refused.code == 1
    assert f"[{code}]" in refused.err
    assert site.bytes() == before
