"""People decide in Teams: the stories, click by click, with real processes and tokens."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from countersign.model import new_id
from countersign.v1 import (
    admin_pb2,
    context_pb2,
    decisions_pb2,
    deliveries_pb2,
    reviews_pb2,
)
from service import eventually
from simulators.teams.feed import Message
from simulators.teams.people import OTHER_TENANT_ID, person
from simulators.teams.teams import Press, action_of, actions_of
from teams_world import CHANNEL, Town, reading, town


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One town for the stories that leave it as it was; each has reviews of its own."""
    with town(tmp_path_factory.mktemp("teams")) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Town]:
    """A town for one story alone."""
    with town(tmp_path) as made:
        yield made


VERB, REVIEW, CARD, PREVIEW, NONCE = 1, 2, 3, 6, 7
"""Places in a button's data."""


def verbs(card: dict[str, Any]) -> set[str]:
    """What can be done with a card."""
    found = (action.get("verb") for action in actions_of(card))
    return {verb for verb in found if verb and verb != "refresh"}


def said(answer: Any) -> str:
    """The sentence under the card."""
    assert answer.outcome.value == "message", answer
    return str(answer.value)


# --- the story ------------------------------------------------------------------------


def test_a_review_is_asked_about_approved_by_two_run_and_told_in_every_copy(shared: Town) -> None:
    """Alice, her twin and Bob are refused; Carol asks; Carol and Dave approve; it runs."""
    agent = shared.service.client("agent")
    review_id = shared.asks("channel.two", arguments={"rows": 1204}, reason="the yearly audit")
    card = shared.card(CHANNEL, review_id)
    assert "0 of 2" in reading(card.card)

    assert verbs(shared.view("alice", card)) == set(), "she asked: no button is for her"
    assert "yourself" in said(shared.teams.press("alice", card, "approve"))
    assert "Guests" in said(shared.teams.press("alice-guest", card, "approve"))
    assert "asks other people" in said(shared.teams.press("bob", card, "approve"))
    assert "Guests" not in said(shared.teams.press("eve", card, "approve"))

    waiting = ThreadPoolExecutor(1).submit(_await_decision, shared, review_id)
    shared.presses("carol", card, "info", question="Which year?")
    open_question = _question(shared, review_id)
    shared.service.line("agent").call(
        "Decisions.Answer",
        decisions_pb2.AnswerRequest(
            review_id=review_id,
            question_id=open_question,
            text="The one that ended in June",
            request_id=new_id("req"),
        ),
    )
    card = shared.card(CHANNEL, review_id, "The one that ended in June")
    assert "Revision 2" in reading(card.card)

    first = shared.presses("carol", card, "approve")
    assert first.outcome.value == "card", first
    assert verbs(shared.view("carol", card)) <= {"deny", "info"}
    again = shared.teams.press("carol", card, "approve", approve_reason="2")
    assert "You have voted" in said(again)
    card = shared.card(CHANNEL, review_id, "1 of 2")
    assert shared.presses("dave", card, "approve").outcome.value == "card"
    assert waiting.result(60) == "approved"
    shared.card(CHANNEL, review_id, "Approved")

    claimed = shared.service.line("agent").call(
        "Decisions.Claim",
        decisions_pb2.ClaimRequest(
            review_id=review_id,
            context=shared.contexts[review_id].to_message(),
            request_id=new_id("req"),
        ),
    )
    assert claimed.effect == context_pb2.EFFECT_ALLOW
    shared.service.line("agent").call(
        "Decisions.Report",
        decisions_pb2.ReportRequest(
            permit_id=claimed.permit.permit_id,
            outcome=context_pb2.OUTCOME_SUCCEEDED,
            detail_json=b'{"rows":1204}',
            request_id=new_id("req"),
        ),
    )
    told = reading(shared.card(CHANNEL, review_id, "succeeded").card)
    assert "1,204 rows" in told
    assert "record" in told
    del agent


def _await_decision(town: Town, review_id: str) -> str:
    line, cursor = town.service.line("agent"), ""
    while True:
        request = decisions_pb2.AwaitRequest(review_id=review_id, after=cursor)
        status = line.call("Decisions.Await", request, timeout_s=60).review
        cursor = status.cursor
        name = context_pb2.ReviewState.Name(status.state).removeprefix("REVIEW_STATE_").lower()
        if name not in ("pending", "info_requested"):
            return name


