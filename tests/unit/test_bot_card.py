"""What a card says and offers, in each state, to each reader, in each language."""

import json
from datetime import timedelta

import pytest

from card_stories import (
    ANSWER,
    APPROVER,
    BOTH,
    CONTEXT,
    CONVERSATION,
    FACTS,
    NOW,
    QUESTION,
    REPORT,
    REQUESTER,
    buttons,
    claimed,
    elements,
    handle,
    look,
    paragraphs,
    preview,
    read,
    review,
    stamp,
    stories,
    vote,
)
from countersign.v1 import context_pb2, deliveries_pb2, reviews_pb2
from countersign_bot.card import (
    MAX_CARD_BYTES,
    Handle,
    View,
    closed_card,
    gone_card,
    refusal_text,
    reminder_text,
    review_card,
)
from countersign_bot.card import read as read_click
from countersign_bot.card.lint import problems

STORIES = stories()
VIEWS = {"approver": APPROVER, "conversation": CONVERSATION, "requester": REQUESTER}
CONSOLE = "https://console.example/reviews/"


def card(shown, view=APPROVER, language="en", **more):
    looks = {name: more.pop(name) for name in ("timezone", "console_url") if name in more}
    return review_card(shown, handle=handle(shown), view=view, look=look(language, **looks), **more)


def body(shown, view=APPROVER, language="en", **more):
    return card(shown, view, language, **more).body


@pytest.mark.parametrize("language", ["en", "de", "de-AT", "fr"])
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("story", STORIES)
def test_every_card_passes_the_lint_and_says_its_state_in_words(story, view, language):
    made = card(STORIES[story], VIEWS[view], language, viewers=["29:carol"])
    assert problems(made) == []
    heading = paragraphs(made.body)[0]
    assert len(heading.split(" ", 1)[1]) > 3, "words, not a sign alone"
    assert made.body["lang"] == ("de" if language.startswith("de") else "en")
    assert made.summary.startswith(heading.split(" ", 1)[1])


def test_what_is_verified_stands_before_what_is_asserted_and_apart_from_it():
    made = body(STORIES["pending"])
    headings = [each["text"] for each, _ in elements(made) if each.get("style") == "heading"]
    assert headings.index("Verified by Countersign") < headings.index("Asserted by the agent")
    asserted = next(each for each in made["body"] if _holds(each, "Asserted by the agent"))
    assert asserted["style"] == "emphasis"
    told = read(asserted)
    for said in (CONTEXT["reason"], "export-agent (workload)", "alice (person)", "parquet"):
        assert said in told
    rest = read([each for each in made["body"] if each is not asserted])
    for said in ("crm.customers table", "production", "export-agent, owned by bob"):
        assert said in rest
    assert "alice, proven by a token" in rest
    assert CONTEXT["reason"] not in rest


def test_facts_are_told_in_words():
    told = read(body(STORIES["pending"]))
    assert "partner-drop (s3) · OUTSIDE the organisation" in told
    assert "1k\u201310k (at least 1,000)" in told
    assert "SELECT customers" in told
    assert "picks a range of rows · at most 1,204 rows" in told
    assert "2 columns: 1 contact, 1 personal" in told
    facts = {
        "destination": {"internal": True, "domain": "example.com", "count": 1, "unread": 2},
        "shell": {"program": "rm", "programs": ["rm", "cat"], "flags": ["-rf"], "reads": False},
        "grants": {"added": ["owner"], "removed": ["reader"]},
        "sql": {
            **FACTS["sql"],
            "predicate": "always true",
            "all_columns": True,
            "calls": True,
            "statements": 3,
        },
        "unheard_of": {"deep": {"deeper": [1, True]}},
        "rows": {"at_least": 0, "bucket": "0"},
        "columns_unread": 2,
    }
    told = read(body(review(shown=preview(facts=facts), must_show=[])))
    for words in (
        "example.com · inside the organisation",
        "unread: 2",
        "rm, cat",
        "-rf",
        "may change something",
        "added owner, removed reader",
        "picks every row",
        "all columns",
        "calls functions that may do more",
        "statements: 3",
        "unheard of",
        "deep deeper [1, True]",
        "Unread columns",
    ):
        assert words in told, words


