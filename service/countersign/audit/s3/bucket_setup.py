"""Make the two buckets of a log, or see that they are as they have to be.

What is there is never weakened or overwritten: another lock or policy is
reported, not replaced. A statement that a store does not understand is left
out and reported, so that the rest still stands.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from countersign.audit.s3.asking import ask
from countersign.audit.s3.bucket_policy import (
    Rules,
    Statement,
    document,
    records_statements,
    same,
    tiles_statements,
)
from countersign.audit.s3.client import Place, make_client
from countersign.audit.s3.probe import Answer
from countersign.errors import ConfigurationError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


class State(enum.Enum):
    """What was done about one thing."""

    DONE = "done"
    THERE = "there"
    LEFT_OUT = "left out"
    """The store does not know it; the rest stands."""
    WRONG = "wrong"
    """It has to be mended by hand."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was looked at."""

    bucket: str
    what: str
    state: State
    detail: str = ""


def set_up(place: Place, rules: Rules) -> tuple[Step, ...]:
    """Make or check both buckets."""
    with contextlib.closing(make_client(place)) as s3:
        return (
            *_bucket(s3, rules.records, locked=True),
            _versioning(s3, rules.records),
            _lock(s3, rules),
            *_policy(s3, rules.records, records_statements(rules)),
            *_bucket(s3, rules.tiles, locked=False),
            *_policy(s3, rules.tiles, tiles_statements(rules)),
        )


def _bucket(s3: S3Client, bucket: str, *, locked: bool) -> Iterator[Step]:
    """The bucket itself. One that cannot be had ends everything."""
    answer, _reply = ask(lambda s3: s3.head_bucket(Bucket=bucket), s3)
    if answer.done:
        yield Step(bucket=bucket, what="bucket", state=State.THERE)
        return
    region = s3.meta.region_name
    where: Any = {} if region == "us-east-1" else {"LocationConstraint": region}
    more: Any = {"CreateBucketConfiguration": where} if where else {}
    if answer.status == 404:
        answer, _reply = ask(
            lambda s3: s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=locked, **more),
            s3,
        )
    if not answer.status:
        raise ConfigurationError(
            "s3.unreachable",
            f"the store gives no answer ({answer.code})",
            advice="Correct --endpoint, and give credentials by the ordinary AWS chain.",
        )
    if not answer.done:
        raise ConfigurationError(
            "s3.bucket_unusable",
            f"bucket {bucket} cannot be looked at or made: {answer}",
            advice="Choose a name that nobody else has, and a credential that may make buckets.",
        )
    yield Step(bucket=bucket, what="bucket", state=State.DONE, detail="made")


def _versioning(s3: S3Client, bucket: str) -> Step:
    answer, reply = ask(lambda s3: s3.get_bucket_versioning(Bucket=bucket), s3)
    if reply.get("Status") == "Enabled":
        return Step(bucket=bucket, what="versioning", state=State.THERE)
    if answer.done:
        answer, _reply = ask(
            lambda s3: s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            ),
            s3,
        )
    return _step(bucket, "versioning", answer)


def _lock(s3: S3Client, rules: Rules) -> Step:
    """Object Lock with its default retention; what is there is not changed."""
    bucket, what = rules.records, f"lock: {rules.mode}, {rules.days} day(s) by default"
    answer, reply = ask(lambda s3: s3.get_object_lock_configuration(Bucket=bucket), s3)
    found = reply.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
    wanted = {"Mode": rules.mode, "Days": rules.days}
    if found == wanted:
        return Step(bucket=bucket, what=what, state=State.THERE)
    if found:
        told = ", ".join(f"{value} {name}" for name, value in sorted(found.items()))
        return Step(
            bucket=bucket, what=what, state=State.WRONG, detail=f"it is {told}; change it by hand"
        )
    if not answer.done and answer.status != 404:
        return _step(bucket, what, answer)
    configuration: Any = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": wanted}}
    answer, _reply = ask(
        lambda s3: s3.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration=configuration
        ),
        s3,
    )
    return _step(bucket, what, answer)


def _policy(s3: S3Client, bucket: str, statements: Sequence[Statement]) -> Iterator[Step]:
    """The bucket's policy, as far as the store understands it."""
    answer, reply = ask(lambda s3: s3.get_bucket_policy(Bucket=bucket), s3)
    there: list[Statement] = json.loads(reply["Policy"])["Statement"] if answer.done else []
    by_name = {each.get("Sid"): each for each in there}
    missing = [each for each in statements if each["Sid"] not in by_name]
    foreign = bool(by_name.keys() - {each["Sid"] for each in statements})
    kept = list(there)
    if missing and not foreign and _put(s3, bucket, [*kept, *missing]).done:
        kept += missing
    # One by one, and last the one after which nobody may add another.
    for each in statements:
        what = f"policy: {each['Sid']}"
        if found := by_name.get(each["Sid"]):
            good = same(found, each)
            detail = "" if good else "it says something else; change it by hand"
            yield Step(
                bucket=bucket,
                what=what,
                state=State.THERE if good else State.WRONG,
                detail=detail,
            )
        elif foreign:
            detail = "another policy is there; add it by hand"
            yield Step(bucket=bucket, what=what, state=State.WRONG, detail=detail)
        elif each in kept:
            yield Step(bucket=bucket, what=what, state=State.DONE)
        else:
            answer = _put(s3, bucket, [*kept, each])
            kept += [each] if answer.done else []
            # 400: the store does not know such a rule. 403: this credential may not set it.
            unknown = answer.refused and answer.status != 403
            yield _step(bucket, what, answer, otherwise=State.LEFT_OUT if unknown else State.WRONG)


def _put(s3: S3Client, bucket: str, statements: Sequence[Statement]) -> Answer:
    text = json.dumps(document(statements))
    # `SettingsStay` denies us the next change, too: AWS wants to hear that it is meant.
    put: Any = {"Bucket": bucket, "Policy": text}
    return ask(lambda s3: s3.put_bucket_policy(**put, ConfirmRemoveSelfBucketAccess=True), s3)[0]


def _step(bucket: str, what: str, answer: Answer, *, otherwise: State = State.WRONG) -> Step:
    state = State.DONE if answer.done else otherwise
    return Step(bucket=bucket, what=what, state=state, detail="" if answer.done else str(answer))
