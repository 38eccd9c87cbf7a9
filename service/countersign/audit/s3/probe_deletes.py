"""Attacks that would have a locked version gone, or something else in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from countersign.audit.s3.asking import Call
from countersign.audit.s3.probe import Answer, Guarantee, Judgement, Power
from countersign.audit.s3.probe_judge import (
    COMPLIANCE,
    first_that_failed,
    not_applicable,
    still_there,
    unharmed,
)
from countersign.audit.s3.probe_scratch import Probe, Scratch, SetUpError, Version, probe

_BYPASS: Final[dict[str, Any]] = {"BypassGovernanceRetention": True}


def attacked(scratch: Scratch, version: Version, *calls: Call) -> Judgement:
    """Attack a locked version by these requests, and judge what is left of it."""
    answers = [scratch.attempt(call) for call in calls]
    return unharmed(version.before, scratch.look(version), answers)


def compliance_only(
    scratch: Scratch, what: str = "bypass is what GOVERNANCE allows"
) -> Judgement | None:
    """In a rehearsal: why an attack is not one."""
    return None if scratch.mode == COMPLIANCE else not_applicable(f"a rehearsal: {what}")


@probe(Guarantee.UNDELETABLE, Power.DELETE)
def delete_version(scratch: Scratch) -> Judgement:
    """Delete the version by its id."""
    version = scratch.locked()
    return attacked(
        scratch, version, lambda s3: s3.delete_object(Bucket=scratch.bucket, **version.named)
    )


@probe(Guarantee.MODE_FIXED, Power.DELETE, Power.BYPASS)
def delete_version_with_bypass(scratch: Scratch) -> Judgement:
    """Delete the version by its id with the governance bypass."""
    version = scratch.locked()
    return compliance_only(scratch) or attacked(
        scratch,
        version,
        lambda s3: s3.delete_object(Bucket=scratch.bucket, **version.named, **_BYPASS),
    )


def _batch(scratch: Scratch, versions: Sequence[Version], **more: Any) -> Answer:
    objects: Any = [version.named for version in versions]
    return scratch.attempt(
        lambda s3: s3.delete_objects(Bucket=scratch.bucket, Delete={"Objects": objects}, **more)
    )


@probe(Guarantee.UNDELETABLE, Power.DELETE)
def delete_in_a_batch(scratch: Scratch) -> Judgement:
    """Delete two versions in one batch."""
    versions = [scratch.locked(), scratch.locked()]
    answer = _batch(scratch, versions)
    return first_that_failed(*(unharmed(v.before, scratch.look(v), [answer]) for v in versions))


@probe(Guarantee.MODE_FIXED, Power.DELETE, Power.BYPASS)
def delete_in_a_batch_with_bypass(scratch: Scratch) -> Judgement:
    """Delete two versions in one batch with the governance bypass."""
    if rehearsal := compliance_only(scratch):
        return rehearsal
    versions = [scratch.locked(), scratch.locked()]
    answer = _batch(scratch, versions, **_BYPASS)
    return first_that_failed(*(unharmed(v.before, scratch.look(v), [answer]) for v in versions))


@probe(Guarantee.UNDELETABLE, Power.DELETE)
def delete_in_a_batch_after_an_ended_one(scratch: Scratch) -> Judgement:
    """Delete, in one batch, a version whose lock has ended and then a locked one."""
    ended = scratch.locked(seconds=scratch.limits.soon_s)
    version = scratch.locked()
    scratch.wait_until(ended.before.until)
    answer = _batch(scratch, [ended, version])
    return unharmed(version.before, scratch.look(version), [answer])


@probe(Guarantee.UNDELETABLE, Power.DELETE)
def delete_by_force(scratch: Scratch) -> Judgement:
    """Delete everything below the key's prefix by MinIO's x-minio-force-delete."""
    folder = scratch.key()
    version = scratch.locked(key=f"{folder}/deep")
    with forced(scratch):
        answers = [
            scratch.attempt(lambda s3: s3.delete_object(Bucket=scratch.bucket, Key=folder)),
            scratch.attempt(lambda s3: s3.delete_object(Bucket=scratch.bucket, Key=version.key)),
        ]
    return unharmed(version.before, scratch.look(version), answers)


class forced:  # noqa: N801 - reads as the verb it is in a `with`
    """Send MinIO's force header with every deletion meanwhile."""

    def __init__(self, scratch: Scratch) -> None:
        self._events = scratch.s3.meta.events
        self._names = ("before-sign.s3.DeleteObject", "before-sign.s3.DeleteBucket")

    def __enter__(self) -> None:
        for name in self._names:
            self._events.register(name, _force)

    def __exit__(self, *_exc: object) -> None:
        for name in self._names:
            self._events.unregister(name, _force)


