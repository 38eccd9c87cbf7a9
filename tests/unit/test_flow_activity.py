"""Activity: what agents send besides is masked, recorded once, and is no oracle."""

from __future__ import annotations

import dataclasses

import pytest

from countersign.errors import NotFoundError, PreconditionError
from countersign.flow.activity import LogAsk
from countersign.flow.judge import tenant_tag_key
from countersign.flow.parts import Limits
from countersign.model import SECOND_US, Effect, Instant
from simulators.world import AGENT, BOB, SCOUT, World, context

MAIL = "ada.lovelace@analytical.example"
CARD = "4111 1111 1111 1111"
DAY_S = 86_400


@pytest.fixture
async def world(tmp_path):
    made = await World.open(tmp_path)
    yield made
    await made.close()


def entry(world, content, **changes):
    values = {
        "type": "tool.output",
        "content": content,
        "session": "",
        "decision_id": None,
        "request_id": world.request_id(),
    }
    return LogAsk(**(values | changes))


async def test_what_an_agent_logs_is_masked_and_stands_in_the_same_log(world):
    logged = await world.flow.log(AGENT, entry(world, {"to": MAIL, "rows": 3}, session="s-1"))
    (record,) = await world.records()
    assert record["kind"] == "activity"
    assert (record["caller"], record["seq"]) == ("agent", logged.record.seq)
    assert record["activity"]["content"]["rows"] == 3
    assert record["activity"]["content"]["to"].startswith("[EMAIL:")
    assert record["activity"]["mask_report"]["total"] == {"EMAIL": 1}
    assert record["session"] == "s-1"
    assert MAIL not in str(record)


@pytest.mark.parametrize("type", ["185.113.146.183", "4111111111111111"])
async def test_its_type_is_a_word_and_no_place_for_data(world, type):
    await world.flow.log(AGENT, entry(world, 1, type=type))
    assert type not in str(await world.records())


@pytest.mark.parametrize("content", [f"mail {MAIL} now", [MAIL, 1], 4111111111111111, True, None])
async def test_any_json_value_and_any_text_can_be_sent(world, content):
    scrubbed = await world.flow.sanitize(content, 100)
    assert MAIL not in str(scrubbed.value)
    assert "4111111111111111" not in str(scrubbed.value)
    assert type(scrubbed.value) is type(content) or "[" in str(scrubbed.value)
    assert scrubbed.complete
    await world.flow.log(AGENT, entry(world, content))
    assert MAIL not in str(await world.records())


async def test_tags_of_sanitize_match_nothing_that_is_kept(world):
    asked = await world.flow.sanitize({"to": MAIL}, 50)
    again = await world.flow.sanitize({"to": MAIL}, 50)
    assert asked.value != again.value
    await world.flow.log(AGENT, entry(world, {"to": MAIL}))
    review = await world.opened(context(arguments={"to": MAIL}))
    tags = {value["to"].removeprefix("[EMAIL:").rstrip("]") for value in (asked.value, again.value)}
    kept = str(await world.records()) + review.previews["reviewer"].context_json
    assert "[EMAIL:" in kept
    assert not any(tag in kept for tag in tags)


async def test_tags_in_records_say_that_two_values_are_one(world):
    for _ in range(2):
        await world.flow.log(AGENT, entry(world, {"to": MAIL}))
    first, second = await world.records()
    assert first["activity"]["content"] == second["activity"]["content"]


def tag(value):
    return value["to"].removeprefix("[EMAIL:").rstrip("]")


async def test_the_tags_of_records_change_with_each_period_and_stay_within_one(tmp_path):
    world = await World.open(tmp_path, limits=Limits(tag_rotation_days=7))
    into_the_week = world.clock.now % (7 * DAY_S * SECOND_US)
    world.clock.advance(7 * DAY_S - into_the_week / SECOND_US)
    seen = []
    for days in (0, 7 - 1 / DAY_S, 1 / DAY_S, 7):
        world.clock.advance(days * DAY_S)
        await world.flow.log(AGENT, entry(world, {"to": MAIL}))
        review = await world.opened(context(arguments={"to": MAIL, "rows": len(seen)}))
        records = await world.records()
        logged = next(each for each in reversed(records) if each["kind"] == "activity")
        asked = next(each for each in reversed(records) if each["kind"] == "decision")
        assert tag(asked["clean"]["arguments"]) == tag(logged["activity"]["content"])
        seen.append(tag(logged["activity"]["content"]))
        assert seen[-1] not in review.previews["reviewer"].context_json
    first, last_second, second, third = seen
    assert first == last_second, "one period"
    assert len({first, second, third}) == 3
    await world.close()


