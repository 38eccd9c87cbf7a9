"""Idempotency: the same request id gets the same answer (invariant 5).

Used by every verb that writes. The check stands inside the transaction, so of
two concurrent duplicates one commits and the other finds its answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

from countersign import canonical
from countersign.errors import PreconditionError
from countersign.flow.parts import Parts
from countersign.model import Caller, JsonObject, Person
from countersign.store.protocol import RequestKey, StoredAnswer, Transaction

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Named(Generic[T]):
    """A command with a name, so that a backend can say which one it committed."""

    name: str
    run: Callable[[Transaction], T]

    def __call__(self, transaction: Transaction) -> T:
        return self.run(transaction)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as its sender identifies it, bound to its content."""

    key: RequestKey | None
    """None: the sender asked for no idempotency."""
    content_mac: str
    shown: str = ""
    """The id as records show it: it is the sender's own word."""

    @classmethod
    def of(
        cls, parts: Parts, subject: Caller | Person, method: str, id: str, *content: bytes
    ) -> Request:
        """A request of `subject` with that id and content."""
        if not id:
            return cls(key=None, content_mac="")
        kind = "caller" if isinstance(subject, Caller) else "person"
        key = RequestKey(
            tenant=subject.tenant,
            subject=f"{kind}:{subject.id}",
            method=method,
            request_id=canonical.keyed_hash(parts.store.key, "request/id", id.encode()),
        )
        mac = canonical.keyed_hash(parts.store.key, f"request/{method}", *content)
        return cls(key=key, content_mac=mac, shown=parts.sanitizer.reference(id))

    @property
    def record(self) -> JsonObject:
        """What records say of the request."""
        if self.key is None:
            return {}
        return {"id": self.shown, "method": self.key.method}

    def replayed(self, transaction: Transaction) -> JsonObject | None:
        """What was answered to this request before, if anything.

        Raises `PreconditionError` when the id was used for other content.
        """
        if self.key is None:
            return None
        stored = transaction.answer(self.key)
        if stored is None:
            return None
        if stored.content_mac != self.content_mac:
            raise PreconditionError(
                "request_id.reused",
                "request_id: was used before for different content",
                advice="Make a new request_id for every new request.",
            )
        return stored.body

    def remember(self, transaction: Transaction, body: JsonObject) -> None:
        """File the answer under the request id, if there is one."""
        if self.key is not None:
            answer = StoredAnswer(content_mac=self.content_mac, body=body)
            transaction.remember(self.key, answer)
