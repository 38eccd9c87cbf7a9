"""The card of a review whose preview holds the worst that can arrive."""

from __future__ import annotations

import json

import pytest

from countersign.cli.card import headline, plain, print_card
from countersign.v1 import context_pb2, reviews_pb2


def review(context: dict[str, object], facts: dict[str, object]) -> reviews_pb2.Review:
    return reviews_pb2.Review(
        status=context_pb2.ReviewStatus(
            review_id="rev_1", state=context_pb2.REVIEW_STATE_PENDING, revision=1
        ),
        verified=reviews_pb2.Verified(caller_id="agent", owners=["alice"]),
        previews={
            "reviewer": reviews_pb2.Preview(
                context_json=json.dumps(context).encode(),
                facts_json=json.dumps(facts).encode(),
                hash=bytes(32),
                reviewable=False,
            )
        },
    )


def test_a_context_masked_whole_is_still_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    masked = dict.fromkeys(
        "action actor arguments environment on_behalf_of reason resource session".split(), "[OTHER]"
    )
    given = review(dict(masked), {})
    print_card(given, None)
    card = capsys.readouterr().out
    assert "  resource     [OTHER]\n" in card
    assert "  actor        [OTHER]\n" in card
    assert "it can be denied, not approved" in card
    assert "countersign review approve" not in card
    assert headline(given) == "agent [OTHER] [OTHER] in [OTHER]"
    assert plain(given)["previews"]["reviewer"]["hash"] == "00" * 32


def test_nothing_on_a_card_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    given = review(
        {"reason": "fine\x1b[2J\u202eevil", "resource": {"type": "a\x07", "id": "b"}},
        {
            "destination": {
                "domain": "x\x1b",
                "domains": ["x\x1b", "y"],
                "more": 1,
                "scheme": "s3",
                "internal": False,
            }
        },
    )
    print_card(given, None)
    card = capsys.readouterr().out
    assert "fine<U+001B>[2J<U+202E>evil" in card
    assert "x<U+001B>, y and 1 more (s3), OUTSIDE the organisation" in card
    assert not {"\x1b", "\x07", "\u202e"} & set(card)


def test_all_of_a_long_argument_is_on_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"word-{number}" for number in range(2000)]
    print_card(review({"arguments": {"text": " ".join(words)}}, {}), None)
    assert " ".join(words) in capsys.readouterr().out
