"""What a store takes and tells: creation, checksums, locks on upload, credentials."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from countersign.audit.s3.client import Credentials, key_id_in_use
from countersign.audit.s3.probe import Answer, Guarantee, Judgement, Power
from countersign.audit.s3.probe_deletes import multipart
from countersign.audit.s3.probe_judge import (
    as_asked,
    broken,
    exactly_one,
    first_that_failed,
    held,
    nothing_written,
    refused,
    unharmed,
    unknown,
)
from countersign.audit.s3.probe_scratch import Probe, Scratch, checksum, probe, sent_checksum

_WRITERS: Final = 16
_ROUNDS: Final = 3
"""A race that a store can lose is not lost every time."""


# --- creation -----------------------------------------------------------------------


@probe(Guarantee.EXCLUSIVE)
def create_what_exists(scratch: Scratch) -> Judgement:
    """Upload other bytes to an existing key with If-None-Match: *."""
    version = scratch.locked()
    before = scratch.versions(version.key)
    answer, _new = scratch.put(version.key, IfNoneMatch="*")
    return first_that_failed(
        nothing_written(before, scratch.versions(version.key), answer),
        refused(answer, "a second writer was told that it created the object"),
    )


@probe(Guarantee.EXCLUSIVE)
def race_to_create(scratch: Scratch) -> Judgement:
    """Have 16 writers create one key at once with If-None-Match: *, three times."""
    return first_that_failed(*(_race(scratch) for _round in range(_ROUNDS)))


def _race(scratch: Scratch) -> Judgement:
    key, start = scratch.key(), threading.Barrier(_WRITERS)
    until = scratch.now() + scratch.limits.lock_s

    def write(number: int) -> Answer:
        body = f"writer {number}".encode()
        start.wait(timeout=30)
        return scratch.attempt(
            lambda s3: s3.put_object(
                Bucket=scratch.bucket,
                Key=key,
                Body=body,
                IfNoneMatch="*",
                **sent_checksum(body),
                **scratch.lock(until),
            )
        )

    with ThreadPoolExecutor(_WRITERS) as pool:
        answers = list(pool.map(write, range(_WRITERS)))
    return exactly_one(answers, scratch.versions(key))


# --- checksums ----------------------------------------------------------------------


def _wrong(scratch: Scratch, **given: Any) -> Judgement:
    """An upload whose checksum is that of other bytes, in a new key."""
    key = scratch.key()
    given = {"ChecksumSHA256": None, "ChecksumAlgorithm": None, **given}
    answer, _version = scratch.put(
        key, **scratch.lock(scratch.now() + scratch.limits.lock_s), **given
    )
    return nothing_written([], scratch.versions(key), answer)


@probe(Guarantee.CHECKSUM, Power.LOCK)
def wrong_sha256(scratch: Scratch) -> Judgement:
    """Upload with the SHA-256 of other bytes."""
    return _wrong(scratch, **sent_checksum(b"other bytes"))


@probe(Guarantee.CHECKSUM, Power.LOCK)
def wrong_md5(scratch: Scratch) -> Judgement:
    """Upload with the MD5 of other bytes."""
    digest = hashlib.md5(b"other bytes", usedforsecurity=False).digest()
    return _wrong(scratch, ContentMD5=base64.b64encode(digest).decode())


@probe(Guarantee.DEMANDED, Power.LOCK)
def no_checksum(scratch: Scratch) -> Judgement:
    """Upload with a lock and neither checksum nor MD5."""
    return _wrong(scratch)


# --- what is told -------------------------------------------------------------------


@probe(Guarantee.VISIBLE)
def head_tells_the_lock(scratch: Scratch) -> Judgement:
    """Upload with a lock, and read mode, date and version back by HEAD."""
    until = scratch.now() + scratch.limits.lock_s
    answer, version = scratch.put(**scratch.lock(until))
    if not answer.done:
        return broken(f"{answer}: no locked object can be made")
    if not version.id:
        return broken("the answer to the upload names no version")
    named: dict[str, Any] = {"Bucket": scratch.bucket, "Key": version.key}
    asked, told = scratch.ask(lambda s3: s3.head_object(**named))
    if not asked.done:
        return unknown(f"HEAD: {asked}")
    if told.get("VersionId") != version.id:
        return broken("HEAD names another version, or none")
    return as_asked(scratch.mode, until, scratch.shown(told, named), answer)


@probe(Guarantee.VISIBLE)
def head_tells_the_checksum(scratch: Scratch) -> Judgement:
    """Upload with a SHA-256, and read it back by HEAD."""
    body = secrets.token_bytes(24)
    answer, version = scratch.put(
        Body=body,
        **sent_checksum(body),
        **scratch.lock(scratch.now() + scratch.limits.lock_s),
    )
    asked, told = scratch.ask(
        lambda s3: s3.head_object(Bucket=scratch.bucket, Key=version.key, ChecksumMode="ENABLED")
    )
    if not asked.done:
        return unknown(f"the upload: {answer}; HEAD: {asked}")
    if told.get("ChecksumSHA256") == checksum(body):
        return held("HEAD tells the checksum that was sent")
    return broken("HEAD does not tell the SHA-256 that was sent with the upload")


# --- other ways to write ------------------------------------------------------------


@probe(Guarantee.EVERY_WAY, Power.LOCK, Power.DELETE)
def multipart_upload_with_a_lock(scratch: Scratch) -> Judgement:
    """Begin a multipart upload with a lock, complete it, and delete what it made."""
    key, lock = scratch.key(), scratch.lock(scratch.now() + scratch.limits.lock_s)
    answer, reply = multipart(scratch, key, **lock)
    return _keeps_its_lock(scratch, key, reply.get("VersionId", ""), lock, answer)


@probe(Guarantee.EVERY_WAY, Power.LOCK, Power.DELETE)
def copy_with_a_lock(scratch: Scratch) -> Judgement:
    """Copy an object under a new key with a lock, and delete the copy."""
    source: Any = {"Bucket": scratch.bucket, "Key": scratch.locked().key}
    key, lock = scratch.key(), scratch.lock(scratch.now() + scratch.limits.lock_s)
    answer, reply = scratch.ask(
        lambda s3: s3.copy_object(Bucket=scratch.bucket, Key=key, CopySource=source, **lock)
    )
    return _keeps_its_lock(scratch, key, reply.get("VersionId", ""), lock, answer)


def _keeps_its_lock(
    scratch: Scratch, key: str, version_id: str, lock: dict[str, Any], answer: Answer
) -> Judgement:
    if answer.refused:
        return held(f"{answer}: it is not taken at all")
    version = scratch.version(key, version_id, lock)
    told = as_asked(scratch.mode, version.asked, version.before, answer)
    attack = scratch.attempt(lambda s3: s3.delete_object(Bucket=scratch.bucket, **version.named))
    return first_that_failed(told, unharmed(version.before, scratch.look(version), [attack]))


# --- credentials --------------------------------------------------------------------


def _as_stranger(scratch: Scratch, credentials: Credentials | None) -> Judgement:
    """Read, write and delete with a client that must be let do nothing."""
    version = scratch.locked()
    bucket, key, before = scratch.bucket, version.key, scratch.versions(version.key)
    with scratch.stranger(credentials) as s3:
        read = scratch.attempt(lambda s3: s3.get_object(Bucket=bucket, Key=key), s3)
        write = scratch.attempt(lambda s3: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), s3)
        delete = scratch.attempt(lambda s3: s3.delete_object(Bucket=bucket, Key=key), s3)
    return first_that_failed(
        refused(read, "it read a locked object"),
        nothing_written(before, scratch.versions(key), write),
        refused(write, "it wrote"),
        refused(delete, "it deleted"),
    )


@probe(Guarantee.CREDENTIALS)
def anonymous(scratch: Scratch) -> Judgement:
    """Read, write and delete without any credential."""
    return _as_stranger(scratch, None)


@probe(Guarantee.CREDENTIALS)
def unknown_key(scratch: Scratch) -> Judgement:
    """Read, write and delete with an access key nobody issued."""
    made_up = Credentials(key_id="AKIA" + "COUNTERSIGNPROBE", secret=secrets.token_urlsafe(30))
    return _as_stranger(scratch, made_up)


@probe(Guarantee.CREDENTIALS)
def wrong_secret(scratch: Scratch) -> Judgement:
    """Read, write and delete with the right access key and a wrong secret."""
    key_id = key_id_in_use()
    if not key_id:
        return unknown("the access key in use cannot be read")
    return _as_stranger(scratch, Credentials(key_id=key_id, secret=secrets.token_urlsafe(30)))


PROBES: Final[tuple[Probe, ...]] = (
    create_what_exists,
    race_to_create,
    wrong_sha256,
    wrong_md5,
    no_checksum,
    head_tells_the_lock,
    head_tells_the_checksum,
    multipart_upload_with_a_lock,
    copy_with_a_lock,
    anonymous,
    unknown_key,
    wrong_secret,
)
