"""Refused calls of operators are on record, and their new credentials wait."""

from __future__ import annotations

import pytest

from countersign.audit.story import story
from countersign.flow import operators
from countersign.model import PersonId
from simulators.world import BOB, TENANT, World


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path)
    yield made
    await made.close()


async def test_who_is_kept_from_changing_the_registers_is_on_record(world):
    subject = {"kind": "caller", "id": "agent"}
    await operators.refused(world.store, BOB, "PutCaller", subject, "admin.own_subject")
    await operators.refused(world.store, BOB, "ListPeople", None, "admin.not_operator")
    first, second = await world.records()
    assert first["kind"] == "admin.refused"
    assert first["change"] == {
        "by": "bob",
        "verb": "PutCaller",
        "code": "admin.own_subject",
        "subject": subject,
    }
    assert "subject" not in second["change"]
    told = story([{**first, "review": "rev_1"}], "rev_1").text()
    assert "bob was kept from PutCaller" in told
    assert "of: caller agent" in told


async def test_a_new_credential_of_an_operator_waits_like_any_other(world):
    book = {PersonId("bob"): {"token:old"}}
    await world.store.apply(lambda tx: tx.put_proofs(TENANT, book))
    book = {PersonId("bob"): {"token:old", "token:new"}}
    await world.store.apply(lambda tx: tx.put_proofs(TENANT, book))
    assert await operators.too_new(world.store, 600, BOB, "token:old") is None
    assert (await operators.too_new(world.store, 600, BOB, "token:new")).startswith("from 20")
    assert await operators.too_new(world.store, 600, BOB, "token:unknown") == "later"
    assert await operators.too_new(world.store, 0, BOB, "token:unknown") is None
    world.clock.advance(600)
    assert await operators.too_new(world.store, 600, BOB, "token:new") is None
