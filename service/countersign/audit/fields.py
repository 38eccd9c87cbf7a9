"""The fields of a record, for those who read logs: the dictionary, and what to call a column.

Pure. The schema `countersign/record/v1` only grows; what a record does not need
is left out of it. `flow/record.py` builds records; tests hold this list against
it, against real records, and against docs/auditing.md, whose tables are made
from it by `dictionary`.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from countersign.model import JsonObject, JsonValue


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field; `name` is its path, with dots."""

    name: str
    type: str
    says: str

    @property
    def open(self) -> bool:
        """Whether what is below it is not listed: a map or list, not an object."""
        return self.type in ("map", "list")


KINDS: Final[dict[str, str]] = {
    "decision": "the answer to one Check",
    "review.created": "people are asked",
    "review.updated": "a question, an answer, or more people excluded",
    "review.escalated": "nobody decided in time, more people are asked",
    "review.closed": "a review ended, by people, the requester or time",
    "vote": "one person's approval or denial",
    "vote.refused": "somebody tried to decide and was not allowed to",
    "break_glass": "one person approved alone, in an emergency",
    "after_review.closed": "somebody else looked at a broken glass",
    "claim": "an approval was to be spent: granted or refused",
    "outcome": "how an action ended, as reported; without `outcome`, that no report came in time",
    "delegation.given": "somebody may decide in another's place",
    "delegation.ended": "and may no more",
    "policy.changed": "other policy is in force from here on, or was proposed or refused: `result`",
    "policy.shadow": "a candidate policy would have said something else; it decides nothing",
    "directory.changed": "callers, people, channels or groups changed",
    "config.changed": "the service started, under these settings",
    "keys.changed": "a key was replaced: the old one signs no more",
    "admin.refused": "somebody was kept from changing the registers",
    "activity": "anything else an agent said, masked",
    "heartbeat": "the service is there; what it refused since, without a record each",
}