def _question(town: Town, review_id: str) -> str:
    found: list[str] = []

    def asked() -> bool:
        found.extend(each.question_id for each in town.review(review_id).thread)
        return bool(found)

    eventually(asked)
    return found[0]


def test_whoever_may_decide_gets_a_card_and_decides_in_place(shared: Town) -> None:
    review_id = shared.asks(arguments={"rows": 12}, reason="the monthly report")
    card = shared.card("carol", review_id)
    assert "the monthly report" in reading(card.card)
    assert card.activity["summary"]
    answer = shared.presses("carol", card, "deny", deny_reason="Not in March")
    assert answer.outcome.value == "card", answer
    assert shared.state(review_id) == "denied"
    for user in ("carol", "dave"):
        assert "Not in March" in reading(shared.card(user, review_id, "Denied").card)
    assert not any(review_id in json.dumps(each.card) for each in shared.teams.cards("alice"))


def test_an_approval_is_taken_back_until_it_is_claimed(shared: Town) -> None:
    review_id = shared.asks()
    card = shared.card("carol", review_id)
    shared.presses("carol", card, "approve")
    card = shared.card("dave", review_id, "Approved")
    answer = shared.presses("dave", card, "revoke", revoke_reason="Too early")
    assert answer.outcome.value == "card", answer
    assert shared.state(review_id) == "revoked"
    shared.card("carol", review_id, "Too early")


def test_the_next_stage_is_asked_when_the_first_is_done(shared: Town) -> None:
    review_id = shared.asks("chat.security")
    card = shared.card("carol", review_id)
    assert not any(review_id in json.dumps(each.card) for each in shared.teams.cards("bob"))
    shared.presses("carol", card, "approve")
    shared.presses("bob", shared.card("bob", review_id), "approve")
    assert shared.state(review_id) == "approved"


# --- what a card does not offer ---------------------------------------------------------


def test_what_wants_ones_own_credential_offers_only_to_deny(shared: Town) -> None:
    review_id = shared.asks("chat.person")
    card = shared.card("carol", review_id)
    assert verbs(card.card) == {"deny"}
    assert f"countersign review approve {review_id}" in reading(card.card)
    forged = copy.deepcopy(card.card)
    action_of(forged, "deny")["verb"] = "approve"
    action_of(forged, "approve")["data"]["countersign"][VERB] = "approve"
    assert "own credential" in said(shared.teams.press("carol", card, "approve", card=forged))
    assert shared.state(review_id) == "pending"


def test_what_must_be_seen_and_is_masked_offers_only_to_deny(shared: Town) -> None:
    review_id = shared.asks("chat.hidden", arguments={"note": "write to bob.brown@example.com"})
    card = shared.card("carol", review_id)
    assert "approve" not in verbs(card.card)
    assert "bob.brown" not in json.dumps(card.activity)
    forged = copy.deepcopy(card.card)
    action_of(forged, "deny")["verb"] = "approve"
    action_of(forged, "approve")["data"]["countersign"][VERB] = "approve"
    assert "denied, not approved" in said(shared.teams.press("carol", card, "approve", card=forged))
    shared.presses("carol", card, "deny", deny_reason="I cannot see it")
    assert shared.state(review_id) == "denied"


def test_an_approval_that_needs_a_reason_takes_none_without(shared: Town) -> None:
    review_id = shared.asks("chat.reason")
    card = shared.card("carol", review_id)
    assert "reason is needed" in said(shared.teams.press("carol", card, "approve"))
    shared.presses("carol", card, "approve", approve_reason="Seen the ticket")
    assert shared.state(review_id) == "approved"
    assert "Seen the ticket" in reading(shared.card("dave", review_id, "Approved").card)


# --- old cards, copies and repetitions ----------------------------------------------------


def test_a_card_of_an_older_revision_decides_nothing_and_shows_the_new_one(shared: Town) -> None:
    review_id = shared.asks()
    old = copy.deepcopy(shared.card("carol", review_id).card)
    message = shared.card("carol", review_id)
    shared.presses("carol", message, "info", question="Why?")
    shared.service.line("agent").call(
        "Decisions.Answer",
        decisions_pb2.AnswerRequest(
            review_id=review_id,
            question_id=_question(shared, review_id),
            text="Because of the audit",
            request_id=new_id("req"),
        ),
    )
    answer = shared.teams.press("carol", message, "approve", card=old)
    assert answer.outcome.value == "card", answer
    assert "has changed" in reading(answer.value)
    assert "Because of the audit" in reading(answer.value)
    assert shared.state(review_id) == "pending"
    assert shared.teams.press("carol", message, "approve", card=answer.value).outcome.value == (
        "card"
    )
    assert shared.state(review_id) == "approved"