def test_what_policy_demands_is_marked_and_comes_first():
    told = paragraphs(body(STORIES["pending"]))
    assert "◆ Resource" in told
    assert "◆ Statement" in told
    assert "Environment" in told
    assert told.index("◆ destination") < told.index("Reason") < told.index("format")
    assert "◆ Policy demands that this is seen." in told
    assert "◆" not in read(body(review(must_show=[])))


def test_who_asked_why_and_how_long_it_may_wait():
    told = read(body(STORIES["pending"]))
    assert "Decide by 2026-11-07 14:45 CET · in 42 minutes" in told
    assert "customer data leaves the organisation  export.external" in told
    assert "Policy 9f3c2e1a7b604d5f8e21" in told
    assert "Preview 0001020304050607 reviewer" in told
    assert "Rules builtin-1:3094be119a243867" in told
    nobody = review(verified=reviews_pb2.Verified(caller_id="export-agent"))
    assert "Nobody is proven to be behind it" in read(body(nobody))
    assert "2026-11-07 13:45 UTC" in read(body(STORIES["pending"], timezone="No/Where"))
    assert "2026-11-07 19:30 UTC+0545" in read(body(STORIES["pending"], timezone="Asia/Kathmandu"))


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0.5, "in less than a minute"),
        (1, "in 1 minute"),
        (119, "in 119 minutes"),
        (130, "in 2 hours"),
        (60 * 47, "in 47 hours"),
        (60 * 24 * 9, "in 9 days"),
        (-3, "3 minutes ago"),
    ],
)
def test_how_far_away_a_time_is(minutes, words):
    assert words in read(body(review(status={"approve_by": stamp(minutes)})))


def test_what_is_masked_is_counted_by_kind():
    total = {"EMAIL": 1, "PERSON": 2, "BADGE_NO": 3}
    shown = preview(report={**REPORT, "total": total})
    assert "3 BADGE_NO, 2 names, 1 e-mail address" in read(body(review(shown=shown)))
    nothing = preview(report={**REPORT, "total": {}})
    assert "Nothing: every value is shown as it is." in read(body(review(shown=nothing)))


def test_an_approver_may_approve_deny_or_ask():
    made = body(STORIES["pending"])
    assert buttons(made) == ["approve", "deny", "info"]
    approve, deny, ask = made["actions"]
    assert approve["type"] == "Action.Execute"
    assert approve["fallback"]["type"] == "Action.Submit"
    for action, words in ((deny, "Why not?"), (ask, "Your question")):
        (asked,) = action["card"]["body"]
        assert asked["isRequired"]
        assert asked["errorMessage"]
        assert asked["label"].startswith(words)


def test_each_button_carries_the_same_handle():
    shown = STORIES["one-vote"]
    made = body(shown, viewers=["29:carol"])
    clicks = [read_click(each["data"]) for each, _ in elements(made) if "data" in each]
    assert len(clicks) == 2 * 4, "three buttons and refresh, each with its fallback"
    assert {click.handle for click in clicks} == {handle(shown)}
    assert {click.verb.value for click in clicks} == {"approve", "deny", "info", "refresh"}


def test_an_approval_that_needs_words_asks_for_them():
    approve = body(STORIES["reason-required"])["actions"][0]
    assert approve["type"] == "Action.ShowCard"
    assert approve["card"]["body"][0]["isRequired"]


def test_what_cannot_be_reviewed_can_be_denied_and_read_in_full():
    made = body(STORIES["unreviewable"])
    assert buttons(made) == ["deny", "refresh"]
    assert "Nobody can approve this" in read(made)
    assert "countersign review show rev_5f2c81d09a7746e3b1c4a86f0d2e9b37" in read(made)
    linked = card(STORIES["unreviewable"], console_url=CONSOLE)
    assert buttons(linked.body) == ["deny", "open", "refresh"]
    assert linked.body["actions"][1]["url"] == f"{CONSOLE}rev_5f2c81d09a7746e3b1c4a86f0d2e9b37"
    assert problems(linked, console_url=CONSOLE) == []
    assert problems(linked) == ["card AdaptiveCard.actions Action.OpenUrl.url: not the console's"]


@pytest.mark.parametrize(
    "pointer", ["/arguments/nowhere", "/arguments/recipients/7", "facts:sql.nothing", "nonsense"]
)
def test_what_policy_demands_but_is_not_there_keeps_from_approving(pointer):
    """Whatever the service said of it."""
    assert "approve" not in buttons(body(review(must_show=[pointer])))


