"""What Countersign promises about reviews, in dictionaries and ifs.

Written from the design, not from the code, so that the two can disagree. It
knows nothing of hashes, salts or SQL: a context is its name and a variant, a
person a name, a requirement a few facts about a script. `FlowModel` is told of
every attempt, says what must come of it, and what must be on record then.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

APPROVE_WITHIN_S, REPORT_WITHIN_S, COOL_DOWN_S, MAX_OPEN = 3600, 900, 60, 2
DAY_S = 24 * 3600

# What each policy script demands: seats in order, each a group; None asks nobody.
SCRIPTS: dict[str, dict[str, Any] | str] = {
    "allow": "allow",
    "deny": "deny",
    "down": "down",
    "broken": "broken",
    "one": {"stages": [["data-owners", 1]]},
    "two": {"stages": [["data-owners", 2]]},
    "staged": {"stages": [["data-owners", 1], ["security", 1]]},
    "gated": {"stages": [["data-owners", 1]], "claim_by": "gateway"},
    "not-bob": {"stages": [["data-owners", 1]], "exclude": {"bob"}},
    "with-reason": {"stages": [["data-owners", 1]], "require_reason": True},
    "short": {"stages": [["data-owners", 1]], "use_within_s": 60},
    "blind": {"stages": [["data-owners", 1]], "must_show": True},
    "tall": {"stages": [["data-owners", 1], ["security", 2]]},
}
OPEN, WAITING = {"pending", "info_requested", "approved"}, {"pending", "info_requested"}


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The attempt must be refused with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class FlowModel:
    """The whole service."""

    def __init__(self) -> None:
        self.now = 0.0
        self.script = "one"
        self.groups: dict[str, set[str]] = {}
        self.owners: dict[str, set[str]] = {}
        self.in_scope = True
        self.reviews: dict[str, dict[str, Any]] = {}
        self.order: list[str] = []
        self.log: list[str] = []

    # --- pieces ---

    def demands(self) -> dict[str, Any] | None:
        said = SCRIPTS[self.script]
        return said if isinstance(said, dict) else None

    def seats(self, stages: list[list[Any]]) -> list[str]:
        return [group for group, quorum in stages for _ in range(quorum)]

    def can_sit(self, seats: list[str], people: set[str]) -> bool:
        """Whether some distinct people can take these seats: try every order."""
        return any(
            all(seat in self.groups.get(who, ()) for seat, who in zip(seats, row, strict=True))
            for row in itertools.permutations(sorted(people), len(seats))
        )

    def change(self, review: dict[str, Any], kind: str, **facts: Any) -> None:
        review.update(facts)
        review["version"] += 1
        self.log.append(kind)

    def tick(self, review: dict[str, Any]) -> None:
        """Deadlines that have come, and only then."""
        state = review["state"]
        if state in WAITING and self.now >= review["approve_by"]:
            self.change(review, "review.closed", state="expired", why="review.expired")
        elif state == "approved" and self.now >= review["use_by"]:
            self.change(review, "review.closed", state="lapsed", why="review.lapsed")
        elif state == "claimed" and not review["outcome"] and self.now >= review["report_by"]:
            self.change(review, "outcome", outcome="ambiguous")

    def sweep(self) -> None:
        for review in self.reviews.values():
            self.tick(review)

    def counted(self, review: dict[str, Any]) -> list[dict[str, Any]]:
        barred = review["excluded"] | review["demands"].get("exclude", set())
        return [
            vote
            for vote in review["votes"]
            if vote["choice"] == "approve"
            and vote["revision"] == review["revision"]
            and vote["person"] not in barred
        ]

    def left(self, review: dict[str, Any]) -> list[list[Any]]:
        """Stages with the seats still free, the filled ones in front gone."""
        stages: list[list[Any]] = copy.deepcopy(review["demands"]["stages"])
        for vote in self.counted(review):
            stages[vote["stage"]][1] -= 1
        while stages and stages[0][1] <= 0:
            stages.pop(0)
        return stages

    # --- check ---

    def judge(self, requester: str) -> tuple[str, str]:
        """Effect and code as policy and registry have it, before the store has its say."""
        if not self.in_scope and requester == "agent":
            return "deny", "context.not_permitted"
        match self.script:
            case "down":
                return "fault", "policy.unavailable"
            case "broken":
                return "fault", "policy.invalid"
            case "allow":
                return "allow", "rule.open"
            case "deny":
                return "deny", "rule.never"
        asked = self.demands()
        assert asked is not None
        free = set(self.groups) - self.owners[requester] - asked.get("exclude", set())
        if not self.can_sit(self.seats(asked["stages"]), free):
            return "deny", "review.unsatisfiable"
        return "needs", "rule.people"

    def check(  # noqa: C901 - a story told once, from top to bottom
        self, id: str, requester: str, what: str, words: str, supersedes: str
    ) -> tuple[str, str, str | None]:
        """Effect, code and review of a Check; a new review gets `id`."""
        effect, code = self.judge(requester)
        if effect != "needs":
            self.log.append("decision")
            return ("allow" if effect == "allow" else "deny"), code, None
        mine = [r for r in self.reviews.values() if (r["caller"], r["what"]) == (requester, what)]
        standing = next((r for r in mine if r["state"] in OPEN), None)
        mark, before = len(self.log), copy.deepcopy(self.reviews)
        if standing:
            self.tick(standing)
        if standing and standing["state"] in OPEN and standing["id"] != supersedes:
            if standing["words"] == words:
                if not self.owners[requester] <= standing["excluded"]:
                    wider = standing["excluded"] | self.owners[requester]
                    self.change(standing, "review.updated", excluded=wider)
                self.log.append("decision")
                return "needs_approval", code, standing["id"]
            self.log.append("decision")
            return "deny", "review.duplicate", None
        denied = [r for r in mine if r["state"] == "denied"]
        if denied and self.now - denied[-1]["votes"][-1]["at"] < COOL_DOWN_S:
            self.log.append("decision")
            return "deny", "review.cooling_down", None
        count = sum(r["caller"] == requester and r["state"] in OPEN for r in self.reviews.values())
        replaced = self.reviews.get(supersedes, {"caller": "", "state": ""})
        count -= replaced["caller"] == requester and replaced["state"] in OPEN
        if count >= MAX_OPEN:
            self.log.append("decision")
            return "deny", "review.too_many_open", None
        if supersedes:
            old = self.reviews.get(supersedes)
            if not old or old["caller"] != requester:
                self.undo(mark, before)
                raise Refused("review.not_found")
            self.tick(old)
            if old["state"] not in OPEN:
                self.undo(mark, before)
                raise Refused("review.closed")
            self.change(old, "review.closed", state="cancelled", why="review.superseded")
        self.log += ["decision", "review.created"]
        self.order.append(id)
        self.reviews[id] = {
            "id": id, "caller": requester, "what": what, "words": words, "state": "pending",
            "version": 1, "revision": 1, "demands": copy.deepcopy(self.demands()), "votes": [],
            "thread": {}, "excluded": set(self.owners[requester]), "outcome": None, "why": "",
            "approve_by": self.now + APPROVE_WITHIN_S, "approved_at": None, "use_by": None,
            "report_by": None, "claims": 0,
        }  # fmt: skip
        return "needs_approval", code, id

    def undo(self, mark: int, before: dict[str, dict[str, Any]]) -> None:
        del self.log[mark:]
        self.reviews = before

    # --- people ---

    def no_say(self, review: dict[str, Any], who: str) -> None:
        if who in review["excluded"]:
            raise Refused("vote.self_approval")
        if who in review["demands"].get("exclude", set()):
            raise Refused("vote.excluded")
        if not self.eligible(review, who):
            raise Refused("vote.not_eligible")

    def eligible(self, review: dict[str, Any], who: str) -> bool:
        return any(group in self.groups.get(who, ()) for group, _ in review["demands"]["stages"])

    def visit(self, review: dict[str, Any], who: str) -> None:
        """A person comes to a review: time, today's owners, and whether they see it."""
        mark, before = len(self.log), copy.deepcopy(self.reviews)
        self.tick(review)
        if review["state"] in OPEN and not self.owners[review["caller"]] <= review["excluded"]:
            wider = review["excluded"] | self.owners[review["caller"]]
            self.change(review, "review.updated", excluded=wider)
        voted = any(vote["person"] == who for vote in review["votes"])
        if who not in review["excluded"] and not voted and not self.eligible(review, who):
            self.undo(mark, before)
            raise Refused("review.not_found")

    def attempt(self, event: str, review_id: str, who: str, **facts: Any) -> None:
        """Vote, ask or revoke; a refusal is on record like the rest."""
        review = self.reviews[review_id]
        self.visit(review, who)
        try:
            getattr(self, event)(review, who, **facts)
        except Refused:
            self.log.append("vote.refused")
            raise

    def vote(  # noqa: C901 - a story told once, from top to bottom
        self, review: dict[str, Any], who: str, choice: str, reason: str, stale: bool, wrong: bool
    ) -> None:
        demands, approving = review["demands"], choice == "approve"
        self.no_say(review, who)
        if review["state"] not in WAITING:
            raise Refused("review.closed")
        left = self.left(review)
        stage = len(demands["stages"]) - len(left)
        if approving:
            voters = {vote["person"] for vote in self.counted(review)}
            if who in voters:
                raise Refused("vote.duplicate")
            if left and left[0][0] not in self.groups[who]:
                raise Refused("vote.not_your_stage")
            others = set(self.groups) - voters - review["excluded"] - demands.get("exclude", set())
            seats = self.seats(left)
            if self.can_sit(seats, others) and not self.can_sit(seats[1:], others - {who}):
                raise Refused("vote.needed_later")
        if stale:
            raise Refused("vote.stale_revision")
        if wrong:
            raise Refused("vote.preview_mismatch")
        if approving and demands.get("must_show"):
            raise Refused("review.unreviewable")
        if demands.get("require_reason") and not reason:
            raise Refused("vote.reason_required")
        review["votes"].append(
            {"person": who, "choice": choice, "revision": review["revision"], "at": self.now,
             "stage": min(stage, len(demands["stages"]) - 1), "reason": reason}
        )  # fmt: skip
        self.change(review, "vote")
        if not approving:
            review.update(state="denied", why="review.denied")
            self.log.append("review.closed")
        elif not self.left(review):
            use_by = self.now + demands.get("use_within_s", 300)
            review.update(state="approved", approved_at=self.now, use_by=use_by)

    def ask(self, review: dict[str, Any], who: str, stale: bool) -> None:
        self.no_say(review, who)
        if review["state"] not in WAITING:
            raise Refused("review.closed")
        if stale:
            raise Refused("vote.stale_revision")
        review["thread"][len(review["thread"])] = "open"
        self.change(review, "review.updated", state="info_requested")

    def revoke(self, review: dict[str, Any], who: str) -> None:
        self.no_say(review, who)
        if review["state"] != "approved":
            raise Refused("review.not_approved")
        self.change(review, "review.closed", state="revoked", why="review.revoked")

    # --- the requester ---

    def answer(self, review_id: str, requester: str, number: int) -> None:
        review = self.own(review_id, requester)
        if review["state"] != "info_requested":
            raise Refused("answer.nothing_asked")
        if review["thread"].get(number) != "open":
            raise Refused("answer.unknown_question")
        review["thread"][number] = "answered"
        state = "info_requested" if "open" in review["thread"].values() else "pending"
        self.change(review, "review.updated", state=state, revision=review["revision"] + 1)

    def cancel(self, review_id: str, requester: str) -> None:
        review = self.own(review_id, requester)
        if review["state"] not in OPEN:
            raise Refused("review.closed")
        self.change(review, "review.closed", state="cancelled", why="review.cancelled")

    def own(self, review_id: str, requester: str) -> dict[str, Any]:
        review = self.reviews[review_id]
        if review["caller"] != requester:
            raise Refused("review.not_found")
        self.tick(review)
        return review

    def report(self, review_id: str, outcome: str) -> None:
        review = self.reviews[review_id]
        self.tick(review)
        if review["outcome"] not in (None, "ambiguous"):
            raise Refused("outcome.settled")
        self.change(review, "outcome", outcome=outcome)

    # --- the claim ---

    def claim(self, review_id: str, claimant: str, *, same: bool) -> tuple[str, str]:
        """Effect and code. Everything that is not the approval's end leaves it alone."""
        review = self.reviews[review_id]
        gate = review["demands"].get("claim_by")
        if claimant not in (review["caller"], gate):
            raise Refused("review.not_found")
        self.tick(review)
        self.log.append("claim")
        if not same:
            return "deny", "claim.mismatch"
        if review["state"] == "claimed":
            return "deny", "claim.spent"
        if review["state"] in WAITING:
            return "deny", "claim.not_approved"
        if review["state"] != "approved":
            return "deny", f"review.{review['state']}"
        effect, code = self.judge(review["caller"])
        today = self.demands() if effect == "needs" else None
        today_gate = today.get("claim_by") if today else gate
        if claimant != (gate or review["caller"]) or claimant != (today_gate or review["caller"]):
            return "deny", "claim.wrong_claimant"
        if effect == "fault":
            return "deny", code
        if effect == "needs":
            code = "" if self.suffices(review, today) else "approval.insufficient"
        if effect == "deny" or (effect == "needs" and code):
            self.change(review, "review.closed", state="revoked", why=code)
            return "deny", code
        review.update(state="claimed", report_by=self.now + REPORT_WITHIN_S)
        review["version"] += 1
        review["claims"] += 1
        return "allow", ""

    def suffices(self, review: dict[str, Any], today: dict[str, Any] | None) -> bool:
        assert today is not None
        if self.now - review["approved_at"] >= today.get("use_within_s", 300):
            return False
        if today.get("must_show") and not review["demands"].get("must_show"):
            return False
        good = {
            vote["person"]
            for vote in self.counted(review)
            if vote["person"] not in self.owners[review["caller"]] | today.get("exclude", set())
            and (vote["reason"] or not today.get("require_reason"))
        }
        return self.can_sit(self.seats(today["stages"]), good)