@pytest.mark.parametrize("place", ["dave", "general", CHANNEL])
def test_a_forwarded_card_decides_nothing(shared: Town, place: str) -> None:
    shared.teams.install("general")
    review_id = shared.asks()
    original = shared.card("carol", review_id)
    copy_ = shared.teams.forward("carol", original, place)
    told = said(shared.teams.press("carol", copy_, "approve"))
    assert "not a card that was posted here" in told or "no member" in told
    assert shared.state(review_id) == "pending"


def test_data_of_another_review_card_or_hash_decides_nothing(shared: Town) -> None:
    first, second = shared.asks(), shared.asks()
    card, other = shared.card("carol", first), shared.card("carol", second)

    def with_(*changed: tuple[int, Any], more: dict[str, Any] | None = None) -> dict[str, Any]:
        forged = copy.deepcopy(card.card)
        data = action_of(forged, "approve")["data"]
        for at, value in changed:
            data["countersign"][at] = value
        data |= more or {}
        return forged

    theirs = action_of(other.card, "approve")["data"]["countersign"]
    for forged in (
        with_((REVIEW, theirs[REVIEW])),
        with_((CARD, theirs[CARD])),
        with_(*enumerate(theirs)),
        with_((CARD, "crd_" + "0" * 32)),
        with_((NONCE, theirs[NONCE]), (REVIEW, theirs[REVIEW])),
        with_((CARD, 7)),
        with_(more={"more": "fields"}),
        with_((VERB, "deny")),
    ):
        answer = shared.teams.press("carol", card, "approve", card=forged)
        assert "not a card that was posted here" in said(answer), forged
    for forged in (with_((NONCE, theirs[NONCE])), with_((PREVIEW, "0" * 64))):
        answer = shared.teams.press("carol", card, "approve", card=forged)
        assert answer.outcome.value == "card", answer
    assert (shared.state(first), shared.state(second)) == ("pending", "pending")


def test_data_of_one_card_sent_from_another_takes_that_one_from_nobody(shared: Town) -> None:
    mine, theirs = shared.asks("channel.two"), shared.asks("channel.two")
    card, victim = shared.card(CHANNEL, mine), shared.card(CHANNEL, theirs)
    answer = shared.teams.press("bob", victim, "approve", card=copy.deepcopy(card.card))
    assert "not a card that was posted here" in said(answer)
    # What would have been written had time enough: another card came and went meanwhile.
    shared.presses("carol", card, "deny", deny_reason="no")
    shared.card(CHANNEL, mine, "Denied")
    assert theirs in json.dumps(victim.card)
    assert "approve" in verbs(victim.card)


def test_a_double_click_and_a_repetition_by_teams_are_one_vote(shared: Town) -> None:
    review_id = shared.asks("channel.two")
    card = shared.card(CHANNEL, review_id)
    press = Press(user="carol", message=card, verb="approve")
    answers = shared.teams.press_together(press, press, press)
    assert [answer.outcome.value for answer in answers] == ["card"] * 3
    assert [vote.person_id for vote in shared.review(review_id).votes] == ["carol"]
    assert shared.state(review_id) == "pending"


def test_two_people_in_the_same_moment_are_both_taken_or_one_is_told(shared: Town) -> None:
    review_id = shared.asks("channel.two")
    card = shared.card(CHANNEL, review_id)
    presses = [Press(user=user, message=card, verb="approve") for user in ("carol", "dave")]
    answers = shared.teams.press_together(*presses)
    assert [answer.outcome.value for answer in answers] == ["card", "card"]
    assert shared.state(review_id) == "approved"

    review_id = shared.asks("channel.two")
    card = shared.card(CHANNEL, review_id)
    told = shared.teams.press_together(
        Press(user="carol", message=card, verb="deny", inputs={"deny_reason": "no"}),
        Press(user="dave", message=card, verb="approve"),
    )
    assert shared.state(review_id) == "denied"
    assert told[0].outcome.value == "card"
    assert told[1].outcome.value == "card" or "Too late" in said(told[1])


