"""Check, wait, claim, run, report: the whole way of one command.

Nothing runs unless every step before it said yes, and it runs at most once a
call: no step after the claim is ever repeated but the report. After the wait
the command is looked up and hashed anew; what differs from what was asked about
is refused before anything is spent. A claim whose answer was lost is not
acted on, and the service ends it AMBIGUOUS.

Called by the command line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Final

from countersign.client import (
    AlreadyClaimed,
    Client,
    Context,
    CountersignClientError,
    Decision,
    Denied,
    Grant,
    NotApproved,
    Outcome,
    Question,
    Resource,
    StillPending,
)
from countersign.client.principals import Principal
from countersign.errors import CountersignError
from countersign.executor.command import NOT_STARTED, Command, Refused, Wanted, changed
from countersign.executor.journal import MAY_HAVE_RUN, Journal, may_have_run
from countersign.executor.resolve import Resolved, changed_since, resolve
from countersign.executor.run import Ended, Signals, Stopped, run
from countersign.model import JsonObject, RecordRef

DENIED: Final = 121
UNDECIDED: Final = 122
_ARGUMENT_NAMES: Final = {
    "argv": "the path of the program",
    "program": "the program",
    "interpreter": "the script's interpreter",
    "files": "a file of --bind",
    "cwd": "--cwd",
    "run_as": "the account",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The rest of the action context, and how long to wait."""

    action: str
    resource: Resource
    environment: str
    actor: str
    on_behalf_of: tuple[Principal, ...] = ()
    reason: str = ""
    session: str = ""
    supersedes: str = ""
    again: bool = False
    wait_s: float | None = None
    """Longest wait for people; None: until the review itself ends."""
    timeout_s: float | None = None
    """Longest the command may run."""

    def context(self, command: Command) -> Context:
        """The action context of this command. Raises `InvalidContext`."""
        return Context(
            action=self.action,
            resource=self.resource,
            environment=self.environment,
            actor=self.actor,
            arguments=command.arguments(),
            on_behalf_of=self.on_behalf_of,
            reason=self.reason,
            session=self.session,
        )


@dataclasses.dataclass(slots=True, kw_only=True)
class Story:
    """What has happened so far; whole even when it ends in an error."""

    effect: str = ""
    decision: str = ""
    review: str = ""
    permit: str = ""
    record: RecordRef | None = None
    ran: bool = False
    ended: Ended | None = None
    outcome: Outcome | None = None
    reported: bool = False
    exit_code: int = NOT_STARTED
    error: CountersignError | None = None

    def to_json(self) -> JsonObject:
        record: JsonObject | None = None
        if self.record is not None:
            record = {"log": self.record.log_id, "seq": self.record.seq}
        return {
            "effect": self.effect,
            "decision": self.decision,
            "review": self.review,
            "permit": self.permit,
            "record": record,
            "ran": self.ran,
            "ended": None if self.ended is None else self.ended.detail,
            "outcome": None if self.outcome is None else self.outcome.value,
            "reported": self.reported,
            "exit_code": self.exit_code,
            "code": "" if self.error is None else self.error.code,
        }


def enforce(
    client: Client,
    asked: Asked,
    wanted: Wanted,
    *,
    journal: Journal | None = None,
    say: Callable[[str], None],
) -> Story:
    """Run the command only with permission. The story says what came of it."""
    story = Story()
    signals = Signals()
    try:
        with signals.handled():
            _Way(client, asked, wanted, journal, say, signals, story).go()
    except Stopped as stop:
        story.exit_code = stop.exit_code
        story.error = Refused("exec.stopped", "a signal came first; nothing has run")
    except CountersignError as error:
        story.error, story.exit_code = error, _exit_code(error)
    except OSError as error:  # what was there a moment ago
        story.error = Refused("exec.unreadable", f"a file went away: {error.strerror}")
    return story


def _exit_code(error: CountersignError) -> int:
    match error:
        case Refused():
            return error.exit_code
        case StillPending():
            return UNDECIDED
        case AlreadyClaimed():
            return MAY_HAVE_RUN
        case Denied() | NotApproved():
            return DENIED
    return NOT_STARTED


