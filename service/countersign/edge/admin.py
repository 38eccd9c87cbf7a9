"""The `Admin` service: what operators register and activate. Translates, and asks who may.

Invariants kept: 6 (an operator changes nothing that bears on what they ask for,
see `independence`), 12 (everything is within the operator's own tenant; another
tenant's subject looks like none at all). A change is recorded with its maker and
in force when the call returns, and a token stands in one answer and nowhere else.
What one tenant registers and has done at once is bounded: the files are everybody's.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from countersign.credentials import SubjectKind
from countersign.directory import Directory
from countersign.edge import registrations
from countersign.edge.authentication import as_person
from countersign.edge.independence import Act, Independence, require_operator
from countersign.edge.policy import PolicyVerbs
from countersign.edge.room import Places, require_room
from countersign.edge.rpc import Call, Rpc, Unary
from countersign.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    PreconditionError,
    RequestError,
    UnavailableError,
)
from countersign.model import Caller, Instant, Person, TenantId
from countersign.registry import Judge, Registers, Registry, Subject, Who
from countersign.v1 import admin_pb2

T = TypeVar("T")
LastUsed: TypeAlias = Callable[[TenantId], Awaitable[Mapping[str, Instant]]]
TooNew: TypeAlias = Callable[[Person, str], Awaitable[str | None]]
"""From when on a person's proof counts, in words; None when it does now."""
OnRefused: TypeAlias = Callable[[Person, str, Who | None, str], Awaitable[None]]
"""Told whose call of which verb, about whom, was refused with which code."""
WaysIn: TypeAlias = Callable[[str], list[admin_pb2.CredentialInfo]]
_FIELDS: Final = {
    "directory.unknown_parent": ".parent",
    "directory.parent_cycle": ".parent",
    "directory.parent_depth": ".parent",
}


async def _old_enough(_person: Person, _proof: str) -> str | None:
    return None


async def _untold(_person: Person, _verb: str, _who: Who | None, _code: str) -> None:
    pass


