"""What an agent, or the script that stands in for one, types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from countersign.canonical import StrictJsonError, parse_object
from countersign.cli import output
from countersign.cli.context_file import read_context
from countersign.cli.evidence_file import EvidenceOption, read_evidence
from countersign.cli.operator import JsonOption
from countersign.client import (
    Client,
    Denied,
    Grant,
    NotApproved,
    Outcome,
    Pending,
    Person,
    Reason,
    ReviewState,
    ReviewStatus,
    StillPending,
)
from countersign.config import credential_path

app = typer.Typer()

CredentialOption = Annotated[
    Path | None,
    typer.Option("--credential", help="Credential file; default $COUNTERSIGN_CREDENTIAL."),
]
ContextFile = Annotated[
    Path,
    typer.Argument(help="The action context, a JSON file; see docs/reference/action-context.md."),
]
ReviewOrFile = Annotated[str, typer.Argument(help="Review id, or a file saved by check.")]


@app.command()
def check(
    context: ContextFile,
    save: Annotated[
        Path | None, typer.Option(help="Save the pending review here, for claim.")
    ] = None,
    supersedes: Annotated[str, typer.Option(help="Open review that this one replaces.")] = "",
    evidence_file: EvidenceOption = None,
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Ask whether an action may run. Exit code 0 yes, 3 no, 4 a person is needed."""
    with Client.from_credential(credential_path(credential)) as client:
        decision = client.check(
            read_context(context), supersedes=supersedes, evidence=read_evidence(evidence_file)
        )
    if save and decision.pending:
        decision.pending.save(save)
    review_id = decision.pending.review_id if decision.pending else ""
    if as_json:
        output.as_json(
            {
                "decision": decision.id,
                "effect": decision.effect.value,
                "reasons": _reasons(decision.reasons),
                "policy_revision": decision.policy_revision,
                "review": review_id,
                "seq": decision.record.seq if decision.record else None,
            }
        )
    else:
        print(decision.effect.value.replace("_", " ").upper())
        output.reasons(decision.reasons)
        output.field("decision", decision.id)
        output.field("policy", decision.policy_revision)
        if review_id:
            output.field("review", review_id)
            output.field("next", f"countersign await {save or review_id}")
    if decision.allowed:
        return 0
    return output.UNDECIDED if review_id else output.DENIED


@app.command(name="await")
def await_(
    review: ReviewOrFile,
    timeout_s: Annotated[float, typer.Option(help="Longest wait, in seconds; 0 looks.")] = 3600,
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Wait until a review is decided. Exit code 0 approved, 3 not, 4 still open."""
    with Client.from_credential(credential_path(credential)) as client:
        status = client.wait(_review(review), timeout_s=timeout_s)
    _show_status(status, as_json=as_json)
    if status.state is ReviewState.APPROVED:
        return 0
    return output.DENIED if status.decided else output.UNDECIDED


@app.command()
def answer(
    review: ReviewOrFile,
    question: Annotated[str, typer.Argument(help="Question id, as await prints it.")],
    text: Annotated[str, typer.Argument(help="The answer; sanitized before it is kept.")],
    answered_by: Annotated[
        str, typer.Option(metavar="PERSON", help="Who answers; they cannot decide then.")
    ] = "",
    evidence_file: EvidenceOption = None,
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a reviewer's question. Approvals given before are void then."""
    if evidence_file and not answered_by:
        raise typer.BadParameter("--evidence-file: name whom it proves with --answered-by")
    who = Person(answered_by, evidence=read_evidence(evidence_file)) if answered_by else None
    with Client.from_credential(credential_path(credential)) as client:
        wanted = _review(review)
        review_id = wanted if isinstance(wanted, str) else wanted.review_id
        answered = client.answer(review_id, question, text, answered_by=who)
        _show_status(answered, as_json=as_json)


@app.command()
def cancel(
    review: ReviewOrFile,
    reason: Annotated[str, typer.Option(help="Why; sanitized before it is kept.")] = "",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Withdraw a review that was not claimed."""
    with Client.from_credential(credential_path(credential)) as client:
        _show_status(client.cancel(_review(review), reason=reason), as_json=as_json)


@app.command()
def claim(
    review: ReviewOrFile,
    context: ContextFile,
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Spend an approval, once, for exactly this context. Exit code 0 act now, 3 no, 4 open."""
    with Client.from_credential(credential_path(credential)) as client:
        try:
            grant = client.claim(_review(review), read_context(context))
        except (Denied, NotApproved) as refusal:
            if not as_json:
                if isinstance(refusal, StillPending):
                    refusal.advice = f"Wait for it: countersign await {review}"
                raise
            output.as_json({"effect": "deny", "reasons": _reasons(refusal.reasons)})
            return output.UNDECIDED if isinstance(refusal, StillPending) else output.DENIED
    _show_grant(grant, as_json=as_json)
    return 0


@app.command()
def report(
    grant: Annotated[str, typer.Argument(help="Permit id, or decision id of a plain ALLOW.")],
    outcome: Annotated[Outcome, typer.Option(help="How it ended.")] = Outcome.SUCCEEDED,
    detail: Annotated[str, typer.Option(help="A JSON object about it; sanitized.")] = "{}",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Say how the action ended."""
    try:
        parsed = parse_object(detail.encode("utf-8", "surrogateescape"))
    except StrictJsonError as error:
        raise typer.BadParameter(f"--detail{error.pointer}: {error.problem}") from None
    with Client.from_credential(credential_path(credential)) as client:
        status = client.report(grant, outcome, parsed)
    if as_json:
        output.as_json({"recorded": True, "outcome": outcome.value})
    else:
        print(f"Recorded: {outcome.value}")
        if status:
            output.field("review", f"{status.review_id} {status.state.value}")
    return 0


def _review(given: str) -> Pending | str:
    """A review by its id, or by the file that `check --save` wrote."""
    return Pending.resume(given) if Path(given).is_file() else given


def _reasons(given: tuple[Reason, ...]) -> list[dict[str, str]]:
    return [{"code": reason.code, "message": reason.message} for reason in given]


def _show_status(status: ReviewStatus, *, as_json: bool) -> None:
    if as_json:
        output.as_json(
            {
                "review": status.review_id,
                "state": status.state.value,
                "revision": status.revision,
                "use_by": status.use_by.isoformat() if status.use_by else None,
                "reasons": _reasons(status.reasons),
                "questions": [{"id": q.id, "text": q.text} for q in status.questions],
            }
        )
        return
    print(status.state.value.replace("_", " ").upper())
    output.reasons(status.reasons)
    for question in () if status.decided else status.questions:
        output.field("question", f"{question.text} [{question.id}]")
        command = f"countersign answer {status.review_id} {question.id} '…'"
        output.field("next", command)
    if status.use_by:
        output.field("claim by", status.use_by.strftime("%Y-%m-%d %H:%M:%S UTC"))


def _show_grant(grant: Grant, *, as_json: bool) -> None:
    permit = grant.permit
    assert permit is not None  # noqa: S101 - the SDK refuses a claim without one
    if as_json:
        output.as_json(
            {
                "effect": "allow",
                "decision": grant.decision_id,
                "permit": permit.id,
                "token": permit.token,
                "expires_at": permit.expires_at.isoformat(),
            }
        )
        return
    print("ALLOW: the approval is spent; act now")
    output.field("permit", permit.id)
    output.field("expires", permit.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC"))
    output.field("token", permit.token)
    output.field("then", f"countersign report {permit.id} --outcome succeeded")
