"""A guarded function runs with permission for exactly its call, or not at all."""

import asyncio
import inspect
import logging
import time
import types

import pytest

from countersign.client import (
    CountersignClientError,
    Denied,
    Expired,
    InvalidContext,
    Outcome,
    PermitRejected,
    Person,
    Resource,
    guard,
)
from countersign.client.testing import FakeAsyncClient, FakeClient


@pytest.fixture
def fake():
    return FakeClient()


def guarded(fake, **options):
    """The decorator of every test here."""
    return guard(
        "db.export",
        client=fake,
        actor="export-agent",
        **{
            "environment": "production",
            "resource": lambda table, **_: Resource("table", table),
            **options,
        },
    )


class TestPlainFunctions:
    def test_it_runs_when_policy_allows_and_says_so(self, fake):
        fake.allow("db.export")

        @guarded(fake, detail=lambda rows: {"rows": rows})
        def export(table, *, limit=10):
            return limit

        assert export("customers") == 10
        [context] = fake.checked
        assert context.arguments == {"table": "customers", "limit": 10}
        assert fake.reported == [(Outcome.SUCCEEDED, {"rows": 10})]

    def test_it_runs_once_people_have_approved(self, fake):
        fake.needs_approval("db.export").approve_by("bob")
        ran = []
        export = guarded(fake)(lambda table: ran.append(table) or 1)
        export("customers")
        assert ran == ["customers"]
        assert len(fake.point.reports) == 1
        assert fake.point.reports[0].permit_id.startswith("prm_")

    @pytest.mark.parametrize("script", ["deny", "expire", "undefined", "revoke", "unavailable"])
    def test_it_does_not_run_otherwise(self, fake, script):
        if script == "deny":
            fake.needs_approval("db.export").deny_by("bob")
        elif script == "expire":
            fake.needs_approval("db.export")
        elif script == "revoke":
            fake.needs_approval("db.export").approve_by("bob").revoke_by("carol")
        elif script == "unavailable":
            fake.allow("db.export")
            fake.unavailable("Check", times=10_000)
        function = guarded(fake)(lambda table: pytest.fail("it ran"))
        with pytest.raises(CountersignClientError):
            function("customers")
        assert fake.reported == []

    def test_an_exception_is_a_failure_and_its_message_stays_here(self, fake):
        fake.allow("db.export")

        @guarded(fake)
        def export(table):
            raise LookupError("customer hunter2 is missing")

        with pytest.raises(LookupError, match="hunter2"):
            export("customers")
        assert fake.reported == [(Outcome.FAILED, {"error": "LookupError"})]

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt, SystemExit, TimeoutError, ConnectionResetError]
    )
    def test_what_was_cut_off_may_have_happened(self, fake, error):
        fake.allow("db.export")

        @guarded(fake)
        def export(table):
            raise error

        with pytest.raises(error):
            export("customers")
        assert fake.reported == [(Outcome.AMBIGUOUS, {"error": error.__name__})]

    def test_the_result_survives_a_report_that_cannot_be_made(self, fake, caplog):
        fake.allow("db.export")
        fake.unavailable("Report", times=10_000)
        with caplog.at_level(logging.WARNING, "countersign.client"):
            assert guarded(fake)(lambda table: 7)("customers") == 7
        assert "was not reported: unavailable" in caplog.text

    def test_so_does_the_exception(self, fake, caplog):
        fake.allow("db.export")
        fake.unavailable("Report", times=10_000)

        @guarded(fake)
        def export(table):
            raise LookupError("hunter2")

        with pytest.raises(LookupError):
            export("customers")
        assert "hunter2" not in caplog.text

    @pytest.mark.parametrize(
        "detail", [lambda _: {"x": float("nan")}, lambda _: 1 / 0, lambda _: "text"]
    )
    def test_and_a_detail_that_is_wrong(self, fake, detail):
        fake.allow("db.export")
        assert guarded(fake, detail=detail)(lambda table: 7)("customers") == 7
        assert fake.reported == [(Outcome.SUCCEEDED, {})]

    def test_arguments_that_changed_while_people_were_deciding_are_refused(self, fake):
        rows = ["1", "2"]
        rule = fake.needs_approval("db.export").approve_by("bob")
        rule.acts.insert(0, lambda point, review: rows.append("3") or point.ask(review, "bob", "?"))

        function = guarded(fake)(lambda table, rows: pytest.fail("it ran"))
        with pytest.raises(PermitRejected, match="changed after permission"):
            function("customers", rows)
        assert fake.reported == [(Outcome.FAILED, {"error": "PermitRejected"})]

    def test_a_permit_out_of_time_is_not_acted_on(self, fake, monkeypatch):
        fake.needs_approval("db.export").approve_by("bob")
        later = types.SimpleNamespace(time=lambda: time.time() + 301)
        monkeypatch.setattr("countersign.client.values.time", later)
        function = guarded(fake)(lambda table: pytest.fail("it ran"))
        with pytest.raises(PermitRejected, match="time is over"):
            function("customers")
        assert fake.reported == [(Outcome.FAILED, {"error": "PermitRejected"})]


