"""What an operator types about the policy that a running service answers with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from countersign.cli import output
from countersign.cli.agent import CredentialOption
from countersign.cli.operator import JsonOption
from countersign.cli.policy import comparing
from countersign.client import Timing
from countersign.client.admin import AdminClient
from countersign.config import credential_path
from countersign.v1 import admin_pb2, context_pb2

app = typer.Typer()
_PATIENT: Final = Timing(call_s=300)
"""For a change: a version's own tests can take a while. A look is repeated for all that time."""
_RESULTS: Final = {
    number: name.removeprefix("POLICY_RESULT_").lower().replace("_", " ")
    for name, number in admin_pb2.PolicyResult.items()
}
_WORDS: Final = {
    admin_pb2.POLICY_RESULT_ACTIVATED: "answers",
    admin_pb2.POLICY_RESULT_ROLLED_BACK: "answers again",
    admin_pb2.POLICY_RESULT_UNCHANGED: "is what answers already",
    admin_pb2.POLICY_RESULT_PROPOSED: "waits for people to approve it",
    admin_pb2.POLICY_RESULT_REFUSED: "was refused",
    admin_pb2.POLICY_RESULT_FAILED: "could not be had or started",
}
_NOT_IN_FORCE: Final = (admin_pb2.POLICY_RESULT_REFUSED, admin_pb2.POLICY_RESULT_FAILED)


def _client(credential: Path | None, timing: Timing | None = None) -> AdminClient:
    return AdminClient.from_credential(credential_path(credential), timing=timing or Timing())


@app.command()
def status(
    credential: CredentialOption = None,
    opa: Annotated[
        str, typer.Option(help="Ask this OPA, no service of ours: http://127.0.0.1:8181.")
    ] = "",
    as_json: JsonOption = False,
) -> int:
    """Which policy answers, what came of the last attempt, what can be gone back to."""
    if opa:
        return comparing.served_by(opa, as_json=as_json)
    with _client(credential) as client:
        found = client.policy_status()
    attempt = found.last_attempt
    if as_json:
        output.as_json(
            {
                "source": found.source,
                "active": _plain_version(found.active) if found.HasField("active") else None,
                "last_attempt": _plain(attempt) if found.HasField("last_attempt") else None,
                "held": found.held,
                "kept": [_plain_version(version) for version in found.kept],
                "shadow": _plain_shadow(found.shadow) if found.HasField("shadow") else None,
            }
        )
    else:
        _print_status(found)
    if attempt.result == admin_pb2.POLICY_RESULT_PROPOSED:
        return output.UNDECIDED
    return int(attempt.result in _NOT_IN_FORCE)


