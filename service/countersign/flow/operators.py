"""What the flow does for operators: doubt new credentials, and record what was refused.

Their changes themselves are the registry's; `notices` records those.
"""

from __future__ import annotations

from countersign.flow.gate import counts_from
from countersign.flow.notices import notice
from countersign.flow.request import Named
from countersign.model import JsonObject, Person
from countersign.store.protocol import Store, Transaction


async def too_new(store: Store, wait_s: int, person: Person, proof: str) -> str | None:
    """From when this person's proof counts, in words; None when it does already."""
    if not wait_s:
        return None

    def look(tx: Transaction) -> str | None:
        return counts_from(wait_s, tx, person.tenant, person.id, proof)

    return await store.apply(Named(name="admin", run=look))


async def refused(
    store: Store, person: Person, verb: str, subject: JsonObject | None, code: str
) -> None:
    """Record that somebody was kept from changing the registers, as refused votes are."""
    change: JsonObject = {"by": person.id, "verb": verb, "code": code}
    if subject is not None:
        change["subject"] = subject
    await notice(store, "admin.refused", {person.tenant: change})
