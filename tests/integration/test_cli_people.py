"""Reviewers at the real command: batches, broken glasses, delegations, evidence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from countersign.client import Client, Context, Person, Resource
from countersign.client.testing import Rule
from countersign.credentials import Credential, SubjectKind, new_token, write_credential
from countersign.model import Effect
from countersign.v1 import context_pb2
from simulators.decision_server import DecisionServer

COMMAND = Path(sys.executable).parent / "countersign"
BOB, CAROL = new_token(SubjectKind.PERSON), new_token(SubjectKind.PERSON)
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


class Desk:
    """A directory with credentials of bob and carol, beside a server in this process."""

    def __init__(self, server: DecisionServer, directory: Path) -> None:
        self.server, self.directory = server, directory
        for name, token in (("bob", BOB), ("carol", CAROL)):
            credential = Credential(endpoint=server.endpoint, token=token)
            write_credential(directory / f"{name}.credential", credential)

    def asks(self, table: str, action: str = "db.export", **more: Any) -> str:
        """The id of a review of this action."""
        context = Context(
            action=action,
            resource=Resource("table", table),
            environment="production",
            actor="export-agent",
            **more,
        )
        with Client(Credential(endpoint=self.server.endpoint, token=BOB)) as agent:
            return str(agent.check(context).pending.review_id)

    def preview(self, review: str) -> str:
        return str(self.server.desk.view(review, "bob").previews["reviewer"].hash.hex())

    def approvals(self, *reviews: str) -> list[set[str]]:
        return [self.server.point.reviews[review].approvals for review in reviews]

    def types(self, *words: str, as_: str = "bob", keys: Sequence[str] | None = None) -> Typed:
        """Run the command; `keys` are lines typed at its terminal, without them it has none."""
        command = [COMMAND, *words, "--credential", f"{as_}.credential"]
        with TerminalLike(keys) as stdin:
            done = subprocess.run(
                command,
                cwd=self.directory,
                env={"COLUMNS": "200", "TZ": "Europe/Berlin"},
                stdin=stdin,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        return Typed(done)


class TerminalLike:
    """A terminal on which these lines have been typed; None: no terminal at all."""

    def __init__(self, keys: Sequence[str] | None) -> None:
        self._keys, self._ends = keys, ()

    def __enter__(self) -> int:
        if self._keys is None:
            return subprocess.DEVNULL
        self._ends = os.openpty()
        os.write(self._ends[0], "".join(f"{line}\n" for line in self._keys).encode())
        return self._ends[1]

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            os.close(end)


class Typed:
    """What a command answered."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        assert "Traceback" not in self.err, self.err

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}{self.err}"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with DecisionServer(BOB) as server:
        server.people[CAROL] = "carol"
        for pattern, batch in (("*", True), ("iam.*", False)):
            server.point.rules.append(
                Rule(
                    pattern=pattern,
                    effect=Effect.NEEDS_APPROVAL,
                    batch=batch,
                    break_glass=("bob",),
                )
            )
        yield Desk(server, tmp_path)


# --- batches ------------------------------------------------------------------------


def test_all_cards_are_shown_and_their_number_approves_them(desk: Desk) -> None:
    reviews = [desk.asks(table) for table in ("orders", "invoices", "refunds")]
    done = desk.types("review", "approve", *reviews, "--reason", "month end", keys=["", "", "3"])
    assert done.code == 0, done
    for number, (review, table) in enumerate(
        zip(reviews, ("orders", "invoices", "refunds"), strict=True), start=1
    ):
        assert f"{number} of 3" in done.out
        assert f"REVIEW {review}: PENDING" in done.out
        assert f"table {table}" in done.out
        assert f"{review}  Approved. The review is APPROVED.\n" in done.out
    assert desk.approvals(*reviews) == [{"bob"}] * 3


@pytest.mark.parametrize("answer", ["y", "yes", "2", ""])
def test_nothing_else_approves_them(desk: Desk, answer: str) -> None:
    reviews = [desk.asks(table) for table in ("orders", "invoices", "refunds")]
    keys = ["", "", answer, "no"]
    stopped = desk.types("review", "approve", *reviews, keys=keys)
    assert stopped.code == 1
    assert desk.approvals(*reviews) == [set()] * 3