@app.command()
def activate(
    revision: Annotated[
        str, typer.Argument(help="A kept version, as `status` lists it; default: the source's.")
    ] = "",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Look at the source now and have what is there answer, or have a kept version answer."""
    with _client(credential, _PATIENT) as client:
        return _told(client.activate_policy(revision), as_json=as_json)


@app.command()
def rollback(
    revision: Annotated[
        str, typer.Argument(help="A kept version, as `status` lists it; default: the one before.")
    ] = "",
    credential: CredentialOption = None,
    as_json: JsonOption = False,
) -> int:
    """Go back to a version that answered before; it stays until the source changes."""
    with _client(credential, _PATIENT) as client:
        return _told(client.roll_back_policy(revision), as_json=as_json)


def _told(
    answer: admin_pb2.ActivatePolicyResponse | admin_pb2.RollbackPolicyResponse, *, as_json: bool
) -> int:
    attempt = answer.attempt
    if as_json:
        output.as_json({"attempt": _plain(attempt), "active": _plain_version(answer.active)})
    else:
        print(f"{output.safe(attempt.revision)} {_WORDS[attempt.result]}.")
        if attempt.review_id:
            output.field("review", attempt.review_id)
    proposed = attempt.result == admin_pb2.POLICY_RESULT_PROPOSED
    return output.UNDECIDED if proposed else 0


def _print_status(found: admin_pb2.PolicyStatusResponse) -> None:
    active, attempt = found.active, found.last_attempt
    print(f"{output.safe(active.revision) or 'Nothing'} answers.")
    output.field("from", active.origin)
    if active.signed_by:
        output.field("signed by", active.signed_by)
    output.field("since", output.moment(active.activated_at) + _by(active.activated_by))
    output.field("bundle", active.bundle_sha256.hex())
    if found.source != active.origin:
        output.field("source", found.source)
    if found.held:
        output.field("held", "the source has another version; it answers once the source changes,")
        output.field("", "or by `countersign policy activate`")
    if attempt.code or attempt.result == admin_pb2.POLICY_RESULT_PROPOSED:
        _print_attempt(attempt)
    print("Can be gone back to:" if len(found.kept) > 1 else "Nothing can be gone back to.")
    for version in reversed(found.kept if len(found.kept) > 1 else []):
        mark = "*" if version.bundle_sha256 == active.bundle_sha256 else " "
        since = output.moment(version.activated_at)
        print(f"{mark} {output.safe(version.revision)}  {since}{_by(version.activated_by)}")
    if found.HasField("shadow"):
        _print_shadow(found.shadow)


def _print_shadow(shadow: admin_pb2.PolicyShadow) -> None:
    """What is tried, and what it would have said."""
    what = output.safe(shadow.revision) or "What its source has"
    print(f"{what} is {'tried' if shadow.ready else 'not tried now'} in shadow.")
    output.field("from", shadow.source)
    if shadow.error:
        output.field("because", shadow.error)
    output.field("same", f"{shadow.same:,}")
    output.field("different", f"{shadow.different:,}")
    for each in shadow.differences:
        output.field("", f"{each.count:,} {_effect(each.live)}, it says {_effect(each.candidate)}")
    output.field("not asked", f"{shadow.dropped:,}, and {shadow.late:,} without an answer in time")
    if shadow.unrecorded:
        output.field("not on record", f"{shadow.unrecorded:,} of the differences")


def _effect(effect: context_pb2.Effect.ValueType) -> str:
    return context_pb2.Effect.Name(effect).removeprefix("EFFECT_").lower()


def _print_attempt(attempt: admin_pb2.PolicyAttempt) -> None:
    what = output.safe(attempt.revision) or "What its source has"
    print(f"{what} {_WORDS[attempt.result]}, {output.moment(attempt.at)}{_by(attempt.by)}:")
    if attempt.code:
        output.field("because", f"{attempt.message} [{attempt.code}]")
    if attempt.advice:
        output.field("so", attempt.advice)
    if attempt.HasField("retry_at"):
        output.field("again", output.until(attempt.retry_at))
    if attempt.review_id:
        output.field("review", attempt.review_id)


def _by(who: str) -> str:
    return f" by {output.safe(who)}" if who else ""


def _plain_version(version: admin_pb2.PolicyVersion) -> dict[str, Any]:
    return {
        "revision": version.revision,
        "bundle": version.bundle_sha256.hex(),
        "origin": version.origin,
        "signed_by": version.signed_by,
        "activated_at": _time(version.activated_at),
        "activated_by": version.activated_by,
    }


def _plain_shadow(shadow: admin_pb2.PolicyShadow) -> dict[str, Any]:
    return {
        "source": shadow.source,
        "revision": shadow.revision,
        "ready": shadow.ready,
        "error": shadow.error,
        "same": shadow.same,
        "different": shadow.different,
        "late": shadow.late,
        "dropped": shadow.dropped,
        "unrecorded": shadow.unrecorded,
        "differences": [
            {
                "live": _effect(each.live),
                "candidate": _effect(each.candidate),
                "count": each.count,
            }
            for each in shadow.differences
        ],
    }


def _plain(attempt: admin_pb2.PolicyAttempt) -> dict[str, Any]:
    return {
        "result": _RESULTS[attempt.result],
        "at": _time(attempt.at),
        "revision": attempt.revision,
        "origin": attempt.origin,
        "signed_by": attempt.signed_by,
        "by": attempt.by,
        "code": attempt.code,
        "message": attempt.message,
        "advice": attempt.advice,
        "retry_at": _time(attempt.retry_at) if attempt.HasField("retry_at") else None,
        "review": attempt.review_id,
    }


def _time(stamp: Timestamp) -> str:
    return str(stamp.ToJsonString())