FIELDS: Final = (
    Field("schema", "text", "`countersign/record/v1`"),
    Field("log_id", "text", "the log it belongs to: the origin of its checkpoints"),
    Field("seq", "integer", "its number, from 0 without gaps: its leaf in the Merkle tree"),
    Field("time", "time", "RFC 3339 in UTC, microseconds; never before the record before it"),
    Field("kind", "text", "what happened, see below"),
    Field("tenant", "text", "whose it is"),
    Field("caller", "text", "the registered machine that called"),
    Field("actor", "object", "the agent, as the caller names it"),
    Field("actor.type", "text", "`workload`, `person` or `external`"),
    Field("actor.id", "text", "its name"),
    Field("action", "text", "what is to happen, like `db.export`"),
    Field("resource", "object", "on what, masked"),
    Field("resource.type", "text", ""),
    Field("resource.id", "text", ""),
    Field("resource.owner", "text", "who owns it, as the caller says"),
    Field("resource.attributes", "map", "anything else about it"),
    Field("environment", "text", "like `production`"),
    Field("session", "text", "the agent's session"),
    Field("trace", "text", "the trace id of the call"),
    Field("labels", "map", "the caller's own words for its books, masked"),
    Field("request", "object", "the request that led to it"),
    Field("request.id", "text", "its idempotency key"),
    Field("request.method", "text", "which verb"),
    Field("decision", "text", "the answer's id, `dec_…`"),
    Field("review", "text", "the review's id, `rev_…`"),
    Field("commitment", "text", "salted SHA-256 of the canonical context; see `audit open`"),
    Field("effect", "text", "`allow`, `deny` or `needs_approval`"),
    Field("reasons", "list", "code and message of each reason"),
    Field("chain", "object", "who is behind the request"),
    Field("chain.owners", "list", "the caller's owners"),
    Field("chain.excluded", "list", "who must not decide"),
    Field("chain.proven", "text", "the person a token proves to be behind it"),
    Field("clean", "map", "the context, masked: arguments, reason, on_behalf_of"),
    Field("findings", "object", "what was seen in the raw context; never a value"),
    Field("findings.entities", "map", "counts by type"),
    Field("findings.classes", "list", "data classes"),
    Field("findings.facts", "map", "statement, amounts, destination, …"),
    Field("findings.complete", "boolean", "false: something could not be examined"),
    Field("findings.ner", "map", "which recognizers looked as well"),
    Field("mask_report", "map", "what was masked where, by which rule"),
    Field("policy", "object", "what policy was asked and said"),
    Field("policy.query", "text", "the entry point"),
    Field("policy.revision", "text", "which policy answered"),
    Field("policy.effect", "text", "what it said"),
    Field("policy.time", "time", "the time it was told"),
    Field("policy.verified", "map", "what the service knew of the caller"),
    Field("policy.recent", "map", "counts it was told"),
    Field("policy.approval", "map", "the votes it was told"),
    Field("policy.findings", "map", "the findings it was told"),
    Field("previews", "map", "preview hash by mask profile: what was on the screen"),
    Field("preview_objects", "map", "the objects that hold those previews"),
    Field("requirement", "map", "what policy demanded of the votes"),
    Field("requirement_hash", "text", "its SHA-256, which votes name"),
    Field("review_state", "object", "where the review stands after this record"),
    Field("review_state.state", "text", "`pending`, `approved`, `denied`, `claimed`, …"),
    Field("review_state.version", "integer", "counts every change"),
    Field("review_state.revision", "integer", "counts what voids earlier approvals"),
    Field("review_state.approve_by", "time", ""),
    Field("review_state.use_by", "time", ""),
    Field("review_state.votes", "list", "the votes that count"),
    Field("review_state.outcome", "text", "`succeeded`, `failed` or `ambiguous`"),
    Field("review_state.superseded_by", "text", "the review in its place"),
    Field("review_state.escalated", "list", "escalations by stage"),
    Field("review_state.after_review", "map", "what a broken glass still owes"),
    Field("review_state.reasons", "list", "why it ended"),
    Field("excluded", "list", "who is excluded as well from here on"),
    Field("vote", "object", "one act of one person"),
    Field("vote.person", "text", "who"),
    Field("vote.choice", "text", "`approve` or `deny`"),
    Field("vote.assurance", "text", "`person`: their own credential; `channel`: a bot says so"),
    Field("vote.groups", "list", "their groups then"),
    Field("vote.channel", "text", "through which bot or console"),
    Field("vote.message_ref", "text", "the message there"),
    Field("vote.profile", "text", "which preview was on the screen"),
    Field("vote.preview_hash", "text", "and its hash"),
    Field("vote.revision", "integer", "of the review"),
    Field("vote.requirement_hash", "text", "what was demanded then"),
    Field("vote.reason", "text", "masked"),
    Field("vote.known_to", "list", "who else had seen the credential"),
    Field("vote.batch", "boolean", "together with other reviews"),
    Field("vote.break_glass", "boolean", "alone"),
    Field("refusal", "object", "why a vote was refused"),
    Field("refusal.code", "text", "like `vote.self_approval`"),
    Field("refusal.message", "text", ""),
    Field("question", "map", "a question to the requester: who asked, and its masked text"),
    Field("answer", "map", "its id, masked text, who answered, and whether that is proven"),
    Field("revocation", "map", "who took an approval back, and why"),
    Field("after_review", "map", "who looked at a broken glass, and what they found"),
    Field("permit", "object", "the permit's claims; never the token or the salt"),
    Field("permit.jti", "text", "its id, `pmt_…`"),
    Field("permit.sub", "text", "the caller that claimed"),
    Field("permit.aud", "text", "who accepts it"),
    Field("permit.iat", "integer", "issued, seconds since 1970"),
    Field("permit.exp", "integer", "expires"),
    Field("permit.kid", "text", "the key that signed it"),
    Field("outcome", "object", "the report"),
    Field("outcome.outcome", "text", "`succeeded`, `failed` or `ambiguous`"),
    Field("outcome.detail", "map", "what the executor adds, masked"),
    Field("delegation", "map", "who lends to whom, from when until when"),
    Field("change", "map", "what changed, or since the last heartbeat"),
    Field("shadow", "object", "two policies' answers to the question of `decision`"),
    Field("shadow.changed", "list", "of effect, reasons (codes), requirement, mask"),
    Field("shadow.live", "map", "effect, codes and revision of the policy in force"),
    Field("shadow.candidate", "map", "and of the one that was tried"),
    Field("activity", "map", "type, content, mask_report, complete"),
)

COLUMNS: Final = tuple(field for field in FIELDS if "." not in field.name)
"""The fields at the top of a record."""
_NAMES: Final = {field.name: field for field in FIELDS}


def unknown(record: JsonObject) -> list[str]:
    """Paths in a record that this list does not have."""
    found: list[str] = []
    for name, value in record.items():
        _collect(name, value, found)
    return found


def _collect(path: str, value: JsonValue, found: list[str]) -> None:
    field = _NAMES.get(path)
    if field is None:
        found.append(path)
    elif isinstance(value, dict) and not field.open and set(value) != {"object"}:
        for name, inner in value.items():
            _collect(f"{path}.{name}", inner, found)


def dictionary() -> str:
    """Both tables, as they stand in docs/auditing.md."""
    fields = [f"| `{item.name}` | {item.type} | {item.says} |" for item in FIELDS]
    kinds = [f"| `{name}` | {says} |" for name, says in KINDS.items()]
    tables = (
        "| Field | Type | What it says |\n|---|---|---|",
        *fields,
        "\n| Kind | What happened |\n|---|---|",
        *kinds,
    )
    return "\n".join(tables) + "\n"