async def test_a_claim_in_the_next_period_has_other_tags_and_is_good(tmp_path):
    world = await World.open(tmp_path, limits=Limits(tag_rotation_days=1))
    now_s = world.clock.now // SECOND_US
    world.clock.advance(DAY_S - now_s % DAY_S - 1)
    asked = context(arguments={"to": MAIL})
    review = await world.approved(asked, BOB)
    world.clock.advance(2)
    answer = await world.claim(review.id, asked)
    assert answer.decision.effect is Effect.ALLOW
    records = await world.records()
    tags = [tag(each["clean"]["arguments"]) for each in records if "clean" in each]
    assert len(tags) == len(set(tags)) == 2
    await world.close()


async def test_without_rotation_tags_stay_for_ever(tmp_path):
    world = await World.open(tmp_path, limits=Limits(tag_rotation_days=0))
    for _ in range(2):
        await world.flow.log(AGENT, entry(world, {"to": MAIL}))
        world.clock.advance(3_660 * DAY_S)
    first, second = await world.records()
    assert first["activity"]["content"] == second["activity"]["content"]
    await world.close()


async def test_another_length_of_the_period_brings_no_earlier_key_back(world):
    """Shorter periods are numbered anew, and come to the numbers of the old ones."""
    keys = {
        tenant_tag_key(
            dataclasses.replace(world.parts, limits=Limits(tag_rotation_days=days)),
            AGENT,
            Instant(40 * days * DAY_S * SECOND_US),
        )
        for days in (2, 1, 0)
    }
    assert len(keys) == 3


async def test_the_same_request_is_recorded_once_and_means_one_thing(world):
    ask = entry(world, {"n": 1}, request_id="r-1")
    first = await world.flow.log(AGENT, ask)
    second = await world.flow.log(AGENT, ask)
    assert (second.record, second.replayed) == (first.record, True)
    assert len(await world.records()) == 1
    with pytest.raises(PreconditionError) as reused:
        await world.flow.log(AGENT, entry(world, {"n": 2}, request_id="r-1"))
    assert reused.value.code == "request_id.reused"


async def test_it_may_belong_to_a_decision_of_the_same_caller_only(world):
    answer = await world.check(context())
    mine = entry(world, "did it", decision_id=answer.decision.id)
    await world.flow.log(AGENT, mine)
    assert (await world.records())[-1]["decision"] == answer.decision.id
    for ask in (
        entry(world, "x", decision_id=answer.decision.id),
        entry(world, "x", decision_id="dec_" + "0" * 32),
    ):
        with pytest.raises(NotFoundError) as unknown:
            await world.flow.log(SCOUT, ask)
        assert unknown.value.code == "activity.unknown_decision"


async def test_what_is_large_stands_beside_the_log(world):
    words = " ".join(f"word{n}" for n in range(20_000))
    logged = await world.flow.log(AGENT, entry(world, {"output": [words[:60_000]]}))
    record = (await world.records())[-1]
    assert record["seq"] == logged.record.seq
    assert "object" in record["activity"]["content"]


async def test_a_request_id_is_shown_unless_it_is_more_than_an_id(world):
    ids = {
        "req_" + "3f" * 16: "req_" + "3f" * 16,
        "550e8400-e29b-41d4-a716-446655440000": "550e8400-e29b-41d4-a716-446655440000",
        "run-7": "run-7",
        "4111-1111-1111-1111": "[CREDIT_CARD]",
        "req_4111111111111111" + "af" * 8: None,
    }
    for given, shown in ids.items():
        await world.flow.log(AGENT, entry(world, "x", request_id=given))
        recorded = (await world.records())[-1]["request"]["id"]
        assert recorded == shown if shown else "4111111111111111" not in recorded
        assert (await world.flow.log(AGENT, entry(world, "x", request_id=given))).replayed