def test_a_click_in_a_chat_is_no_personal_credential():
    made = body(STORIES["person"])
    assert buttons(made) == ["deny", "refresh"]
    told = read(made)
    assert "Approving this takes your own credential" in told
    review_id = STORIES["person"].status.review_id
    assert f"countersign review approve {review_id} --preview 0001020304050607" in told


def test_the_requester_decides_nothing_and_is_told_how_it_ends():
    for story in STORIES.values():
        assert not {"approve", "deny", "info", "revoke"} & {*buttons(body(story, REQUESTER))}
    assert "asked for in your name, so others decide" in read(body(STORIES["pending"], REQUESTER))
    assert "1,204 rows, record 812" in read(body(STORIES["ran"], REQUESTER))


def test_who_has_no_say_sees_why_in_their_language():
    assert buttons(body(STORIES["no-say"])) == ["refresh"]
    assert "You asked for this yourself" in read(body(STORIES["no-say"]))
    assert "Jemand anderes muss entscheiden." in read(body(STORIES["no-say"], language="de"))
    unknown = review(cannot_decide=True, cannot_approve="some other *words*")
    assert "You cannot approve this:\nsome other *words*" in read(body(unknown))


def test_one_body_for_a_conversation_is_for_everybody_there():
    assert buttons(body(STORIES["no-say"], CONVERSATION)) == ["approve", "deny", "info"]
    assert buttons(body(STORIES["voted"], CONVERSATION)) == ["approve", "deny", "info"]


def test_who_has_voted_may_still_deny():
    made = body(STORIES["voted"])
    assert buttons(made) == ["deny", "info", "refresh"]
    assert "You have voted on this already." in read(made)


def test_votes_stand_with_their_stage_who_is_asked_and_who_was_not_reached():
    votes = [vote("carol", delegated_by="frank", reason="fine"), vote("dave", counts=False)]
    told = read(body(review(votes=votes, approvals=1, unreached=["erin"])))
    assert "○ 1 of 2 approvals" in told
    assert "Asked: group data-owners, erin" in told
    assert "More people are asked at 14:23 CET" in told
    assert "✓ carol for frank approved 13:57 CET" in told
    assert "“fine”" in told
    assert "✓ dave approved 13:57 CET (void: something changed since)" in told
    assert "May not vote\nalice, bob" in told
    assert "Not reached\nerin\nThe bot is not installed there." in told


def test_each_vote_is_told_once_whatever_its_stage_is_called():
    stage = review().stages[0]
    votes = [vote("carol"), vote("erin", stage="emergency")]
    told = read(body(review(stages=[stage, stage], votes=votes)))
    assert told.count("carol approved") == 1
    assert "emergency\n✓ erin approved" in told


def test_a_time_on_another_day_has_its_date():
    told = read(body(review(votes=[vote("carol", at=-60 * 24)])))
    assert "carol approved 2026-11-06 14:03 CET" in told


def test_questions_and_answers_stand_in_their_order():
    told = read(body(STORIES["info-requested"]))
    assert "? Waiting for an answer" in told
    assert f"carol asked 13:51 CET\n“{QUESTION.question}”\nNo answer yet" in told
    made = body(STORIES["revision-2"])
    told = read(made)
    assert "Revision 2: an answer came, earlier approvals are void" in told
    assert f"The agent answered 13:59 CET\n“{ANSWER.answer}”" in told
    answer = next(each for each in made["body"] if _holds(each, "The agent answered"))
    assert answer["style"] == "emphasis", "what the agent says stands apart"


def test_an_approval_can_be_taken_back_until_it_is_claimed():
    made = body(STORIES["approved"])
    assert buttons(made) == ["revoke", "refresh"]
    assert "isRequired" not in made["actions"][0]["card"]["body"][0]
    assert "To be used by 2026-11-07 14:08 CET · in 5 minutes" in read(made)
    assert buttons(body(STORIES["running"])) == ["refresh"]


