"""Any sequence of what callers, people and time may do, on the real flow and a model.

The flow runs over a real SQLite store with the real rules, directory and
sanitizer. The model (`simulators.flow_model`) is written from the design. After
each step both must agree on the answer, on every review and on what was
recorded, and the promises that hold whatever happens are checked.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from countersign.errors import NotFoundError, RequestError
from countersign.flow import sweep
from countersign.flow.answer import Answer
from countersign.flow.asking import CheckAsk
from countersign.flow.claim import ClaimAsk
from countersign.flow.parts import Limits
from countersign.flow.people import VoteAsk
from countersign.flow.requester import ReportAsk
from countersign.model import Caller, Choice, Outcome, PersonId, Stage
from simulators.flow_model import COOL_DOWN_S, DAY_S, MAX_OPEN, SCRIPTS, WAITING, FlowModel, Refused
from simulators.world import (
    AGENT,
    DEADLINE_S,
    GATEWAY,
    SCOUT,
    STRANGER,
    TENANT,
    ZOE,
    World,
    allow,
    broken,
    code,
    context,
    deny,
    down,
    needs,
    person,
    voter,
)

SEEDED = ("quiet.person@example.com", "AKIAIOSFODNN7EXAMPLE", "4111111111111111")
"""Raw values that stand in every context and text, and must never be on record."""
CALLERS = {"agent": AGENT, "scout": SCOUT, "gateway": GATEWAY}
NAMES = ("alice", "bob", "carol", "dave", "erin", "sam", "gwen")
GROUPS = {"alice": {"data-owners"}, "bob": {"data-owners"}, "carol": {"data-owners", "security"},
          "dave": {"security"}, "erin": {"security"}, "sam": set(), "gwen": set()}  # fmt: skip
ACTIONS = ("db.export", "db.drop", "key.rotate")
WORDS = ("monthly report", f"because {SEEDED[0]} asked")
OUTCOMES = ("succeeded", "failed", "ambiguous")


def _context(what: str, words: str, caller: Caller, *, changed: bool = False) -> Any:
    arguments = {"note": SEEDED[0], "key": SEEDED[1], "rows": 101 if changed else 100}
    return context(caller, action=what, reason=words, arguments=arguments)


def _policy(script: str) -> Any:
    said = SCRIPTS[script]
    if isinstance(said, str):
        return {"allow": allow, "deny": deny, "down": down, "broken": broken}[said]()
    stages = [
        Stage(name=f"{i}-{group}", groups=(group,), quorum=quorum)
        for i, (group, quorum) in enumerate(said["stages"])
    ]
    demands: dict[str, Any] = {
        name: said[name] for name in ("use_within_s", "require_reason") if name in said
    }
    if "claim_by" in said:
        demands["claim_by"] = (said["claim_by"],)
    if "exclude" in said:
        demands["exclude"] = tuple(said["exclude"])
    if "must_show" in said:
        demands["must_show"] = ("/arguments/note",)
    return needs(*stages, **demands)


MET: set[str] = set()
"""Answers seen so far: a machine that wanders in circles proves nothing."""
MUST_MEET = {
    "approval.insufficient",
    "claim.not_approved",
    "claim.spent",
    "outcome.settled",
    "review.duplicate",
    "vote.self_approval",
}


@dataclasses.dataclass
class Asked:
    """A request that was bound to its id, and how to send it again."""

    again: Callable[[], Awaitable[Any]]
    other: Callable[[], Awaitable[Any]]
    """The same id with other content."""
    first: Any
    touches: str | None
    at: float


class FlowMachine(RuleBasedStateMachine):
    """Drives both; every rule is one attempt of somebody."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._directory = tempfile.TemporaryDirectory()
        self.model = FlowModel()
        self.bound: list[Asked] = []
        self.questions: dict[str, list[str]] = {}
        self.salts: list[bytes] = []
        self.spent: dict[str, str] = {}
        self.decisions: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        limits = Limits(max_open_reviews=MAX_OPEN, deny_cool_down_s=COOL_DOWN_S)
        self.world = self.run(World.open(Path(self._directory.name), limits=limits))
        self.model.groups = {who: set(groups) for who, groups in GROUPS.items()}
        self.model.owners = {"agent": {"alice"}, "scout": {"sam"}, "gateway": {"gwen"}}
        self.register()
        self.says("one")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.run(self.world.close())
        self._runner.close()
        self._directory.cleanup()

    def run(self, awaitable: Awaitable[Any]) -> Any:
        async def waited() -> Any:
            return await awaitable

        return self._runner.run(waited())

    def register(self) -> None:
        environments = ("production",) if self.model.in_scope else ("staging",)
        callers = [
            dataclasses.replace(
                registered, owners=tuple(map(PersonId, sorted(self.model.owners[name])))
            )
            for name, registered in CALLERS.items()
        ]
        callers[0] = dataclasses.replace(callers[0], environments=environments)
        people = [person(who, *groups) for who, groups in self.model.groups.items()]
        self.world.register([*callers, STRANGER], [*people, ZOE])

    def says(self, script: str) -> None:
        self.model.script = script
        self.world.policy.says(_policy(script))

    def pick(self, n: int) -> str:
        """A review of the model, the newest most of the time."""
        return self.model.order[-1 - n % len(self.model.order)]

    # --- what the world does ---

    @rule(
        what=st.sampled_from(["script", "script", "script", "group", "owner", "scope", "restart"]),
        script=st.sampled_from([*SCRIPTS, "one", "two", "staged"]),
        who=st.sampled_from(["bob", "carol", "dave"]),
        group=st.sampled_from(["data-owners", "security"]),
    )
    def the_world_changes(self, what: str, script: str, who: str, group: str) -> None:
        match what:
            case "script":
                self.says(script)
            case "group":
                self.model.groups[who] ^= {group}
            case "owner":
                self.model.owners["agent"] ^= {who}
            case "scope":
                self.model.in_scope = not self.model.in_scope
            case "restart":
                self.run(self.world.reopen())
        self.register()

    @rule()
    def it_calms_down(self) -> None:
        """Everything as it was at first, so that things can go well again."""
        self.model.groups = {who: set(groups) for who, groups in GROUPS.items()}
        self.model.owners["agent"] = {"alice"}
        self.model.in_scope = True
        self.register()
        self.says("one")

    @rule(seconds=st.sampled_from([1, 30, 59, 60, 240, 299, 300, 900, 3600]), fires=st.booleans())
    def time_passes(self, seconds: int, fires: bool) -> None:
        self.world.clock.advance(seconds)
        self.model.now += seconds
        if fires:
            self.run(sweep.fire_due(self.world.parts))
            self.model.sweep()

    # --- what the requester does ---

    @rule(
        who=st.sampled_from(["agent", "agent", "scout"]),
        what=st.sampled_from(ACTIONS),
        words=st.sampled_from(WORDS),
        n=st.integers(0, 2),
        supersedes=st.sampled_from([False, False, False, True]),
    )
    def check(self, who: str, what: str, words: str, n: int, supersedes: bool) -> None:
        old = self.pick(n) if supersedes and self.model.order else ""
        raw = _context(what, words, CALLERS[who])
        ask = CheckAsk(
            context=raw,
            request_id=self.world.request_id(),
            supersedes=old,
            permit_audience="somebody",
            labels={"ticket": SEEDED[0]},
        )
        other = dataclasses.replace(ask, context=_context(what, words, CALLERS[who], changed=True))

        def send(ask: CheckAsk) -> Awaitable[Answer]:
            return self.world.flow.check(CALLERS[who], ask, deadline_s=DEADLINE_S)

        answer = self.attempted(lambda: self.model.check("?", who, what, words, old), send(ask))
        if answer is None:
            return
        (effect, expected, review), given = answer
        if review == "?":
            self.rename(given.review.id)
        assert (given.decision.effect.value, code(given)) == (effect, expected)
        assert (given.review and given.review.id) == (given.review.id if review == "?" else review)
        assert given.reused is (review is not None and review != "?")
        assert given.decision.retryable is (expected == "policy.unavailable")
        assert (given.permit is not None) is (effect == "allow")
        self.file(given, "decision", lambda: send(ask), lambda: send(other))

    def rename(self, id: str) -> None:
        """The model's newest review gets the id that the flow gave it."""
        review = self.model.reviews.pop("?")
        review["id"] = id
        self.model.reviews[id] = review
        self.model.order[-1] = id
        self.questions[id] = []

    def file(self, given: Answer, kind: str, again: Any, other: Any) -> None:
        """A decision was made: it stands on record, and its id is bound or not."""
        body = self.run(self.world.records(given.decision.record.seq))[0]
        assert (body["kind"], body["decision"]) == (kind, given.decision.id)
        assert body["effect"] == given.decision.effect.value
        self.decisions[given.decision.id] = given.decision.record.seq
        if given.decision.salt:
            self.salts.append(given.decision.salt)
        if given.permit:
            assert given.permit.seq == given.decision.record.seq
        if not given.decision.retryable:
            self.bind(again, other, given, None)

    @precondition(lambda self: self.model.order)
    @rule(n=st.integers(0, 3), who=st.sampled_from(["agent", "agent", "scout"]))
    def cancel(self, n: int, who: str) -> None:
        review, request_id = self.pick(n), self.world.request_id()

        def send(words: str) -> Awaitable[Any]:
            return self.world.flow.cancel(CALLERS[who], review, reason=words, request_id=request_id)

        done = self.attempted(lambda: self.model.cancel(review, who), send(f"no, {SEEDED[0]}"))
        if done:
            self.bind(lambda: send(f"no, {SEEDED[0]}"), lambda: send("yes"), done[1], None)

    @precondition(lambda self: any(self.questions.values()))
    @rule(n=st.integers(0, 3), number=st.integers(0, 2))
    def answer(self, n: int, number: int) -> None:
        asked = [review for review in self.model.order if self.questions[review]]
        review, request_id = asked[n % len(asked)], self.world.request_id()
        number %= len(self.questions[review])
        question = self.questions[review][number]

        def send(words: str) -> Awaitable[Any]:
            return self.world.flow.answer(
                CALLERS[self.model.reviews[review]["caller"]],
                review,
                question_id=question,
                text=words,
                request_id=request_id,
            )

        requester = self.model.reviews[review]["caller"]
        done = self.attempted(
            lambda: self.model.answer(review, requester, number), send(f"see {SEEDED[1]}")
        )
        if done:
            self.bind(lambda: send(f"see {SEEDED[1]}"), lambda: send("x"), done[1], None)

    @precondition(lambda self: self.spent)
    @rule(n=st.integers(0, 3), outcome=st.sampled_from(OUTCOMES))
    def report(self, n: int, outcome: str) -> None:
        review = list(self.spent)[-1 - n % len(self.spent)]
        ask = ReportAsk(
            permit_id=self.spent[review],
            decision_id=None,
            outcome=Outcome(outcome),
            detail={"log": f"wrote to {SEEDED[0]}"},
            request_id=self.world.request_id(),
        )
        claimant = CALLERS[self.run(self.world.review(review)).claimant]
        other = dataclasses.replace(ask, detail={"log": "nothing"})
        done = self.attempted(
            lambda: self.model.report(review, outcome), self.world.flow.report(claimant, ask)
        )
        if done:
            self.bind(
                lambda: self.world.flow.report(claimant, ask),
                lambda: self.world.flow.report(claimant, other),
                done[1],
                None,
            )

    # --- what people do ---

    @precondition(lambda self: self.model.order)
    @rule(
        n=st.integers(0, 3),
        who=st.sampled_from(["carol", "bob", "dave", "carol", "bob", *NAMES]),
        choice=st.sampled_from(["approve", "approve", "approve", "approve", "deny"]),
        reason=st.sampled_from(["", f"fine by {SEEDED[0]}"]),
        slip=st.sampled_from(["", "", "", "", "stale", "wrong"]),
    )
    def vote(self, n: int, who: str, choice: str, reason: str, slip: str) -> None:
        review_id = self.pick(n)
        review = self.run(self.world.review(review_id))
        ask = VoteAsk(
            review_id=review_id,
            revision=review.revision + (slip == "stale"),
            profile="reviewer",
            preview_hash="0" * 64 if slip == "wrong" else review.previews["reviewer"].hash,
            choice=Choice(choice),
            reason=reason,
            request_id=self.world.request_id(),
        )
        cast_by = voter(self.person(who))
        facts = {"choice": choice, "reason": reason, "stale": slip == "stale"}
        done = self.attempted(
            lambda: self.model.attempt("vote", review_id, who, **facts, wrong=slip == "wrong"),
            self.world.flow.vote(cast_by, ask),
        )
        if done:
            other = dataclasses.replace(ask, reason="another")
            self.bind(
                lambda: self.world.flow.vote(cast_by, ask),
                lambda: self.world.flow.vote(cast_by, other),
                done[1],
                review_id,
            )

    @precondition(lambda self: self.model.order)
    @rule(
        n=st.integers(0, 3),
        who=st.sampled_from(["bob", "carol", "bob", *NAMES]),
        stale=st.sampled_from([False, False, True]),
    )
    def ask(self, n: int, who: str, stale: bool) -> None:
        review_id = self.pick(n)
        revision = self.model.reviews[review_id]["revision"] + stale
        request_id = self.world.request_id()

        def send(words: str) -> Awaitable[Any]:
            return self.world.flow.ask_info(
                voter(self.person(who)),
                review_id,
                revision=revision,
                question=words,
                request_id=request_id,
            )

        done = self.attempted(
            lambda: self.model.attempt("ask", review_id, who, stale=stale),
            send(f"who is {SEEDED[0]}?"),
        )
        if done:
            self.questions[review_id].append(done[1].thread[-1].id)
            self.bind(
                lambda: send(f"who is {SEEDED[0]}?"), lambda: send("why?"), done[1], review_id
            )

    @precondition(lambda self: self.model.order)
    @rule(n=st.integers(0, 3), who=st.sampled_from(["bob", "carol", *NAMES]))
    def revoke(self, n: int, who: str) -> None:
        review_id, request_id = self.pick(n), self.world.request_id()

        def send(words: str) -> Awaitable[Any]:
            return self.world.flow.revoke(
                voter(self.person(who)), review_id, reason=words, request_id=request_id
            )

        done = self.attempted(lambda: self.model.attempt("revoke", review_id, who), send(SEEDED[0]))
        if done:
            self.bind(lambda: send(SEEDED[0]), lambda: send("oh"), done[1], review_id)

    @rule(
        n=st.integers(0, 1),
        words=st.sampled_from(WORDS),
        script=st.sampled_from([None, None, None, *SCRIPTS]),
        claims=st.booleans(),
    )
    def all_goes_well(self, n: int, words: str, script: str | None, claims: bool) -> None:
        """A Check, whatever votes it needs, and after a change of policy the Claim."""
        self.check("agent", ACTIONS[n], words, 0, supersedes=False)
        for _ in range(4):
            if self.model.order and self.model.reviews[self.model.order[-1]]["state"] in WAITING:
                self.somebody_entitled_votes(0)
        if script:
            self.says(script)
        if self.model.order and claims:
            gate = self.model.reviews[self.model.order[-1]]["demands"].get("claim_by")
            self.claim(0, gate or "agent", same=True)

    @rule(
        n=st.integers(0, 2),
        script=st.sampled_from(["staged", "two", "tall", "one", "with-reason", "gated"]),
        who=st.sampled_from(["carol", "bob", "dave"]),
        choice=st.sampled_from(["approve", "approve", "deny"]),
        asks=st.booleans(),
    )
    def a_review_begins(self, n: int, script: str, who: str, choice: str, asks: bool) -> None:
        """A Check under a stricter policy, perhaps a question, and a first vote."""
        self.it_calms_down()
        self.says(script)
        self.check("agent", ACTIONS[n], WORDS[0], 0, supersedes=False)
        if self.model.order and asks:
            self.ask(0, "bob", stale=False)
        if self.model.order:
            self.vote(0, who, choice, "looks right", "")

    @precondition(lambda self: self.model.order)
    @rule(n=st.integers(0, 1))
    def somebody_entitled_votes(self, n: int) -> None:
        review = self.model.reviews[self.pick(n)]
        left = self.model.left(review)
        if not left or review["demands"].get("must_show"):
            return
        barred = review["excluded"] | {vote["person"] for vote in review["votes"]}
        barred |= review["demands"].get("exclude", set())
        fit = [who for who in NAMES if left[0][0] in self.model.groups[who] and who not in barred]
        if fit:
            self.vote(n, fit[0], "approve", "looks right", "")

    def person(self, who: str) -> Any:
        return person(who, *self.model.groups[who])

    # --- who executes ---

    @precondition(lambda self: self.model.order)
    @rule(
        n=st.integers(0, 2),
        who=st.sampled_from(["agent", "agent", "gateway", "scout"]),
        same=st.sampled_from([True, True, True, False]),
    )
    def claim(self, n: int, who: str, same: bool) -> None:
        review_id = self.pick(n)
        wanted = self.model.reviews[review_id]
        requester = CALLERS[wanted["caller"]]
        before = self.run(self.world.review(review_id))
        ask = ClaimAsk(
            review_id=review_id,
            context=_context(wanted["what"], wanted["words"], requester, changed=not same),
            request_id=self.world.request_id(),
        )
        other = dataclasses.replace(
            ask, context=_context(wanted["what"], "other words", requester, changed=True)
        )

        def send(ask: ClaimAsk) -> Awaitable[Answer]:
            return self.world.flow.claim(CALLERS[who], ask, deadline_s=DEADLINE_S)

        done = self.attempted(lambda: self.model.claim(review_id, who, same=same), send(ask))
        if done is None:
            return
        (effect, expected), given = done
        assert (given.decision.effect.value, code(given)) == (effect, expected)
        if effect == "allow":
            assert review_id not in self.spent, "an approval was spent twice"
            self.spent[review_id] = given.permit.id
        elif given.review.state.is_open:
            assert given.review == before, "a claim that failed changed the review"
        self.file(given, "claim", lambda: send(ask), lambda: send(other))

    # --- once more ---

    def bind(self, again: Any, other: Any, first: Any, touches: str | None) -> None:
        self.bound.append(Asked(again, other, first, touches, self.model.now))

    @precondition(lambda self: self.bound)
    @rule(n=st.integers(0, 30))
    def the_same_request_comes_again(self, n: int) -> None:
        asked = self.bound[n % len(self.bound)]
        if self.model.now - asked.at >= DAY_S:
            return
        if asked.touches:
            self.model.tick(self.model.reviews[asked.touches])
        again = self.run(asked.again())
        if isinstance(again, Answer):
            assert again.replayed
            assert again.decision == asked.first.decision
            assert again.permit == asked.first.permit
            if again.permit:
                assert self.world.token(again) == self.world.token(asked.first)
        elif hasattr(again, "record"):
            assert again.replayed
            assert again.record == asked.first.record
        else:
            assert again.id == asked.first.id

    @precondition(lambda self: self.bound)
    @rule(n=st.integers(0, 30))
    def a_request_id_is_used_for_something_else(self, n: int) -> None:
        asked = self.bound[n % len(self.bound)]
        if self.model.now - asked.at >= DAY_S:
            return
        with pytest.raises(RequestError) as refused:
            self.run(asked.other())
        assert refused.value.code == "request_id.reused"

    @precondition(lambda self: self.model.order)
    @rule(n=st.integers(0, 3))
    def another_tenant_looks(self, n: int) -> None:
        review = self.pick(n)
        for look in (
            lambda: self.world.flow.get(ZOE, review),
            lambda: self.world.flow.wait(STRANGER, review, after="", max_wait_s=0),
            lambda: self.world.flow.cancel(STRANGER, review, reason="", request_id="x"),
        ):
            with pytest.raises(NotFoundError) as unknown:
                self.run(look())
            assert str(unknown.value) == "no such review [review.not_found]"

    def attempted(self, expected: Callable[[], Any], given: Awaitable[Any]) -> Any:
        """Both attempt it: the pair of their answers, or None when both refuse alike."""
        try:
            wanted = expected()
        except Refused as refused:
            wanted = refused
        if not isinstance(wanted, Refused):
            MET.add(wanted[1] if wanted else "")
            return (wanted, self.run(given))
        with pytest.raises(RequestError) as error:
            self.run(given)
        assert error.value.code == wanted.code
        MET.add(wanted.code)
        return None

    # --- what must hold ---

    @invariant()
    def the_reviews_are_those_of_the_model(self) -> None:
        for expected in self.model.reviews.values():
            review = self.run(self.world.review(expected["id"]))
            assert review.state.value == expected["state"]
            assert review.version == expected["version"]
            assert review.revision == expected["revision"]
            assert (review.outcome and review.outcome.value) == expected["outcome"]
            assert set(review.excluded) == expected["excluded"]
            assert [(vote.person, vote.choice.value, vote.stage) for vote in review.votes] == [
                (vote["person"], vote["choice"], vote["stage"]) for vote in expected["votes"]
            ]
            if expected["why"]:
                assert review.closed_reasons[0].code == expected["why"]

    @invariant()
    def the_log_tells_everything_and_nothing_raw(self) -> None:
        if not hasattr(self, "world"):
            return
        stored = self.run(self.world.store.records(TENANT, 0, 10_000))
        assert [record.seq for record in stored] == list(range(len(stored)))
        bodies = [json.loads(record.body) for record in stored]
        assert [body["kind"] for body in bodies] == self.model.log
        assert [body["seq"] for body in bodies] == list(range(len(bodies)))
        told = b"\n".join(record.body for record in stored).decode()
        assert not [raw for raw in SEEDED if raw in told]
        assert not [salt for salt in self.salts if salt.hex() in told]
        granted = [b["review"] for b in bodies if b["kind"] == "claim" and b["effect"] == "allow"]
        assert len(granted) == len(set(granted)), "an approval was spent twice"
        versions: dict[str, int] = {}
        for body in bodies:
            if "review_state" in body and body["kind"] != "vote.refused":
                at = body["review_state"]["version"]
                assert at - versions.get(body["review"], 0) in (0, 1), "a change has no record"
                versions[body["review"]] = at

    @invariant()
    def at_most_one_review_stands_for_an_action(self) -> None:
        standing = [
            (review["caller"], review["what"])
            for review in self.model.reviews.values()
            if review["state"] in ("pending", "info_requested", "approved")
        ]
        assert len(standing) == len(set(standing))
        assert all(review["claims"] <= 1 for review in self.model.reviews.values())


def test_any_sequence_of_attempts_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        FlowMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert MUST_MEET <= MET
