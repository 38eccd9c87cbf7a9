"""Who is calling: a bearer token, a JWT of a trusted issuer, or a client certificate.

The tenant comes from the credential and from nothing else (invariant 12). An
unknown credential is refused with one answer, whatever is wrong with it. A
person's credential that a machine got hold of as its own client is no person's
(invariant 7). Nothing is remembered between calls but when a credential was
last used: a registration or a key that is withdrawn counts no longer at once,
and verifying a JWT anew costs 40 to 90 µs.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import grpc

from countersign.credentials import (
    SubjectKind,
    proof_of_account,
    proof_of_mtls,
    proof_of_token,
    token_hash,
    token_kind,
)
from countersign.directory import Directory
from countersign.edge.evidence import TokenVerifier
from countersign.errors import NotPermittedError, UnauthenticatedError, UnavailableError
from countersign.model import SECOND_US, Caller, Channel, Instant, Person, PersonId, TenantId
from countersign.tokens import TokenError, TokenUse, VerifiedToken

Subject: TypeAlias = Caller | Person | Channel
_SCHEME: Final = "bearer "
MAX_TOKEN_CHARS: Final = 8_192
"""As much as gRPC takes for all metadata together, unless told otherwise."""
MAX_USED: Final = 100_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """A subject, and by what it proved itself; see `credentials.proof_of_token`."""

    subject: Subject
    proof: str
    made_by: PersonId | None = None
    """Who was shown the token when it was made, as the register said at this moment."""


class Authenticator:
    """Finds the subject of a call in the current directory."""

    def __init__(
        self,
        directory: Callable[[], Directory],
        issuers: TokenVerifier | None = None,
        now_s: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        """`now_s`: seconds since 1970. Without issuers no JWT is a credential."""
        self._directory = directory
        self._issuers = issuers
        self._now_s = now_s
        self._used_s: dict[tuple[TenantId, str], int] = {}

    async def subject(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> Authenticated:
        """The caller, person or channel behind a call.

        Raises `UnauthenticatedError`, and `UnavailableError` when the keys of a
        JWT's issuer are not at hand.
        """
        token = _token(context)
        if token is None:
            found = self._by_certificate(context)
        elif kind := token_kind(token):
            found = self._by_token(kind, token_hash(token))
        elif token.count(".") == 2:
            found = await self._by_jwt(token)
        else:
            found = None
        if found is None:
            raise UnauthenticatedError(
                "credential.unknown",
                "authorization: no valid credential was given",
                advice="Send `authorization: Bearer <token>` of somebody registered; `countersign "
                "caller add`, `person add` and `channel add` make one, `rotate` another.",
            )
        made_by = self._directory().shown_to(found.subject.tenant, found.proof)
        if made_by is not None:
            found = dataclasses.replace(found, made_by=made_by)
        key, used_s = (found.subject.tenant, found.proof), self._used_s
        if len(used_s) < MAX_USED or key in used_s:
            used_s[key] = self._now_s()
        return found

    def drain_used(self) -> Mapping[tuple[TenantId, str], Instant]:
        """When each proof was last used since this was last asked. At most `MAX_USED`."""
        used_s, self._used_s = self._used_s, {}
        return {key: Instant(at_s * SECOND_US) for key, at_s in used_s.items()}

    def _by_token(self, kind: SubjectKind, sha256_hex: str) -> Authenticated | None:
        directory = self._directory()
        found: Subject | None
        if kind is SubjectKind.CALLER:
            found = directory.caller_by_token(sha256_hex)
        elif kind is SubjectKind.PERSON:
            found = directory.person_by_token(sha256_hex)
        else:
            found = directory.channel_by_token(sha256_hex)
        if found is None:
            return None
        return Authenticated(subject=found, proof=proof_of_token(sha256_hex))

    async def _by_jwt(self, token: str) -> Authenticated | None:
        """A machine's token is never a person's: an audience makes it one or the other."""
        found: Subject | None
        said = await self._verified(token, TokenUse.CALLER)
        if said is not None:
            found = self._directory().caller_by_login(said.issuer, said.subject, said.tenants)
        else:
            said = await self._verified(token, TokenUse.PERSON)
            found = None if said is None else _person(self._directory(), said)
        if said is None or found is None:
            return None
        return Authenticated(subject=found, proof=proof_of_account(said.issuer, said.subject))

    async def _verified(self, token: str, use: TokenUse) -> VerifiedToken | None:
        if self._issuers is None:
            return None
        try:
            return await self._issuers.verify(token, use, now_s=self._now_s())
        except TokenError as error:
            if error.retryable:
                raise UnavailableError(
                    error.code, f"authorization: {error.message}", advice=error.advice
                ) from None
            return None

    def _by_certificate(
        self, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> Authenticated | None:
        """Whose subject alternative name it is: nobody's, if the names are several subjects'."""
        peer = context.auth_context()
        if not peer.get("transport_security_type"):
            return None
        directory = self._directory()
        known: list[Authenticated] = []
        for raw in peer.get("x509_subject_alternative_name", ()):
            name = raw.decode("utf-8", "replace")
            found = (
                directory.caller_by_mtls(name)
                or directory.person_by_mtls(name)
                or directory.channel_by_mtls(name)
            )
            if found and all(found is not other.subject for other in known):
                known.append(Authenticated(subject=found, proof=proof_of_mtls(name)))
        return known[0] if len(known) == 1 else None


def as_caller(subject: Subject) -> Caller:
    """Only machines ask. Raises `NotPermittedError` for a person or channel."""
    if isinstance(subject, Caller):
        return subject
    is_person = isinstance(subject, Person)
    who = "person" if is_person else "channel"
    raise NotPermittedError(
        "person.not_a_caller" if is_person else "channel.not_a_caller",
        f"a {who}'s credential is for deciding; it cannot ask or claim",
        advice="Use a caller's credential: `countersign caller add`.",
    )


def as_reader(subject: Subject) -> Person | Channel:
    """Only people decide, by their own credential or through a channel (invariant 7).

    Raises `NotPermittedError` for a machine.
    """
    if not isinstance(subject, Caller):
        return subject
    raise _not_a_person("caller.not_a_person", "a machine's credential has no verb that decides")


def as_person(subject: Subject) -> Person:
    """Only a person's own credential does this. Raises `NotPermittedError` for any other."""
    if isinstance(subject, Person):
        return subject
    if isinstance(subject, Caller):
        raise _not_a_person(
            "caller.not_a_person", "a machine's credential has no verb that decides"
        )
    raise _not_a_person(
        "channel.not_a_person", "this needs a person's own credential, not a channel's word"
    )