def test_unlike_things_stand_out(desk: Desk) -> None:
    reviews = [desk.asks("orders"), desk.asks("orders", action="db.drop")]
    told = desk.types("review", "approve", *reviews, keys=["", "no"])
    summary = told.out.partition("all of them")[2]
    assert "NOT ALIKE    they differ in action" in summary
    assert "2            table orders; action db.drop" in summary
    assert "environment  production" in summary


def test_one_that_cannot_be_approved_with_others_keeps_all_from_being_sent(desk: Desk) -> None:
    good, alone = desk.asks("orders"), desk.asks("admins", action="iam.grant")
    decided = desk.asks("refunds")
    desk.server.point.deny(decided, "carol", "no")
    refused = desk.types("review", "approve", good, alone, decided, keys=["", "", "3"])
    assert refused.code == 1
    assert "[vote.batch_not_allowed]" in refused.err
    assert f"{alone}: policy wants it decided by itself" in refused.err
    assert f"{decided}: it is DENIED" in refused.err
    assert good not in refused.err
    assert desk.approvals(good, alone) == [set(), set()]
    assert "BatchDecide" not in desk.server.methods()


def test_who_cannot_approve_one_approves_none(desk: Desk) -> None:
    own = desk.asks("orders", on_behalf_of=[Person("bob")])
    refused = desk.types("review", "approve", own, desk.asks("refunds"), keys=["", "2"])
    assert f"{own}: you are behind it" in refused.err


def test_a_script_names_what_was_read_of_each(desk: Desk) -> None:
    first, second = desk.asks("orders"), desk.asks("refunds")
    blind = desk.types("review", "approve", first, second)
    assert blind.code == 1
    assert "[vote.preview_missing]" in blind.err
    one = ("--preview", desk.preview(first))
    for wrong in ((), one):
        swapped = ("--preview", desk.preview(second), *wrong)
        refused = desk.types("review", "approve", first, second, *swapped)
        assert refused.code == (1 if wrong else 2)
    assert desk.approvals(first, second) == [set(), set()]
    both = (*one, "--preview", desk.preview(second)[:12])
    approved = desk.types("review", "approve", first, second, *both, "--json")
    assert approved.code == 0
    told = json.loads(approved.out)
    assert [item["review_id"] for item in told] == [first, second]
    assert told[0]["review"]["status"]["state"] == "REVIEW_STATE_APPROVED"


def test_a_vote_that_was_refused_is_told_and_is_exit_code_1(desk: Desk) -> None:
    first, second = desk.asks("orders"), desk.asks("refunds")
    previews = [word for review in (first, second) for word in ("--preview", desk.preview(review))]
    approve = desk.server.desk.handle

    def late(verb: str, request: Any, person: str) -> Any:
        if verb == "BatchDecide":
            desk.server.point.deny(second, "carol", "wait")  # between reading and voting
        return approve(verb, request, person)

    desk.server.desk.handle = late  # type: ignore[method-assign]
    told = desk.types("review", "approve", first, second, *previews)
    assert told.code == 1
    assert f"{first}  Approved." in told.out
    assert f"{second}  REFUSED  the review is denied [review.closed]" in told.out


def test_wrong_usage_of_a_batch_is_said_before_anything_is_asked(desk: Desk) -> None:
    many = [f"rev_{number}" for number in range(26)]
    for words, said in (
        (("rev_1", "rev_1"), "one is named twice"),
        (many, "at most 25 at once"),
        (("rev_1", "rev_2", "--preview", "00000000"), "give one for each review"),
        (("rev_1", "--preview", "00000000", "--preview", "00000000"), "give one for each review"),
    ):
        wrong = desk.types("review", "approve", *words)
        assert (wrong.code, said in wrong.err) == (2, True), wrong
    assert desk.server.calls == []


def test_the_list_says_what_can_be_approved_together(desk: Desk) -> None:
    desk.asks("orders")
    desk.asks("admins", action="iam.grant")
    assert desk.types("review", "list").out.count("can be approved together with others") == 1


