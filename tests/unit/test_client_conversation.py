"""The protocol, driven by hand: no server, no clock, no luck."""

import base64

import grpc
import pytest

from countersign import canonical
from countersign.client import (
    AlreadyClaimed,
    Context,
    Denied,
    Effect,
    Exhausted,
    Grant,
    InvalidRequest,
    Outcome,
    PermitRejected,
    ProtocolError,
    Resource,
    ReviewState,
    Timing,
    Unavailable,
)
from countersign.client.conversation import Conversations
from countersign.client.status import CallFailed
from countersign.client.steps import Ask, Call, Done, Sleep, advance
from countersign.client.testing import DecisionPoint, Rule
from countersign.client.testing.permits import unsigned_token
from countersign.v1 import context_pb2, decisions_pb2

EXPORT = Context(
    action="db.export",
    resource=Resource("table", "customers"),
    environment="production",
    actor="export-agent",
    arguments={"rows": 120},
)
AWAY = CallFailed(code=grpc.StatusCode.UNAVAILABLE)
LATE = CallFailed(code=grpc.StatusCode.DEADLINE_EXCEEDED)


class World:
    """A clock that moves with what is slept, and a decision point to answer from."""

    def __init__(self, *, chance=1.0, timing=None):
        self.now = 1_000_000.0
        self.point = DecisionPoint(lambda: self.now)
        self.conversations = Conversations(
            timing or Timing(),
            clock=lambda: self.now,
            wall=lambda: self.now,
            chance=lambda: chance,
        )
        self.calls = []
        self.slept = []
        self.faults = []
        """What comes instead of an answer, in order; None lets the call through."""

    def rule(self, effect, **more):
        self.point.rules.append(Rule(pattern="*", effect=effect, **more))
        return self.point.rules[-1]

    def run(self, conversation, *, answers=()):
        answers = iter(answers)
        step = advance(conversation)
        while not isinstance(step, Done):
            match step:
                case Call():
                    step = advance(conversation, *self._reply(step))
                case Sleep(seconds=seconds):
                    self.slept.append(seconds)
                    self.now += seconds
                    step = advance(conversation)
                case Ask():
                    step = advance(conversation, next(answers))
        return step.value

    def _reply(self, call):
        self.calls.append(
            (call.method, type(call.request).FromString(call.request.SerializeToString()))
        )
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, CallFailed):
            if fault is LATE:
                self.point.handle(call.method, call.request)  # committed, reply lost
                self.now += call.timeout_s
            return None, fault
        if fault is not None:
            return fault, None
        try:
            answer = self.point.handle(call.method, call.request)
            if call.method == "Await" and not answer.changed:
                if not self.point.act(call.request.review_id):
                    self.now += call.request.max_wait.ToTimedelta().total_seconds()
                answer = self.point.handle(call.method, call.request)
        except CallFailed as failed:
            return None, failed
        return answer, None

    def methods(self):
        return [method for method, _ in self.calls]


