"""Presidio's recognizers on a real service: asked about all that is written, and missed aloud."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import psutil
import pytest

import presidio_world
from countersign.client import Context
from countersign.model import new_id
from countersign.v1 import activity_pb2, context_pb2, decisions_pb2, reviews_pb2
from service import Service, context, eventually

SAID = "we feed the zebrafish before noon"
POLICY = """
package countersign

decision := {"effect": "deny", "reasons": [{"code": "fish.ner", "message": "nobody looked"}]} if {
	input.findings.ner == "failed"
	input.context.action == "fish.strict"
}

decision := {
	"effect": "needs_approval",
	"reasons": [{"code": "fish.rule", "message": sprintf("why: %s", [why])}],
	"requirement": {
		"stages": [{"name": "approvers", "approvers": {"groups": ["approvers"]}}],
		"must_show": ["/resource"],
	},
} if {
	"personal" in input.findings.classes
	not strict
}

why := substring(input.context.reason, 0, 60)

strict if {
	input.findings.ner == "failed"
	input.context.action == "fish.strict"
}
"""


@pytest.fixture
def service(prepared: Service) -> Service:
    (prepared.directory / "policy" / "decision.rego").write_text(POLICY, "utf-8")
    deny = presidio_world.REGISTRY.replace("[bluebird]", "[zebrafish]")
    presidio_world.written(prepared.directory, deny)
    prepared.configure(
        {
            "presidio.file": "presidio.yaml",
            "presidio.entities": ["PROJECT", "SLOW"],
            "presidio.deadline_s": 1,
        }
    )
    prepared.plant("zebrafish")
    return prepared.start()


def child(service: Service) -> psutil.Process | None:
    """The process that looks, if there is one."""
    assert service.process is not None
    for each in psutil.Process(service.process.pid).children(recursive=True):
        if "countersign.recognizers.worker" in " ".join(each.cmdline()):
            return each
    return None


def checked(service: Service, wanted: Context, **more: Any) -> Any:
    request = decisions_pb2.CheckRequest(
        context=wanted.to_message(), request_id=new_id("req"), **more
    )
    return service.line("agent").call("Decisions.Check", request)


def shown(service: Service, review_id: str) -> tuple[Any, Any]:
    request = reviews_pb2.GetReviewRequest(review_id=review_id)
    review = service.line("bob").call("Reviews.Get", request)
    return review, review.previews["reviewer"]


def test_all_that_anybody_writes_is_looked_at(service: Service) -> None:
    agent, bob = service.line("agent"), service.line("bob")
    wanted = context("fish.feed", reason=SAID, arguments={"note": SAID, "rows": [{"text": SAID}]})
    answer = checked(service, wanted, labels={"ticket": SAID})
    assert answer.effect == context_pb2.EFFECT_NEEDS_APPROVAL, answer
    assert answer.reasons[0].message == "why: we feed the [PROJECT] before noon"
    review_id = answer.review.review_id
    review, preview = shown(service, review_id)
    assert json.loads(preview.context_json)["reason"] == "we feed the [PROJECT] before noon"
    assert json.loads(preview.mask_report_json)["ner"] == "ok"
    bob.call(
        "Reviews.AskInfo",
        reviews_pb2.AskInfoRequest(
            review_id=review_id, revision=1, question=f"{SAID}?", request_id=new_id("req")
        ),
    )
    waiting = decisions_pb2.AwaitRequest(review_id=review_id)
    (question,) = agent.call("Decisions.Await", waiting).review.open_questions
    assert question.text == "we feed the [PROJECT] before noon?"
    agent.call(
        "Decisions.Answer",
        decisions_pb2.AnswerRequest(
            review_id=review_id,
            question_id=question.question_id,
            text=SAID,
            request_id=new_id("req"),
        ),
    )
    review, preview = shown(service, review_id)
    bob.call(
        "Reviews.Decide",
        reviews_pb2.DecideRequest(
            review_id=review_id,
            revision=review.status.revision,
            vote=reviews_pb2.VOTE_APPROVE,
            profile="reviewer",
            preview_hash=preview.hash,
            reason=SAID,
            request_id=new_id("req"),
        ),
    )
    claim = decisions_pb2.ClaimRequest(
        review_id=review_id, context=wanted.to_message(), request_id=new_id("req")
    )
    permit = agent.call("Decisions.Claim", claim).permit
    agent.call(
        "Decisions.Report",
        decisions_pb2.ReportRequest(
            permit_id=permit.permit_id,
            outcome=context_pb2.OUTCOME_SUCCEEDED,
            detail_json=json.dumps({"said": SAID}).encode(),
            request_id=new_id("req"),
        ),
    )
    agent.call(
        "Activity.Log",
        activity_pb2.LogRequest(
            type="tool.output",
            content=activity_pb2.Content(text=SAID),
            session=SAID,
            request_id=new_id("req"),
        ),
    )
    assert service.metric('countersign_recognizer_total{outcome="ok"}') >= 8
    service.stop()
    records = service.verified_log()[1]  # and at the end none of them holds the word
    assert sum(b"[PROJECT" in record for record in records) >= 6


def test_without_an_answer_it_is_hidden_and_policy_is_told_the_worst(service: Service) -> None:
    wanted = context("fish.feed", reason="quiet words", arguments={"note": SAID})
    looking = child(service)
    assert looking is not None
    os.kill(looking.pid, signal.SIGSTOP)  # it hangs
    answer = checked(service, wanted)
    assert answer.effect == context_pb2.EFFECT_NEEDS_APPROVAL  # as if it held a name
    _, preview = shown(service, answer.review.review_id)
    assert json.loads(preview.context_json)["arguments"]["note"] == "[UNEXAMINED]"
    assert json.loads(preview.mask_report_json)["ner"] == "failed"
    eventually(lambda: (now := child(service)) is not None and now.pid != looking.pid)
    os.kill(child(service).pid, signal.SIGKILL)  # type: ignore[union-attr]
    strict = checked(service, context("fish.strict", reason=SAID))
    assert (strict.effect, strict.reasons[0].code) == (context_pb2.EFFECT_DENY, "fish.ner")

    def again() -> bool:
        answer = checked(service, context("fish.feed", "again", reason=SAID))
        return b"[PROJECT]" in shown(service, answer.review.review_id)[1].context_json

    eventually(lambda: service.metric("countersign_recognizers_ready") == 1)
    assert again()


def test_a_text_that_makes_a_pattern_run_for_ever_is_not_passed_over(service: Service) -> None:
    hostile = "x" * 4000 + " for the zebrafish"
    answer = checked(service, context("fish.feed", reason=hostile))
    assert answer.effect == context_pb2.EFFECT_NEEDS_APPROVAL, answer
    _, preview = shown(service, answer.review.review_id)
    assert json.loads(preview.context_json)["reason"] == "[UNEXAMINED]"


def test_taking_recognizers_away_is_weaker_and_a_wrong_file_stops_the_start(
    service: Service,
) -> None:
    service.stop()
    service.configure({"presidio.entities": ["SLOW"]})
    said = service.refuses_to_start()
    assert "no recognizer looks for PROJECT any more" in said
    assert "--accept-weaker" in said
    service.configure({"presidio.entities": ["PROJECT", "SLOW", "PERSON"]})
    assert "nothing in the file looks for PERSON" in service.refuses_to_start()
    (service.directory / "presidio.yaml").unlink()
    said = service.refuses_to_start()
    assert "[presidio.file]" in said
    assert "there is no" in said