# --- broken glasses -----------------------------------------------------------------


def test_the_glass_is_broken_by_typing_the_action(desk: Desk) -> None:
    review = desk.asks("orders")
    broken = desk.types(
        "review", "break-glass", review, "--reason", "the shop is down", keys=["db.export"]
    )
    assert broken.code == 0, broken
    assert f"REVIEW {review}: PENDING" in broken.out
    assert "BREAK THE GLASS: you approve ALONE" in broken.out
    assert "The glass is broken. The review is APPROVED." in broken.out
    assert f"countersign review after close {review}" in broken.out
    assert desk.server.calls[-1][1].reason == "the shop is down"


@pytest.mark.parametrize("typed", ["yes", "y", "DB.EXPORT", "db.drop"])
def test_nothing_else_breaks_it(desk: Desk, typed: str) -> None:
    review = desk.asks("orders")
    stopped = desk.types("review", "break-glass", review, "--reason", "down", keys=[typed])
    assert stopped.code == 1
    assert "BreakGlass" not in desk.server.methods()


def test_a_script_names_preview_and_action(desk: Desk) -> None:
    review = desk.asks("orders")
    words = ("review", "break-glass", review, "--reason", "down")
    read = ("--preview", desk.preview(review))
    for missing, code in (((), 1), (read, 2), ((*read, "--confirm", "db.drop"), 2)):
        refused = desk.types(*words, *missing)
        assert refused.code == code, refused
    assert desk.types(*words, "--confirm", "db.export").code == 1, "nothing was read"
    assert "BreakGlass" not in desk.server.methods()
    assert desk.types(*words, *read, "--confirm", "db.export").code == 0


def test_who_may_not_is_told_before_anything_is_typed(desk: Desk) -> None:
    review = desk.asks("orders")
    words = ("review", "break-glass", review, "--reason", "down")
    refused = desk.types(*words, as_="carol", keys=["db.export"])
    assert refused.code == 1
    assert "[vote.no_break_glass]" in refused.err
    assert "BREAK THE GLASS" not in refused.out
    blank = desk.types("review", "break-glass", review, "--reason", " ", keys=["db.export"])
    assert (blank.code, "say why this cannot wait" in blank.err) == (2, True)


def test_somebody_else_looks_at_it_afterwards(desk: Desk) -> None:
    review = desk.asks("orders")
    assert desk.types("review", "after", "list").out == "No after-review is open.\n"
    desk.server.point.break_glass(review, "bob")
    owed = desk.types("review", "after", "list", as_="carol").out
    assert owed.startswith(f"{review}  APPROVED ")
    assert "broken by bob" in owed
    close = ("review", "after", "close", review, "--verdict", "unjustified", "--note", "no need")
    own = desk.types(*close)
    assert (own.code, "[after_review.own]" in own.err) == (1, True)
    closed = desk.types(*close, as_="carol")
    assert closed.code == 0
    assert "carol found it NOT JUSTIFIED" in closed.out
    assert desk.types("review", "after", "list", "--json").out == "[]\n"
    assert desk.server.point.reviews[review].after_review.note == "no need"


# --- delegations --------------------------------------------------------------------


def test_a_delegation_is_given_shown_and_taken_back(desk: Desk) -> None:
    given = desk.types("delegate", "carol", "--until", "2199-12-01T18:00", "--reason", "away")
    assert given.code == 0, given
    assert given.out.startswith("Delegated: carol decides for bob.\n")
    assert "2199-12-01 17:00:00 UTC (Sun 2199-12-01 18:00 CET here)" in given.out
    (delegation,) = desk.server.desk.delegations
    listed = desk.types("delegation", "list", as_="carol").out
    assert listed.startswith(f"{delegation}  carol decides for bob\n")
    assert "reason       away" in listed
    assert desk.types("delegation", "end", delegation, as_="carol").code == 1
    assert desk.types("delegation", "end", delegation).out == (
        "Ended: carol decides for bob no more.\n"
    )
    assert desk.types("delegation", "list").out == "Nobody decides in another's place.\n"
    assert desk.types("delegation", "list", "--json").out == "[]\n"