class TestRetrying:
    def test_a_server_that_was_away_is_asked_again_under_the_same_request_id(self):
        world = World()
        world.rule(Effect.ALLOW)
        world.faults = [AWAY, LATE, AWAY]
        decision = world.run(world.conversations.check(EXPORT))
        assert decision.allowed
        assert decision.replayed
        assert len(world.calls) == 4
        assert len({request.request_id for _, request in world.calls}) == 1

    def test_pauses_double_up_to_their_ceiling(self):
        world = World(timing=Timing(backoff_s=1, max_backoff_s=4, call_s=100))
        world.rule(Effect.ALLOW)
        world.faults = [AWAY] * 5
        world.run(world.conversations.check(EXPORT))
        assert world.slept == [1, 2, 4, 4, 4]

    def test_pauses_are_drawn_from_all_of_zero_to_the_ceiling(self):
        world = World(chance=0.25, timing=Timing(backoff_s=1))
        world.rule(Effect.ALLOW)
        world.faults = [AWAY, AWAY]
        world.run(world.conversations.check(EXPORT))
        assert world.slept == [0.25, 0.5]

    def test_the_budget_ends_it(self):
        world = World()
        world.faults = [AWAY] * 1000
        began = world.now
        with pytest.raises(Unavailable):
            world.run(world.conversations.check(EXPORT))
        assert world.now - began <= Timing().call_s

    def test_an_attempt_never_outlives_the_budget(self):
        world = World(timing=Timing(call_s=15, attempt_s=10))
        world.faults = [LATE] * 10
        began = world.now
        with pytest.raises(Unavailable) as caught:
            world.run(world.conversations.check(EXPORT))
        assert caught.value.code == "unavailable.late"
        assert world.now - began <= 15

    @pytest.mark.parametrize(
        "code",
        [
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.UNKNOWN,
            grpc.StatusCode.ABORTED,
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.PERMISSION_DENIED,
        ],
    )
    def test_nothing_else_is_ever_retried(self, code):
        world = World()
        world.faults = [CallFailed(code=code)]
        with pytest.raises(Exception) as caught:  # noqa: PT011 - any of the tree will do
            world.run(world.conversations.check(EXPORT))
        assert world.methods() == ["Check"]
        assert isinstance(caught.value, Exhausted) == (code is grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_a_passing_denial_is_asked_again_and_may_turn_out_better(self):
        world = World()
        world.rule(Effect.ALLOW)
        world.rule(Effect.DENY, retryable=True, times=2)
        assert world.run(world.conversations.check(EXPORT)).allowed
        assert len(world.calls) == 3

    def test_a_denial_that_does_not_pass_is_returned_when_time_is_up(self):
        world = World()
        world.rule(Effect.DENY, retryable=True)
        decision = world.run(world.conversations.check(EXPORT))
        assert decision.effect is Effect.DENY
        assert decision.retryable
        assert world.slept

    def test_a_plain_denial_is_final(self):
        world = World()
        world.rule(Effect.DENY)
        assert not world.run(world.conversations.check(EXPORT)).allowed
        assert world.methods() == ["Check"]


class TestFailingClosed:
    def test_an_allow_repeated_under_an_id_from_elsewhere_is_not_permission_again(self):
        world = World()
        world.rule(Effect.ALLOW)
        first = world.run(world.conversations.check(EXPORT, request_id="job-7"))
        again = world.run(world.conversations.check(EXPORT, request_id="job-7"))
        assert first.allowed
        assert again.effect is Effect.ALLOW
        assert again.replayed
        assert not again.allowed

    @pytest.mark.parametrize("effect", [context_pb2.EFFECT_UNSPECIFIED, 99])
    def test_an_unknown_effect_is_not_permission(self, effect):
        world = World()
        world.faults = [decisions_pb2.CheckResponse(decision_id="dec_1", effect=effect)]
        with pytest.raises(ProtocolError):
            world.run(world.conversations.check(EXPORT))

    def test_nor_is_an_unknown_effect_of_a_claim(self):
        world = World()
        world.faults = [decisions_pb2.ClaimResponse(decision_id="dec_1", effect=99)]
        with pytest.raises(ProtocolError):
            world.run(world.conversations.claim("rev_1", EXPORT))

    def test_an_allowed_claim_without_a_permit_is_not_permission(self):
        world = World()
        world.faults = [
            decisions_pb2.ClaimResponse(decision_id="dec_1", effect=context_pb2.EFFECT_ALLOW)
        ]
        with pytest.raises(ProtocolError, match="no permit"):
            world.run(world.conversations.claim("rev_1", EXPORT))

    def test_a_permit_was_asked_for_and_must_come(self):
        world = World()
        world.faults = [
            decisions_pb2.CheckResponse(decision_id="dec_1", effect=context_pb2.EFFECT_ALLOW)
        ]
        with pytest.raises(ProtocolError, match="no permit"):
            world.run(world.conversations.check(EXPORT, permit_audience="gateway"))

    def test_approval_is_needed_but_there_is_nothing_to_wait_for(self):
        world = World()
        world.faults = [
            decisions_pb2.CheckResponse(
                decision_id="dec_1", effect=context_pb2.EFFECT_NEEDS_APPROVAL
            )
        ]
        with pytest.raises(ProtocolError, match="opened no review"):
            world.run(world.conversations.authorize(EXPORT))

    def test_an_unknown_state_is_not_approval(self):
        world = World()
        review = context_pb2.ReviewStatus(review_id="rev_1", state=99)
        world.faults = [decisions_pb2.AwaitResponse(review=review, changed=True)]
        with pytest.raises(ProtocolError):
            world.run(world.conversations.wait("rev_1"))

    def test_an_empty_answer_to_a_wait_is_refused(self):
        world = World()
        world.faults = [decisions_pb2.AwaitResponse()]
        with pytest.raises(ProtocolError):
            world.run(world.conversations.wait("rev_1"))

    def test_a_permit_of_another_context_is_refused(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        genuine = world.run(world.conversations.authorize(EXPORT))
        other = Context(
            action="db.export",
            resource=Resource("table", "salaries"),
            environment="production",
            actor="export-agent",
        )
        permit = context_pb2.Permit(permit_id=genuine.permit.id, token=genuine.permit.token)
        permit.expires_at.FromSeconds(int(world.now) + 300)
        world.faults = [
            decisions_pb2.ClaimResponse(
                decision_id="dec_2", effect=context_pb2.EFFECT_ALLOW, permit=permit
            )
        ]
        with pytest.raises(PermitRejected) as caught:
            world.run(world.conversations.claim("rev_1", other))
        assert caught.value.code == "permit.mismatch"

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.e30", "ZQ.ZQ.ZQ", "é.é.é"])
    def test_garbage_is_not_a_permit(self, token):
        world = World()
        permit = context_pb2.Permit(permit_id="prm_1", token=token)
        permit.expires_at.FromSeconds(int(world.now) + 300)
        world.faults = [
            decisions_pb2.ClaimResponse(
                decision_id="dec_2", effect=context_pb2.EFFECT_ALLOW, permit=permit
            )
        ]
        with pytest.raises((PermitRejected, ProtocolError)):
            world.run(world.conversations.claim("rev_1", EXPORT))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"jti": "prm_2"},
            {"action": "db.read"},
            {"tenant": "another"},
            {"salt": "AAAA"},
            {"commitment": "00" * 32},
            {"iat": "now"},
            {"exp": None},
        ],
    )
    def test_a_permit_with_one_wrong_claim_is_refused(self, wrong):
        world = World()
        salt = bytes(canonical.SALT_BYTES)
        bound = canonical.bound_bytes("test", EXPORT.canonical_bytes)
        good = {
            "jti": "prm_1",
            "iat": int(world.now),
            "exp": int(world.now) + 300,
            "tenant": "test",
            "action": "db.export",
            "commitment": canonical.commitment(bound, salt).hex(),
            "salt": base64.urlsafe_b64encode(salt).rstrip(b"=").decode(),
        }
        for claims, refused in ((good, False), ({**good, **wrong}, True)):
            permit = context_pb2.Permit(permit_id="prm_1", token=unsigned_token(claims))
            permit.expires_at.FromSeconds(int(world.now) + 300)
            world.faults = [
                decisions_pb2.ClaimResponse(
                    decision_id="dec_2", effect=context_pb2.EFFECT_ALLOW, permit=permit
                )
            ]
            if refused:
                with pytest.raises(PermitRejected):
                    world.run(world.conversations.claim("rev_1", EXPORT))
            else:
                assert world.run(world.conversations.claim("rev_1", EXPORT)).permit

    def test_a_salt_that_is_too_short_to_hide_anything_is_refused(self):
        world = World()
        bound = canonical.bound_bytes("test", EXPORT.canonical_bytes)
        claims = {
            "jti": "prm_1",
            "iat": int(world.now),
            "exp": int(world.now) + 300,
            "tenant": "test",
            "action": "db.export",
            "commitment": canonical.commitment(bound, b"x").hex(),
            "salt": "eA",
        }
        permit = context_pb2.Permit(permit_id="prm_1", token=unsigned_token(claims))
        permit.expires_at.FromSeconds(int(world.now) + 300)
        world.faults = [
            decisions_pb2.ClaimResponse(
                decision_id="dec_2", effect=context_pb2.EFFECT_ALLOW, permit=permit
            )
        ]
        with pytest.raises(PermitRejected, match="not a permit"):
            world.run(world.conversations.claim("rev_1", EXPORT))

    def test_a_review_without_its_salt_is_refused(self):
        world = World()
        world.faults = [
            decisions_pb2.CheckResponse(
                decision_id="dec_1",
                effect=context_pb2.EFFECT_NEEDS_APPROVAL,
                review=context_pb2.ReviewStatus(
                    review_id="rev_1", state=context_pb2.REVIEW_STATE_PENDING
                ),
            )
        ]
        with pytest.raises(ProtocolError, match="opened no review"):
            world.run(world.conversations.check(EXPORT))

    def test_permission_without_a_decision_to_report_on_is_refused(self):
        world = World()
        world.faults = [decisions_pb2.CheckResponse(effect=context_pb2.EFFECT_ALLOW)]
        with pytest.raises(ProtocolError, match="without an id"):
            world.run(world.conversations.check(EXPORT))

    def test_what_was_not_approved_is_not_even_claimed(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).deny_by("bob")
        with pytest.raises(Denied) as caught:
            world.run(world.conversations.authorize(EXPORT))
        assert caught.value.pending.review_id == caught.value.review_id
        assert "Claim" not in world.methods()

    def test_a_permit_that_took_too_long_to_arrive_is_not_used(self):
        world = World(timing=Timing(call_s=1000, attempt_s=400))
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        pending = world.run(world.conversations.check(EXPORT)).pending
        world.run(world.conversations.wait(pending))
        world.faults = [LATE]  # the claim went through; its answer comes 400 s later
        with pytest.raises(PermitRejected) as caught:
            world.run(world.conversations.claim(pending, EXPORT))
        assert caught.value.code == "permit.expired"