def test_a_click_after_the_deadline_is_too_late(shared: Town) -> None:
    review_id = shared.asks("chat.quick")
    card = shared.card("carol", review_id)
    view = copy.deepcopy(card.card)
    shared.card("carol", review_id, "Expired")
    assert "Too late" in said(shared.teams.press("carol", card, "approve", card=view))
    assert shared.state(review_id) == "expired"


def test_an_old_client_decides_with_action_submit(shared: Town) -> None:
    review_id = shared.asks()
    card = shared.card("carol", review_id)
    assert shared.teams.submit("carol", card, "approve") == 200
    eventually(lambda: shared.state(review_id) == "approved")
    shared.card("dave", review_id, "Approved")
    late = shared.asks()
    card = shared.card("carol", late)
    before = len(shared.teams.messages("carol"))
    shared.teams.submit("carol", card, "deny")  # the reason that was asked for is missing
    eventually(lambda: shared.state(late) == "denied" or _told_since(shared, "carol", before))


def _told_since(town: Town, user: str, before: int) -> bool:
    return any(each.text for each in town.teams.messages(user)[before:])


# --- who is who ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "word"),
    [("alice-guest", "Guests"), ("eve", "no member"), ("robot", "no member")],
)
def test_nobody_from_outside_and_no_machine_clicks(shared: Town, user: str, word: str) -> None:
    review_id = shared.asks("channel.two")
    card = shared.card(CHANNEL, review_id)
    answer = shared.teams.press(user, card, "approve")
    assert answer.outcome.value in ("message", "unreachable"), answer
    if answer.outcome.value == "message":
        assert word in said(answer)
    assert not shared.review(review_id).votes


def test_the_bots_stolen_credential_is_worth_accounts_of_its_tenant_and_no_more(
    shared: Town,
) -> None:
    review_id = shared.asks("chat.person")
    thief = shared.service.line("teams")
    shown = shared.review(review_id)
    ((profile, preview),) = shown.previews.items()
    request = reviews_pb2.DecideRequest(
        review_id=review_id,
        revision=1,
        profile=profile,
        preview_hash=preview.hash,
        vote=reviews_pb2.VOTE_APPROVE,
        request_id=new_id("req"),
    )
    own_tenant = f"teams:{shared.cloud.tenant_id}"
    carol = shared.teams.feed.people["carol"].object_id
    for issuer, subject, reason in (
        (own_tenant, carol, "vote.assurance"),
        (f"teams:{OTHER_TENANT_ID}", carol, "channel.foreign_issuer"),
        ("https://login.example", carol, "channel.foreign_issuer"),
        (own_tenant, "carol", "channel.unknown_account"),
    ):
        request.person.issuer, request.person.subject = issuer, subject
        request.person.authenticated_at.GetCurrentTime()
        assert thief.refused("Reviews.Decide", request).reason == reason
    request.ClearField("person")
    assert thief.refused("Reviews.Decide", request).fields.keys() == {"person"}
    for verb, message in (
        ("Decisions.Check", decisions_pb2.CheckRequest()),
        ("Reviews.BreakGlass", reviews_pb2.BreakGlassRequest(review_id=review_id)),
        ("Admin.ListPeople", admin_pb2.ListPeopleRequest()),
    ):
        assert thief.refused(verb, message).code is grpc.StatusCode.PERMISSION_DENIED
    foreign = deliveries_pb2.PutEndpointRequest(state=deliveries_pb2.ENDPOINT_STATE_INSTALLED)
    foreign.address.account.issuer = f"teams:{OTHER_TENANT_ID}"
    foreign.address.account.subject = carol
    assert thief.refused("Deliveries.PutEndpoint", foreign).reason == "channel.foreign_issuer"
    assert shared.state(review_id) == "pending"


def test_who_is_not_registered_is_told_who_can_help(own: Town) -> None:
    frank = own.teams.feed.people["frank"] = person("frank", "Frank Fox")
    own.teams.install("frank")
    own.teams.say("frank", "pending")
    told = own.teams.until(lambda: _last_text(own, "frank", "people.toml"))
    assert f'subject = "{frank.object_id}"' in told


