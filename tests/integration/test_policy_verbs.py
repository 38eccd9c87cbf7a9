"""The `Admin` verbs about policy: for whom, and how a refusal is told."""

from __future__ import annotations

from typing import Any

import pytest

from countersign.edge.policy import PolicyVerbs
from countersign.edge.rpc import Call
from countersign.errors import (
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    PreconditionError,
    UnavailableError,
)
from countersign.model import Person, PersonId, TenantId
from countersign.policy.versions import Attempt, Result, Status
from countersign.v1 import admin_pb2 as pb


class Keeper:
    """Comes to what the test says."""

    def __init__(self) -> None:
        self.attempt = Attempt(result=Result.UNCHANGED, at_s=1.5)
        self.asked: list[tuple[str, ...]] = []
        self.only = False

    def status(self) -> Status:
        return Status(
            source="directory policy", active=None, attempt=self.attempt, held=False, kept=()
        )

    async def activate(self, by: str) -> Attempt:
        self.asked.append(("activate", by))
        return self.attempt

    async def choose(self, revision: str, by: str) -> Attempt:
        self.asked.append(("choose", revision, by))
        return self.attempt

    async def roll_back(self, revision: str, by: str) -> Attempt:
        self.asked.append(("roll_back", revision, by))
        if revision == "unknown" or (self.only and not revision):
            raise LookupError(revision)
        return self.attempt


async def _still() -> None:
    pass


def call(tenant: str = "default") -> Call[Person]:
    person = Person(tenant=TenantId(tenant), id=PersonId("olga"), name="Olga", groups=frozenset())
    return Call(
        subject=person,
        proof="p",
        made_by=None,
        deadline_s=5,
        trace="",
        still=_still,
        spend=lambda: None,
    )


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def verbs(keeper: Keeper) -> PolicyVerbs:
    return PolicyVerbs(keeper, TenantId("default"))


def asks(verbs: PolicyVerbs) -> list[tuple[Any, Any]]:
    return [
        (verbs.status, pb.PolicyStatusRequest()),
        (verbs.activate, pb.ActivatePolicyRequest()),
        (verbs.roll_back, pb.RollbackPolicyRequest()),
    ]


async def test_policy_is_for_the_operators_of_one_tenant(
    keeper: Keeper, verbs: PolicyVerbs
) -> None:
    for verb, message in asks(verbs):
        with pytest.raises(NotPermittedError) as caught:
            await verb(call("other"), message)
        assert caught.value.code == "policy.other_tenant"
    assert keeper.asked == []
    for verb, message in asks(verbs):
        await verb(call(), message)
    assert keeper.asked == [("activate", "olga"), ("roll_back", "", "olga")]


@pytest.mark.parametrize(
    ("result", "kind"), [(Result.REFUSED, PreconditionError), (Result.FAILED, UnavailableError)]
)
async def test_a_refusal_is_told_with_its_own_code_and_words(
    keeper: Keeper, verbs: PolicyVerbs, result: Result, kind: type[Exception]
) -> None:
    keeper.attempt = Attempt(
        result=result, at_s=1, code="policy.tests_failed", message="x" * 5000, advice="Mend it."
    )
    with pytest.raises(kind) as caught:
        await verbs.activate(call(), pb.ActivatePolicyRequest())
    error: Any = caught.value
    assert (error.code, error.advice) == ("policy.tests_failed", "Mend it.")
    assert len(error.message) < 2000  # it has to fit into the trailers of a call


async def test_a_version_that_is_not_kept_is_not_found(keeper: Keeper, verbs: PolicyVerbs) -> None:
    with pytest.raises(NotFoundError, match="no such version is kept here"):
        await verbs.roll_back(call(), pb.RollbackPolicyRequest(revision="unknown"))
    keeper.only = True
    with pytest.raises(NotFoundError, match="there is no version to go back to"):
        await verbs.roll_back(call(), pb.RollbackPolicyRequest())
    with pytest.raises(InvalidRequestError):
        await verbs.roll_back(call(), pb.RollbackPolicyRequest(revision="x" * 201))
    with pytest.raises(InvalidRequestError):
        await verbs.activate(call(), pb.ActivatePolicyRequest.FromString(b"\x7a\x01x"))


async def test_every_result_has_a_word_on_the_wire(keeper: Keeper, verbs: PolicyVerbs) -> None:
    for result in Result:
        keeper.attempt = Attempt(result=result, at_s=1, review="rev_1")
        told = await verbs.status(call(), pb.PolicyStatusRequest())
        assert pb.PolicyResult.Name(told.last_attempt.result) == f"POLICY_RESULT_{result.name}"
        assert told.last_attempt.review_id == "rev_1"
