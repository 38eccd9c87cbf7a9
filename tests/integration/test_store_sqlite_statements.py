"""What a call costs, in SQL statements: no more than it must, whoever asks."""

from __future__ import annotations

import dataclasses

import pytest

from countersign.model import (
    CallerId,
    DecisionId,
    Effect,
    Instant,
    Reason,
    RecordRef,
    ReviewState,
    TenantId,
)
from countersign.store.protocol import Decision, RequestKey, StoredAnswer
from countersign.store.sqlite import MAX_NOTED, SqliteStore
from statements import counted

ACME, OTHER = TenantId("acme"), TenantId("other")
COMMIT = {"BEGIN IMMEDIATE": 1, "COMMIT": 1}
WRITE = COMMIT | {"SAVEPOINT command": 1, "RELEASE command": 1, "set_clock": 1}


@pytest.fixture
async def store(tmp_path):
    store = await SqliteStore.open(tmp_path / "store.db", log_id_of=lambda tenant: tenant)
    await store.apply(lambda tx: tx.append(ACME, {"kind": "first"}))
    yield store
    await store.close()


def a_decision(n: int, record: RecordRef, at: Instant) -> Decision:
    return Decision(
        tenant=ACME,
        id=DecisionId(f"dec_{n}"),
        caller=CallerId("agent"),
        method="check",
        action="it's ?1 -- odd",
        effect=Effect.ALLOW,
        reasons=(Reason(code="a.b", message="line\nbreak; 'quoted'"),),
        retryable=False,
        policy_revision="p",
        commitment="c",
        salt=b"s",
        review=None,
        permit=None,
        record=record,
        at=at,
    )


async def test_statements_are_counted_by_name_on_every_connection(store):
    with counted(store) as statements:
        await store.review(ACME, "rev_1")
        await store.review(ACME, "rev_2")
        await store.reviews(ACME, [ReviewState.PENDING], after="", limit=5)
        await store.apply(lambda tx: tx.review(ACME, "rev_1"))
        await store.recent(ACME, "agent", "db.export")
    assert statements == COMMIT | {"review": 3, "reviews_first": 1}
    await store.review(ACME, "rev_1")
    assert statements["review"] == 3, "it watches no longer than asked"


async def test_a_check_is_five_rows_in_one_transaction(store):
    key = RequestKey(tenant=ACME, subject="caller:agent", method="check", request_id="r'1")

    def check(tx):
        tx.answer(key)
        ref = tx.append(ACME, {"kind": "decision"})
        decision = a_decision(1, ref, tx.now)
        tx.put_decision(decision)
        tx.remember(key, StoredAnswer(content_mac="m", body={"said": "yes"}))

    with counted(store) as statements:
        await store.apply(check)
    once = ("answer", "log", "put_decision", "remember", "set_log_size", "append_record")
    assert statements == WRITE | dict.fromkeys(once, 1)


async def test_another_tenants_id_costs_what_no_id_costs(store):
    ref = await store.apply(lambda tx: tx.append(ACME, {}))
    await store.apply(lambda tx: tx.put_decision(a_decision(1, ref, tx.now)))

    def cost(id):
        def read(tx):
            assert tx.decision(OTHER, id) is None
            assert tx.delegation(OTHER, id) is None
            assert tx.proof_since(OTHER, id, id) is None

        return read

    with counted(store) as theirs:
        await store.apply(cost("dec_1"))
    with counted(store) as nobodys:
        await store.apply(cost("dec_9"))
    assert theirs == nobodys


async def test_taking_over_the_same_proofs_again_writes_nothing(store):
    people = {f"person_{n}": [f"proof_{n}", f"other_{n}"] for n in range(300)}
    await store.apply(lambda tx: tx.put_proofs(ACME, people))
    connection = store._commits._engine._connection
    before = connection.total_changes
    with counted(store) as statements:
        await store.apply(lambda tx: tx.put_proofs(ACME, people))
    assert connection.total_changes == before
    assert statements["proofs"] == 1
    assert sum(statements.values()) <= 6, "however many people there are"
    changed = people | {"person_7": ["proof_7", "new"]}
    with counted(store) as statements:
        await store.apply(lambda tx: tx.put_proofs(ACME, changed))
    assert (statements["add_proof"], statements["forget_proof"]) == (1, 1)


async def test_uses_are_noted_in_one_commit_without_a_record(store):
    used = {(ACME, f"p{n}"): Instant(n) for n in range(50)}
    size = (await store.log_state(ACME)).size
    with counted(store) as statements:
        await store.note_used(used)
    assert statements == WRITE | {"note_used": 50}
    with counted(store) as statements:
        await store.note_used({})
    assert statements == {}
    assert (await store.log_state(ACME)).size == size


async def test_very_many_uses_let_others_in_between(store):
    used = {(ACME, f"p{n}"): Instant(n) for n in range(2 * MAX_NOTED + 1)}
    with counted(store) as statements:
        await store.note_used(used)
    assert statements["COMMIT"] == 3


async def test_recent_and_replacing_never_read_the_decisions(store):
    ref = await store.apply(lambda tx: tx.append(ACME, {}))
    decision = a_decision(1, ref, store.now())
    await store.apply(lambda tx: tx.put_decision(decision))
    with counted(store) as statements:
        await store.recent(ACME, "agent", decision.action)
        await store.apply(lambda tx: tx.put_decision(dataclasses.replace(decision, salt=None)))
    assert statements["decisions_since"] == 0
    assert statements["replace_decision"] == 1