def as_channel(subject: Subject) -> Channel:
    """Only bots deliver. Raises `NotPermittedError` for a person or machine."""
    if isinstance(subject, Channel):
        return subject
    is_person = isinstance(subject, Person)
    raise NotPermittedError(
        "person.not_a_channel" if is_person else "caller.not_a_channel",
        f"a {'person' if is_person else 'machine'}'s credential delivers no cards",
        advice="Use a channel's credential: `countersign channel add`.",
    )


def _not_a_person(code: str, problem: str) -> NotPermittedError:
    return NotPermittedError(
        code,
        f"{problem}; a person must do this",
        advice="Use the credential of a registered person: `countersign person add`.",
    )


def _person(directory: Directory, said: VerifiedToken) -> Person | None:
    """Whose own credential a token is. One issued to a caller's client is a machine's."""
    if any(directory.is_client(tenant, said.client) for tenant in said.tenants):
        return None
    return directory.person_by_login(said.issuer, said.subject, said.tenants)


def _token(context: grpc.aio.ServicerContext[bytes, bytes]) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            text = value if isinstance(value, str) else ""
            if text[: len(_SCHEME)].lower() != _SCHEME or len(text) > MAX_TOKEN_CHARS:
                return ""
            return text[len(_SCHEME) :]
    return None