def test_the_last_card_tells_the_end():
    told = read(body(STORIES["ran"], timezone="UTC"))
    assert "✓ Done\nRan 2026-11-07 13:03 UTC, succeeded, 1,204 rows, record 812" in told
    told = read(body(STORIES["ran"], language="de"))
    assert "Ausgeführt 2026-11-07 14:03 CET, erfolgreich, 1.204 Zeilen, Eintrag 812" in told
    told = read(body(STORIES["failed"]))
    assert "✕ Failed\nRan 2026-11-07 14:03 CET, failed, error: disk full, record 812" in told
    assert "no outcome reported in time" in read(body(STORIES["ambiguous"]))
    told = read(body(STORIES["running"]))
    assert "» Running\nStarted 2026-11-07 14:03 CET, not reported yet" in told
    denied = read(body(STORIES["denied"]))
    assert "✕ Denied\nBy carol, 2026-11-07 13:57 CET\nAcme's contract ended" in denied
    expired = read(body(STORIES["expired"]))
    assert "Nobody decided by 2026-11-07 14:01 CET. Nothing ran." in expired
    assert "Nothing ran." in read(body(STORIES["lapsed"]))
    assert "revoked by dave: too soon" in read(body(STORIES["revoked"]))
    assert "Another review took its place: rev_0000" in read(body(STORIES["cancelled"]))


@pytest.mark.parametrize("detail", [b"", b"[]", b"no json", b'{"a": {"b": [1, null]}, "c": true}'])
def test_whatever_was_reported_is_told_or_left_out(detail):
    shown = claimed()
    shown.execution.detail_json = detail
    made = card(shown)
    assert problems(made) == []
    assert ('a: {"b": [1, null]}' in read(made.body)) == detail.startswith(b'{"a"')


def test_an_ended_review_offers_nothing():
    for name in ("ran", "failed", "denied", "expired", "cancelled", "lapsed", "revoked"):
        assert "actions" not in body(STORIES[name])
        assert "refresh" not in body(STORIES[name], viewers=["29:carol"])
    assert "actions" not in body(STORIES["unknown-state"])


def test_a_broken_glass_is_told_until_somebody_looked_at_it():
    told = read(body(STORIES["glass"]))
    assert "Glass broken by erin, 14:00 CET: approved alone in an emergency" in told
    assert "Somebody else has to look at it afterwards." in told
    assert "erin broke the glass and approved alone" in told
    owed = reviews_pb2.AfterReview(
        person_id="erin",
        broken_at=stamp(-9),
        closed_by="carol",
        closed_at=stamp(-2),
        note="It could have waited.",
    )
    told = read(body(review(context_pb2.REVIEW_STATE_CLAIMED, after_review=owed)))
    assert "carol found it NOT justified, 14:01 CET\nIt could have waited." in told


def test_a_card_without_a_preview_shows_nothing_of_it():
    made = body(STORIES["no-preview"])
    assert "There is nothing of it that you may see." in read(made)
    assert "Asserted by the agent" not in read(made)
    assert buttons(made) == ["refresh"]


def test_viewers_may_ask_for_their_own_view_but_not_too_many():
    refresh = body(STORIES["pending"], viewers=[f"29:{n}" for n in range(60)])["refresh"]
    assert refresh["userIds"] == [f"29:{n}" for n in range(20)]
    assert refresh["action"]["verb"] == "refresh"
    assert "refresh" not in body(STORIES["pending"])


def test_a_notice_stands_on_top():
    notice = "Your vote counts. [One](https://x.example) more is needed."
    made = body(STORIES["one-vote"], notice=notice)
    assert paragraphs(made)[0] == notice
    assert problems(card(STORIES["one-vote"], notice=notice)) == []


def test_a_handle_of_something_else_makes_no_card():
    shown = STORIES["pending"]
    for wrong in ({"revision": 2}, {"preview_hash": "00" * 32}, {"review_id": "rev_x"}):
        named = {
            "review_id": shown.status.review_id,
            "card_id": "card_1",
            "revision": 1,
            "preview_hash": bytes(range(32)).hex(),
            "profile": "reviewer",
            "nonce": "n",
        }
        with pytest.raises(ValueError, match="handle"):
            review_card(shown, handle=Handle(**{**named, **wrong}), view=APPROVER, look=look())


# --- too much for a card ---


def large(arguments, **more):
    return review(shown=preview({**CONTEXT, "arguments": arguments}), must_show=[], **more)


def test_what_fits_can_be_approved_and_one_value_more_can_not():
    """A card is never full and approvable with something missing."""
    seen = set()
    for count in range(0, 61, 4):
        shown = large({f"key{n:03}": f"value {n:03}" for n in range(count)})
        made = card(shown)
        assert problems(made) == []
        whole = f"value {count - 1:03}" in read(made.body) if count else True
        assert ("approve" in buttons(made.body)) == whole
        assert ("more values are not shown here" in read(made.body)) != whole
        seen.add(whole)
    assert seen == {True, False}


