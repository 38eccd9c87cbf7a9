"""`@guard`: a function that runs only with permission, and says how it went.

Every call makes a context of its own arguments, asks for permission, and runs
the function once. What is approved is what runs: the context is made again
right before the function starts, and arguments that changed while people were
deciding are refused (invariant 4). The function's own result or exception is
what the caller gets, whatever becomes of the report.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, cast

from countersign.client.aio import AsyncClient
from countersign.client.aio_line import OnQuestion as AsyncOnQuestion
from countersign.client.context import Context, Resource, strict_object
from countersign.client.errors import CountersignClientError, InvalidContext, PermitRejected
from countersign.client.line import OnQuestion
from countersign.client.principals import Principal
from countersign.client.sync import Client
from countersign.client.values import Grant
from countersign.model import Outcome

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")
C = TypeVar("C", bound="Client | AsyncClient")
AnyClient: TypeAlias = Client | AsyncClient
Detail: TypeAlias = Callable[[Any], Mapping[str, Any]]
_LOST: Final = (TimeoutError, ConnectionError)
"""After these the action may have happened all the same."""
_log = logging.getLogger("countersign.client")


def guard(
    action: str,
    *,
    client: AnyClient | Callable[[], AnyClient],
    actor: str | Principal,
    resource: Resource | Callable[..., Resource],
    environment: str | Callable[..., str],
    arguments: Callable[..., Mapping[str, Any]] | None = None,
    on_behalf_of: Sequence[Principal] | Callable[..., Sequence[Principal]] = (),
    reason: str | Callable[..., str] = "",
    session: str | Callable[..., str] = "",
    evidence: Callable[..., str | Awaitable[str]] | None = None,
    timeout_s: float | None = None,
    on_question: OnQuestion | AsyncOnQuestion | None = None,
    detail: Detail | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run the decorated function only with permission for exactly this call.

    Whatever is callable here is called with the function's arguments by name,
    defaults included. `arguments` chooses what the context holds; by default
    all of them, which must then be JSON. A plain function needs a `Client`, an
    `async` one an `AsyncClient`; a function that returns one is asked at each
    call. `evidence` fetches a fresh token of the person behind this call; for an
    `async` function it may be `async`. `detail` turns the result into what is
    reported, for example a count.

    The outcome is SUCCEEDED on return, FAILED on an exception (its class is
    reported, never its message), and AMBIGUOUS when it was cancelled or lost
    (`KeyboardInterrupt`, `TimeoutError`, `ConnectionError`, …). Raises what
    `Client.authorize` raises; then the function has not run.
    """
    plan = _Plan(
        action=action,
        client=client,
        actor=actor,
        resource=resource,
        environment=environment,
        arguments=arguments,
        on_behalf_of=on_behalf_of,
        reason=reason,
        session=session,
        evidence=evidence,
        detail=detail,
    )

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        call = plan.of(function)
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", _awaiting(function, call, timeout_s, on_question))
        return _blocking(function, call, timeout_s, cast("OnQuestion | None", on_question))

    return decorate


def _blocking(
    function: Callable[P, R],
    call: _Guarded,
    timeout_s: float | None,
    on_question: OnQuestion | None,
) -> Callable[P, R]:
    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        client = call.client(Client)
        context = call.context(args, kwargs)
        grant = client.authorize(
            context,
            timeout_s=timeout_s,
            on_question=on_question,
            evidence=cast(str, call.evidence(args, kwargs)),
        )
        run = _Run(grant, call.plan.detail)
        try:
            run.start(context, call.context(args, kwargs))
            return run.succeed(function(*args, **kwargs))
        except BaseException as error:
            run.fail(error)
            raise
        finally:
            try:
                client.report(grant, run.outcome, run.told)
            except Exception as error:  # noqa: BLE001 - the action's own ending must survive
                _unreported(run, error)

    return guarded


def _awaiting(
    function: Callable[P, Awaitable[R]],
    call: _Guarded,
    timeout_s: float | None,
    on_question: AsyncOnQuestion | None,
) -> Callable[P, Awaitable[R]]:
    @functools.wraps(function)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        client = call.client(AsyncClient)
        context = call.context(args, kwargs)
        evidence = call.evidence(args, kwargs)
        grant = await client.authorize(
            context,
            timeout_s=timeout_s,
            on_question=on_question,
            evidence=await evidence if inspect.isawaitable(evidence) else evidence,
        )
        run = _Run(grant, call.plan.detail)
        try:
            run.start(context, call.context(args, kwargs))
            return run.succeed(await function(*args, **kwargs))
        except BaseException as error:
            run.fail(error)
            raise
        finally:
            try:
                await client.report(grant, run.outcome, run.told)
            except Exception as error:  # noqa: BLE001 - the action's own ending must survive
                _unreported(run, error)

    return guarded