class _Way:
    """One walk from the question to the report."""

    def __init__(
        self,
        client: Client,
        asked: Asked,
        wanted: Wanted,
        journal: Journal | None,
        say: Callable[[str], None],
        signals: Signals,
        story: Story,
    ) -> None:
        self._client = client
        self._asked = asked
        self._wanted = wanted
        self._journal = journal
        self._say = say
        self._signals = signals
        self._story = story
        self._began = False

    def go(self) -> None:
        with resolve(self._wanted) as found:
            asked_about = self._look_back(found.command)
        context = self._asked.context(asked_about)
        decision = self._client.check(context, supersedes=self._asked.supersedes)
        self._heard(decision)
        if decision.pending is not None:
            self._wait(decision)
        elif decision.grant is None:
            raise Denied(decision.reasons, decision_id=decision.id, retryable=decision.retryable)
        with resolve(self._wanted) as actual:
            self._require_same(asked_about, actual.command)
            self._signals.hold()
            grant = decision.grant or self._claim(decision, context)
            self._act(grant, context, actual)

    def _look_back(self, command: Command) -> Command:
        """Refuse what may have run before; with `--again` tell reviewers of it."""
        if self._journal is None:
            return command
        earlier = self._journal.earlier(self._asked.context(command))
        if earlier and not self._asked.again:
            raise may_have_run(earlier)
        self._wanted = dataclasses.replace(self._wanted, again_after=earlier)
        return dataclasses.replace(command, again_after=earlier)

    def _heard(self, decision: Decision) -> None:
        story = self._story
        story.effect, story.decision = decision.effect.value, decision.id
        story.record = decision.record
        if decision.pending is not None:
            story.review = decision.pending.review_id

    def _wait(self, decision: Decision) -> None:
        assert decision.pending is not None  # noqa: S101 - that is why it waits
        self._say(f"waiting for a person to decide on {decision.pending.review_id}")
        status = self._client.wait(
            decision.pending, timeout_s=self._asked.wait_s, on_question=self._tell
        )
        if not status.decided:
            raise _undecided(status.approve_by, decision.pending.review_id)
        status.require_approved()

    def _tell(self, question: Question) -> None:
        self._say(f"a reviewer asks: {question.text} [{question.id}]")

    def _require_same(self, approved: Command, actual: Command) -> None:
        names = changed(approved, actual)
        if names:
            raise changed_since(" and ".join(_ARGUMENT_NAMES.get(name, name) for name in names))

    def _claim(self, decision: Decision, context: Context) -> Grant:
        assert decision.pending is not None  # noqa: S101 - no grant, so a review
        return self._client.claim(decision.pending, context)

    def _act(self, grant: Grant, context: Context, actual: Resolved) -> None:
        """Run it and report, whatever happens: from here on the permission is spent."""
        story = self._story
        story.permit = grant.permit.id if grant.permit else ""
        story.record = grant.record or story.record
        story.outcome = Outcome.FAILED
        told: JsonObject = {}
        try:
            actual.require_unchanged()
            self._signals.require_none()
            grant.require_fresh()
            self._begin(grant, context)
            story.ran, story.outcome = True, Outcome.AMBIGUOUS
            ended = run(actual, self._signals, timeout_s=self._asked.timeout_s)
            story.ended, told = ended, ended.detail
            story.outcome = Outcome.SUCCEEDED if ended.exit_code == 0 else Outcome.FAILED
            story.exit_code = ended.exit_code
        except (CountersignError, Stopped) as error:
            story.ran, story.outcome = False, Outcome.FAILED
            told = {"error": error.code if isinstance(error, CountersignError) else str(error)}
            raise
        finally:
            self._report(grant, context, told)

    def _begin(self, grant: Grant, context: Context) -> None:
        if self._journal is not None:
            self._journal.begin(context, grant, again=bool(self._wanted.again_after))
            self._began = True

    def _report(self, grant: Grant, context: Context, told: JsonObject) -> None:
        """Say how it ended. A report that is lost changes nothing that happened."""
        story = self._story
        assert story.outcome is not None  # noqa: S101 - set before anything ran
        try:
            self._client.report(grant, story.outcome, told)
            story.reported = True
        except CountersignClientError as error:
            self._say(
                f"the outcome ({story.outcome.value}) was not reported [{error.code}]; "
                "the service will call it ambiguous"
            )
        if self._journal is not None and self._began and (story.reported or not story.ran):
            self._journal.end(context)


def _undecided(approve_by: datetime | None, review_id: str) -> Refused:
    until = f" until {approve_by:%Y-%m-%d %H:%M:%S} UTC" if approve_by else ""
    return Refused(
        "exec.undecided",
        f"nobody has decided on {review_id} yet; it stays open{until}",
        advice="Run the same command again to go on waiting for the same review.",
        exit_code=UNDECIDED,
    )
