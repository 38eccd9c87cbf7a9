"""The card of a review whose preview holds the worst that can arrive."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

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


# --- who decides, and how it is known -------------------------------------------------

AT = datetime(2026, 12, 1, 18, tzinfo=UTC)


def shown(given: reviews_pb2.Review, capsys: pytest.CaptureFixture[str]) -> str:
    print_card(given, None)
    return capsys.readouterr().out


def approvable() -> reviews_pb2.Review:
    given = review({"action": "db.export"}, {})
    given.previews["reviewer"].reviewable = True
    return given


def test_who_is_proven_stands_apart_from_who_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    given = review({"on_behalf_of": [{"type": "person", "id": "mallory"}]}, {})
    card = shown(given, capsys)
    verified, asserted = card.split("Asserted by the agent")
    assert "requester    (nobody is proven)" in verified
    assert "mallory" not in verified
    assert "on behalf of mallory" in asserted
    given.verified.requester = "mallory"
    assert "requester    mallory, proven by a token" in shown(given, capsys).split("Asserted")[0]


def test_a_stage_says_when_it_asks_more_people(capsys: pytest.CaptureFixture[str]) -> None:
    given = approvable()
    stage = given.stages.add(name="data owner", quorum=2, approvals=1, groups=["data-owners"])
    assert "asks more people" not in shown(given, capsys)
    stage.escalates_at.FromDatetime(datetime.now(UTC) + timedelta(minutes=30))
    card = shown(given, capsys)
    assert "data owner: 1 of 2 from group data-owners\n" in card
    assert "asks more people " in card
    assert "(in 29 min" in card


def test_a_vote_says_in_whose_place_and_through_what(capsys: pytest.CaptureFixture[str]) -> None:
    given = approvable()
    vote = given.votes.add(person_id="bob", vote=reviews_pb2.VOTE_APPROVE, counts=True)
    vote.cast_at.FromDatetime(AT)
    assert "vote         bob approved 2026-12-01 18:00:00 UTC\n" in shown(given, capsys)
    vote.delegated_by, vote.channel_id, vote.reason = "alice", "teams-bot", "fine"
    expected = "bob, for alice, approved 2026-12-01 18:00:00 UTC through teams-bot: fine\n"
    assert expected in shown(given, capsys)


def test_a_broken_glass_cannot_be_overlooked(capsys: pytest.CaptureFixture[str]) -> None:
    given = approvable()
    given.status.state = context_pb2.REVIEW_STATE_APPROVED
    vote = given.votes.add(
        person_id="bob", vote=reviews_pb2.VOTE_APPROVE, break_glass=True, counts=True, reason="down"
    )
    vote.cast_at.FromDatetime(AT)
    given.after_review.person_id = "bob"
    given.after_review.broken_at.FromDatetime(AT)
    card = shown(given, capsys)
    assert card.startswith("REVIEW rev_1: APPROVED (GLASS BROKEN, not looked at)\n")
    assert "bob BROKE THE GLASS and approved alone 2026-12-01 18:00:00 UTC: down" in card
    assert "somebody else must look at it" in card
    assert "countersign review after close rev_1" in card
    given.after_review.closed_by, given.after_review.note = "carol", "no\x1bneed"
    given.after_review.closed_at.FromDatetime(AT)
    card = shown(given, capsys)
    assert card.startswith("REVIEW rev_1: APPROVED (GLASS BROKEN)\n")
    assert "carol found it NOT JUSTIFIED" in card
    assert "no<U+001B>need" in card
    assert "after close" not in card


def test_who_may_break_the_glass_is_told_how_though_they_have_no_vote(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = approvable()
    given.cannot_decide, given.cannot_approve = True, "no stage names you"
    assert "break-glass" not in shown(given, capsys)
    given.can_break_glass = True
    card = shown(given, capsys)
    assert "review break-glass rev_1 --preview 0000000000000000 --confirm db.export" in card
    assert "review deny" not in card
    given.previews["reviewer"].reviewable = False
    assert "break-glass" not in shown(given, capsys), "what cannot be seen cannot be approved"


def test_the_card_says_what_can_be_approved_together(capsys: pytest.CaptureFixture[str]) -> None:
    given = approvable()
    assert "together with others" not in shown(given, capsys)
    given.batch = True
    assert "it can be approved together with others" in shown(given, capsys)
