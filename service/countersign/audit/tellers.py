"""One record of each kind, told: a title and facts.

Pure. Kinds and fields it does not know it shows as they are: the schema only
grows. Called by `story`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from countersign.audit.sentences import (
    Fact,
    all_coded,
    ballot,
    brief,
    coded,
    findings_of,
    joined,
    object_of,
    permit_of,
    plain,
    policy_of,
    principals,
    stage_line,
    standing,
    text_of,
    what,
    who,
)
from countersign.model import JsonObject

Teller: TypeAlias = Callable[[JsonObject, set[str]], Iterator[Fact]]
"""Tells a record, given the previews its review showed. The first fact is the title."""


def _tell_decision(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    yield "", f"{who(record)} asked to {what(record)}"
    yield "on behalf of", principals(object_of(record, "clean").get("on_behalf_of"))
    yield from policy_of(record)
    yield "proven to be behind it", text_of(object_of(record, "chain"), "proven")
    yield "reason given", text_of(object_of(record, "clean"), "reason")
    yield "excluded from deciding", joined(object_of(record, "chain").get("excluded"))
    yield from findings_of(object_of(record, "findings"))
    yield "commitment", text_of(record, "commitment")
    yield "review", text_of(record, "review")
    yield from permit_of(record)


def _tell_created(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    yield "", f"review {text_of(record, 'review')} was opened"
    state = object_of(record, "review_state")
    stages = object_of(record, "requirement").get("stages") or state.get("stages")
    for number, stage in enumerate(stages if isinstance(stages, list) else (), 1):
        if isinstance(stage, dict):
            yield f"stage {number}", stage_line(stage)
    for profile, digest in object_of(record, "previews").items():
        yield f"shown to {plain(profile)}", f"preview {plain(digest)}"
    yield "approve by", text_of(state, "approve_by")


def _tell_updated(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    question = object_of(record, "question")
    if "answer" in question or "answer" in record:
        answer = question.get("answer", record.get("answer"))
        yield "", f"the requester answered: {plain(answer)}"
    elif question:
        text = question.get("text", question.get("question", ""))
        yield "", f"{text_of(question, 'asked_by') or 'somebody'} asked: {plain(text)}"
    else:
        yield "", "the review changed"
    yield from standing(record)


def _tell_vote(record: JsonObject, shown: set[str]) -> Iterator[Fact]:
    vote = object_of(record, "vote")
    verb = {"approve": "approved", "deny": "denied"}.get(text_of(vote, "choice"), "voted")
    among = " together with other reviews" if vote.get("batch") is True else ""
    yield "", f"{text_of(vote, 'person') or 'somebody'} {verb}{among}"
    yield "in the place of", _delegator(record)
    yield from ballot(vote, shown)
    yield from standing(record)


def _tell_refused(record: JsonObject, shown: set[str]) -> Iterator[Fact]:
    vote, refusal = object_of(record, "vote"), object_of(record, "refusal")
    tried = {"approve": "to approve", "deny": "to deny"}.get(text_of(vote, "choice"), "to act")
    yield "", f"{text_of(vote, 'person') or 'somebody'} tried {tried} and was refused"
    yield "refused because", coded(refusal)
    yield from ballot(vote, shown)


def _tell_glass(record: JsonObject, shown: set[str]) -> Iterator[Fact]:
    vote = object_of(record, "vote")
    yield "", f"{text_of(vote, 'person') or 'somebody'} BROKE THE GLASS and approved alone"
    yield from ballot(vote, shown)
    yield from standing(record)


def _tell_looked_at(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    said = object_of(record, "after_review")
    found = "justified" if said.get("justified") is True else "NOT justified"
    yield "", f"{text_of(said, 'person') or 'somebody'} found the broken glass {found}"
    yield "assurance", text_of(said, "assurance")
    yield "note", text_of(said, "note")


def _tell_kept_out(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    change = object_of(record, "change")
    subject = object_of(change, "subject")
    yield "", f"{text_of(change, 'by') or 'somebody'} was kept from {text_of(change, 'verb')}"
    yield "of", " ".join(filter(None, (text_of(subject, "kind"), text_of(subject, "id"))))
    yield "because", text_of(change, "code")


def _tell_escalated(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    yield "", "nobody had decided in time, and more people were asked"
    yield "escalations by stage", joined(object_of(record, "review_state").get("escalated"))


def _delegator(record: JsonObject) -> str:
    """In whose place the newest vote of a record was cast."""
    votes = object_of(record, "review_state").get("votes")
    newest = votes[-1] if isinstance(votes, list) and votes else None
    return text_of(newest, "delegated_by") if isinstance(newest, dict) else ""


def _tell_closed(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    state = object_of(record, "review_state")
    yield "", f"the review ended: {text_of(state, 'state') or 'unknown state'}"
    yield "because", all_coded(state.get("reasons"))
    revocation = object_of(record, "revocation")
    yield "revoked by", text_of(revocation, "person")
    yield "reason given", text_of(revocation, "reason")
    yield "superseded by", text_of(state, "superseded_by")


def _tell_claim(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    granted = record.get("effect") == "allow"
    yield (
        "",
        f"{text_of(record, 'caller')} claimed the approval: {'granted' if granted else 'refused'}",
    )
    yield from policy_of(record)
    yield from permit_of(record)
    yield from standing(record)


def _tell_outcome(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    outcome = object_of(record, "outcome")
    ended = text_of(outcome, "outcome") or text_of(object_of(record, "review_state"), "outcome")
    told = f"{text_of(record, 'caller')} reported" if outcome else "no report came in time"
    yield "", f"{told}: {ended or 'unknown outcome'}"
    yield "detail", brief(outcome.get("detail"))
    yield "permit", text_of(object_of(record, "permit"), "jti")


def _tell_shadow(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    shadow = object_of(record, "shadow")
    yield "", "a candidate policy, which decides nothing, would have said something else"
    for name, whose in (("live", "in force"), ("candidate", "candidate")):
        said = object_of(shadow, name)
        yield whose, " ".join(filter(None, (text_of(said, "effect"), joined(said.get("codes")))))
        yield f"revision, {whose}", text_of(said, "revision")
    yield "not the same", joined(shadow.get("changed"))


def _tell_policy(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    change = object_of(record, "change")
    now = text_of(change, "revision") or "no policy"
    refused, proposed = object_of(change, "refused"), object_of(change, "proposed")
    other = text_of(refused or proposed, "revision") or "another policy"
    code = text_of(refused, "code") or "no reason given"
    titles = {
        "activated": f"policy {now} answers from here on",
        "rolled_back": f"policy {now} answers again",
        "proposed": f"policy {other} waits for people; {now} goes on answering",
        "refused": f"policy {other} was refused ({code}); {now} goes on answering",
        "failed": f"{other} could not be had or started ({code}); {now} goes on answering",
    }
    result = text_of(change, "result") or "activated"
    yield "", titles.get(result, f"policy {now} answers: {result}")
    yield "because", coded(refused) if refused else ""
    yield "change", brief(change)


def tell_other(record: JsonObject, _shown: set[str]) -> Iterator[Fact]:
    """A record of a kind that is told by its own name."""
    yield "", text_of(record, "kind") or "a record of unknown kind"
    change = record.get("change")
    yield "change", brief(change)


TELLERS: Final[dict[str, Teller]] = {
    "decision": _tell_decision,
    "review.created": _tell_created,
    "review.updated": _tell_updated,
    "vote": _tell_vote,
    "vote.refused": _tell_refused,
    "break_glass": _tell_glass,
    "after_review.closed": _tell_looked_at,
    "review.escalated": _tell_escalated,
    "admin.refused": _tell_kept_out,
    "review.closed": _tell_closed,
    "policy.changed": _tell_policy,
    "policy.shadow": _tell_shadow,
    "claim": _tell_claim,
    "outcome": _tell_outcome,
}
