"""The same in a browser: what people see, press and are told, page by page.

Microsoft's own card renderer draws what the bot sends; pictures are kept in
`.artefacts/teams`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import realparts
from countersign.model import new_id
from countersign.v1 import context_pb2, decisions_pb2
from countersign_bot.card.text import BREAK
from service import eventually
from simulators.teams.browser import Browser, Page
from simulators.teams.page_server import PageServer
from teams_world import CHANNEL, Town, town

PICTURES = realparts.ROOT / ".artefacts" / "teams"
HOSTILE = "**bold** [click](https://evil.example) <at>Carol</at> {{DATE(2026-01-01)}} \u202egnp.exe"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, Browser]]:
    """A town, and a browser that shows everybody's page of it."""
    chromium, renderer = realparts.chromium(), realparts.card_renderer()
    with (
        town(tmp_path_factory.mktemp("teams")) as made,
        PageServer(made.teams, renderer) as pages,
        Browser(pages, chromium) as browser,
    ):
        yield made, browser


def opened(browser: Browser, user: str, name: str) -> Page:
    """Somebody's page of a place, high enough for a whole card."""
    page = browser.page_of(user)
    page.size(1100, 1400)
    page.open(name)
    return page


def test_the_whole_story_is_seen_and_decided_in_a_browser(place: tuple[Town, Browser]) -> None:
    """Alice, her twin and Bob are refused; Carol asks; Carol and Dave approve; it runs."""
    town, browser = place
    agent = town.service.line("agent")
    review_id = town.asks("channel.two", arguments={"rows": 1204}, reason="the yearly audit")
    card = town.card(CHANNEL, review_id)

    alice = opened(browser, "alice", CHANNEL)
    hers = alice.card(card)
    hers.screenshot(PICTURES / "story-alice.png")
    hers.wait_for_text("asked for this yourself")
    assert not {"Approve", "Deny"} & set(hers.buttons())
    hers.screenshot(PICTURES / "story-alice.png")

    for user, told in (("alice-guest", "Guests do not decide"), ("bob", "asks other people")):
        page = opened(browser, user, CHANNEL)
        theirs = page.card(card)
        theirs.click("Approve")
        theirs.wait_for_text(told)
        theirs.screenshot(PICTURES / f"story-{user}-refused.png")
    assert not town.review(review_id).votes

    carol = opened(browser, "carol", CHANNEL)
    carol.card(card).screenshot(PICTURES / "story-pending.png")
    carol.card(card).click("Ask")
    carol.card(card).fill("Your question", "Which year?")
    carol.card(card).click("Send the question")
    eventually(lambda: bool(town.review(review_id).thread))
    (asked,) = town.review(review_id).thread
    agent.call(
        "Decisions.Answer",
        decisions_pb2.AnswerRequest(
            review_id=review_id,
            question_id=asked.question_id,
            text="The one that ended in June",
            request_id=new_id("req"),
        ),
    )
    carol.card(card).wait_for_text("The one that ended in June")
    carol.card(card).wait_for_text("Revision")
    carol.card(card).screenshot(PICTURES / "story-revision-2.png")
    carol.card(card).click("Approve")
    carol.card(card).wait_for_text("1 of 2")
    dave = opened(browser, "dave", CHANNEL)
    dave.card(card).wait_for_text("1 of 2")
    dave.card(card).click("Approve")
    for page in (alice, carol, dave):
        page.card(card).wait_for_text("Approved, not run yet")
    claimed = agent.call(
        "Decisions.Claim",
        decisions_pb2.ClaimRequest(
            review_id=review_id,
            context=town.contexts[review_id].to_message(),
            request_id=new_id("req"),
        ),
    )
    agent.call(
        "Decisions.Report",
        decisions_pb2.ReportRequest(
            permit_id=claimed.permit.permit_id,
            outcome=context_pb2.OUTCOME_SUCCEEDED,
            detail_json=b'{"rows":1204}',
            request_id=new_id("req"),
        ),
    )
    for page in (alice, carol, dave):
        page.card(card).wait_for_text("1,204 rows")
    carol.card(card).screenshot(PICTURES / "story-done.png")
    carol.screenshot(PICTURES / "story-page.png")
    for page in browser.pages:
        assert page.complaints == [], page.complaints


def test_a_denial_asks_for_its_reason_before_anything_is_sent(
    place: tuple[Town, Browser],
) -> None:
    town, browser = place
    review_id = town.asks(reason="the monthly report")
    card = town.card("carol", review_id)
    page = opened(browser, "carol", "Countersign")
    shown = page.card(card)
    shown.click("Deny")
    sent = len(town.teams.line.sent)
    shown.click("Deny with this reason")
    shown.wait_for_text("Say why")
    assert len(town.teams.line.sent) == sent
    shown.fill("Why not?", "Not in March")
    shown.screenshot(PICTURES / "deny-reason.png")
    shown.click("Deny with this reason")
    shown.wait_for_text("Not in March")
    assert town.state(review_id) == "denied"


def test_what_an_agent_writes_is_seen_letter_by_letter(place: tuple[Town, Browser]) -> None:
    town, browser = place
    review_id = town.asks(reason=HOSTILE, arguments={"note": HOSTILE, "html": "<b>x</b>"})
    card = town.card("dave", review_id)
    page = opened(browser, "dave", "Countersign")
    shown = page.card(card)
    text = shown.text().replace(BREAK, "")
    for literal in ("**bold**", "[click](https://evil.example)", "<at>Carol</at>", "<b>x</b>"):
        assert literal in text, (literal, text)
    assert "DATE(2026-01-01)" in text
    assert "\u202e" not in text
    assert "<U+202E>gnp.exe" in text
    links = shown.evaluate("card => [...card.querySelectorAll('a[href]')].map(a => a.href)")
    assert links == []
    shown.screenshot(PICTURES / "hostile.png")
