"""Proof, delegation, batches, emergencies and channels through SDK and command, really served.

mallory and alice can drive the agent; bob and carol own data; dave owns nothing;
erin is on call. A signing key in this file stands for an identity provider.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt.algorithms import OKPAlgorithm

from countersign.client import (
    Answer,
    Choice,
    Client,
    Context,
    Denied,
    InvalidContext,
    InvalidRequest,
    NotFound,
    NotPermitted,
    Outcome,
    Person,
    PersonAssertion,
    PreconditionFailed,
    Reason,
    Resource,
    ReviewsClient,
)
from countersign.credentials import SubjectKind, new_token, token_hash, write_credential
from countersign.v1 import context_pb2, reviews_pb2
from service import Service

COMMAND = Path(sys.executable).parent / "countersign"
ISSUER = "https://login.example"
TEAMS = "teams:contoso"
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
POLICY = """
package countersign

decision := {
    "effect": "needs_approval",
    "reasons": [{"code": "test.review", "message": "people look at everything here"}],
    "requirement": {
        "stages": [{
            "name": "data owner",
            "approvers": {"groups": ["data-owners"]},
            "escalate": [{"after_s": 3600, "approvers": {"groups": ["on-call"]}}],
        }],
        "must_show": ["/resource"],
        "batch": input.context.action == "db.export",
        "break_glass": {
            "approvers": {"groups": ["on-call"]},
            "review_by": {"groups": ["data-owners"]},
        },
    },
}
"""
PEOPLE = {"alice": ["data-owners"], "mallory": [], "bob": ["data-owners"]} | {
    "carol": ["data-owners"],
    "dave": [],
    "erin": ["on-call"],
}


class Town:
    """A running service and everybody in it."""

    def __init__(self, service: Service, desk: Path) -> None:
        self.service, self.desk = service, desk
        for subject in service.tokens:
            write_credential(desk / f"{subject}.credential", service.credential(subject))
        self._asked = 0

    def agent(self) -> Client:
        return self.service.client("agent")

    def sees(self, person: str) -> ReviewsClient:
        return self.service.reviewer(person)

    def context(self, *behind: str, action: str = "db.export") -> Context:
        """A context of its own each time."""
        self._asked += 1
        return Context(
            action=action,
            actor="agent",
            environment="production",
            resource=Resource("table", f"t{self._asked}"),
            on_behalf_of=[Person(name) for name in behind],
        )

    def review(self, *behind: str, **more: Any) -> str:
        pending = self.agent().check(self.context(*behind, **more)).pending
        return str(pending.review_id)

    def types(self, *words: str, as_: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [COMMAND, *words, "--credential", f"{as_}.credential"],
            cwd=self.desk,
            env={"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done


def token(subject: str = "sub-alice", **changes: Any) -> str:
    """What the identity provider issues to the agent's client."""
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": subject, "aud": "evidence", "azp": "agent-app"}
    claims |= {"iat": now, "exp": now + 300} | changes
    return jwt.encode(claims, KEY, "EdDSA", headers={"kid": "key"})


def register(service: Service) -> None:
    """All registers and the issuer, in the operator's own files."""
    tokens = {name: new_token(SubjectKind.PERSON) for name in PEOPLE}
    tokens["agent"] = new_token(SubjectKind.CALLER)
    tokens["teams"] = new_token(SubjectKind.CHANNEL)
    service.tokens.update(tokens)
    people = "".join(
        f'[[people]]\nid = "{name}"\nname = "{name.title()}"\ngroups = {json.dumps(groups)}\n'
        f'token_sha256 = ["{token_hash(tokens[name])}"]\naccounts = [\n'
        f'  {{ issuer = "{ISSUER}", subject = "sub-{name}" }},\n'
        f'  {{ issuer = "{TEAMS}", subject = "oid-{name}" }},\n]\n'
        for name, groups in PEOPLE.items()
    )
    files = {
        "people.toml": people,
        "callers.toml": f'[[callers]]\nid = "agent"\nactors = ["agent"]\n'
        f'environments = ["production"]\nresources = ["table:*"]\nowners = ["mallory"]\n'
        f'users = ["alice", "mallory"]\nclients = ["agent-app"]\n'
        f'token_sha256 = ["{token_hash(tokens["agent"])}"]\n',
        "channels.toml": f'[[channels]]\nid = "teams"\nissuers = ["{TEAMS}"]\n'
        f'token_sha256 = ["{token_hash(tokens["teams"])}"]\n',
        "jwks.json": json.dumps(
            {"keys": [OKPAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "key"}]}
        ),
    }
    for name, text in files.items():
        (service.directory / name).write_text(text)
    with (service.directory / "countersign.toml").open("a") as settings:
        settings.write(
            f'\n[[issuers]]\nissuer = "{ISSUER}"\ntenants = ["default"]\n'
            f'jwks_file = "jwks.json"\nevidence_audience = "evidence"\n'
        )


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    base = tmp_path_factory.mktemp("town")
    (base / "policy").mkdir()
    (base / "policy" / "policy.rego").write_text(POLICY)
    (base / "desk").mkdir()
    with Service(base / "service", policy=base / "policy") as service:
        register(service)
        service.start()
        yield Town(service, base / "desk")


