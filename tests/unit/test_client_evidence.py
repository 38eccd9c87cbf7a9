"""Evidence of who is behind a call: sent where it is verified, kept nowhere."""

import copy
import json
import pickle

import pytest

from countersign.client import (
    Answer,
    Context,
    External,
    InvalidContext,
    InvalidRequest,
    Outcome,
    Pending,
    Person,
    Resource,
    Workload,
    guard,
)
from countersign.client.steps import Call
from countersign.client.testing import FakeAsyncClient, FakeClient

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
FRESH = TOKEN.replace("c2ln", "ZnJl")


def context(*behind, **more):
    return Context(
        action="db.export",
        resource=Resource("table", "customers"),
        environment="production",
        actor="export-agent",
        on_behalf_of=behind,
        **more,
    )


class Wire(FakeClient):
    """A client whose every call is kept, as it is sent."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def _reply(self, call):
        self.sent.append((call.method, TOKEN.encode() in call.request.SerializeToString()))
        return super()._reply(call)


class TestWhereItGoes:
    def test_check_carries_it_and_claim_does_not(self):
        wire = Wire()
        wire.needs_approval("*").approve_by("bob")
        wire.report(wire.authorize(context(Person("alice", evidence=TOKEN))), Outcome.SUCCEEDED)
        assert wire.sent[0] == ("Check", True)
        assert set(wire.sent[1:]) == {("Await", False), ("Claim", False), ("Report", False)}

    def test_a_lost_reply_is_asked_for_with_the_same_evidence(self):
        wire = Wire()
        wire.allow("*")
        wire.unavailable("Check")
        assert wire.check(context(Person("alice")), evidence=TOKEN).allowed
        assert wire.sent == [("Check", True)] * 2

    def test_an_answer_carries_that_of_who_answered(self):
        fake = FakeClient()
        fake.needs_approval("*").ask_by("bob", "why?").ask_by("bob", "really?")
        pending = fake.check(context()).pending
        said = iter([Answer("the audit", answered_by=Person("alice", evidence=TOKEN)), "yes"])
        fake.wait(pending, timeout_s=60, on_question=lambda _: next(said))
        by_alice, by_the_agent = fake.answered
        assert (by_alice.text, by_alice.answered_by.id) == ("the audit", "alice")
        assert by_alice.answered_by.evidence == TOKEN
        assert (by_the_agent.text, by_the_agent.answered_by) == ("yes", None)

    def test_who_answered_cannot_decide_any_more(self):
        fake = FakeClient()
        fake.needs_approval("*").ask_by("bob", "why?").approve_by("alice")
        pending = fake.check(context()).pending
        with pytest.raises(ValueError, match="stands behind"):
            fake.wait(pending, on_question=lambda _: Answer("x", answered_by=Person("alice")))

    @pytest.mark.parametrize("who", ["alice", Workload("agent"), Person("")])
    def test_only_a_person_answers(self, who):
        with pytest.raises(InvalidRequest, match="answered_by"):
            FakeClient().answer("rev_1", "qst_1", "text", answered_by=who)


class TestGivenWithTheCall:
    def test_a_fresh_token_takes_the_place_of_the_one_in_the_context(self):
        fake = FakeClient()
        fake.allow("*")
        asked = context(Person("carol"), Person("alice", evidence=TOKEN))
        fake.check(asked, evidence=FRESH)
        assert [who.evidence for who in fake.checked[0].on_behalf_of] == ["", FRESH]

    def test_it_is_for_the_only_person_the_context_names(self):
        fake = FakeClient()
        fake.allow("*")
        fake.authorize(context(Workload("scheduler"), Person("alice")), evidence=TOKEN)
        scheduler, alice = fake.checked[0].on_behalf_of
        assert scheduler == Workload("scheduler")
        assert alice.evidence == TOKEN

    @pytest.mark.parametrize(
        ("behind", "said"),
        [
            ((), "no person"),
            ((Workload("scheduler"), External("them")), "no person"),
            ((Person("alice"), Person("carol")), "several people"),
        ],
    )
    def test_whom_it_proves_is_never_guessed(self, behind, said):
        fake = FakeClient()
        with pytest.raises(InvalidRequest, match=said) as caught:
            fake.check(context(*behind), evidence=TOKEN)
        assert caught.value.field == "evidence"
        assert fake.checked == []

    def test_the_same_question_with_a_fresher_token_is_the_same_question(self):
        fake = FakeClient()
        fake.allow("*")
        first = fake.check(context(Person("alice")), request_id="r-1", evidence=TOKEN)
        again = fake.check(context(Person("alice")), request_id="r-1", evidence=FRESH)
        assert (again.id, again.replayed) == (first.id, True)

    @pytest.mark.parametrize("wrong", [f"Bearer {TOKEN}", f"{TOKEN}\n", "a.b", "", None, b"a.b.c"])
    def test_what_is_no_jwt_is_named_and_never_quoted(self, wrong):
        places = []
        if wrong:
            places.append(lambda: FakeClient().check(context(Person("alice")), evidence=wrong))
        if wrong != "":
            places.append(lambda: context(Person("alice", evidence=wrong)))
        for place in places:
            with pytest.raises(InvalidRequest, match="evidence: must be a JWT") as caught:
                place()
            assert "Y3" not in str(caught.value)
            assert TOKEN not in str(caught.value)

    def test_one_proof_at_most(self):
        with pytest.raises(InvalidContext) as caught:
            context(Person("alice", evidence=TOKEN), Person("carol", evidence=TOKEN))
        assert caught.value.field == "on_behalf_of[1].evidence"


class TestKeptNowhere:
    def test_it_is_no_part_of_what_an_approval_binds_to(self):
        proven, told = context(Person("alice", evidence=TOKEN)), context(Person("alice"))
        assert proven == told
        assert hash(proven) == hash(told)
        assert proven.canonical_bytes == told.canonical_bytes
        assert Person("alice", evidence=TOKEN) == Person("alice")
        assert hash(Person("alice", evidence=TOKEN)) == hash(Person("alice"))

    def test_nothing_prints_or_serialises_it(self):
        alice = Person("alice", evidence=TOKEN)
        answer = Answer("x", answered_by=alice)
        call = Call(method="Check", request=context(alice).to_check_message(), timeout_s=1)
        assert TOKEN not in f"{alice} {alice!r} {context(alice)!r} {answer} {answer!r} {call}"
        for leak in (pickle.dumps, copy.copy, json.dumps):
            with pytest.raises(TypeError):
                leak(alice)
            with pytest.raises(TypeError):
                leak(answer)

    def test_a_saved_review_holds_the_context_without_it(self, tmp_path):
        fake = FakeClient()
        fake.needs_approval("*")
        pending = fake.check(context(Person("alice", evidence=TOKEN))).pending
        pending.save(tmp_path / "saved", with_context=True)
        assert TOKEN.encode() not in (tmp_path / "saved").read_bytes()
        assert Pending.resume(tmp_path / "saved").context.on_behalf_of[0].evidence == ""

    def test_evidence_in_a_saved_context_is_refused(self):
        saved = context(Person("alice")).canonical_bytes
        forged = saved.replace(b'{"id":"alice"', b'{"evidence":"%s","id":"alice"' % TOKEN.encode())
        assert forged != saved
        with pytest.raises(InvalidContext):
            Context.from_canonical(forged)


class TestGuard:
    def decorated(self, fake, **options):
        return guard(
            "db.export",
            client=fake,
            actor="export-agent",
            environment="production",
            resource=lambda table, **_: Resource("table", table),
            on_behalf_of=lambda user, **_: [Person(user)],
            **options,
        )

    def test_each_call_fetches_a_fresh_token_once(self):
        fake, fetched = FakeClient(), []
        fake.allow("*")

        @self.decorated(fake, evidence=lambda user, **_: fetched.append(user) or TOKEN)
        def export(table, user):
            return table

        export("customers", "alice")
        export("orders", "carol")
        assert fetched == ["alice", "carol"]
        assert [asked.on_behalf_of[0].evidence for asked in fake.checked] == [TOKEN] * 2

    async def test_an_async_function_may_fetch_it_from_afar(self):
        fake = FakeAsyncClient()
        fake.allow("*")

        async def fetch(user, **_):
            return TOKEN

        @self.decorated(fake, evidence=fetch)
        async def export(table, user):
            return table

        assert await export("customers", "alice") == "customers"
        assert fake.checked[0].on_behalf_of[0].evidence == TOKEN

    def test_without_it_the_function_does_not_run(self):
        fake, ran = FakeClient(), []
        fake.allow("*")

        def expired(**_):
            raise RuntimeError("sign in again")

        @self.decorated(fake, evidence=expired)
        def export(table, user):
            ran.append(table)

        with pytest.raises(RuntimeError, match="sign in again"):
            export("customers", "alice")
        assert (ran, fake.checked) == ([], [])