class TestWhatTheContextHolds:
    def test_everything_can_be_computed_from_the_call(self, fake):
        fake.allow("db.export")

        @guarded(
            fake,
            environment=lambda stage, **_: stage,
            arguments=lambda table, **_: {"only": table},
            on_behalf_of=lambda user, **_: [Person(user)],
            reason=lambda **_: "audit",
            session="s-1",
        )
        def export(table, stage, **options):
            return options

        assert export("customers", "staging", user="alice") == {"user": "alice"}
        [context] = fake.checked
        assert context.environment == "staging"
        assert context.arguments == {"only": "customers"}
        assert [person.id for person in context.on_behalf_of] == ["alice"]
        assert (context.reason, context.session) == ("audit", "s-1")

    def test_variable_arguments_are_bound_too(self, fake):
        fake.allow("db.export")
        guarded(fake)(lambda table, *columns, **options: None)("t", "a", "b", limit=1)
        assert fake.checked[0].arguments == {"table": "t", "columns": ["a", "b"], "limit": 1}

    def test_a_method_is_bound_without_its_object(self, fake):
        fake.allow("db.export")

        class Database:
            name = "crm"

            @guarded(fake, resource=lambda self, table: Resource("table", f"{self.name}.{table}"))
            def export(self, table):
                return self.name

        assert Database().export("customers") == "crm"
        [context] = fake.checked
        assert context.arguments == {"table": "customers"}
        assert context.resource.id == "crm.customers"

    def test_what_is_not_json_is_named_and_nothing_is_sent(self, fake):
        function = guarded(fake)(lambda table, handle: pytest.fail("it ran"))
        with pytest.raises(InvalidContext) as caught:
            function("customers", object())
        assert caught.value.field == "arguments/handle"
        assert fake.checked == []

    def test_two_arguments_of_one_name_are_refused(self, fake):
        def export(table, /, **options):
            pytest.fail("it ran")

        with pytest.raises(InvalidContext, match="one thing twice"):
            guarded(fake, resource=Resource("table", "t"))(export)("a", table="b")

    def test_a_wrong_call_fails_as_it_always_did(self, fake):
        with pytest.raises(TypeError, match="missing a required argument"):
            guarded(fake)(lambda table: None)()
        assert fake.checked == []


class TestMisuse:
    def test_it_looks_like_the_function_it_guards(self, fake):
        def export(table: str) -> int:
            """Export."""
            return 1

        wrapped = guarded(fake)(export)
        assert wrapped.__name__ == "export"
        assert inspect.signature(wrapped) == inspect.signature(export)

    def test_generators_would_run_after_their_report(self, fake):
        def rows(table):
            yield table

        async def more(table):
            yield table

        for function in (rows, more):
            with pytest.raises(TypeError, match="generator"):
                guarded(fake)(function)

    def test_a_plain_function_that_returns_a_coroutine_has_not_run(self, fake):
        fake.allow("db.export")

        async def export(table):
            pytest.fail("it ran")

        with pytest.raises(TypeError, match="coroutine"):
            guarded(fake)(lambda table: export(table=table))("customers")
        assert fake.reported == [(Outcome.FAILED, {"error": "TypeError"})]

    async def test_the_client_must_be_of_the_functions_kind(self, fake):
        async def export(table):
            pytest.fail("it ran")

        with pytest.raises(TypeError, match="AsyncClient"):
            await guarded(fake)(export)("customers")
        with pytest.raises(TypeError, match="type Client"):
            guarded(FakeAsyncClient())(lambda table: None)("customers")

    def test_a_client_can_be_made_when_it_is_needed(self, fake):
        fake.allow("db.export")
        assert guarded(lambda: fake)(lambda table: 1)("customers") == 1


class TestAsyncFunctions:
    @pytest.fixture
    def fake(self):
        return FakeAsyncClient()

    async def test_it_runs_once_people_have_approved(self, fake):
        fake.needs_approval("db.export").ask_by("bob", "why?").approve_by("bob")
        asked = []

        async def on_question(question):
            asked.append(question.text)
            return "audit"

        @guarded(fake, on_question=on_question, detail=lambda rows: {"rows": rows})
        async def export(table):
            return 3

        assert await export("customers") == 3
        assert asked == ["bob: why?"]
        assert fake.reported == [(Outcome.SUCCEEDED, {"rows": 3})]

    async def test_it_does_not_run_when_denied_or_too_late(self, fake):
        async def export(table):
            pytest.fail("it ran")

        fake.needs_approval("db.export")
        with pytest.raises(Expired):
            await guarded(fake)(export)("customers")
        fake.deny("db.export")
        with pytest.raises(Denied):
            await guarded(fake)(export)("customers")
        assert fake.reported == []

    async def test_an_exception_is_a_failure(self, fake):
        fake.allow("db.export")

        @guarded(fake)
        async def export(table):
            raise LookupError("hunter2")

        with pytest.raises(LookupError):
            await export("customers")
        assert fake.reported == [(Outcome.FAILED, {"error": "LookupError"})]

    async def test_a_cancelled_action_may_have_happened(self, fake):
        fake.allow("db.export")
        started = asyncio.Event()

        @guarded(fake)
        async def export(table):
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(export("customers"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert fake.reported == [(Outcome.AMBIGUOUS, {"error": "CancelledError"})]

    async def test_the_result_survives_a_report_that_cannot_be_made(self, fake):
        fake.allow("db.export")
        fake.unavailable("Report", times=10_000)

        @guarded(fake)
        async def export(table):
            return 7

        assert await export("customers") == 7
