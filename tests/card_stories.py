"""Reviews as a service sends them, in every state, for tests of cards."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from countersign.v1 import context_pb2, deliveries_pb2, reviews_pb2
from countersign_bot.card import Handle, Look, View, text

NOW = datetime(2026, 11, 7, 13, 3, tzinfo=UTC)
HASH = bytes(range(32))
PENDING = context_pb2.REVIEW_STATE_PENDING

APPROVER = View(audience=deliveries_pb2.AUDIENCE_APPROVER, personal=True)
CONVERSATION = View(audience=deliveries_pb2.AUDIENCE_CONVERSATION, personal=False)
REQUESTER = View(audience=deliveries_pb2.AUDIENCE_REQUESTER, personal=True)

CONTEXT = {
    "action": "db.export",
    "actor": {"id": "export-agent", "type": "workload"},
    "arguments": {
        "destination": "s3://partner-drop/acme/",
        "format": "parquet",
        "on_call": "[PERSON:a3f8]",
        "recipients": ["[EMAIL:9a8a]", "[EMAIL:8b30]"],
        "row_limit": 1204,
        "sql": "SELECT id, email FROM customers WHERE region = [LITERAL] LIMIT [LITERAL]",
    },
    "environment": "production",
    "on_behalf_of": [{"id": "alice", "type": "person"}],
    "reason": "Acme asked for their November delivery, ticket FIN-1234. Same shape as last month.",
    "resource": {"attributes": {}, "id": "crm.customers", "owner": "data", "type": "table"},
    "session": "s-7741",
}
FACTS = {
    "columns": {"contact": 1, "personal": 1, "total": 2},
    "columns_unread": 0,
    "destination": {
        "count": 1,
        "domain": "partner-drop",
        "domains": ["partner-drop"],
        "internal": False,
        "scheme": "s3",
        "unread": 0,
    },
    "rows": {"at_least": 1000, "bucket": "1k-10k"},
    "sql": {
        "all_columns": False,
        "calls": False,
        "limit": 1204,
        "predicate": "range",
        "statements": 1,
        "tables": ["customers"],
        "verb": "select",
    },
}
REPORT = {
    "cut": False,
    "guard": 0,
    "masked": [],
    "profile": "reviewer",
    "ruleset": "builtin-1:3094be119a243867",
    "total": {"EMAIL": 2, "LITERAL": 2, "PERSON": 1},
}


def look(language="en", timezone="Europe/Berlin", **more) -> Look:
    return Look(language=language, timezone=timezone, now=NOW, **more)


def stamp(minutes: float) -> Timestamp:
    """A time, in minutes from `NOW`."""
    return Timestamp(seconds=int(NOW.timestamp() + minutes * 60))


def encoded(value) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def preview(context=CONTEXT, facts=FACTS, report=REPORT, *, reviewable=True):
    return reviews_pb2.Preview(
        context_json=encoded(context),
        facts_json=encoded(facts),
        mask_report_json=encoded(report),
        hash=HASH,
        reviewable=reviewable,
    )


def vote(who="carol", choice=reviews_pb2.VOTE_APPROVE, *, at=-6, **more):
    return reviews_pb2.VoteView(
        person_id=who,
        vote=choice,
        cast_at=stamp(at),
        assurance="channel",
        channel_id="teams",
        **{"stage": "data owner", "revision": 1, "counts": True, **more},
    )


def review(state=PENDING, *, shown=None, status=None, approvals=0, **more) -> reviews_pb2.Review:
    """A review of an export that two data owners have to approve."""
    return reviews_pb2.Review(
        **{
            "status": context_pb2.ReviewStatus(
                **{
                    "review_id": "rev_5f2c81d09a7746e3b1c4a86f0d2e9b37",
                    "state": state,
                    "revision": 1,
                    "approve_by": stamp(42),
                    **(status or {}),
                }
            ),
            "previews": {"reviewer": shown or preview()},
            "stages": [
                reviews_pb2.StageProgress(
                    name="data owner",
                    quorum=2,
                    approvals=approvals,
                    groups=["data-owners"],
                    people=["erin"],
                    escalates_at=stamp(20),
                )
            ],
            "policy_revision": "9f3c2e1a7b604d5f8e21",
            "reasons": [
                context_pb2.Reason(
                    code="export.external", message="customer data leaves the organisation"
                ),
                context_pb2.Reason(code="export.large", message="1,000 rows or more"),
            ],
            "verified": reviews_pb2.Verified(
                caller_id="export-agent",
                owners=["bob"],
                excluded=["alice", "bob"],
                requester="alice",
            ),
            "created_at": stamp(-18),
            "must_show": ["/resource", "/arguments/destination", "facts:sql.predicate"],
            "min_assurance": "channel",
            "action": "db.export",
            **more,
        }
    )


QUESTION = reviews_pb2.Exchange(
    question_id="q_1",
    asked_by="carol",
    question="Does Acme have a contract for e-mail addresses, too?",
    asked_at=stamp(-12),
)
ANSWER = reviews_pb2.Exchange(
    question_id="q_1",
    asked_by="carol",
    question=QUESTION.question,
    asked_at=stamp(-12),
    answer="Yes: appendix B of the data agreement of March, signed by both sides.",
    answered_at=stamp(-4),
)
BOTH = (vote("carol", at=-6), vote("dave", at=-1, reason="Checked against FIN-1234."))


def claimed(outcome=context_pb2.OUTCOME_SUCCEEDED, detail=None):
    """A review whose approval was used."""
    ended = outcome != context_pb2.OUTCOME_UNSPECIFIED
    return review(
        context_pb2.REVIEW_STATE_CLAIMED,
        votes=BOTH,
        approvals=2,
        status={"outcome": outcome},
        execution=reviews_pb2.Execution(
            claimant_id="export-agent",
            claimed_at=stamp(0),
            outcome=outcome,
            ended_at=stamp(0.5) if ended else None,
            detail_json=encoded({"rows": 1204} if detail is None else detail) if ended else b"",
            record_seq=812 if ended else 0,
        ),
    )


def stories() -> dict[str, reviews_pb2.Review]:
    """One review for each way a card can look."""
    state = context_pb2.ReviewState
    hidden = {**CONTEXT, "arguments": {**CONTEXT["arguments"], "destination": "[POLICY]"}}
    return {
        "pending": review(),
        "one-vote": review(votes=BOTH[:1], approvals=1),
        "info-requested": review(state.REVIEW_STATE_INFO_REQUESTED, thread=[QUESTION]),
        "revision-2": review(
            status={"revision": 2}, thread=[ANSWER], votes=[vote("dave", at=-14, counts=False)]
        ),
        "approved": review(
            state.REVIEW_STATE_APPROVED, votes=BOTH, approvals=2, status={"use_by": stamp(5)}
        ),
        "running": claimed(context_pb2.OUTCOME_UNSPECIFIED),
        "ran": claimed(),
        "failed": claimed(context_pb2.OUTCOME_FAILED, {"error": "disk full"}),
        "ambiguous": claimed(context_pb2.OUTCOME_AMBIGUOUS, {}),
        "denied": review(
            state.REVIEW_STATE_DENIED,
            votes=[
                vote(
                    "carol",
                    reviews_pb2.VOTE_DENY,
                    reason="Acme's contract ended in October. Ask legal first.",
                )
            ],
        ),
        "expired": review(state.REVIEW_STATE_EXPIRED, status={"approve_by": stamp(-2)}),
        "cancelled": review(
            state.REVIEW_STATE_CANCELLED,
            status={
                "reasons": [context_pb2.Reason(code="review.superseded", message="asked anew")],
                "superseded_by": "rev_00000000000000000000000000000001",
            },
        ),
        "lapsed": review(
            state.REVIEW_STATE_LAPSED, votes=BOTH, approvals=2, status={"use_by": stamp(-1)}
        ),
        "revoked": review(
            state.REVIEW_STATE_REVOKED,
            votes=BOTH,
            approvals=2,
            status={
                "reasons": [
                    context_pb2.Reason(code="review.revoked", message="revoked by dave: too soon")
                ]
            },
        ),
        "unreviewable": review(shown=preview(hidden, reviewable=False)),
        "person": review(min_assurance="person"),
        "reason-required": review(require_reason=True),
        "unreached": review(unreached=["erin", "data-approvals"]),
        "no-preview": review(previews={}),
        "voted": review(
            votes=BOTH[:1], approvals=1, cannot_approve="you have already voted on this revision"
        ),
        "no-say": review(
            cannot_decide=True,
            cannot_approve="you are in the requester chain of this action (its owner, user, "
            "parent or a principal it names); somebody else must decide",
        ),
        "glass": review(
            state.REVIEW_STATE_APPROVED,
            votes=[vote("erin", break_glass=True, reason="Customer is down.")],
            approvals=1,
            status={"use_by": stamp(5)},
            after_review=reviews_pb2.AfterReview(person_id="erin", broken_at=stamp(-3)),
        ),
        "unknown-state": review(99),
    }


def handle(shown: reviews_pb2.Review) -> Handle:
    return Handle.of(shown, card_id="card_0b7e1c2d3f4a5b6c7d8e9f0a1b2c3d4e", nonce="n-4c1f7a9be2d8")


# --- reading a card ---


def elements(value, below=""):
    """Every element of a card, and the property of its parent that holds it."""
    if isinstance(value, dict):
        if "type" in value:
            yield value, below
        for name, each in value.items():
            if name != "data":
                yield from elements(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from elements(each, below)


def paragraphs(body) -> list[str]:
    """What is to be read on a card, a paragraph an item."""
    told = []
    for element, _ in elements(body):
        if element["type"] == "RichTextBlock":
            told.append("".join(run["text"] for run in element["inlines"]).replace(text.BREAK, ""))
        elif element["type"] == "TextBlock":
            told.append(element["text"])
    return told


def read(body) -> str:
    return "\n".join(paragraphs(body))


def outside_runs(body):
    """Every string of a card that is in no TextRun and in no handle."""
    if isinstance(body, dict):
        for name, each in body.items():
            if name != "data" and not (body.get("type") == "TextRun" and name == "text"):
                yield from outside_runs(each)
    elif isinstance(body, list):
        for each in body:
            yield from outside_runs(each)
    elif isinstance(body, str):
        yield body


def buttons(body) -> list[str]:
    """What the primary buttons do, in their order."""
    done = []
    for action in body.get("actions", []):
        inner = action["card"]["actions"][0] if "card" in action else action
        done.append(inner.get("verb", "open"))
    return done