def test_what_is_cut_says_so_and_offers_no_approval():
    shown = large({"note": "\n".join(["lorem ipsum"] * 1000), "other": 1})
    made = card(shown)
    told = read(made.body)
    assert "Cut: 11,999 characters in all, SHA-256 " in told
    assert "This card cannot show all of it" in told
    assert buttons(made.body) == ["deny", "refresh"]
    assert "other" in told


def test_demanded_values_are_never_left_out_for_room():
    arguments = {f"a{n:03}": "x" * 80 for n in range(200)} | {"zzz": "the one that counts"}
    shown = review(shown=preview({**CONTEXT, "arguments": arguments}), must_show=["/arguments/zzz"])
    made = card(shown)
    assert "the one that counts" in read(made.body)
    assert "approve" not in buttons(made.body)


@pytest.mark.parametrize(
    "chars", ["x", "\u202e", "\U0001f600", "a\u0301", "{", "\u05d0", "\n", "<b>"]
)
def test_a_megabyte_anywhere_makes_a_small_card(chars):
    flood = chars * (1_000_000 // len(chars))
    for shown in (
        large({"note": flood}),
        large({flood: 1}),
        large([flood] * 3),
        review(thread=[reviews_pb2.Exchange(asked_by=flood, question=flood, answer=flood)]),
        review(reasons=[context_pb2.Reason(code=flood, message=flood)] * 5),
        review(verified=reviews_pb2.Verified(caller_id=flood, owners=[flood] * 3)),
        review(votes=[vote(flood, reason=flood)] * 3, unreached=[flood] * 3),
        review(policy_revision=flood, action=flood),
    ):
        made = card(shown, notice=flood)
        assert problems(made) == []
        size = len(json.dumps(made.body, ensure_ascii=False, separators=(",", ":")).encode())
        assert size <= MAX_CARD_BYTES


def test_cutting_what_others_said_of_it_before_keeps_nobody_from_approving():
    shown = review(votes=[vote(f"p{n}", counts=False, reason="no " * 300) for n in range(40)])
    assert "approve" in buttons(body(shown))
    shown = review(thread=[reviews_pb2.Exchange(question="q", answer="yes " * 3000)])
    assert "approve" not in buttons(body(shown)), "but the agent's answers must have been seen"


# --- beside cards ---


def test_closed_and_replaced_cards_say_so_and_offer_nothing():
    for made in (closed_card(look()), gone_card(look("de"))):
        assert problems(made) == []
        assert "actions" not in made.body


def test_a_reminder_names_the_action_and_the_time():
    told = reminder_text(STORIES["pending"], look())
    assert told.startswith("Still waiting for a decision (db.export): until 2026-11-07 14:45 CET")
    hostile = review(action="db.export](https://x.example)")
    assert "x.example" not in reminder_text(hostile, look())
    assert "x.example" not in card(hostile).summary


def test_refusals_are_friendly_and_an_unknown_one_is_harmless():
    assert refusal_text("vote.self_approval", "raw", look()).startswith("You asked for this")
    assert refusal_text("review.expired", "raw", look("de")).startswith("Zu spät")
    told = refusal_text("some.new_code", "see [here](https://x.example) <at>all</at>\u202e", look())
    assert told == "Nothing was done. see (here)(https://x.example) (at)all(/at)(U+202E)"
    assert refusal_text("x", "", look()) == "Nothing was done."


def test_views_and_times_are_all_a_card_depends_on():
    first = body(STORIES["one-vote"], viewers=["29:carol"])
    assert first == body(STORIES["one-vote"], viewers=["29:carol"])
    later = look()
    later = type(later)(language="en", timezone="Europe/Berlin", now=NOW + timedelta(minutes=10))
    shown = STORIES["one-vote"]
    moved = review_card(shown, handle=handle(shown), view=APPROVER, look=later)
    assert "in 32 minutes" in read(moved.body)


def test_an_audience_nobody_knows_is_judged_like_an_approver():
    view = View(audience=deliveries_pb2.AUDIENCE_UNSPECIFIED, personal=True)
    assert buttons(body(STORIES["no-say"], view)) == ["refresh"]


def test_both_votes_are_told():
    told = read(body(STORIES["approved"]))
    for each in BOTH:
        assert f"✓ {each.person_id} approved" in told


def _holds(element, text):
    return any(each.get("text") == text for each, _ in elements(element))