def test_a_guest_is_told_nothing(shared: Town) -> None:
    shared.asks()
    shared.teams.install("alice-guest")
    for count, word in enumerate(("pending", "history", "whoami", "help"), 1):
        shared.teams.say("alice-guest", word)
        shared.teams.until(lambda wanted=count: _refused(shared, "alice-guest") > wanted)
    texts = [message.text for message in shared.teams.messages("alice-guest")]
    assert not any("toml" in text or "rev_" in text for text in texts), texts


def _refused(town: Town, place: str) -> int:
    return sum("Guests do not" in message.text for message in town.teams.messages(place))


def _last_text(town: Town, place: str, *words: str) -> str:
    for message in reversed(town.teams.messages(place)):
        if message.text and all(word in message.text for word in words):
            return message.text
    return ""


def test_the_commands_say_who_one_is_what_waits_and_what_became_of_it(shared: Town) -> None:
    waits, ended = shared.asks(), shared.asks()
    shared.presses("carol", shared.card("carol", ended), "deny", deny_reason="no")
    carol = shared.teams.feed.people["carol"]
    shared.teams.say("carol", "whoami")
    line = shared.teams.until(lambda: _last_text(shared, "carol", "You are carol here"))
    assert f'issuer = "teams:{shared.cloud.tenant_id}", subject = "{carol.object_id}"' in line
    shared.teams.say("carol", "pending")
    assert waits in shared.teams.until(lambda: _last_text(shared, "carol", "Waiting for you"))
    shared.teams.say("carol", "history")
    assert ended in shared.teams.until(lambda: _last_text(shared, "carol", "The last ones"))
    shared.teams.say("carol", "help")
    shared.teams.until(lambda: _last_text(shared, "carol", "“history”"))
    shared.teams.say("carol", "whoami", CHANNEL)
    shared.teams.until(lambda: _last_text(shared, CHANNEL, "Reviews for data-approvals"))
    shared.teams.install("general")
    shared.teams.say("carol", "whoami", "general")
    unbound = shared.teams.until(lambda: _last_text(shared, "general", "channels.toml"))
    assert shared.teams.feed.place("general").id in unbound


# --- where the bot is ------------------------------------------------------------------------


def test_whom_a_review_does_not_reach_is_told_and_gets_it_when_the_bot_comes(own: Town) -> None:
    own.teams.uninstall("carol")
    review_id = own.asks()
    own.card("dave", review_id)
    eventually(lambda: list(own.review(review_id).unreached) == ["carol"])
    doctor = own.bot.command("doctor", "--config", "bot.toml")
    assert doctor.returncode == 1, doctor.stdout + doctor.stderr
    assert "carol: the bot is not installed" in doctor.stdout
    assert "gave the bot a token" in doctor.stdout
    own.teams.install("carol")
    own.card("carol", review_id)
    assert own.review(review_id).unreached == []


def test_a_conversation_without_the_bot_is_no_reason_for_silence(own: Town) -> None:
    own.teams.uninstall(CHANNEL)
    review_id = own.asks("channel.two")
    for user in ("carol", "dave"):
        own.card(user, review_id)
    assert list(own.review(review_id).unreached) == [CHANNEL]
    own.teams.install(CHANNEL)
    own.card(CHANNEL, review_id)


def test_a_deleted_message_is_posted_anew(shared: Town) -> None:
    review_id = shared.asks()
    card = shared.card("carol", review_id)
    _delete(shared, card)
    shared.presses("dave", shared.card("dave", review_id), "info", question="Who wants it?")
    again = shared.card("carol", review_id, "Who wants it?")
    assert again.id != card.id
    assert shared.presses("carol", again, "approve").outcome.value == "card"


def _delete(town: Town, message: Message) -> None:
    async def delete() -> None:
        town.teams.feed.delete(message)

    town.cloud.loop.run(delete())


# --- things that break --------------------------------------------------------------------


def test_a_bot_killed_between_vote_and_update_leaves_no_card_behind(own: Town) -> None:
    review_id = own.asks("chat.one")
    cards = {user: own.card(user, review_id) for user in ("carol", "dave")}
    own.teams.connector.fault(method="PUT", drop=True)
    assert own.presses("carol", cards["carol"], "approve").outcome.value == "card"
    own.bot.kill()
    own.teams.connector.heal()
    assert "Approved" not in reading(cards["dave"].card)
    own.bot.start()
    for user in ("carol", "dave"):
        own.card(user, review_id, "Approved")


