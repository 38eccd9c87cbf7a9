"""A day in a log, record by record as the service writes them, and that log published.

What auditors' tests ask about: an approved export, one allowed at once, a
denial, an approval that nobody reported on, a broken glass, an expired review,
refused votes, changes of policy and people, heartbeats. Twenty minutes pass
between two records. `test_audit_fields` holds the shapes against real records.
"""

import asyncio
import copy
import hashlib

from audit_world import MemorySource, publish, record

STEP_US = 20 * 60 * 1_000_000
AGENT = {"type": "workload", "id": "agent"}
PREVIEW = "08" * 32


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def asked(name, action, effect, **more):
    """A decision as Check records it."""
    body = {
        "kind": "decision",
        "decision": f"dec_{name}",
        "caller": "agent",
        "actor": AGENT,
        "action": action,
        "environment": "production",
        "resource": {"type": "table", "id": name, "owner": "data-owners", "attributes": {}},
        "commitment": name.encode().hex().ljust(64, "0"),
        "chain": {"owners": ["alice"], "excluded": ["alice"]},
        "clean": {"arguments": {"limit": 10}, "on_behalf_of": [], "reason": "", "session": ""},
        "findings": {"classes": [], "complete": True, "entities": {}, "facts": {}},
        "mask_report": {"cut": False, "masked": [], "profile": "record", "ruleset": "r"},
        "policy": {"query": "data.countersign.decision", "revision": "rev-1", "effect": effect},
        "effect": effect,
        "reasons": [{"code": "demo.rule", "message": "a rule"}],
        "request": {"id": f"chk_{name}", "method": "check"},
    }
    return {**body, **more}


def about(kind, name, action, state, **more):
    """A record about a review."""
    body = {
        "kind": kind,
        "review": f"rev_{name}",
        "decision": f"dec_{name}",
        "caller": "agent",
        "action": action,
        "commitment": name.encode().hex().ljust(64, "0"),
        "review_state": {"state": state, "version": 1, "revision": 1, "votes": []},
    }
    return {**body, **more}


def created(name, action):
    return about(
        "review.created",
        name,
        action,
        "pending",
        previews={"reviewer": PREVIEW},
        requirement={"stages": [{"name": "owners", "quorum": 1}], "report_within_s": 1800},
    )


def voted(name, action, person, choice="approve", **more):
    cast = {"person": person, "choice": choice, "assurance": "person", "groups": ["owners"]}
    cast |= {"profile": "reviewer", "preview_hash": PREVIEW, "revision": 1, "reason": "fine"}
    state = "approved" if choice == "approve" else "denied"
    return about("vote", name, action, state, **{"vote": cast, **more})


def claimed(name, action, *, effect="allow", **more):
    permit = {"jti": f"pmt_{name}", "sub": "agent", "aud": "agent", "iat": 1, "exp": 2, "kid": "k"}
    body = {
        **asked(name, action, effect),
        "kind": "claim",
        "policy": {"revision": "rev-1", "effect": "needs_approval"},
        "decision": f"dec_{name}_claim",
        "review": f"rev_{name}",
        "review_state": {"state": "claimed" if effect == "allow" else "approved", "votes": []},
    }
    return {**body, **({"permit": permit} if effect == "allow" else {}), **more}


def reported(name, action, outcome, *, decision=None, review=True, **more):
    body = {
        "kind": "outcome",
        "decision": decision or f"dec_{name}_claim",
        "caller": "agent",
        "action": action,
        "commitment": name.encode().hex().ljust(64, "0"),
        "outcome": {"outcome": outcome, "detail": {"rows": 10}},
    }
    if review:
        body |= {"review": f"rev_{name}", "permit": {"jti": f"pmt_{name}"}}
        body |= {"review_state": {"state": "claimed", "outcome": outcome, "votes": []}}
    return {**body, **more}


PERSONAL = {
    "classes": ["contact", "personal"],
    "complete": True,
    "entities": {"EMAIL": 2},
    "facts": {"destination": {"domain": "partner-share", "internal": False}},
}
SELF = {"code": "vote.self_approval", "message": "you are in the requester chain"}
ALICE = {"person": "alice", "choice": "approve", "assurance": "person", "groups": ["owners"]}