def test_times_that_cannot_be_meant_are_wrong_usage(desk: Desk) -> None:
    for words, said in (
        (("--until", "tomorrow"), "--until: must be a time, like 2026-12-01T18:00 (local)"),
        (("--until", "2026-13-01"), "--until: is a day or time that does not exist"),
        (("--until", "2020-01-01"), "--until: is over already"),
        (("--until", "1h", "--from", "2h"), "--until: must be later than --from"),
        (("--until", "1h", "--from", "soon"), "--from: must be a time"),
    ):
        wrong = desk.types("delegate", "carol", "--reason", "away", *words)
        assert (wrong.code, said in wrong.err) == (2, True), wrong
    assert desk.server.calls == []


# --- evidence -----------------------------------------------------------------------


def context_file(directory: Path) -> str:
    (directory / "context.json").write_text(
        json.dumps(
            {
                "action": "db.export",
                "actor": "export-agent",
                "environment": "production",
                "resource": {"type": "table", "id": "orders"},
                "on_behalf_of": [{"type": "person", "id": "alice"}],
            }
        )
    )
    return "context.json"


def token_file(directory: Path, content: str, mode: int = 0o600) -> str:
    (directory / "alice.jwt").write_text(content)
    (directory / "alice.jwt").chmod(mode)
    return "alice.jwt"


def test_a_check_carries_the_token_of_a_private_file(desk: Desk) -> None:
    words = ("check", context_file(desk.directory), "--save", "saved")
    asked = desk.types(*words, "--evidence-file", token_file(desk.directory, f"{JWT}\n"))
    assert asked.code == 4, asked
    (check,) = (request for method, request in desk.server.calls if method == "Check")
    assert check.context.on_behalf_of[0].evidence == JWT
    assert JWT not in asked.out + asked.err + (desk.directory / "saved").read_text()


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (JWT, 0o640, "Run: chmod 600 alice.jwt"),
        ("", 0o600, "alice.jwt is empty"),
        (f"{JWT}{' ' * 70_000}", 0o600, "alice.jwt is longer than 65536 bytes"),
        (f"Bearer {JWT}", 0o600, "evidence: must be a JWT as it was issued"),
    ],
)
def test_what_is_no_private_token_is_refused_unquoted(
    desk: Desk, content: str, mode: int, said: str
) -> None:
    file = token_file(desk.directory, content, mode)
    refused = desk.types("check", context_file(desk.directory), "--evidence-file", file)
    assert refused.code == 1
    assert said in refused.err
    assert JWT not in refused.out + refused.err
    assert desk.server.calls == []


def test_a_token_file_that_is_not_there_is_named(desk: Desk) -> None:
    refused = desk.types("check", context_file(desk.directory), "--evidence-file", "none.jwt")
    assert "none.jwt cannot be read: No such file or directory" in refused.err


def test_evidence_has_no_place_in_a_context_file(desk: Desk) -> None:
    name = context_file(desk.directory)
    context = json.loads((desk.directory / name).read_text())
    context["on_behalf_of"][0]["evidence"] = JWT
    (desk.directory / name).write_text(json.dumps(context))
    refused = desk.types("check", name)
    assert refused.code == 1
    assert "on_behalf_of[0]: holds evidence" in refused.err
    assert "--evidence-file" in refused.err
    assert JWT not in refused.err


def test_an_answer_says_and_proves_whose_it_is(desk: Desk) -> None:
    review = desk.asks("orders")
    desk.server.point.ask(review, "bob", "why?")
    (question,) = desk.server.point.reviews[review].questions
    file = token_file(desk.directory, JWT)
    nameless = desk.types("answer", review, question, "audit", "--evidence-file", file)
    assert (nameless.code, "--answered-by" in nameless.err) == (2, True)
    words = ("answer", review, question, "audit", "--answered-by", "alice")
    assert desk.types(*words, "--evidence-file", file).code == 0
    (answer,) = desk.server.point.answered
    expected = context_pb2.Principal(type="person", id="alice", evidence=JWT)
    assert answer.answered_by == expected