def approve(view: Any, review_id: str) -> reviews_pb2.Review:
    approved: reviews_pb2.Review = view.decide(view.get(review_id), Choice.APPROVE)
    return approved


# --- who is behind it ---------------------------------------------------------------


def test_a_proof_lets_the_others_decide_and_is_on_the_card(town: Town) -> None:
    told = town.sees("bob").get(town.review("mallory"))
    assert (told.verified.requester, set(told.verified.excluded)) == ("", {"alice", "mallory"})

    asked = town.context("mallory")
    pending = town.agent().check(asked, evidence=token("sub-mallory")).pending
    proven = town.sees("alice").get(pending.review_id)
    assert proven.verified.requester == "mallory"
    assert list(proven.verified.excluded) == ["mallory"]
    card = town.types("review", "show", pending.review_id, as_="alice").stdout
    assert "requester    mallory, proven by a token" in card

    approve(town.sees("alice"), pending.review_id)
    grant = town.agent().claim(pending, asked)
    town.agent().report(grant, Outcome.SUCCEEDED)


def test_authorize_needs_its_evidence_at_the_check_alone(town: Town) -> None:
    client, asked = town.agent(), town.context("mallory")
    first = client.check(asked, evidence=token("sub-mallory"))
    approve(town.sees("carol"), first.pending.review_id)
    assert client.authorize(asked, evidence=token("sub-mallory"), timeout_s=30).permit


@pytest.mark.parametrize(
    ("evidence", "code"),
    [
        (token(exp=int(time.time()) - 3600, iat=int(time.time()) - 3700), "token."),
        (token(aud="something-else"), "token."),
        (token()[:-6] + "AAAAAA", "token."),
    ],
)
def test_a_token_that_is_no_good_is_refused_by_name(town: Town, evidence: str, code: str) -> None:
    with pytest.raises(InvalidContext) as caught:
        town.agent().check(town.context("alice"), evidence=evidence)
    assert caught.value.code.startswith(code), caught.value.code
    assert caught.value.field == "/on_behalf_of/0/evidence"
    assert evidence not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"azp": "another-app"}, "evidence.other_client"),
        ({"subject": "sub-bob"}, "evidence.mismatch"),
        ({"subject": "sub-nobody"}, "requester.unresolved"),
    ],
)
def test_a_token_that_proves_something_else_is_a_denial(
    town: Town, changes: dict[str, str], code: str
) -> None:
    with pytest.raises(Denied) as caught:
        town.agent().authorize(town.context("alice"), evidence=token(**changes))
    assert caught.value.code == code


def test_the_command_proves_it_from_a_private_file(town: Town) -> None:
    asked = town.context("mallory")
    told = {
        "action": asked.action,
        "actor": "agent",
        "environment": "production",
        "resource": {"type": "table", "id": asked.resource.id},
        "on_behalf_of": [{"type": "person", "id": "mallory"}],
    }
    (town.desk / "context.json").write_text(json.dumps(told))
    (town.desk / "token.jwt").touch(0o600)
    (town.desk / "token.jwt").write_text(token("sub-mallory"))
    words = ("check", "context.json", "--evidence-file", "token.jwt", "--json")
    done = town.types(*words, as_="agent")
    assert done.returncode == 4, done
    review = town.sees("bob").get(json.loads(done.stdout)["review"])
    assert review.verified.requester == "mallory"


