"""Credentials: each proves exactly one registered subject."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from countersign.credentials import (
    SubjectKind,
    proof_of_account,
    proof_of_mtls,
    proof_of_token,
)
from countersign.enrolment.names import check_plain, subject_name
from countersign.enrolment.values import EMPTY, Book, Login, LoginKey
from countersign.errors import ConfigurationError
from countersign.model import Account, TenantId

_TOKEN_HASH: Final = re.compile(r"[0-9a-f]{64}")
TOKEN_NAME_CHARS: Final = 12


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CredentialName:
    """One way in, without its secret."""

    kind: str
    """`token`, `mtls` or `jwt`."""
    name: str
    """The start of the token's hash, the certificate's subject, or issuer and subject."""
    proof: str


def logins(given: Iterable[Login], books: Mapping[TenantId, Book]) -> dict[LoginKey, Login]:
    """Check and index credentials. Raises `ConfigurationError`.

    Tokens and certificates are one subject's everywhere. An issuer's account may
    be known to several tenants, who must not learn of each other here: within
    each it is one subject's, and which tenants an issuer speaks for is settled
    with the issuer.
    """
    found: dict[LoginKey, Login] = {}
    taken: dict[tuple[str, ...], str] = {}
    for tenant, book in books.items():
        for account, person in book.accounts.items():
            me = subject_name(SubjectKind.PERSON, tenant, person)
            taken["jwt", tenant, account.issuer, account.subject] = me
    for login in given:
        key = (login.tenant, login.kind, login.subject)
        if login.subject not in _ids(books.get(login.tenant, EMPTY), login.kind) or key in found:
            raise ConfigurationError(
                "directory.unknown_subject",
                f"a credential belongs to no {login.kind}, or to one that has its own already",
                advice="Give each registered subject one set of credentials.",
            )
        found[key] = login
        _check_login(login, taken)
    return found


def credential_names(login: Login, accounts: Iterable[Account]) -> Iterator[CredentialName]:
    """Every way in: by tokens, by certificate, and by accounts."""
    for sha256 in login.token_sha256:
        name, proof = sha256[:TOKEN_NAME_CHARS], proof_of_token(sha256)
        yield CredentialName(kind="token", name=name, proof=proof)
    if login.mtls_subject is not None:
        proof = proof_of_mtls(login.mtls_subject)
        yield CredentialName(kind="mtls", name=login.mtls_subject, proof=proof)
    for account in accounts:
        name = f"{account.issuer} {account.subject}"
        proof = proof_of_account(account.issuer, account.subject)
        yield CredentialName(kind="jwt", name=name, proof=proof)


def _ids(book: Book, kind: SubjectKind) -> Collection[str]:
    if kind is SubjectKind.CALLER:
        return book.callers
    return book.people if kind is SubjectKind.PERSON else book.channels


def _check_login(login: Login, taken: dict[tuple[str, ...], str]) -> None:
    """One subject's credentials. Kinds share `taken`: nobody is two subjects."""
    me = subject_name(login.kind, login.tenant, login.subject)
    if not all(map(_TOKEN_HASH.fullmatch, login.token_sha256)):
        raise ConfigurationError(
            "directory.invalid_token_hash",
            f"{me}: token_sha256 must hold 64 lower-case hex digits each",
            advice="Give the SHA-256 of a whole token, never the token itself.",
        )
    if login.mtls_subject is not None:
        check_plain(f"{me}: mtls_subject", login.mtls_subject)
    for index, account in enumerate(login.jwt):
        check_plain(f"{me}: jwt[{index}].issuer", account.issuer)
        check_plain(f"{me}: jwt[{index}].subject", account.subject)
    for proof in _proofs(login):
        them = taken.setdefault(proof, me)
        if them != me:
            raise ConfigurationError(
                "directory.duplicate_credential",
                f"{me} and {them} have the same {proof[0]} credential",
                advice="Issue a new credential to one of them and remove the shared one.",
            )


def _proofs(login: Login) -> Iterator[tuple[str, ...]]:
    for sha256 in login.token_sha256:
        yield "token", sha256
    if login.mtls_subject is not None:
        yield "mtls", login.mtls_subject
    for account in login.jwt:
        yield "jwt", login.tenant, account.issuer, account.subject