# --- one guarded function ----------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What `guard` was given."""

    action: str
    client: AnyClient | Callable[[], AnyClient]
    actor: str | Principal
    resource: Resource | Callable[..., Resource]
    environment: str | Callable[..., str]
    arguments: Callable[..., Mapping[str, Any]] | None
    on_behalf_of: Sequence[Principal] | Callable[..., Sequence[Principal]]
    reason: str | Callable[..., str]
    session: str | Callable[..., str]
    evidence: Callable[..., str | Awaitable[str]] | None
    detail: Detail | None

    def of(self, function: Callable[..., Any]) -> _Guarded:
        """The same for one function, which must run when it is called."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"guard: {function.__qualname__} is a generator; it would run after its report. "
                "Guard a function that does the whole action."
            )
        return _Guarded(
            plan=self, name=function.__qualname__, signature=inspect.signature(function)
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Guarded:
    """A function's own part: its name and its parameters."""

    plan: _Plan
    name: str
    signature: inspect.Signature

    def client(self, kind: type[C]) -> C:
        """The client of the right kind; a `TypeError` says which kind that is."""
        chosen = self.plan.client
        if not isinstance(chosen, Client | AsyncClient):
            chosen = chosen()
        if not isinstance(chosen, kind):
            raise TypeError(f"guard: {self.name} needs a client of type {kind.__name__}")
        return chosen

    def context(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Context:
        """What this call is about to do."""
        plan, named = self.plan, self._named(args, kwargs)
        return Context(
            action=plan.action,
            resource=_given(plan.resource, named),
            environment=_given(plan.environment, named),
            actor=plan.actor,
            arguments=plan.arguments(**named) if plan.arguments else self._own(named),
            on_behalf_of=_given(plan.on_behalf_of, named),
            reason=_given(plan.reason, named),
            session=_given(plan.session, named),
        )

    def evidence(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | Awaitable[str]:
        """A token of the person behind this call, fetched now."""
        fetch = self.plan.evidence
        return fetch(**self._named(args, kwargs)) if fetch else ""

    def _named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Every argument of a call by its name, defaults included."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        named: dict[str, Any] = {}
        for parameter in self.signature.parameters.values():
            value = bound.arguments[parameter.name]
            more = value if parameter.kind is parameter.VAR_KEYWORD else {parameter.name: value}
            if named.keys() & more.keys():
                raise InvalidContext("arguments", "name one thing twice; use arguments=")
            named.update(more)
        return named

    def _own(self, named: dict[str, Any]) -> dict[str, Any]:
        """All arguments but the object a method belongs to."""
        first = next(iter(self.signature.parameters), "")
        return {k: v for k, v in named.items() if k != first or k not in {"self", "cls"}}


def _given(choice: V | Callable[..., V], named: Mapping[str, Any]) -> V:
    return choice(**named) if callable(choice) else choice


class _Run:
    """One permitted run and how it ended, which is FAILED until it starts."""

    def __init__(self, grant: Grant, detail: Detail | None) -> None:
        self.grant = grant
        self.outcome = Outcome.FAILED
        self.told: Mapping[str, Any] = {}
        self._detail = detail

    def start(self, approved: Context, actual: Context) -> None:
        """The last look: the permit's time, and that the arguments are what was approved."""
        self.grant.require_fresh()
        if actual != approved:
            raise PermitRejected(
                "permit.mismatch",
                "the arguments changed after permission was asked; the function has not run",
                advice="Pass values that nobody changes while the call waits.",
            )
        self.outcome = Outcome.AMBIGUOUS

    def succeed(self, result: R) -> R:
        """It returned. A coroutine as result means that nothing has run yet."""
        if inspect.iscoroutine(result):
            result.close()
            self.outcome = Outcome.FAILED
            raise TypeError("guard: the function returned a coroutine; guard the async function")
        self.outcome = Outcome.SUCCEEDED
        if self._detail is not None:
            try:
                self.told = strict_object("detail", self._detail(result))
            except Exception as error:  # noqa: BLE001 - the result matters more than its detail
                _log.warning("countersign: no detail is reported: %s", type(error).__name__)
        return result

    def fail(self, error: BaseException) -> None:
        """It raised; only an ordinary exception says that the action failed."""
        if self.outcome is Outcome.AMBIGUOUS:
            ordinary = isinstance(error, Exception) and not isinstance(error, _LOST)
            self.outcome = Outcome.FAILED if ordinary else Outcome.AMBIGUOUS
        self.told = {"error": type(error).__name__}


def _unreported(run: _Run, error: Exception) -> None:
    code = error.code if isinstance(error, CountersignClientError) else type(error).__name__
    _log.warning(
        "countersign: outcome %s of decision %s was not reported: %s",
        run.outcome,
        run.grant.decision_id,
        code,
    )