def test_a_card_whose_posting_was_not_heard_of_says_that_it_was_replaced(own: Town) -> None:
    own.teams.connector.fault(method="POST", path="/activities", lose_answer=True, times=1)
    own.teams.uninstall("dave")
    review_id = own.asks()

    def both() -> list[Message]:
        found = [each for each in own.teams.cards("carol") if review_id in json.dumps(each.card)]
        return found if len(found) == 2 else []

    orphan, known = own.teams.until(both, within_s=60)
    eventually(lambda: own.service.line("teams") is not None)
    _settled(own, known)
    assert "not a card that was posted here" in said(own.teams.press("carol", orphan, "approve"))
    own.teams.until(lambda: "newer card" in reading(orphan.card), within_s=60)
    assert own.state(review_id) == "pending"
    assert own.presses("carol", known, "approve").outcome.value == "card"
    assert own.state(review_id) == "approved"


def _settled(town: Town, message: Message) -> None:
    """Until the service knows which message holds the card."""
    card_id = action_of(message.card, "approve")["data"]["countersign"][CARD]
    request = deliveries_pb2.GetCardRequest(card_id=card_id)
    line = town.service.line("teams")
    eventually(lambda: line.call("Deliveries.GetCard", request).message_id == message.id)


def test_two_bots_at_once_post_each_card_once(own: Town) -> None:
    second = type(own.bot)(own.directory / "second", own.service, own.cloud, own.free_port())
    second.start()
    try:
        reviews = [own.asks() for _ in range(10)]
        for review_id in reviews:
            for user in ("carol", "dave"):
                own.card(user, review_id)
        for user in ("carol", "dave"):
            shown = [json.dumps(each.card) for each in own.teams.cards(user)]
            assert [sum(review_id in text for text in shown) for review_id in reviews] == [1] * 10
    finally:
        assert second.stop() == 0


def test_with_the_service_down_a_click_says_so_and_decides_nothing(own: Town) -> None:
    review_id = own.asks()
    card = own.card("carol", review_id)
    own.service.kill()
    answer = own.teams.press("carol", card, "approve")
    assert "cannot be reached" in said(answer)
    assert answer.took_s < 10
    own.service.start()
    assert own.state(review_id) == "pending"
    eventually(lambda: own.presses("carol", card, "approve").outcome.value == "card")
    own.card("dave", review_id, "Approved")


def test_teams_being_down_delays_cards_and_loses_none(own: Town) -> None:
    own.teams.connector.down = True
    reviews = [own.asks() for _ in range(3)]
    decided = reviews[0]
    shown = own.review(decided)
    ((profile, preview),) = shown.previews.items()
    own.service.line("carol").call(
        "Reviews.Decide",
        reviews_pb2.DecideRequest(
            review_id=decided,
            revision=1,
            profile=profile,
            preview_hash=preview.hash,
            vote=reviews_pb2.VOTE_DENY,
            reason="meanwhile",
            request_id=new_id("req"),
        ),
    )
    own.teams.connector.heal()
    for review_id in reviews[1:]:
        for user in ("carol", "dave"):
            own.card(user, review_id)
    late = [each for each in own.teams.cards("dave") if decided in json.dumps(each.card)]
    own.teams.until(lambda: all("Denied" in reading(each.card) for each in late) or None)


def test_throttling_is_waited_out(shared: Town) -> None:
    shared.teams.connector.fault(status=429, retry_after_s=1, times=2, path="/activities")
    review_id = shared.asks()
    for user in ("carol", "dave"):
        shared.card(user, review_id)


# --- how fast --------------------------------------------------------------------------------


def test_from_click_to_release(shared: Town, record_property: Any) -> None:
    """Printed, not judged: machines differ."""
    took: list[float] = []
    for _ in range(30):
        review_id = shared.asks()
        card = shared.card("carol", review_id)
        released = threading.Event()

        def wait(review_id: str = review_id, released: threading.Event = released) -> None:
            assert _await_decision(shared, review_id) == "approved"
            released.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        began = time.monotonic()
        shared.teams.press("carol", card, "approve")
        assert released.wait(60)
        took.append(time.monotonic() - began)
        waiter.join()
    took.sort()
    p50, p99 = took[len(took) // 2], took[-1]  # of so few, the slowest
    told = f"click to Await released: p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms"
    record_property("latency", told)
    print(told)  # noqa: T201 - for whoever runs it with -s