class Admin:
    """The verbs of `countersign.v1.Admin`, for the members of `groups`."""

    def __init__(
        self,
        registry: Registry,
        registers: Registers,
        *,
        groups: Collection[str],
        last_used: LastUsed,
        too_new: TooNew = _old_enough,
        on_refused: OnRefused = _untold,
        policy: PolicyVerbs | None = None,
    ) -> None:
        """`last_used` says when each proof of a tenant was last used.

        `too_new` says whether a person's proof has yet to wait before it counts, and
        `on_refused` is told of each call that was not permitted.
        """
        self._registry = registry
        # The registry waits for other editors, and lets others look meanwhile.
        self._registers = dataclasses.replace(registers, wait_s=0)
        self._too_new = too_new
        self._on_refused = on_refused
        self._places = Places()
        self._groups = frozenset(groups)
        self._last_used = last_used
        self._policy = policy

    def handlers(self, rpc: Rpc) -> grpc.GenericRpcHandler:
        """The service's gRPC handlers."""
        verbs: dict[str, tuple[type[Message], Callable[..., Awaitable[Message]]]] = {
            "ListCallers": (admin_pb2.ListCallersRequest, self.list_callers),
            "PutCaller": (admin_pb2.PutCallerRequest, self.put_caller),
            "ListPeople": (admin_pb2.ListPeopleRequest, self.list_people),
            "PutPerson": (admin_pb2.PutPersonRequest, self.put_person),
            "ListChannels": (admin_pb2.ListChannelsRequest, self.list_channels),
            "PutChannel": (admin_pb2.PutChannelRequest, self.put_channel),
            "RemoveSubject": (admin_pb2.RemoveSubjectRequest, self.remove_subject),
            "RotateToken": (admin_pb2.RotateTokenRequest, self.rotate_token),
            "RevokeTokens": (admin_pb2.RevokeTokensRequest, self.revoke_tokens),
        }
        if self._policy is not None:
            verbs |= {
                "PolicyStatus": (admin_pb2.PolicyStatusRequest, self._policy.status),
                "ActivatePolicy": (admin_pb2.ActivatePolicyRequest, self._policy.activate),
                "RollbackPolicy": (admin_pb2.RollbackPolicyRequest, self._policy.roll_back),
            }
        return rpc.service(
            "countersign.v1.Admin",
            {
                name: Unary(request=request, role=as_person, verb=self._judged(name, verb))
                for name, (request, verb) in verbs.items()
            },
        )

    def _judged(
        self, name: str, verb: Callable[..., Awaitable[Message]]
    ) -> Callable[[Call[Person], Message], Awaitable[Message]]:
        """A verb for operators alone; whoever may not is told of."""

        async def judged(call: Call[Person], message: Message) -> Message:
            try:
                await self._require_operator(call)
                return await verb(call, message)
            except NotPermittedError as error:
                who = registrations.about(call.subject.tenant, message)
                await self._on_refused(call.subject, name, who, error.code)
                raise

        return judged

    # --- who is registered ---

    async def list_callers(
        self, call: Call[Person], _: admin_pb2.ListCallersRequest
    ) -> admin_pb2.ListCallersResponse:
        """ListCallers."""

        def told(directory: Directory, ways_in: WaysIn) -> admin_pb2.ListCallersResponse:
            return admin_pb2.ListCallersResponse(
                callers=[
                    registrations.caller_entry(caller, ways_in(caller.id))
                    for caller in directory.callers(call.subject.tenant)
                ]
            )

        return await self._listing(call, SubjectKind.CALLER, told)

    async def list_people(
        self, call: Call[Person], _: admin_pb2.ListPeopleRequest
    ) -> admin_pb2.ListPeopleResponse:
        """ListPeople."""

        def told(directory: Directory, ways_in: WaysIn) -> admin_pb2.ListPeopleResponse:
            return admin_pb2.ListPeopleResponse(
                people=[
                    registrations.person_entry(person, ways_in(person.id))
                    for person in directory.people(call.subject.tenant)
                ]
            )

        return await self._listing(call, SubjectKind.PERSON, told)

    async def list_channels(
        self, call: Call[Person], _: admin_pb2.ListChannelsRequest
    ) -> admin_pb2.ListChannelsResponse:
        """ListChannels."""

        def told(directory: Directory, ways_in: WaysIn) -> admin_pb2.ListChannelsResponse:
            return admin_pb2.ListChannelsResponse(
                channels=[
                    registrations.channel_entry(channel, ways_in(channel.id))
                    for channel in directory.channels(call.subject.tenant)
                ]
            )

        return await self._listing(call, SubjectKind.CHANNEL, told)

    async def _listing(
        self, call: Call[Person], kind: SubjectKind, told: Callable[[Directory, WaysIn], T]
    ) -> T:
        """What is told of one snapshot, with every way in of its subjects by id."""
        tenant = call.subject.tenant
        with self._places.one(tenant):
            last_used = await self._last_used(tenant)
            directory = self._registry.current

            def ways_in(id: str) -> list[admin_pb2.CredentialInfo]:
                found = directory.credentials(tenant, kind, id)
                return [registrations.credential(way, last_used) for way in found]

            return await asyncio.to_thread(told, directory, ways_in)

    # --- changes ---

    async def put_caller(
        self, call: Call[Person], message: admin_pb2.PutCallerRequest
    ) -> admin_pb2.PutCallerResponse:
        """PutCaller."""
        registrations.known_only(message)
        caller = registrations.caller(call.subject.tenant, message.caller)
        _require_known(caller, self._registry.current)
        return admin_pb2.PutCallerResponse(token=await self._put(call, caller))

    async def put_person(
        self, call: Call[Person], message: admin_pb2.PutPersonRequest
    ) -> admin_pb2.PutPersonResponse:
        """PutPerson."""
        registrations.known_only(message)
        person = registrations.person(call.subject.tenant, message.person)
        return admin_pb2.PutPersonResponse(token=await self._put(call, person))

    async def put_channel(
        self, call: Call[Person], message: admin_pb2.PutChannelRequest
    ) -> admin_pb2.PutChannelResponse:
        """PutChannel."""
        registrations.known_only(message)
        channel = registrations.channel(call.subject.tenant, message.channel)
        return admin_pb2.PutChannelResponse(token=await self._put(call, channel))

    async def _put(self, call: Call[Person], subject: Subject) -> str:
        def put(judge: Judge) -> str | None:
            return self._registers.put(subject, maker=call.subject.id, judge=judge)

        return await self._change(call, Act.PUT, Who.of(subject), put) or ""

    async def remove_subject(
        self, call: Call[Person], message: admin_pb2.RemoveSubjectRequest
    ) -> admin_pb2.RemoveSubjectResponse:
        """RemoveSubject."""
        who = self._who(call, message)
        await self._change(
            call, Act.REMOVE, who, lambda judge: self._registers.remove(who, judge=judge)
        )
        return admin_pb2.RemoveSubjectResponse()

    async def rotate_token(
        self, call: Call[Person], message: admin_pb2.RotateTokenRequest
    ) -> admin_pb2.RotateTokenResponse:
        """RotateToken."""
        who = self._who(call, message)

        def rotate(judge: Judge) -> str:
            return self._registers.rotate(who, maker=call.subject.id, judge=judge)

        return admin_pb2.RotateTokenResponse(
            token=await self._change(call, Act.ROTATE, who, rotate)
        )

    async def revoke_tokens(
        self, call: Call[Person], message: admin_pb2.RevokeTokensRequest
    ) -> admin_pb2.RevokeTokensResponse:
        """RevokeTokens."""
        who = self._who(call, message)
        name = registrations.token_name(message.name)

        def revoke(judge: Judge) -> tuple[str, ...]:
            return self._registers.revoke(who, name, judge=judge)

        return admin_pb2.RevokeTokensResponse(
            revoked=await self._change(call, Act.REVOKE, who, revoke)
        )

    async def _change(
        self, call: Call[Person], act: Act, who: Who, change: Callable[[Judge], T]
    ) -> T:
        """One change: judged against the registers as they are, recorded, in force."""
        independence = Independence(operator=call.subject, proof=call.proof, groups=self._groups)
        independence.require_not_self(who)

        def judge(old: Directory, new: Directory) -> None:
            independence.require(act, who, old, new)
            if act is Act.PUT:
                require_room(who.tenant, old, new)

        try:
            with self._places.one(who.tenant):
                return await self._registry.edit(change, call.subject.id, judge)
        except ConfigurationError as error:
            raise _refusal(error, who.kind) from None

    async def _require_operator(self, call: Call[Person]) -> None:
        """Raises `NotPermittedError` unless an operator calls, and nobody else could be it."""
        require_operator(call.subject, call.proof, self._registry.current, self._groups)
        until = await self._too_new(call.subject, call.proof)
        if until is not None:
            raise NotPermittedError(
                "admin.account_too_new",
                f"the account or credential is new here; it counts {until}",
                advice="Until then use an older one, or ask another operator.",
            )

    def _who(
        self,
        call: Call[Person],
        message: (
            admin_pb2.RemoveSubjectRequest
            | admin_pb2.RotateTokenRequest
            | admin_pb2.RevokeTokensRequest
        ),
    ) -> Who:
        """Whom a change is about: always somebody of the operator's own tenant."""
        registrations.known_only(message)
        return Who(
            tenant=call.subject.tenant,
            kind=registrations.kind(message.kind),
            id=registrations.subject_id(message.id),
        )