def test_who_proves_that_they_answered_is_all_that_is_excluded_for_it(town: Town) -> None:
    asked = town.context("mallory")
    pending = town.agent().check(asked, evidence=token("sub-mallory")).pending
    bob = town.sees("bob")
    bob.ask(bob.get(pending.review_id), "which quarter?")
    said = Answer("The third.", answered_by=Person("mallory", evidence=token("sub-mallory")))
    question = town.agent().wait(pending, timeout_s=0).questions[0]
    town.agent().answer(pending.review_id, question.id, said.text, answered_by=said.answered_by)
    assert approve(town.sees("alice"), pending.review_id).status.state == (
        context_pb2.REVIEW_STATE_APPROVED
    )


def test_an_unproven_answer_excludes_whoever_can_drive_the_agent(town: Town) -> None:
    pending = town.agent().check(town.context("mallory"), evidence=token("sub-mallory")).pending
    bob = town.sees("bob")
    bob.ask(bob.get(pending.review_id), "which quarter?")
    question = town.agent().wait(pending, timeout_s=0).questions[0]
    town.agent().answer(pending.review_id, question.id, "The third.")
    with pytest.raises(NotPermitted, match=r"vote\.self_approval"):
        approve(town.sees("alice"), pending.review_id)


# --- many at once -------------------------------------------------------------------


def test_several_are_approved_in_one_act_and_each_is_judged(town: Town) -> None:
    bob = town.sees("bob")
    batch = [town.review(), town.review()]
    single = town.review(action="db.drop")
    shown = [bob.get(name) for name in (*batch, single)]
    assert [review.batch for review in shown] == [True, True, False]
    first, second, third = bob.batch_approve(shown, reason="month end")
    assert isinstance(third, Reason)
    assert third.code == "vote.batch_not_allowed"
    for taken, name in zip((first, second), batch, strict=True):
        assert taken.status.review_id == name
        assert taken.status.state == context_pb2.REVIEW_STATE_APPROVED
        assert taken.votes[0].reason == "month end"


def test_the_command_approves_what_was_read_of_each(town: Town) -> None:
    bob, names = town.sees("bob"), [town.review(), town.review()]
    words = []
    for name in names:
        (preview,) = bob.get(name).previews.values()
        words += ["--preview", preview.hash.hex()[:16]]
    done = town.types("review", "approve", *names, *words, as_="bob")
    assert done.returncode == 0, done
    assert done.stdout == "".join(f"{n}  Approved. The review is APPROVED.\n" for n in names)
    alone = town.review(action="db.drop")
    refused = town.types("review", "approve", alone, town.review(), *words, as_="bob")
    assert refused.returncode == 1
    assert f"{alone}: policy wants it decided by itself" in refused.stderr


# --- emergencies --------------------------------------------------------------------


def test_the_glass_is_broken_and_somebody_else_looks_at_it(town: Town) -> None:
    name = town.review("mallory")
    erin = town.sees("erin")
    (preview,) = erin.get(name).previews.values()
    words = ("--preview", preview.hash.hex(), "--confirm", "db.export", "--reason", "it is down")
    done = town.types("review", "break-glass", name, *words, as_="erin")
    assert done.returncode == 0, done
    assert "The glass is broken. The review is APPROVED." in done.stdout
    listed = town.types("review", "after", "list", as_="carol").stdout
    assert name in listed
    assert "broken by erin" in listed
    assert "it is down" in listed
    with pytest.raises(NotPermitted, match=r"after_review\.own"):
        erin.close_after_review(erin.get(name), justified=True, note="it was")
    close = ("review", "after", "close", name, "--verdict", "justified", "--note", "it was down")
    closed = town.types(*close, as_="carol")
    assert closed.returncode == 0, closed
    assert "carol found it justified" in closed.stdout
    assert all(owed.status.review_id != name for owed in town.sees("carol").after_reviews())