def _force(request: Any, **_more: Any) -> None:
    request.headers["x-minio-force-delete"] = "true"


# --- history ------------------------------------------------------------------------


def _survives(scratch: Scratch, attack: Callable[[Version], Answer]) -> Judgement:
    """Whether a version outlives what is written over it, whatever the lock."""
    version = scratch.locked()
    answer = attack(version)
    return still_there(version.before, scratch.look(version), [answer])


@probe(Guarantee.HISTORY)
def overwrite(scratch: Scratch) -> Judgement:
    """Write other bytes under the same key."""
    return _survives(scratch, lambda version: scratch.put(version.key)[0])


@probe(Guarantee.HISTORY)
def overwrite_with_a_shorter_lock(scratch: Scratch) -> Judgement:
    """Write other bytes under the same key, with a lock that ends sooner."""
    soon = scratch.limits.soon_s

    def attack(version: Version) -> Answer:
        return scratch.put(version.key, **scratch.lock(scratch.now() + soon))[0]

    return _survives(scratch, attack)


@probe(Guarantee.HISTORY)
def delete_marker(scratch: Scratch) -> Judgement:
    """Delete the key without naming a version, and then its marker."""
    version = scratch.locked()
    first, reply = scratch.ask(lambda s3: s3.delete_object(Bucket=scratch.bucket, Key=version.key))
    answers = [first]
    if marker := reply.get("VersionId"):
        answers.append(
            scratch.attempt(
                lambda s3: s3.delete_object(
                    Bucket=scratch.bucket, Key=version.key, VersionId=marker
                )
            )
        )
    return still_there(version.before, scratch.look(version), answers)


@probe(Guarantee.HISTORY)
def copy_onto_itself(scratch: Scratch) -> Judgement:
    """Copy the version onto its own key, with other metadata and no lock."""

    def attack(version: Version) -> Answer:
        return scratch.attempt(
            lambda s3: s3.copy_object(
                Bucket=scratch.bucket,
                Key=version.key,
                CopySource={"Bucket": scratch.bucket, "Key": version.key, "VersionId": version.id},
                MetadataDirective="REPLACE",
            )
        )

    return _survives(scratch, attack)


@probe(Guarantee.HISTORY)
def copy_another_over_it(scratch: Scratch) -> Judgement:
    """Copy another object over the key."""
    other = scratch.locked(seconds=scratch.limits.soon_s)

    def attack(version: Version) -> Answer:
        source: Any = {"Bucket": scratch.bucket, "Key": other.key}
        return scratch.attempt(
            lambda s3: s3.copy_object(Bucket=scratch.bucket, Key=version.key, CopySource=source)
        )

    return _survives(scratch, attack)


@probe(Guarantee.HISTORY)
def multipart_over_it(scratch: Scratch) -> Judgement:
    """Complete a multipart upload over the key."""
    return _survives(scratch, lambda version: multipart(scratch, version.key)[0])


def multipart(scratch: Scratch, key: str, **more: Any) -> tuple[Answer, dict[str, Any]]:
    """Upload one part as a multipart upload."""
    bucket, body = scratch.bucket, key.encode()
    answer, begun = scratch.ask(
        lambda s3: s3.create_multipart_upload(
            Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256", **more
        )
    )
    if not answer.done:
        raise SetUpError(f"no multipart upload can be begun ({answer})")
    upload = begun["UploadId"]
    answer, part = scratch.ask(
        lambda s3: s3.upload_part(
            Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=body,
            ChecksumAlgorithm="SHA256",
        )
    )  # fmt: skip
    if not answer.done:
        raise SetUpError(f"no part can be uploaded ({answer})")
    told = {name: part[name] for name in ("ETag", "ChecksumSHA256") if name in part}
    parts: Any = {"Parts": [{"PartNumber": 1, **told}]}
    return scratch.ask(
        lambda s3: s3.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts
        )
    )


PROBES: Final[tuple[Probe, ...]] = (
    delete_version,
    delete_version_with_bypass,
    delete_in_a_batch,
    delete_in_a_batch_with_bypass,
    delete_in_a_batch_after_an_ended_one,
    delete_by_force,
    overwrite,
    overwrite_with_a_shorter_lock,
    delete_marker,
    copy_onto_itself,
    copy_another_over_it,
    multipart_over_it,
)