def _require_known(caller: Caller, directory: Directory) -> None:
    """Whom a caller names must be registered; the register is asked again when it changes."""
    for field, people in (("owners", caller.owners), ("users", caller.users)):
        for number, person in enumerate(people):
            if directory.person(caller.tenant, person) is None:
                raise InvalidRequestError(
                    f"caller.{field}[{number}]",
                    "is not a registered person",
                    code="directory.unknown_person",
                )


def _refusal(error: ConfigurationError, kind: SubjectKind) -> RequestError:
    """What the registers refuse, without a word about the files they are in."""
    code = error.code
    if code == "directory.not_registered":
        return NotFoundError("admin.not_found", f"no such {kind} is registered")
    if code == "directory.unknown_token":
        return NotFoundError("admin.not_found", f"the {kind} has no token of this name")
    if code in ("directory.too_many_tokens", "directory.last_credential"):
        return PreconditionError(code, error.message, advice=error.advice)
    if code == "directory.held":
        return UnavailableError("admin.registers_held", error.message, advice=error.advice)
    if code in ("directory.unwritable", "directory.unreadable"):
        return UnavailableError(
            "admin.unwritable",
            "the server cannot change its registers",
            advice="Whoever runs it must let it write them and their directory.",
        )
    if code in ("directory.invalid_file", "directory.unspliceable"):
        return PreconditionError(
            "admin.by_hand",
            "the register is written in a way that cannot be changed by call",
            advice="Whoever runs the server can change it by hand.",
        )
    return InvalidRequestError(f"{kind}{_FIELDS.get(code, '')}", error.message, code=code)