class TestWaiting:
    def test_check_wait_and_claim_in_one(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        grant = world.run(world.conversations.authorize(EXPORT))
        assert isinstance(grant, Grant)
        assert grant.permit.id.startswith("prm_")
        assert world.methods() == ["Check", "Await", "Await", "Claim"]

    def test_a_question_is_answered_once_and_the_wait_goes_on(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).ask_by("bob", "why?").ask_by(
            "bob", "and where?"
        ).approve_by("bob")
        grant = world.run(
            world.conversations.authorize(EXPORT, answering=True), answers=["audit", "to s3"]
        )
        answers = [request.text for method, request in world.calls if method == "Answer"]
        assert answers == ["audit", "to s3"]
        assert grant.permit is not None

    def test_a_question_nobody_can_answer_is_asked_once_only(self):
        world = World()
        rule = world.rule(Effect.NEEDS_APPROVAL, quorum=2)
        rule.ask_by("bob", "why?").approve_by("carol").approve_by("bob")
        assert world.run(
            world.conversations.authorize(EXPORT, answering=True), answers=[None]
        ).permit
        assert "Answer" not in world.methods()

    def test_a_review_that_closed_before_the_answer_is_not_an_error_of_its_own(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).ask_by("bob", "why?").deny_by("bob")
        closed = CallFailed(code=grpc.StatusCode.FAILED_PRECONDITION)
        world.faults = [None, None, None, closed]
        with pytest.raises(Denied):
            world.run(world.conversations.authorize(EXPORT, answering=True), answers=["late"])

    def test_the_wait_ends_with_the_newest_snapshot(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL)
        pending = world.run(world.conversations.check(EXPORT)).pending
        began = world.now
        status = world.run(world.conversations.wait(pending, timeout_s=60))
        assert status.state is ReviewState.PENDING
        assert world.now - began == pytest.approx(60, abs=1)
        assert all(
            request.max_wait.ToTimedelta().total_seconds() <= 25
            for method, request in world.calls
            if method == "Await"
        )

    def test_zero_seconds_just_look(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL)
        pending = world.run(world.conversations.check(EXPORT)).pending
        assert not world.run(world.conversations.wait(pending, timeout_s=0)).decided
        assert world.methods() == ["Check", "Await"]

    def test_a_restarting_server_is_waited_out(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        pending = world.run(world.conversations.check(EXPORT)).pending
        world.faults = [None, AWAY, LATE, AWAY, AWAY]
        assert world.run(world.conversations.wait(pending)).state is ReviewState.APPROVED

    def test_but_not_for_ever(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL)
        pending = world.run(world.conversations.check(EXPORT)).pending
        world.faults = [None] + [AWAY] * 10_000
        began = world.now
        with pytest.raises(Unavailable):
            world.run(world.conversations.wait(pending))
        assert world.now - began <= Timing().max_outage_s + 1

    def test_a_server_that_is_away_all_the_time_is_an_error_not_a_snapshot(self):
        world = World()
        world.faults = [AWAY] * 10_000
        with pytest.raises(Unavailable):
            world.run(world.conversations.wait("rev_1", timeout_s=5))

    def test_a_deadline_during_an_outage_gives_the_last_snapshot(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL)
        pending = world.run(world.conversations.check(EXPORT)).pending
        world.faults = [None] + [AWAY] * 10_000
        began = world.now
        assert not world.run(world.conversations.wait(pending, timeout_s=20)).decided
        assert world.now - began == pytest.approx(20)

    def test_reconnecting_is_spread_out(self):
        world = World(chance=0.5)
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        pending = world.run(world.conversations.check(EXPORT)).pending
        going = decisions_pb2.AwaitResponse(
            review=world.point.status(pending.review_id), reconnect=True
        )
        world.faults = [going]
        assert world.run(world.conversations.wait(pending)).decided
        assert world.slept == [1.5]

    def test_a_server_that_never_holds_a_call_is_not_hammered(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL)
        pending = world.run(world.conversations.check(EXPORT)).pending
        idle = decisions_pb2.AwaitResponse(review=world.point.status(pending.review_id))
        world.faults = [idle] * 100
        world.run(world.conversations.wait(pending, timeout_s=10))
        assert len(world.calls) < 15


class TestClaiming:
    def test_a_lost_reply_is_claimed_once_and_granted(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        pending = world.run(world.conversations.check(EXPORT)).pending
        world.run(world.conversations.wait(pending))
        world.faults = [LATE]
        grant = world.run(world.conversations.claim(pending, EXPORT))
        assert grant.permit.id == world.point.reviews[pending.review_id].permit_id
        ids = [request.request_id for method, request in world.calls if method == "Claim"]
        assert len(ids) == 2
        assert len(set(ids)) == 1

    def test_a_second_claim_is_told_which_permit_the_first_one_got(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        pending = world.run(world.conversations.check(EXPORT)).pending
        world.run(world.conversations.wait(pending))
        grant = world.run(world.conversations.claim(pending, EXPORT))
        with pytest.raises(AlreadyClaimed) as caught:
            world.run(world.conversations.claim(pending, EXPORT))
        assert caught.value.permit_id == grant.permit.id

    def test_a_claim_whose_answers_were_all_lost_is_never_executed_by_a_later_one(self):
        world = World(timing=Timing(call_s=5))
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        pending = world.run(world.conversations.check(EXPORT)).pending
        world.run(world.conversations.wait(pending))
        world.faults = [LATE] * 3
        with pytest.raises(Unavailable):
            world.run(world.conversations.claim(pending, EXPORT))
        world.faults = []
        with pytest.raises(AlreadyClaimed) as caught:
            world.run(world.conversations.claim(pending, EXPORT))
        assert caught.value.permit_id == world.point.reviews[pending.review_id].permit_id

    def test_a_refused_claim_does_not_spoil_the_next(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        pending = world.run(world.conversations.check(EXPORT)).pending
        with pytest.raises(Exception, match="nobody has decided"):
            world.run(world.conversations.claim(pending, EXPORT))
        world.run(world.conversations.wait(pending))
        assert world.run(world.conversations.claim(pending, EXPORT)).permit

    def test_another_context_is_refused_and_burns_nothing(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        pending = world.run(world.conversations.check(EXPORT)).pending
        world.run(world.conversations.wait(pending))
        other = Context(
            action="db.export",
            resource=Resource("table", "customers"),
            environment="production",
            actor="export-agent",
            arguments={"rows": 121},
        )
        with pytest.raises(InvalidRequest):
            world.run(world.conversations.claim(pending, other))
        with pytest.raises(Denied) as caught:
            world.run(world.conversations.claim(pending.review_id, other))
        assert caught.value.code == "claim.mismatch"
        assert world.run(world.conversations.claim(pending, EXPORT)).permit

    def test_the_permits_time_runs_on_this_machines_clock(self):
        world = World()
        world.rule(Effect.NEEDS_APPROVAL).approve_by("bob")
        server_s, world.point._now = world.now, lambda: world.now - 86_400  # a day behind
        grant = world.run(world.conversations.authorize(EXPORT))
        assert grant.usable_until_s == pytest.approx(server_s + 300, abs=60)


class TestReporting:
    def test_a_permit_is_reported_on_or_else_the_decision(self):
        world = World()
        world.rule(Effect.ALLOW)
        grant = world.run(world.conversations.authorize(EXPORT))
        world.run(world.conversations.report(grant, Outcome.SUCCEEDED, {"rows": 120}))
        assert world.calls[-1][1].decision_id == grant.decision_id
        assert world.calls[-1][1].detail_json == b'{"rows":120}'

    def test_a_decision_can_be_named_by_its_id(self):
        world = World()
        world.rule(Effect.ALLOW)
        grant = world.run(world.conversations.authorize(EXPORT))
        world.run(world.conversations.report(grant.decision_id, Outcome.SUCCEEDED))
        sent = world.calls[-1][1]
        assert (sent.decision_id, sent.permit_id) == (grant.decision_id, "")

    def test_a_detail_that_is_not_json_is_refused_before_it_is_sent(self):
        world = World()
        with pytest.raises(InvalidRequest) as caught:
            world.run(world.conversations.report("prm_1", Outcome.FAILED, {"x": float("nan")}))
        assert caught.value.field == "detail/x"
        assert world.calls == []


@pytest.mark.parametrize("request_id", ["", "with space", "x" * 129, "é"])
def test_a_request_id_is_checked_before_it_is_sent(request_id):
    world = World()
    with pytest.raises(InvalidRequest):
        world.run(world.conversations.check(EXPORT, request_id=request_id))
