"""Run every probe against one bucket, and leave as little behind as its locks allow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from countersign.audit.s3 import probe_bucket, probe_deletes, probe_retention, probe_writes
from countersign.audit.s3.client import make_client
from countersign.audit.s3.probe import Answer, Judgement, Leftover, Power, Report, Result, Verdict
from countersign.audit.s3.probe_judge import not_applicable, settled, unknown
from countersign.audit.s3.probe_retention import may_bypass, may_delete, may_lock, may_retain
from countersign.audit.s3.probe_scratch import (
    Limits,
    NotHereError,
    Probe,
    Scratch,
    SetUpError,
    Target,
    Version,
)
from countersign.errors import ConfigurationError

# Last what attacks the bucket: the others' objects are then judged already.
PROBES: Final[tuple[Probe, ...]] = (
    probe_deletes.PROBES + probe_retention.PROBES + probe_writes.PROBES + probe_bucket.PROBES
)
_MAX_CONNECTIONS: Final = 32


def run(
    target: Target,
    *,
    limits: Limits | None = None,
    wait: bool = True,
    tell: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Attack scratch objects in the bucket and report what the store really gives.

    `target.own` makes the bucket first and removes it at the end. `tell` is
    given the name of each probe before it starts.
    """
    client = make_client(target.place, max_connections=_MAX_CONNECTIONS)
    with contextlib.closing(client) as s3:
        scratch = Scratch(s3, target, limits or Limits())
        _open(scratch)
        started = datetime.fromtimestamp(scratch.now(), UTC)
        try:
            powers, results = _examine(scratch, tell)
        except BaseException:
            # Interrupted: remove what can be, and let nobody wait for the rest.
            _close(scratch, wait=False)
            raise
        tell("remove scratch objects")
        leftovers = _close(scratch, wait=wait)
    return Report(
        target=f"s3://{target.bucket}/{scratch.folder}",
        server=scratch.server or "unnamed",
        date=f"{started:%Y-%m-%d}",
        mode=target.mode,
        powers=powers,
        results=tuple(settled(result, powers) for result in results),
        leftovers=leftovers,
    )


def _examine(
    scratch: Scratch, tell: Callable[[str], None]
) -> tuple[dict[Power, Judgement], list[Result]]:
    """What the credential can do, and what every probe came to."""
    ended: list[Version] = []
    powers = {
        Power.LOCK: _judged(may_lock, scratch),
        Power.RETAIN: _judged(may_retain, scratch),
        Power.BYPASS: _judged(may_bypass, scratch),
    }
    with contextlib.suppress(SetUpError):
        ended.append(scratch.locked(seconds=scratch.limits.soon_s))
    # A probe may lock for years what a bypass takes away again.
    scratch.bypass_works = powers[Power.BYPASS].verdict is Verdict.HELD
    results = []
    for each in PROBES:
        tell(each.name)
        results.append(_result(each, scratch))
    # Last, so that nobody waits for the lock to end.
    powers[Power.DELETE] = (
        may_delete(scratch, ended[0]) if ended else unknown("no locked object can be made")
    )
    return powers, results


def _result(each: Probe, scratch: Scratch) -> Result:
    judgement = _judged(each.run, scratch)
    return Result(
        name=each.name,
        tries=each.tries,
        guarantee=each.guarantee,
        verdict=judgement.verdict,
        why=judgement.why,
        needs=each.needs,
    )


def _judged(run: Callable[[Scratch], Judgement], scratch: Scratch) -> Judgement:
    """A probe that cannot be tried has not shown anything."""
    try:
        return run(scratch)
    except NotHereError as error:
        return not_applicable(str(error))
    except SetUpError as error:
        return unknown(str(error))


def _open(scratch: Scratch) -> None:
    """Make the bucket if the kit is to own it, and see that it can be used."""
    bucket, own = scratch.bucket, scratch.target.own
    answer = scratch.attempt(lambda s3: s3.head_bucket(Bucket=bucket))
    if own and answer.status == 404:
        region = scratch.s3.meta.region_name
        where: Any = {} if region == "us-east-1" else {"LocationConstraint": region}
        more: Any = {"CreateBucketConfiguration": where} if where else {}
        answer = scratch.attempt(
            lambda s3: s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True, **more)
        )
    elif own and answer.done:
        # In us-east-1 AWS would let us make it again, and it would be removed at the end.
        answer = Answer(status=409, code="BucketAlreadyExists")
    if not answer.done:
        _refuse(answer, scratch)
    if not own:
        _require_no_long_default(scratch)


def _require_no_long_default(scratch: Scratch) -> None:
    """Some probes upload without a date: a default would keep that for as long as it says."""
    answer, reply = scratch.ask(lambda s3: s3.get_object_lock_configuration(Bucket=scratch.bucket))
    found = reply.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
    if answer.status == 403 or found.get("Years") or found.get("Days", 0) > 1:
        told = "cannot be read" if answer.status == 403 else "is longer than a day"
        raise ConfigurationError(
            "s3.default_too_long",
            f"bucket {scratch.bucket}: its default retention {told}; scratch objects would stay",
            advice="Probe a bucket of its own on the same store: another name, and --create.",
        )


def _refuse(answer: Answer, scratch: Scratch) -> NoReturn:
    endpoint = scratch.target.place.endpoint or "AWS"
    if not answer.status:
        raise ConfigurationError(
            "s3.unreachable",
            f"{endpoint}: no answer ({answer.code})",
            advice="Correct --endpoint, and give credentials by the ordinary AWS chain "
            "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role).",
        )
    verb = "made" if scratch.target.own else "used"
    raise ConfigurationError(
        "s3.bucket_unusable",
        f"bucket {scratch.bucket} cannot be {verb}: {answer}",
        advice="--create takes a name that no bucket has yet, and a credential that may make one."
        if scratch.target.own
        else "Name a bucket that is there, with a credential that may use it; --create makes one.",
    )


def _close(scratch: Scratch, *, wait: bool) -> tuple[Leftover, ...]:
    """Remove what can be removed, and the bucket with it if it is the kit's own."""
    leftovers = scratch.remove(wait=wait)
    if scratch.target.own and not leftovers:
        scratch.attempt(lambda s3: s3.delete_bucket(Bucket=scratch.bucket))
    return leftovers
