"""A review on a terminal: what would run, what is known of it, what the agent says.

What is proven stands apart from what is asserted, above all who is behind it.
Nothing of the preview is left out or shortened: the vote names its hash, so
all of it must have been on the screen. Only sanitized values arrive here, and
still none of them may steer the terminal: everything passes `output.safe`.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from countersign.cli import output
from countersign.v1 import reviews_pb2


def profile_shown(review: reviews_pb2.Review) -> str:
    """The profile of the preview that this reader is shown: the first they may see."""
    return min(review.previews, default="")


def print_card(review: reviews_pb2.Review, credential: Path | None) -> None:
    """Print a review and the exact commands that decide it."""
    status = review.status
    profile = profile_shown(review)
    preview = review.previews[profile] if profile else reviews_pb2.Preview()
    context = _json(preview.context_json)
    print(f"REVIEW {status.review_id}: {output.STATES[status.state]}{_alarm(review)}")
    print("\nWhat would run, once")
    _action(context)
    print("\nVerified by Countersign")
    _verified(review)
    _facts(_json(preview.facts_json))
    print("\nAsserted by the agent")
    _asserted(context)
    print("\nWhy a person is asked")
    output.reasons(review.reasons)
    output.field("policy", review.policy_revision)
    _progress(review)
    _glass(review)
    print("\nWhat you see")
    _legend(_json(preview.mask_report_json))
    output.field("preview", f"{preview.hash.hex()[:16]} ({profile}, revision {status.revision})")
    if not preview.reviewable:
        output.field("note", "what must be seen is cut or masked: it can be denied, not approved")
    _commands(review, preview, credential)


def headline(review: reviews_pb2.Review) -> str:
    """A review in one line: who wants to do what to which resource, where."""
    profile = profile_shown(review)
    context = _json(review.previews[profile].context_json) if profile else {}
    words = (review.verified.caller_id, context.get("action"), _resource(context))
    return f"{' '.join(map(str, words))} in {context.get('environment')}"


def action_shown(review: reviews_pb2.Review) -> str:
    """The action as this reader is shown it."""
    profile = profile_shown(review)
    return str(_json(review.previews[profile].context_json).get("action", "")) if profile else ""


def summary(review: reviews_pb2.Review) -> dict[str, str]:
    """What tells reviews apart at a glance, by name; for reviews that stand together."""
    profile = profile_shown(review)
    preview = review.previews[profile] if profile else reviews_pb2.Preview()
    context = _json(preview.context_json)
    facts = _json(preview.facts_json)
    return {
        "caller": review.verified.caller_id,
        "requester": review.verified.requester or "(not proven)",
        "action": str(context.get("action", "")),
        "environment": str(context.get("environment", "")),
        "resource": _resource(context),
        "facts": "; ".join(_told(facts)) or "(none)",
    }


def plain(review: reviews_pb2.Review) -> dict[str, Any]:
    """A review for scripts: JSON as JSON, hashes in hex as everywhere else."""
    data = MessageToDict(review, preserving_proto_field_name=True)
    data["commitment"] = review.commitment.hex()
    for name, preview in review.previews.items():
        data["previews"][name] = {
            "context": _json(preview.context_json),
            "facts": _json(preview.facts_json),
            "hash": preview.hash.hex(),
            "mask_report": _json(preview.mask_report_json),
            "reviewable": preview.reviewable,
        }
    return data


def _action(context: dict[str, Any]) -> None:
    output.field("action", str(context.get("action", "")))
    output.field("resource", _resource(context))
    output.field("environment", str(context.get("environment", "")))


def _resource(context: dict[str, Any]) -> str:
    resource = context.get("resource")
    if isinstance(resource, dict):
        return f"{resource.get('type', '')} {resource.get('id', '')}"
    return str(resource)  # masked whole


def _principal(value: Any) -> str:
    return str(value.get("id", "")) if isinstance(value, dict) else str(value)


def _verified(review: reviews_pb2.Review) -> None:
    output.field("caller", review.verified.caller_id)
    output.field("owners", ", ".join(review.verified.owners))
    proven = review.verified.requester
    output.field("requester", f"{proven}, proven by a token" if proven else "(nobody is proven)")
    excluded = ", ".join(review.verified.excluded)
    output.field("may not vote", f"{excluded} (behind this request)" if excluded else "(nobody)")


def _facts(facts: dict[str, Any]) -> None:
    for words in _told(facts):
        output.field("fact", words)


def _told(facts: dict[str, Any]) -> list[str]:
    return [
        f"{name.replace('_', ' ')}: {_in_words(name, value)}"
        for name, value in sorted(facts.items())
        if (name, value) != ("columns_unread", 0)
    ]


def _in_words(name: str, value: Any) -> str:
    match name, value:
        case _, {"at_least": int(least), "bucket": str(bucket)}:
            return f"{bucket.replace('-', ' to ')} (at least {least:,})" if least else bucket
        case "destination", {"internal": bool(internal), "domain": str(domain), **more}:
            where = "inside" if internal else "OUTSIDE"
            domains = more.get("domains")
            named = ", ".join(map(str, domains)) if isinstance(domains, list) else domain
            beyond = f" and {more['more']} more" if more.get("more") else ""
            return f"{named}{beyond} ({more.get('scheme', '')}), {where} the organisation"
        case "columns", {"total": int(total), **classes}:
            of = ", ".join(f"{count} {name}" for name, count in sorted(classes.items()))
            return f"{total}, of which {of}" if of else f"{total}, none of a known class"
    return _short(value)


def _asserted(context: dict[str, Any]) -> None:
    output.field("actor", _principal(context.get("actor")))
    behind = context.get("on_behalf_of") or []
    if behind:
        listed = behind if isinstance(behind, list) else [behind]
        output.field("on behalf of", ", ".join(map(_principal, listed)))
    output.field("reason", str(context.get("reason", "")) or "(none given)")
    arguments = json.dumps(context.get("arguments") or {}, indent=2, ensure_ascii=False)
    output.field("arguments", arguments)
    resource = context.get("resource")
    attributes = resource.get("attributes") if isinstance(resource, dict) else None
    if attributes:
        output.field("attributes", json.dumps(attributes, indent=2, ensure_ascii=False))


def _progress(review: reviews_pb2.Review) -> None:
    print("\nDecision")
    for stage in review.stages:
        who = ", ".join([*(f"group {group}" for group in stage.groups), *stage.people])
        output.field("stage", f"{stage.name}: {stage.approvals} of {stage.quorum} from {who}")
        if stage.HasField("escalates_at"):
            output.field("", f"asks more people {output.until(stage.escalates_at)}, if still open")
    if review.unreached:
        output.field("not reached", f"{', '.join(review.unreached)} (no bot installed there)")
    for vote in review.votes:
        output.field("vote", _vote(vote))
    for exchange in review.thread:
        output.field("question", f"{exchange.asked_by}: {exchange.question}")
        output.field("answer", exchange.answer or "(open)")
    if review.status.HasField("use_by"):
        output.field("claim by", output.until(review.status.use_by))
    else:
        output.field("decide by", output.until(review.status.approve_by))
    output.reasons(review.status.reasons)


def _vote(vote: reviews_pb2.VoteView) -> str:
    """One vote: who, in whose place, how it is known, and what they said."""
    verb = "approved" if vote.vote == reviews_pb2.VOTE_APPROVE else "denied"
    if vote.break_glass:
        verb = "BROKE THE GLASS and approved alone"
    who = f"{vote.person_id}, for {vote.delegated_by}," if vote.delegated_by else vote.person_id
    void = "" if vote.counts else " (void: something changed since)"
    how = f" through {vote.channel_id}" if vote.channel_id else ""
    words = f": {vote.reason}" if vote.reason else ""
    return f"{who} {verb}{void} {output.moment(vote.cast_at)}{how}{words}"


def after_review(review: reviews_pb2.Review) -> str:
    """Where the after-review of a broken glass stands, in one line."""
    owed = review.after_review
    broken = f"broken by {owed.person_id} {output.moment(owed.broken_at)}"
    if not owed.closed_by:
        return f"{broken}; somebody else must look at it"
    found = "justified" if owed.justified else "NOT JUSTIFIED"
    return f"{broken}; {owed.closed_by} found it {found} {output.moment(owed.closed_at)}"


def _alarm(review: reviews_pb2.Review) -> str:
    if not review.HasField("after_review"):
        return ""
    return " (GLASS BROKEN)" if review.after_review.closed_by else " (GLASS BROKEN, not looked at)"


def _glass(review: reviews_pb2.Review) -> None:
    if not review.HasField("after_review"):
        return
    print("\nBroken glass")
    output.field("glass", after_review(review))
    if review.after_review.closed_by:
        output.field("note", review.after_review.note)
    else:
        close = f"countersign review after close {review.status.review_id}"
        output.field("to close", f"{close} --verdict justified --note '…'")


def _legend(report: dict[str, Any]) -> None:
    total = report.get("total") or {}
    hidden = ", ".join(f"{count} {kind}" for kind, count in sorted(total.items()))
    output.field("masked", hidden or "nothing")
    output.field("ruleset", str(report.get("ruleset", "")))


def _commands(
    review: reviews_pb2.Review, preview: reviews_pb2.Preview, credential: Path | None
) -> None:
    if review.status.state not in output.AWAITS_VOTES:
        return
    print("\nTo decide")
    suffix = f" --credential {credential}" if credential else ""
    base = f"{review.status.review_id} --preview {preview.hash.hex()[:16]}{suffix}"
    if review.cannot_approve:
        output.field("note", f"you cannot approve: {review.cannot_approve}")
    if not review.cannot_decide:
        if preview.reviewable and not review.cannot_approve:
            print(f"  countersign review approve {base}")
            if review.batch:
                output.field("note", "it can be approved together with others")
        print(f"  countersign review deny {base} --reason '…'")
        print(f"  countersign review ask {review.status.review_id} '…'{suffix}")
    if review.can_break_glass and preview.reviewable:
        print("\nIn an emergency you may approve it alone; somebody else looks at it afterwards")
        confirm = shlex.quote(output.safe(action_shown(review)))
        print(f"  countersign review break-glass {base} --confirm {confirm} --reason '…'")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(map(_short, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _json(data: bytes) -> dict[str, Any]:
    parsed = json.loads(data) if data else {}
    return parsed if isinstance(parsed, dict) else {}
