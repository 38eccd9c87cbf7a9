"""Who is calling: a bearer token or the subject of a client certificate.

The tenant comes from the credential and from nothing else (invariant 12). An
unknown credential is refused with one answer, whatever is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import grpc

from countersign.credentials import SubjectKind, token_hash, token_kind
from countersign.directory import Directory
from countersign.errors import NotPermittedError, UnauthenticatedError
from countersign.model import Caller, Person

_SCHEME: Final = "bearer "
MAX_TOKEN_CHARS: Final = 512


class Authenticator:
    """Finds the subject of a call in the current directory."""

    def __init__(self, directory: Callable[[], Directory]) -> None:
        self._directory = directory

    def subject(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> Caller | Person:
        """The caller or person behind a call. Raises `UnauthenticatedError`."""
        directory = self._directory()
        token = _token(context)
        found: Caller | Person | None
        if token is not None:
            kind = token_kind(token)
            if kind is SubjectKind.CALLER:
                found = directory.caller_by_token(token_hash(token))
            elif kind is SubjectKind.PERSON:
                found = directory.person_by_token(token_hash(token))
            else:
                found = None
        else:
            found = _by_certificate(directory, context)
        if found is None:
            raise UnauthenticatedError(
                "credential.unknown",
                "authorization: no valid credential was given",
                advice="Send `authorization: Bearer <token>` of a registered caller or person; "
                "`countersign caller add` and `countersign person add` make one.",
            )
        return found


def as_caller(subject: Caller | Person) -> Caller:
    """Only machines ask. Raises `NotPermittedError` for a person."""
    if isinstance(subject, Caller):
        return subject
    raise NotPermittedError(
        "person.not_a_caller",
        "a person's credential decides; it cannot ask or claim",
        advice="Use a caller's credential: `countersign caller add`.",
    )


def as_person(subject: Caller | Person) -> Person:
    """Only people decide (invariant 7). Raises `NotPermittedError` for a machine."""
    if isinstance(subject, Person):
        return subject
    raise NotPermittedError(
        "caller.not_a_person",
        "a machine's credential has no verb that decides; a person must do this",
        advice="Use the credential of a registered person: `countersign person add`.",
    )


def _token(context: grpc.aio.ServicerContext[bytes, bytes]) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            text = value if isinstance(value, str) else ""
            if text[: len(_SCHEME)].lower() != _SCHEME or len(text) > MAX_TOKEN_CHARS:
                return ""
            return text[len(_SCHEME) :].strip()
    return None


def _by_certificate(
    directory: Directory, context: grpc.aio.ServicerContext[bytes, bytes]
) -> Caller | Person | None:
    peer = context.auth_context()
    if not peer.get("transport_security_type"):
        return None
    names = (*peer.get("x509_subject_alternative_name", ()), *peer.get("x509_common_name", ()))
    for raw in names:
        subject = raw.decode("utf-8", "replace")
        found = directory.caller_by_mtls(subject) or directory.person_by_mtls(subject)
        if found:
            return found
    return None
