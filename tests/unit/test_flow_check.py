"""Check, as stories: when a person is asked, when nobody is, and what stands on record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3

import pytest

from countersign import canonical
from countersign.errors import (
    NotFoundError,
    PreconditionError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)
from countersign.flow.parts import Floor, Limits
from countersign.model import (
    Assurance,
    BreakGlass,
    Choice,
    Durability,
    Effect,
    Principal,
    Reason,
    Resource,
    ReviewState,
)
from countersign.sanitize import Findings, Sanitizer
from countersign.store.protocol import MAX_RECORD_BYTES
from simulators.world import (
    AGENT,
    BOB,
    CALLERS,
    OWNERS,
    SCOUT,
    SECURITY,
    TENANT,
    World,
    allow,
    broken,
    caller,
    code,
    context,
    deny,
    down,
    needs,
)


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path, limits=Limits(max_open_reviews=2))
    yield made
    await made.close()


async def a_world(tmp_path, **options):
    return await World.open(tmp_path, **options)


# --- one review for one action ------------------------------------------------------


async def test_the_same_check_again_finds_the_same_review_and_can_open_the_same_permit(world):
    first = await world.check(context())
    again = await world.check(context())
    assert again.reused
    assert again.review.id == first.review.id
    assert again.decision.id != first.decision.id
    assert (again.decision.commitment, again.decision.salt) == (
        first.decision.commitment,
        first.decision.salt,
    )
    assert await world.kinds() == ["decision", "review.created", "decision"]


async def test_whoever_stands_behind_a_second_check_is_excluded_too(world):
    review = await world.opened(context())
    assert review.excluded == ("alice",)
    owned = dataclasses.replace(AGENT, owners=(*AGENT.owners, BOB.id))
    world.register([owned, *CALLERS[1:]])
    again = await world.check(context(), owned)
    assert again.review.id == review.id
    assert again.review.excluded == ("alice", "bob")
    world.register()  # Bob is no owner any more, but he was behind one of the Checks.
    third = await world.check(context())
    assert third.review.excluded == ("alice", "bob")
    with pytest.raises(RequestError) as refused:
        await world.vote(BOB, review.id)
    assert refused.value.code == "vote.self_approval"


async def test_the_same_action_in_other_words_names_the_review_that_stands(world):
    review = await world.opened(context())
    for other in (context(reason="because"), context(session="s2")):
        denied = await world.check(other)
        assert (denied.decision.effect, code(denied)) == (Effect.DENY, "review.duplicate")
        assert review.id in denied.decision.reasons[0].message
        assert denied.review is None


async def test_another_caller_has_a_review_of_its_own(world):
    mine = await world.opened(context())
    theirs = await world.opened(context(SCOUT), SCOUT)
    assert theirs.id != mine.id


async def test_a_review_that_timed_out_unswept_does_not_stand_in_the_way(world):
    old = await world.opened(context())
    world.clock.advance(3600)
    new = await world.opened(context(reason="in other words"))
    assert new.id != old.id
    assert (await world.review(old.id)).state is ReviewState.EXPIRED


async def test_superseding_cancels_the_old_review_and_points_to_the_new(world):
    old = await world.opened(context())
    new = await world.opened(context(reason="better said"), supersedes=old.id)
    cancelled = await world.review(old.id)
    assert cancelled.state is ReviewState.CANCELLED
    assert cancelled.superseded_by == new.id
    assert cancelled.closed_reasons[0].code == "review.superseded"
    closed = next(r for r in await world.records() if r["kind"] == "review.closed")
    assert closed["review_state"]["superseded_by"] == new.id


async def test_only_an_open_review_of_ones_own_can_be_superseded(world):
    theirs = await world.opened(context(SCOUT), SCOUT)
    with pytest.raises(NotFoundError) as unknown:
        await world.check(context(), supersedes=theirs.id)
    with pytest.raises(NotFoundError) as never:
        await world.check(context(), supersedes="rev_0")
    assert str(unknown.value) == str(never.value)
    mine = await world.opened(context())
    await world.vote(BOB, mine.id, Choice.DENY)
    with pytest.raises(PreconditionError) as closed:
        await world.check(context(action="db.drop"), supersedes=mine.id)
    assert closed.value.code == "review.closed"


async def test_what_people_denied_cools_down(world):
    review = await world.opened(context())
    await world.vote(BOB, review.id, Choice.DENY)
    for words in ("monthly report", "another try"):
        denied = await world.check(context(reason=words))
        assert code(denied) == "review.cooling_down"
        assert review.id in denied.decision.reasons[0].message
    world.clock.advance(59)
    assert code(await world.check(context())) == "review.cooling_down"
    world.clock.advance(1)
    assert (await world.check(context())).decision.effect is Effect.NEEDS_APPROVAL


async def test_a_caller_cannot_flood_the_reviewers(world):
    for n in range(2):
        await world.opened(context(arguments={"n": n}))
    denied = await world.check(context(arguments={"n": 2}))
    assert code(denied) == "review.too_many_open"
    assert (await world.check(context(SCOUT), SCOUT)).review is not None


async def test_without_wanting_a_review_none_is_opened(world):
    answer = await world.check(context(), create_review=False)
    assert answer.decision.effect is Effect.NEEDS_APPROVAL
    assert answer.review is None
    assert await world.kinds() == ["decision"]


# --- who asks ---------------------------------------------------------------------------


async def test_a_person_named_but_unknown_is_refused(world):
    nobody = Principal(type="user", id="mallory@example.com")
    denied = await world.check(context(on_behalf_of=(nobody,)))
    assert (denied.decision.effect, code(denied)) == (Effect.DENY, "requester.unresolved")
    assert "/on_behalf_of/0" in denied.decision.reasons[0].message
    assert not world.policy.asked


async def test_a_person_named_in_the_context_does_not_decide(world):
    named = Principal(type="external", id="Bob")  # the type is only asserted
    review = await world.opened(context(on_behalf_of=(named,)))
    assert review.excluded == ("alice", "bob")


async def test_a_requirement_that_nobody_is_left_to_meet_is_refused_at_once(world):
    world.policy.says(needs(dataclasses.replace(OWNERS, quorum=3)))
    denied = await world.check(context())
    assert (denied.decision.effect, code(denied)) == (Effect.DENY, "review.unsatisfiable")


async def test_a_caller_speaks_only_for_what_is_registered(world):
    for wrong, why in (
        (context(actor=Principal(type="workload", id="other-bot")), "actor"),
        (context(environment="moon"), "environment"),
    ):
        answer = await world.check(wrong)
        assert code(answer) == "context.not_permitted"
        assert answer.decision.reasons[0].message.startswith(f"/{why}")
    narrow = caller("agent", owners=["alice"], resources=("table:sales",))
    world.register([narrow, *CALLERS[1:]])
    assert code(await world.check(context(), narrow)) == "context.not_permitted"
    assert not world.policy.asked


async def test_a_caller_that_is_gone_gets_no_decision(world):
    world.register(CALLERS[1:])
    with pytest.raises(UnauthenticatedError):
        await world.check(context())
    assert await world.records() == []


# --- what policy may not do --------------------------------------------------------------


@pytest.mark.parametrize(
    ("floor", "below", "named", "enough"),
    [
        (Floor(least_quorum=2), {}, "requirement.stages", {"stages": (OWNERS, SECURITY)}),
        (
            Floor(max_use_within_s=60),
            {"use_within_s": 61},
            "requirement.use_within_s",
            {"use_within_s": 60},
        ),
        (
            Floor(least_assurance=Assurance.PERSON),
            {},
            "requirement.min_assurance",
            {"min_assurance": Assurance.PERSON},
        ),
        (Floor(require_reason=True), {}, "requirement.require_reason", {"require_reason": True}),
        (Floor(allow_batch=False), {"batch": True}, "requirement.batch", {}),
        (
            Floor(allow_break_glass=False),
            {"break_glass": BreakGlass(groups=("security",))},
            "requirement.break_glass",
            {},
        ),
    ],
)
async def test_policy_below_a_floor_is_as_wrong_as_any_other_and_says_where(
    tmp_path, floor, below, named, enough
):
    world = await World.open(tmp_path, limits=Limits(floors={"production": floor}))
    world.policy.says(needs(**below))
    refused = await world.check(context())
    assert code(refused) == "policy.invalid"
    assert named in refused.decision.reasons[0].message
    assert refused.review is None
    assert (await world.opened(context(environment="staging"))).state is ReviewState.PENDING
    world.policy.says(needs(*enough.pop("stages", ()), **enough))
    assert (await world.opened(context())).state is ReviewState.PENDING
    await world.close()


@pytest.mark.parametrize("lockable", [False, True])
async def test_a_locked_record_is_promised_only_where_it_can_be_kept(tmp_path, lockable):
    world = await World.open(tmp_path, lockable=lockable)
    world.policy.says(needs(durability=Durability.LOCKED))
    answer = await world.check(context())
    assert code(answer) == ("rule.people" if lockable else "audit.not_lockable")
    await world.close()


@pytest.mark.parametrize("profiles", [{"*": "everything"}, {}])
async def test_a_mask_profile_nobody_knows_is_a_wrong_policy(world, profiles):
    world.policy.says(needs(profiles=profiles))
    denied = await world.check(context())
    assert (denied.decision.effect, code(denied)) == (Effect.DENY, "policy.invalid")


class BlindSanitizer(Sanitizer):
    """The real one on a day when it could not look at everything."""

    def detect(self, context, *, known, recognized=None) -> Findings:
        return dataclasses.replace(super().detect(context, known=known), complete=False)


async def test_what_could_not_be_examined_is_never_allowed_and_never_approved(tmp_path):
    world = await World.open(tmp_path, sanitizer=BlindSanitizer())
    world.policy.says(allow())
    denied = await world.check(context())
    assert (denied.decision.effect, code(denied)) == (Effect.DENY, "sanitizer.incomplete")
    world.policy.says(needs())
    review = await world.opened(context())
    with pytest.raises(PreconditionError) as refused:
        await world.vote(BOB, review.id)
    assert refused.value.code == "review.unreviewable"
    assert (await world.vote(BOB, review.id, Choice.DENY)).state is ReviewState.DENIED
    await world.close()


async def test_a_passing_fault_denies_once_and_is_not_remembered(world):
    world.policy.says(down())
    denied = await world.check(context(), request_id="r")
    assert (denied.decision.effect, code(denied)) == (Effect.DENY, "policy.unavailable")
    assert denied.decision.retryable
    world.policy.says(allow())
    again = await world.check(context(), request_id="r")
    assert again.decision.effect is Effect.ALLOW
    assert not again.replayed
    assert await world.kinds() == ["decision", "decision"]


async def test_a_wrong_policy_denies_and_is_remembered(world):
    world.policy.says(broken())
    denied = await world.check(context(), request_id="r")
    assert (code(denied), denied.decision.retryable) == ("policy.invalid", False)
    world.policy.says(allow())
    assert (await world.check(context(), request_id="r")).decision == denied.decision


async def test_policy_sees_what_happened_lately(world):
    world.policy.says(allow())
    for _ in range(3):
        await world.check(context())
    counted = world.policy.asked[-1]["recent"]
    assert (counted["hour"]["checks"], counted["hour"]["allow"]) == (2, 2)


# --- once ------------------------------------------------------------------------------


async def test_the_same_request_gets_the_same_permit_and_another_is_told_so(world):
    world.policy.says(allow())
    ask = {"request_id": "r", "permit_audience": "database"}
    first = await world.check(context(), **ask)
    world.policy.says(deny())
    again = await world.check(context(), **ask)
    assert again.replayed
    assert again.decision == first.decision
    assert world.token(again) == world.token(first)
    for other in (
        (context(reason="x"), ask),
        (context(), ask | {"permit_audience": "cluster"}),
        (context(), ask | {"labels": {"a": "b"}}),
        (context(), ask | {"create_review": False}),
        (context(), ask | {"supersedes": "rev_0"}),
    ):
        with pytest.raises(PreconditionError) as reused:
            await world.check(other[0], **other[1])
        assert reused.value.code == "request_id.reused"
    assert await world.kinds() == ["decision"]


async def test_without_a_request_id_every_check_is_a_new_one(world):
    world.policy.says(allow())
    first = await world.check(context(), request_id="")
    second = await world.check(context(), request_id="")
    assert first.decision.id != second.decision.id
    assert await world.kinds() == ["decision", "decision"]


# --- what stands on record -----------------------------------------------------------------


async def test_labels_are_sanitized_like_everything_else(world):
    await world.check(context(), labels={"ticket": "OPS-1", "asked_by": "jane.doe@example.com"})
    record = (await world.records())[0]
    assert record["labels"]["ticket"] == "OPS-1"
    assert "jane.doe" not in json.dumps(record)
    assert "EMAIL" in record["labels"]["asked_by"]


LARGE = {
    "arguments": {"arguments": {"lines": ["to jane.doe@example.com"] * 1200}},
    "attributes": {
        "resource": Resource(
            type="table",
            id="customers",
            owner="",
            attributes={f"column-{n}": f"about thing {n}" for n in range(1800)},
        )
    },
    "names": {"arguments": {f"of-{n}": "jane.doe@example.com" for n in range(1200)}},
}


@pytest.mark.parametrize("large", LARGE.values(), ids=LARGE.keys())
async def test_a_large_context_is_an_object_that_its_record_names(world, large):
    world.policy.says(allow())
    answer = await world.check(context(**large))
    stored = (await world.store.records(TENANT, answer.decision.record.seq, 1))[0]
    assert len(stored.body) <= MAX_RECORD_BYTES
    ((digest, data),) = await world.store.objects(TENANT, 10)
    assert json.loads(stored.body)["clean"] == {"object": digest}
    assert hashlib.sha256(data).hexdigest() == digest
    kept = json.loads(data)
    assert kept["mask_report"]["ruleset"]
    assert b"jane.doe" not in data
    if "resource" in large:
        assert kept["resource"]["attributes"]["column-1799"] == "about thing 1799"
    else:
        assert len(next(iter(kept["clean"]["arguments"].values()))) > 0


async def test_a_requirement_too_large_for_a_record_becomes_an_object(world):
    groups = tuple(f"group-{n}-{'x' * 150}" for n in range(250))
    world.policy.says(needs(dataclasses.replace(OWNERS, groups=("data-owners", *groups))))
    review = await world.opened(context())
    created = (await world.records())[1]
    assert created["kind"] == "review.created"
    objects = dict(await world.store.objects(TENANT, 10))
    demanded = json.loads(objects[created["requirement"]["stages"]["object"]])
    assert len(demanded[0]["groups"]) == 251
    assert created["review"] == review.id


# --- durable first ---------------------------------------------------------------------------


async def test_what_cannot_be_recorded_is_not_answered(world, tmp_path):
    await world.check(context())
    with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # holds the file longer than the writer waits
        writer = world.store._commits._engine._connection
        writer.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(UnavailableError) as refused:
            await world.check(context(arguments={"n": 2}))
        other.execute("ROLLBACK")
    other.close()
    assert refused.value.code == "audit.unavailable"
    assert world.store.failed
    with pytest.raises(UnavailableError):  # for good: this process decides nothing any more
        await world.check(context(arguments={"n": 3}))
    assert await world.kinds() == ["decision", "review.created"]
    await world.reopen()
    assert (await world.check(context(arguments={"n": 2}))).review is not None


async def test_a_full_disk_answers_nothing(world):
    await world.check(context())
    writer = world.store._commits._engine._connection
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    world.policy.says(allow())
    big = {"lines": ["word " * 1000 for _ in range(8)]}
    with pytest.raises(UnavailableError) as refused:
        await world.check(context(arguments=big), permit_audience="database")
    assert refused.value.code == "audit.unavailable"
    assert await world.kinds() == ["decision", "review.created"]


async def test_what_policy_says_in_its_own_words_is_sanitized_too(world):
    stage = dataclasses.replace(OWNERS, name="owner of jane.roe@example.org")
    said = needs(stage, channel="chat:jane.roe@example.org")
    reason = Reason(code="rule.people", message="asked for by jane.roe@example.org")
    world.policy.says(dataclasses.replace(said, reasons=(reason,)))
    answer = await world.check(context())
    assert answer.review is not None
    review = await world.review(answer.review.id)
    assert "jane.roe" not in repr((answer, review))
    assert "jane.roe" not in json.dumps(await world.records())
    assert answer.decision.reasons[0].message.startswith("asked for by [EMAIL")


async def test_the_log_keeps_what_each_preview_showed(world):
    review = await world.opened(context())
    (created,) = [r for r in await world.records() if r["kind"] == "review.created"]
    objects = dict(await world.store.objects(TENANT, 10))
    shown = json.loads(objects[created["preview_objects"]["reviewer"]])
    made_again = canonical.preview_hash(
        shown["profile"], shown["context"], shown["facts"], shown["report"]
    )
    assert made_again == created["previews"]["reviewer"] == review.previews["reviewer"].hash