def test_only_for_whom_policy_names_and_never_who_is_behind_it(town: Town) -> None:
    name = town.review()
    bob = town.sees("bob")
    assert not bob.get(name).can_break_glass
    with pytest.raises(NotPermitted, match=r"vote\.no_break_glass"):
        bob.break_glass(bob.get(name), "it is down")
    own = town.review("erin")
    erin = town.sees("erin")
    assert not erin.get(own).can_break_glass
    with pytest.raises(NotPermitted, match=r"vote\.self_approval"):
        erin.break_glass(erin.get(own), "it is down")


def test_the_card_says_when_more_people_are_asked(town: Town) -> None:
    card = town.types("review", "show", town.review(), as_="bob").stdout
    assert "data owner: 0 of 1 from group data-owners" in card
    assert "asks more people" in card
    assert "(in 59 min" in card


# --- in somebody's place ------------------------------------------------------------


def test_a_delegate_votes_in_the_delegators_place(town: Town) -> None:
    given = town.types("delegate", "dave", "--until", "2h", "--reason", "away", as_="bob")
    assert given.returncode == 0, given
    assert given.stdout.startswith("Delegated: dave decides for bob.\n")
    name = town.review()
    approved = approve(town.sees("dave"), name)
    assert (approved.votes[0].person_id, approved.votes[0].delegated_by) == ("dave", "bob")
    card = town.types("review", "show", name, as_="carol").stdout
    assert "dave, for bob, approved" in card
    (delegation,) = town.sees("carol").delegations()
    ended = town.types("delegation", "end", delegation.delegation_id, as_="bob")
    assert ended.stdout == "Ended: dave decides for bob no more.\n"
    late = town.review()
    with pytest.raises(NotFound):
        approve(town.sees("dave"), late)


def test_a_term_has_its_bounds(town: Town) -> None:
    bob = town.sees("bob")
    for until in (datetime.now(UTC) + timedelta(days=365), datetime.now(UTC) - timedelta(days=1)):
        with pytest.raises((InvalidRequest, PreconditionFailed)):
            bob.delegate("dave", until)


# --- channels -----------------------------------------------------------------------


def clicked(person: str, **changes: Any) -> PersonAssertion:
    given = {"issuer": TEAMS, "subject": f"oid-{person}", "authenticated_at": datetime.now(UTC)}
    return PersonAssertion(**(given | changes))


def test_a_channel_speaks_for_the_account_that_clicked(town: Town) -> None:
    view = town.sees("teams").for_person(clicked("carol", message_ref="activity-7"))
    name = town.review()
    assert name in {review.status.review_id for review in view.list()}
    assert next(view.watch()).status.review_id
    (vote,) = approve(view, name).votes
    assert (vote.person_id, vote.channel_id, vote.assurance) == ("carol", "teams", "channel")
    card = town.types("review", "show", name, as_="bob").stdout
    assert "carol approved" in card
    assert "through teams" in card


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subject": "oid-somebody"}, "channel.unknown_account"),
        ({"issuer": ISSUER, "subject": "sub-carol"}, "channel.foreign_issuer"),
        (
            {"authenticated_at": datetime.now(UTC) - timedelta(hours=1)},
            "channel.stale_assertion",
        ),
    ],
)
def test_its_word_goes_so_far_and_no_further(
    town: Town, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(NotPermitted) as caught:
        next(town.sees("teams").for_person(clicked("carol", **changes)).list())
    assert caught.value.code == code


def test_it_must_say_who_acts_and_a_person_must_not(town: Town) -> None:
    with pytest.raises(InvalidRequest, match="person"):
        next(town.sees("teams").list())
    with pytest.raises(InvalidRequest, match="person"):
        next(town.sees("bob").for_person(clicked("carol")).list())
    name = town.review()
    with pytest.raises(NotPermitted, match=r"channel\.not_a_person"):
        town.sees("teams").break_glass(town.sees("erin").get(name), "it is down")


def test_several_at_once_and_a_delegation_through_it(town: Town) -> None:
    view = town.sees("teams").for_person(clicked("carol"))
    names = [town.review(), town.review()]
    results = view.batch_approve([view.get(name) for name in names])
    assert [result.votes[0].channel_id for result in results] == ["teams", "teams"]
    given = view.delegate("dave", datetime.now(UTC) + timedelta(hours=1), reason="away")
    assert (given.delegator_id, given.assurance) == ("carol", "channel")
    assert view.end_delegation(given.delegation_id).HasField("ended_at")
