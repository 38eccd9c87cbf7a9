"""An auditor reads what happened, whatever the records hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.audit.sentences import plain
from countersign.audit.story import story, tell

PREVIEW = "ab" * 32
REVIEW = "rev_1"
BASE = {"schema": "countersign/record/v1", "log_id": "log.example/acme", "tenant": "acme"}


def at(seq, kind, **more):
    time = f"2026-11-18T11:46:{seq:02}.000000Z"
    return {**BASE, "seq": seq, "time": time, "kind": kind, **more}


RECORDS = [
    at(1, "policy.changed", change={"revision": "1a2b"}),
    at(
        2,
        "decision",
        decision="dec_1",
        review=REVIEW,
        session="ses_1",
        caller="exporter",
        actor={"type": "agent", "id": "reporter"},
        action="db.export",
        resource={"type": "table", "id": "customers"},
        environment="production",
        effect="needs_approval",
        policy={"revision": "1a2b"},
        reasons=[{"code": "export.production", "message": "production export"}],
        chain={"owners": ["per_o"], "excluded": ["per_o", "per_r"]},
        clean={"on_behalf_of": [{"type": "user", "id": "rita"}], "reason": "monthly report"},
        commitment="cd" * 32,
    ),
    at(
        3,
        "review.created",
        review=REVIEW,
        decision="dec_1",
        previews={"reviewer": PREVIEW},
        requirement={
            "stages": [{"name": "data owner", "groups": ["data-owners"], "people": [], "quorum": 1}]
        },
        review_state={"state": "pending", "approve_by": "2026-11-18T12:46:40.000000Z"},
    ),
    at(
        4,
        "vote.refused",
        review=REVIEW,
        vote={"person": "per_o", "choice": "approve", "preview_hash": PREVIEW},
        refusal={"code": "vote.excluded", "message": "the requester cannot decide"},
    ),
    at(
        5,
        "review.updated",
        review=REVIEW,
        question={"id": "qst_1", "asked_by": "per_a", "text": "why?"},
        review_state={"state": "info_requested"},
    ),
    at(6, "heartbeat", change={"refused_calls": {}}),
    at(
        7,
        "vote",
        review=REVIEW,
        vote={
            "person": "per_a",
            "choice": "approve",
            "stage": 0,
            "revision": 2,
            "profile": "reviewer",
            "preview_hash": PREVIEW,
            "reason": "fine",
            "assurance": "person",
        },
        review_state={"state": "approved"},
    ),
    at(
        8,
        "claim",
        review=REVIEW,
        decision="dec_2",
        caller="gateway",
        effect="allow",
        policy={"revision": "3c4d"},
        permit={"jti": "prm_1", "aud": "gateway", "exp": 1_795_000_300},
        review_state={"state": "claimed"},
    ),
    at(
        9,
        "outcome",
        review=REVIEW,
        caller="gateway",
        permit={"jti": "prm_1"},
        outcome={"outcome": "succeeded", "detail": {"rows": 7}},
    ),
    at(10, "decision", decision="dec_9", action="other.action", caller="other", effect="allow"),
]


def test_a_review_is_told_from_the_question_to_the_outcome():
    told = story(RECORDS, REVIEW)
    assert [entry.seq for entry in told.entries] == [2, 3, 4, 5, 7, 8, 9]
    text = told.text()
    for words in (
        "agent:reporter (as caller exporter) asked to db.export on table:customers in production",
        "on behalf of: user:rita",
        "policy: needs_approval (revision 1a2b)",
        "because: export.production: production export",
        "excluded from deciding: per_o, per_r",
        "stage 1: data owner: 1 of data-owners",
        f"shown to reviewer: preview {PREVIEW}",
        "per_o tried to approve and was refused",
        "refused because: vote.excluded: the requester cannot decide",
        "per_a asked: why?",
        "per_a approved",
        f"on screen: preview {PREVIEW} (reviewer), which this review showed",
        "assurance: person",
        "gateway claimed the approval: granted",
        "policy: allow (revision 3c4d)",
        "permit: prm_1 for gateway",
        "permit expires: 2026-11-18T11:11:40Z",
        "gateway reported: succeeded",
    ):
        assert words in text, words
    assert "heartbeat" not in text
    assert "other.action" not in text


def test_any_name_of_the_affair_leads_to_all_of_it():
    whole = story(RECORDS, REVIEW).entries
    for subject in ("dec_1", "dec_2", "ses_1", "prm_1"):
        assert story(RECORDS, subject).entries == whole


def test_a_vote_on_something_else_than_was_shown_stands_out():
    records = [dict(record) for record in RECORDS]
    records[6] = {**records[6], "vote": {**records[6]["vote"], "preview_hash": "ee" * 32}}
    assert "NOT a preview of this story" in story(records, REVIEW).text()


def test_an_end_by_time_and_a_revocation_are_told():
    records = [
        at(1, "review.closed", review="r", review_state={"state": "expired"}),
        at(
            2,
            "review.closed",
            review="r",
            review_state={"state": "revoked"},
            revocation={"person": "per_a", "reason": "changed my mind"},
        ),
        at(3, "outcome", review="r", review_state={"outcome": "ambiguous"}),
    ]
    text = story(records, "r").text()
    assert "the review ended: expired" in text
    assert "revoked by: per_a" in text
    assert "no report came in time: ambiguous" in text


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"revision": "1a2b"}, "policy 1a2b answers from here on"),
        ({"result": "activated", "revision": "1a2b"}, "policy 1a2b answers from here on"),
        ({"result": "rolled_back", "revision": "1a2b"}, "policy 1a2b answers again"),
        (
            {"result": "proposed", "revision": "1a2b", "proposed": {"revision": "3c4d"}},
            "policy 3c4d waits for people; 1a2b goes on answering",
        ),
        (
            {"result": "refused", "revision": "1a2b", "refused": {"revision": "3c4d"}},
            "policy 3c4d was refused (no reason given); 1a2b goes on answering",
        ),
        (
            {"result": "failed", "revision": "1a2b", "refused": {"code": "policy.unreachable"}},
            "another policy could not be had or started (policy.unreachable); 1a2b goes on",
        ),
        (
            {"result": "of a later schema", "revision": "1a2b"},
            "policy 1a2b answers: of a later sch",
        ),
    ],
)
def test_what_became_of_a_version_of_policy_is_told(change, title):
    told = tell(at(1, "policy.changed", change=change))
    assert told.title.startswith(title)
    if code := change.get("refused", {}).get("code"):
        assert ("because", code) in told.facts


def test_an_unknown_kind_is_shown_and_an_unknown_subject_is_empty():
    told = story([at(1, "brand.new", review="r", change={"a": 1})], "r")
    assert told.entries[0].title == "brand.new"
    assert told.entries[0].facts == (("change", '{"a": 1}'),)
    assert story(RECORDS, "nothing").entries == ()


def test_text_from_outside_cannot_move_the_cursor_or_turn_the_line():
    evil = "ok\x1b[2J\r\n#99 forged\u202egnp.exe\u2066"
    records = [at(1, "vote", review="r", vote={"person": evil, "choice": "approve"})]
    text = story(records, "r").text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("#99") for line in text.split("\n"))
    assert len(plain("x" * 10_000)) == 301


def test_the_json_form_holds_the_same():
    told = story(RECORDS, REVIEW)
    data = json.loads(json.dumps(told.json()))
    assert data["subject"] == REVIEW
    assert [entry["title"] for entry in data["entries"]] == [entry.title for entry in told.entries]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "code", "choice", "person", "stages", "exp", "answer"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
FIELDS = sorted({field for record in RECORDS for field in record} - {"kind", "review"})


@given(
    st.sampled_from([record["kind"] for record in RECORDS]),
    st.dictionaries(st.sampled_from(FIELDS), ANY, max_size=6),
)
def test_no_record_is_too_strange_to_tell(kind, fields):
    told = story([{"kind": kind, "review": "r", **fields}], "r")
    assert len(told.entries) == 1
    assert told.text()
    json.dumps(told.json())


def test_emergencies_escalations_and_delegations_are_told_as_what_they_are():
    state = {"state": "approved", "votes": [{"person": "erin", "delegated_by": "carol"}]}
    records = [
        {
            "kind": "review.escalated",
            "seq": 1,
            "review": "rev_1",
            "review_state": {"escalated": [1]},
        },
        {
            "kind": "vote",
            "seq": 2,
            "review": "rev_1",
            "vote": {"person": "erin", "choice": "approve", "batch": True, "channel": "teams"},
            "review_state": state,
        },
        {"kind": "break_glass", "seq": 3, "review": "rev_1", "vote": {"person": "dave"}},
        {
            "kind": "after_review.closed",
            "seq": 4,
            "review": "rev_1",
            "after_review": {"person": "bob", "justified": False, "note": "it was not"},
        },
    ]
    told = story(records, "rev_1").text()
    for words in (
        "more people were asked",
        "erin approved together with other reviews",
        "in the place of: carol",
        "through channel: teams",
        "dave BROKE THE GLASS and approved alone",
        "bob found the broken glass NOT justified",
        "note: it was not",
    ):
        assert words in told, told
