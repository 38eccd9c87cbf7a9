"""Canaries at every place that takes input, and then none of them anywhere.

One long story on the real service, which tells all it can: members of every
sensitive type stand in each leaf of contexts and in every text, over every way
a request can go, a crash and a restart. Then every byte that is left behind or
was answered is searched.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import grpc
import pytest

from canaries import IN_TEXT, Canaries, Hit, Search, forms, sentinel
from canary_refused import bad_input
from canary_requests import LEAVES, PARTS, of_time
from canary_story import Story, keep, told_to
from countersign.model import new_id
from countersign.v1 import activity_pb2, context_pb2, reviews_pb2
from service import eventually


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """All of it, told; the service has ended."""
    with told_to(tmp_path_factory.mktemp("canaries")) as told:
        service = told.service
        ending = of_time(told)
        for part in (bad_input, *PARTS):
            part(told)
        eventually(lambda: all(told.state(review_id) == end for review_id, end in ending))
        told.heard.append(("readiness", service.status("/readyz")[1].encode()))
        keep(told)
        service.kill()
        keep(told)
        service.start()
        service.stop()
        keep(told)
        told.records = [json.loads(record) for record in service.verified_log()[1]]
        yield told


# --- what is left of it -----------------------------------------------------------


@pytest.fixture(scope="module")
def hits(story: Story) -> list[Hit]:
    search = Search(story.canaries.planted)
    seen = sorted({data: name for name, data in (*story.heard, *story.left)}.items())
    # A part of the log often begins with all of another; the longer one has every byte.
    whole = [
        (data, name)
        for (data, name), (after, _) in pairwise((*seen, (b"", "")))
        if not after.startswith(data)
    ]
    return sorted({hit for data, name in whole for hit in search.hits(name, data)})


def test_no_canary_is_found_anywhere(hits: list[Hit]) -> None:
    assert hits == []


def test_the_story_went_everywhere(story: Story) -> None:
    kinds = Counter(record["kind"] for record in story.records)
    assert set(kinds) >= {
        *("decision", "review.created", "review.updated", "review.closed", "claim", "outcome"),
        *("vote", "vote.refused", "break_glass", "after_review.closed", "activity"),
        *("delegation.given", "delegation.ended", "config.changed", "policy.changed"),
        "policy.shadow",
    }
    states = {record.get("review_state", {}).get("state") for record in story.records}
    assert states >= {
        *("pending", "info_requested", "approved", "denied", "expired", "cancelled"),
        *("claimed", "lapsed", "revoked"),
    }
    assert set(story.refusals) >= {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
    }
    assert " DEBUG " in story.service.said
    assert "metrics" in dict(story.left)
    assert len(story.canaries.planted) > 1000


RECORDED: Final = (
    *LEAVES,
    *("a reason", "a session", "a label", "a question", "an answer", "an outcome detail"),
    *(
        "the reason of a batch",
        "the reason of a vote",
        "a withdrawal",
        "a revocation",
        "a delegation",
        "a broken glass",
    ),
    *("an after-review", "a message reference", "logged text", "logged JSON"),
    "the session of an activity",
)
SHOWN: Final = (*LEAVES, "a reason", "a session")


def test_what_is_harmless_beside_them_is_kept(story: Story) -> None:
    recorded, shown = json.dumps(story.records), json.dumps(story.shown)
    assert [place for place in RECORDED if sentinel(place) not in recorded] == []
    assert [place for place in SHOWN if sentinel(place) not in shown] == []


@pytest.mark.parametrize("kind", [*IN_TEXT, "name"])
def test_the_search_finds_every_form_wherever_it_stands(kind: str) -> None:
    canary = Canaries().plant(kind, "here")
    search = Search([canary])
    for piece in canary.pieces:
        for name, form in forms(piece):
            found = {hit.form for hit in search.hits("there", b"{" + form + b"}")}
            assert name in found
        for before in range(3):
            code = base64.b64encode(b"x" * before + piece.encode() + b" and so on")
            assert f"base64 at {before}" in {hit.form for hit in search.hits("there", code)}


# --- what people see instead ------------------------------------------------------


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with told_to(tmp_path_factory.mktemp("asking")) as told:
        yield told
        told.service.plant(*(canary.value for canary in told.canaries.planted))


def test_guessing_with_sanitize_yields_no_tag_of_a_card_or_a_record(asking: Story) -> None:
    story = asking
    mails = [story.canaries.plant("e-mail", "a guess").value for _ in range(5)]
    wanted = story.context("canary.approve", arguments={"to": mails})
    review = story.looks("bob", story.opened(wanted))
    on_the_card = tags(json.loads(review.previews["reviewer"].context_json)["arguments"]["to"])

    def guesses() -> list[str]:
        content = activity_pb2.Content(json=json.dumps(mails).encode())
        request = activity_pb2.SanitizeRequest(content=content)
        answer = story.done("agent", "Activity.Sanitize", request)
        return tags(json.loads(answer.content.json))

    eventually(lambda: review.status.review_id in str(story.service.published()))
    records = [json.loads(record) for record in story.service.published()]
    (recorded,) = (
        tags(record["clean"]["arguments"]["to"])
        for record in records
        if "to" in record.get("clean", {}).get("arguments", {})
    )
    log = activity_pb2.LogRequest(
        type="tool.output",
        content=activity_pb2.Content(json=json.dumps(mails).encode()),
        request_id=new_id("req"),
    )
    story.done("agent", "Activity.Log", log)
    eventually(lambda: '"activity"' in str(story.service.published()))
    first, second = guesses(), guesses()
    for one, other in (
        (first, second),
        *((guess, seen) for guess in (first, second) for seen in (on_the_card, recorded)),
    ):
        # A card has the beginning of a tag: one may be the same by chance, two are not.
        assert sum(map(alike, one, other)) < 2
    everything = b"".join(story.service.published()).decode() + review.SerializeToString().decode(
        "utf-8", "replace"
    )
    assert recorded[0] in everything
    assert not any(tag in everything for tag in (*first, *second))


def alike(one: str, other: str) -> bool:
    """Whether two tags begin alike, as far as the shorter one says."""
    size = min(len(one), len(other))
    return one[:size] == other[:size]


def tags(masked: Sequence[str]) -> list[str]:
    """The tags of masked addresses."""
    found = [text.removeprefix("[EMAIL:").removesuffix("]") for text in masked]
    assert all(tag and set(tag) <= set("0123456789abcdef") for tag in found), masked
    return found


def test_two_groups_see_two_masks_and_each_vote_names_the_one_it_saw(asking: Story) -> None:
    story = asking
    wanted = story.context("canary.two", arguments={"note": "rack 7", "rows": 7})
    review_id = story.opened(wanted)
    seen = {}
    for who, profile, shows in (("bob", "reviewer", True), ("carol", "restricted", False)):
        previews = story.looks(who, review_id).previews
        assert set(previews) == {profile}
        assert (b"rack 7" in previews[profile].context_json) == shows
        assert b'"rows":7' in previews[profile].context_json
        seen[who] = (profile, previews[profile].hash)
    assert seen["bob"][1] != seen["carol"][1]
    swapped = reviews_pb2.DecideRequest(
        **story.as_shown("carol", review_id)
        | {"profile": seen["bob"][0], "preview_hash": seen["bob"][1]},
        vote=reviews_pb2.VOTE_APPROVE,
    )
    assert story.wrong("carol", "Reviews.Decide", swapped).reason == "vote.preview_mismatch"
    for who in seen:
        story.votes(who, review_id)
    assert story.state(review_id) == context_pb2.REVIEW_STATE_APPROVED

    def cast() -> dict[str, tuple[str, bytes]]:
        votes = [json.loads(record) for record in story.service.published()]
        return {
            each["vote"]["person"]: (
                each["vote"]["profile"],
                bytes.fromhex(each["vote"]["preview_hash"]),
            )
            for each in votes
            if (each["kind"], each.get("review")) == ("vote", review_id)
        }

    eventually(lambda: len(cast()) == len(seen))
    assert cast() == seen


@pytest.mark.parametrize(
    ("action", "told", "code"),
    [
        ("canary.shown", {"target": "e-mail"}, "review.unreviewable"),
        ("canary.sql", {"sql": "SELECT id FROM t WHERE note = 'it''s"}, "review.unreviewable"),
        ("canary.urgent", {"note": "plain"}, "vote.preview_mismatch"),
    ],
    ids=["masked", "a statement that cannot be read", "another preview"],
)
def test_what_was_not_seen_is_denied_and_never_approved(
    asking: Story, action: str, told: dict[str, str], code: str
) -> None:
    story = asking
    if "target" in told:
        told = {"target": story.canaries.plant("e-mail", "what must be shown").value}
    review_id = story.opened(story.context(action, arguments=told))
    for _ in range(2):
        ballot = reviews_pb2.DecideRequest(
            **story.as_shown("bob", review_id), vote=reviews_pb2.VOTE_APPROVE
        )
        if code == "vote.preview_mismatch":
            ballot.preview_hash = bytes(each ^ 1 for each in ballot.preview_hash)
        said = story.wrong("bob", "Reviews.Decide", ballot)
        assert (said.code, said.reason) == (grpc.StatusCode.FAILED_PRECONDITION, code)
    shown = ballot.preview_hash
    unseen_elsewhere(story, review_id, shown, code)
    assert story.state(review_id) == context_pb2.REVIEW_STATE_PENDING
    if code == "vote.preview_mismatch":  # nobody is said to have seen what was not shown
        wrong = story.as_shown("bob", review_id) | {"preview_hash": shown}
        ballot = reviews_pb2.DecideRequest(**wrong, vote=reviews_pb2.VOTE_DENY)
        assert story.wrong("bob", "Reviews.Decide", ballot).reason == code
    story.votes("bob", review_id, reviews_pb2.VOTE_DENY)
    assert story.state(review_id) == context_pb2.REVIEW_STATE_DENIED


def unseen_elsewhere(story: Story, review_id: str, preview_hash: bytes, code: str) -> None:
    """The other ways to approve: several at once, alone in an emergency, at the console."""
    told = story.as_shown("bob", review_id) | {"preview_hash": preview_hash}
    request_id = told.pop("request_id")
    batch = reviews_pb2.BatchDecideRequest(
        items=[reviews_pb2.BatchItem(**told)], reason="month end", request_id=request_id
    )
    (result,) = story.done("bob", "Reviews.BatchDecide", batch).results
    assert (result.HasField("review"), result.refusal.code) == (False, code)
    glass = reviews_pb2.BreakGlassRequest(**told, reason="it burns", request_id=new_id("req"))
    assert story.wrong("bob", "Reviews.BreakGlass", glass).reason == code
    words = ("review", "approve", review_id, "--preview", preview_hash.hex())
    typed = story.service.types(*words, as_="bob")
    assert typed.returncode == 1
    assert code in typed.stderr
