"""People decide in Teams: the stories, click by click, with real processes and tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from teams_world import Town, reading, town


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One town for the stories that leave it as it was; each has reviews of its own."""
    with town(tmp_path_factory.mktemp("teams")) as made:
        yield made


def test_whoever_may_decide_gets_a_card_and_approves_it_in_place(shared: Town) -> None:
    review_id = shared.asks(arguments={"rows": 12}, reason="the monthly report")
    card = shared.card("carol", review_id)
    assert "the monthly report" in reading(card.card)
    answer = shared.presses("carol", card, "approve")
    assert answer.outcome.value == "card", answer
    assert shared.state(review_id) == "approved"
    for user in ("carol", "dave"):
        assert "Approved" in reading(shared.card(user, review_id, "Approved").card)
    assert shared.teams.cards("alice") == []
