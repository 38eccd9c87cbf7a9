"""What an agent, or the script that stands in for one, types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from countersign.canonical import StrictJsonError, parse_object
from countersign.cli import output
from countersign.cli.operator import JsonOption
from countersign.client import (
    Client,
    Context,
    Denied,
    Grant,
    Outcome,
    Pending,
    Person,
    Resource,
    ReviewState,
    ReviewStatus,
    StillPending,
    Workload,
)
from countersign.client.context import External
from countersign.client.errors import InvalidContext
from countersign.config import credential_path
from countersign.errors import ConfigurationError

app = typer.Typer()

CredentialOption = Annotated[
    Path | None,
    typer.Option("--credential", help="Credential file; default $COUNTERSIGN_CREDENTIAL."),
]
ContextFile = Annotated[
    Path, typer.Argument(help="The action context as a JSON file; see docs/reference.")
]
_KINDS: dict[str, type[Person | Workload | External]] = {
    "person": Person,
    "workload": Workload,
    "external": External,
}


@app.command()
def check(
    context: ContextFile,
    save: Annotated[
        Path | None, typer.Option(help="Save the pending review here, for claim.")
    ] = None,
    supersedes: Annotated[str, typer.Option(help="Open review that this one replaces.")] = "",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Ask whether an action may run. Exit code 0 yes, 3 no, 4 a person is needed."""
    with Client.from_credential(credential_path(credential)) as client:
        decision = client.check(read_context(context), supersedes=supersedes)
    if save and decision.pending:
        decision.pending.save(save)
    review_id = decision.pending.review_id if decision.pending else ""
    if as_json:
        output.as_json(
            {
                "decision": decision.id,
                "effect": decision.effect.value,
                "reasons": [{"code": r.code, "message": r.message} for r in decision.reasons],
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
    if decision.allowed:
        return 0
    return output.UNDECIDED if review_id else output.DENIED


@app.command(name="await")
def await_(
    review: Annotated[str, typer.Argument(help="Review id.")],
    timeout_s: Annotated[float, typer.Option(help="Longest wait, in seconds.")] = 3600,
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Wait until a review is decided. Exit code 0 approved, 3 not, 4 still open."""
    with Client.from_credential(credential_path(credential)) as client:
        try:
            status = client.wait(review, timeout_s=timeout_s)
        except StillPending:
            if as_json:
                output.as_json({"review": review, "state": "pending"})
            else:
                print("PENDING: nobody has decided yet")
            return output.UNDECIDED
    _show_status(status, as_json=as_json)
    return 0 if status.state is ReviewState.APPROVED else output.DENIED


@app.command()
def claim(
    review: Annotated[str, typer.Argument(help="Review id, or a file saved by check.")],
    context: ContextFile,
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Spend an approval, once, for exactly this context. Prints the permit's token."""
    wanted: Pending | str = Pending.resume(review) if Path(review).is_file() else review
    with Client.from_credential(credential_path(credential)) as client:
        try:
            grant = client.claim(wanted, read_context(context))
        except Denied as denied:
            if not as_json:
                raise
            found = [{"code": r.code, "message": r.message} for r in denied.reasons]
            output.as_json({"effect": "deny", "reasons": found})
            return output.DENIED
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


def read_context(path: Path) -> Context:
    """A context from a JSON file. Raises `ConfigurationError` or `InvalidContext`."""
    try:
        data: Any = parse_object(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            "context.unreadable", f"{path}: {error.strerror}", advice="Name a JSON file."
        ) from None
    except StrictJsonError as error:
        raise InvalidContext(error.pointer or "/", error.problem) from None
    known = {
        "action", "actor", "arguments", "environment", "on_behalf_of", "reason", "resource",
        "session",
    }  # fmt: skip
    if set(data) - known:
        raise InvalidContext("context", f"has a key that is none of: {', '.join(sorted(known))}")
    resource = data.get("resource")
    if not isinstance(resource, dict) or set(resource) - {"type", "id", "owner", "attributes"}:
        raise InvalidContext("resource", "must be an object of type, id, owner and attributes")
    return Context(
        action=data.get("action", ""),
        actor=_principal("actor", data.get("actor", "")),
        arguments=data.get("arguments", {}),
        environment=data.get("environment", ""),
        on_behalf_of=[
            _principal(f"on_behalf_of[{index}]", item)
            for index, item in enumerate(data.get("on_behalf_of", []))
        ],
        reason=data.get("reason", ""),
        resource=Resource(
            resource.get("type", ""),
            resource.get("id", ""),
            owner=resource.get("owner", ""),
            attributes=resource.get("attributes", {}),
        ),
        session=data.get("session", ""),
    )


def _principal(field: str, value: Any) -> Person | Workload | External:
    if isinstance(value, str):
        return Workload(value)
    if isinstance(value, dict) and set(value) == {"type", "id"} and value["type"] in _KINDS:
        return _KINDS[value["type"]](str(value["id"]))
    raise InvalidContext(field, 'must be {"type": "person", "workload" or "external", "id": …}')


def _show_status(status: ReviewStatus, *, as_json: bool) -> None:
    if as_json:
        output.as_json(
            {
                "review": status.review_id,
                "state": status.state.value,
                "revision": status.revision,
                "use_by": status.use_by.isoformat() if status.use_by else None,
                "reasons": [{"code": r.code, "message": r.message} for r in status.reasons],
                "questions": [{"id": q.id, "text": q.text} for q in status.questions],
            }
        )
        return
    print(status.state.value.replace("_", " ").upper())
    output.reasons(status.reasons)
    if status.use_by:
        output.field("claim by", status.use_by.strftime("%Y-%m-%d %H:%M:%S UTC"))


def _show_grant(grant: Grant, *, as_json: bool) -> None:
    permit = grant.permit
    assert permit is not None  # noqa: S101 - the SDK refuses a claim without one
    if as_json:
        print(
            json.dumps(
                {
                    "effect": "allow",
                    "decision": grant.decision_id,
                    "permit": permit.id,
                    "token": permit.token,
                    "expires_at": permit.expires_at.isoformat(),
                }
            )
        )
        return
    print("ALLOW: the approval is spent; act now")
    output.field("permit", permit.id)
    output.field("expires", permit.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC"))
    output.field("token", permit.token)
