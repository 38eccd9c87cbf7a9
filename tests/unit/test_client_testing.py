"""The fakes are the real thing, with the network and the clock taken out."""

import inspect
import time

import pytest

import countersign.client
from countersign.client import (
    AlreadyClaimed,
    AsyncClient,
    Client,
    Context,
    CountersignClientError,
    Denied,
    Expired,
    InvalidRequest,
    Lapsed,
    NotFound,
    Outcome,
    Person,
    PreconditionFailed,
    Resource,
    ReviewState,
)
from countersign.client.testing import FakeAsyncClient, FakeClient


def context(action="db.export", **more):
    return Context(
        action=action,
        resource=Resource("table", "customers"),
        environment="production",
        actor="export-agent",
        **more,
    )


def surface(kind):
    return {
        name: member
        for name, member in inspect.getmembers(kind, inspect.isroutine)
        if not name.startswith("_") and name not in {"close", "aclose"}
    }


def shape(function):
    """Parameters without the annotation of `on_question`, which may be async there."""
    return [
        (p.name, p.kind, p.default, None if p.name == "on_question" else p.annotation)
        for p in inspect.signature(function).parameters.values()
    ], inspect.signature(function).return_annotation


def test_both_clients_have_one_surface():
    blocking, awaited = surface(Client), surface(AsyncClient)
    assert blocking.keys() == awaited.keys()
    for name in blocking:
        assert shape(blocking[name]) == shape(awaited[name]), name
        if name != "from_credential":
            assert inspect.iscoroutinefunction(awaited[name]), name
            assert not inspect.iscoroutinefunction(blocking[name]), name


@pytest.mark.parametrize(("fake", "real"), [(FakeClient, Client), (FakeAsyncClient, AsyncClient)])
def test_a_fake_has_the_surface_of_the_client_it_stands_for(fake, real):
    assert issubclass(fake, real)
    for name, member in surface(real).items():
        assert shape(getattr(fake, name)) == shape(member), name


def test_everything_exported_is_there():
    for name in countersign.client.__all__:
        assert hasattr(countersign.client, name)


class TestScripts:
    @pytest.fixture
    def fake(self):
        return FakeClient()

    def test_what_no_rule_is_about_is_denied(self, fake):
        with pytest.raises(Denied) as caught:
            fake.authorize(context())
        assert caught.value.code == "policy.undefined"

    def test_the_newest_rule_wins_while_it_lasts(self, fake):
        fake.allow("db.*")
        fake.deny("db.export", times=1)
        assert [fake.check(context()).allowed for _ in range(3)] == [False, True, True]

    def test_people_do_what_they_are_scripted_to(self, fake):
        fake.needs_approval("db.export", quorum=2).ask_by("bob", "why?").approve_by(
            "bob"
        ).approve_by("carol")
        questions = []
        grant = fake.authorize(context(), on_question=lambda q: questions.append(q.text) or "audit")
        assert questions == ["bob: why?"]
        assert grant.permit is not None

    def test_one_person_is_not_two(self, fake):
        fake.needs_approval("db.export", quorum=2).approve_by("bob").approve_by("bob")
        with pytest.raises(Expired):
            fake.authorize(context())

    def test_nobody_behind_the_request_approves_it(self, fake):
        fake.needs_approval("db.export").approve_by("alice")
        with pytest.raises(ValueError, match="stands behind this request"):
            fake.authorize(context(on_behalf_of=[Person("alice")]))

    def test_waiting_takes_no_time(self, fake):
        fake.needs_approval("db.export", approve_within_s=86_400)
        began = time.monotonic()
        with pytest.raises(Expired):
            fake.authorize(context())
        assert time.monotonic() - began < 5

    def test_an_approval_lapses(self, fake):
        fake.needs_approval("db.export").approve_by("bob")
        pending = fake.check(context()).pending
        assert fake.wait(pending).state is ReviewState.APPROVED
        fake.pass_time(301)
        with pytest.raises(Lapsed):
            fake.claim(pending, context())

    def test_an_approval_is_spent_once(self, fake):
        fake.needs_approval("db.export").approve_by("bob")
        pending = fake.check(context()).pending
        fake.wait(pending)
        fake.claim(pending, context())
        with pytest.raises(AlreadyClaimed):
            fake.claim(pending.review_id, context())

    def test_the_same_context_waits_on_the_same_review(self, fake):
        fake.needs_approval("db.export")
        first, second = fake.check(context()), fake.check(context())
        assert second.review_reused
        assert second.pending.review_id == first.pending.review_id

    def test_a_review_can_be_replaced_or_withdrawn(self, fake):
        fake.needs_approval("db.export")
        old = fake.check(context()).pending
        new = fake.check(context(reason="better"), supersedes=old.review_id).pending
        status = fake.wait(old)
        assert status.state is ReviewState.CANCELLED
        assert status.superseded_by == new.review_id
        assert fake.cancel(new, reason="not needed").state is ReviewState.CANCELLED
        with pytest.raises(PreconditionFailed):
            fake.cancel(new)

    def test_asking_without_opening_a_review(self, fake):
        fake.needs_approval("db.export")
        decision = fake.check(context(), create_review=False)
        assert decision.pending is None
        assert not decision.allowed
        assert fake.point.reviews == {}

    def test_a_request_id_means_one_answer(self, fake):
        fake.allow("db.export")
        first = fake.check(context(), request_id="r-1")
        again = fake.check(context(), request_id="r-1")
        assert (again.id, again.replayed) == (first.id, True)
        with pytest.raises(PreconditionFailed) as caught:
            fake.check(context(reason="another"), request_id="r-1")
        assert caught.value.code == "request_id.reused"

    def test_a_permit_for_an_executor(self, fake):
        fake.allow("db.export")
        grant = fake.check(context(), permit_audience="gateway").grant
        assert grant.permit is not None
        assert grant.permit.token not in repr(grant)

    def test_unknown_things_are_not_found(self, fake):
        with pytest.raises(NotFound):
            fake.wait("rev_unknown")
        with pytest.raises(NotFound):
            fake.claim("rev_unknown", context())
        with pytest.raises(NotFound):
            fake.report("prm_unknown", Outcome.SUCCEEDED)

    def test_a_closed_client_says_so(self, fake):
        with fake:
            pass
        with pytest.raises(CountersignClientError, match="closed"):
            fake.check(context())

    def test_what_was_asked_and_reported_is_remembered(self, fake):
        fake.allow("*")
        fake.report(fake.authorize(context("db.read")), Outcome.SUCCEEDED, {"rows": 1})
        assert [asked.action for asked in fake.checked] == ["db.read"]
        assert fake.reported == [(Outcome.SUCCEEDED, {"rows": 1})]

    def test_an_outcome_is_one_of_three(self, fake):
        fake.allow("*")
        grant = fake.authorize(context())
        with pytest.raises((ValueError, InvalidRequest)):
            fake.report(grant, "fine")


async def test_the_asyncio_fake_tells_the_same_story():
    async with FakeAsyncClient() as fake:
        fake.needs_approval("db.export").ask_by("bob", "why?").approve_by("bob")
        grant = await fake.authorize(context(), on_question=lambda _: "audit")
        status = await fake.report(grant, Outcome.SUCCEEDED)
        assert status.outcome is Outcome.SUCCEEDED
    with pytest.raises(CountersignClientError, match="closed"):
        await fake.check(context())