BODIES = (
    {"kind": "policy.changed", "change": {"revision": "rev-1", "bundle": sha256(b"one")}},
    {"kind": "config.changed", "change": {"started": "0.1.0", "issuer": "countersign"}},
    # 2: an export of personal data, approved, claimed, reported
    asked("exp", "db.export", "needs_approval", review="rev_exp", findings=PERSONAL),
    created("exp", "db.export"),
    about("vote.refused", "exp", "db.export", "pending", vote=ALICE, refusal=SELF),
    voted("exp", "db.export", "bob"),
    claimed("exp", "db.export", findings=PERSONAL),
    reported("exp", "db.export", "succeeded"),
    # 8: allowed at once, and failed; 10: denied
    asked("read", "db.read", "allow"),
    reported("read", "db.read", "failed", decision="dec_read", review=False),
    asked("drop", "db.drop", "deny"),
    # 11: approved and claimed; no report came in time, and then a late one
    asked("late", "job.run", "needs_approval", review="rev_late"),
    created("late", "job.run"),
    voted("late", "job.run", "carol", vote={**ALICE, "person": "carol", "assurance": "channel"}),
    claimed("late", "job.run"),
    about("outcome", "late", "job.run", "claimed", review_state={"outcome": "ambiguous"}),
    reported("late", "job.run", "succeeded"),
    # 17: an emergency, unjustified
    asked("fire", "iam.grant", "needs_approval", review="rev_fire"),
    created("fire", "iam.grant"),
    about("break_glass", "fire", "iam.grant", "approved", vote={**ALICE, "person": "dave"}),
    claimed("fire", "iam.grant"),
    reported("fire", "iam.grant", "succeeded"),
    about(
        "after_review.closed",
        "fire",
        "iam.grant",
        "claimed",
        after_review={"person": "carol", "justified": False, "note": "it could have waited"},
    ),
    # 23: a claim that was granted and never reported on
    asked("mute", "db.export", "needs_approval", review="rev_mute"),
    created("mute", "db.export"),
    voted("mute", "db.export", "bob"),
    claimed("mute", "db.export", effect="deny", reasons=[{"code": "claim.mismatch"}]),
    claimed("mute", "db.export"),
    # 28: nobody decided
    asked("slow", "db.export", "needs_approval", review="rev_slow"),
    created("slow", "db.export"),
    about("review.closed", "slow", "db.export", "expired"),
    # 31: about the service itself
    {"kind": "directory.changed", "change": {"by": "olga", "people": {"added": {"erin": {}}}}},
    {"kind": "admin.refused", "change": {"by": "alice", "verb": "put", "code": "admin.own"}},
    {"kind": "policy.changed", "change": {"revision": "rev-2", "bundle": sha256(b"two")}},
    asked("read2", "db.read", "allow", policy={"revision": "rev-2", "effect": "allow"}),
    reported("read2", "db.read", "succeeded", decision="dec_read2", review=False),
    {
        "kind": "heartbeat",
        "change": {
            "refused_calls": {"INVALID_ARGUMENT": 2},
            "unauthenticated_calls": {"UNAUTHENTICATED": 5},
        },
    },
    {"kind": "heartbeat", "change": {"refused_calls": {}, "unauthenticated_calls": {}}},
    {"kind": "delegation.given", "delegation": {"delegator": "bob", "delegate": "erin"}},
    {"kind": "activity", "caller": "agent", "activity": {"type": "prompt", "content": "hello"}},
    {
        "kind": "policy.shadow",
        "decision": "dec_read2",
        "shadow": {
            "changed": ["effect", "reasons"],
            "live": {"effect": "allow", "codes": [], "revision": "rev-2"},
            "candidate": {"effect": "deny", "codes": ["read.frozen"], "revision": "rev-3"},
        },
    },
)


def rows(*changes):
    """The records of that day; each change gets the list of bodies."""
    bodies = [copy.deepcopy(body) for body in BODIES]
    for change in changes:
        change(bodies)
    return [record(seq, step_us=STEP_US, **body) for seq, body in enumerate(bodies)]


def day(root, *changes, segments=4):
    """That day as a log's directory, in so many segments."""
    source, all_rows = MemorySource(), rows(*changes)
    source.kept = {sha256(data): data for data in (b"one", b"two")}
    size = -(-len(all_rows) // segments)
    for first in range(0, len(all_rows), size):
        source.rows += all_rows[first : first + size]
        directory = asyncio.run(publish(source, root))
    return directory
