"""The type of policy's input: what is generated keeps to it, and its schema is closed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from countersign.policy import schema
from countersign.policy.generated import Vocabulary, questions
from countersign.policy.question import QUESTION
from simulators.world import World, context

WORDS = st.text(min_size=1, max_size=12)
PATHS = st.tuples(
    st.sampled_from([("context", "arguments"), ("context", "resource", "attributes")]),
    st.lists(st.one_of(WORDS, st.just("*")), min_size=1, max_size=4),
).map(lambda both: (*both[0], *both[1]))


@given(
    actions=st.lists(WORDS, min_size=1),
    texts=st.lists(WORDS, min_size=1),
    numbers=st.lists(st.integers(0, 2**53 - 1), min_size=1),
    paths=st.lists(PATHS.filter(lambda path: path[3:4] != ("*",) and path[2] != "*")),
    seed=st.integers(0, 1000),
)
def test_every_generated_question_is_one(actions, texts, numbers, paths, seed) -> None:
    words = Vocabulary(
        actions=tuple(actions),
        environments=("production",),
        texts=tuple(texts),
        numbers=tuple(numbers),
        arguments=tuple(texts),
        paths=tuple((path, tuple(texts)) for path in paths),
        times=("2026-11-25T12:00:00.000000Z",),
    )
    made = list(questions(words, count=30, seed=seed))
    for question in made:
        QUESTION.validate_json(json.dumps(question))
    assert {question["context"]["action"] for question in made[: len(actions)]} == set(actions)
    assert made == list(questions(words, count=30, seed=seed))


def closed(node: object, place: str = "") -> list[str]:
    """The objects of a schema that take keys nobody named."""
    if isinstance(node, list):
        return [
            found for index, each in enumerate(node) for found in closed(each, f"{place}/{index}")
        ]
    if not isinstance(node, dict):
        return []
    here = [place] if "properties" in node and node.get("additionalProperties") is not False else []
    return here + [found for key, each in node.items() for found in closed(each, f"{place}/{key}")]


@pytest.mark.parametrize("made", [schema.question(), schema.decision()])
def test_a_schema_is_closed_and_whole(made) -> None:
    assert closed(made) == []
    assert "$ref" not in json.dumps(made)


def test_arguments_and_attributes_are_open() -> None:
    context = schema.question()["properties"]["context"]["properties"]
    assert context["arguments"]["additionalProperties"] is True
    assert context["resource"]["properties"]["attributes"]["additionalProperties"] is True


def test_a_key_that_nobody_sends_is_refused() -> None:
    words = Vocabulary(
        actions=("a.b",),
        environments=("dev",),
        texts=("x",),
        numbers=(1,),
        arguments=(),
        paths=(),
        times=("2026-11-25T12:00:00.000000Z",),
    )
    (question,) = questions(words, count=1)
    question["findings"]["fatcs"] = {}
    with pytest.raises(ValidationError, match="fatcs"):
        QUESTION.validate_python(question)


async def test_what_the_service_really_asks_is_a_question(tmp_path) -> None:
    """The world holds every question to the type; here is one of each sort, Claim included."""
    world = await World.open(tmp_path)
    try:
        review = await world.approved(context())
        await world.claim(review.id, context())
        check, claim = world.policy.asked[0], world.policy.asked[-1]
        assert (check["approval"], claim["approval"]["votes"][0]["choice"]) == (None, "approve")
        for asked in (check, claim):
            asked["context"]["extra"] = 1
            with pytest.raises(ValidationError, match=r"context\.extra"):
                QUESTION.validate_python(asked)
    finally:
        await world.close()
