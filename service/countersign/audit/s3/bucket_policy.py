"""The policies that two buckets of a log need, as AWS writes them. Pure.

The records bucket holds evidence: nobody deletes, nobody overwrites, every
object is locked, neither too short nor, by a slip of a digit, for a century.
The tiles bucket holds what can be made again. A deny binds everybody, the
account's administrators too; what the account itself must see to is `TO_DO`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

Statement = dict[str, Any]
Document = dict[str, Any]

_VERSION: Final = "2012-10-17"

TO_DO: Final = (
    "Keep both buckets in an account of their own, not administered by those who run Countersign.",
    (
        "Deny bypass, deletion and changes of these settings for the whole organization (a service "
        "control policy): a bucket's policy does not bind its account's root user."
    ),
    "Use SSE-S3, or let nobody delete KMS keys: with its key an object is lost, locked or not.",
    "Give Countersign the writer's policy, auditors theirs, and nobody both.",
    "Judge the store with `countersign audit probe-store --create`.",
)
"""What no policy of a bucket can do by itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the records bucket is to insist on."""

    records: str
    tiles: str
    mode: str
    days: int
    """The default retention, and the shortest one that is taken."""
    max_days: int
    tls: bool = True
    """False for an endpoint without TLS, which the rule would shut out."""

    @property
    def min_remaining_days(self) -> int:
        """S3 counts whole days that remain: of N just asked for, N - 1."""
        return max(self.days - 1, 0)


def records_statements(rules: Rules) -> list[Statement]:
    """Who may not do what to the records; last, what keeps these statements."""
    bucket, objects = arn(rules.records), f"{arn(rules.records)}/*"
    put, retain = "s3:PutObject", "s3:PutObjectRetention"
    remaining = "s3:object-lock-remaining-retention-days"
    return [
        *([_tls_only(rules.records)] if rules.tls else []),
        _deny(
            "NobodyDeletes",
            ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"],
            objects,
        ),
        _deny("CreateOnly", [put], objects, Null={"s3:if-none-match": "true"}),
        _deny(
            "OneMode", [put, retain], objects,
            StringNotEquals={"s3:object-lock-mode": rules.mode},
        ),
        _deny(
            "NotTooShort", [put, retain], objects,
            NumericLessThan={remaining: str(rules.min_remaining_days)},
        ),
        _deny(
            "NotTooLong", [put, retain], objects,
            NumericGreaterThan={remaining: str(rules.max_days)},
        ),
        _deny(
            "SettingsStay",
            [
                "s3:DeleteBucket",
                "s3:DeleteBucketPolicy",
                "s3:PutBucketObjectLockConfiguration",
                "s3:PutBucketPolicy",
                "s3:PutBucketVersioning",
                "s3:PutLifecycleConfiguration",
            ],
            bucket,
        ),
    ]  # fmt: skip


def tiles_statements(rules: Rules) -> list[Statement]:
    """The tiles can be made again: only their way is guarded."""
    return [_tls_only(rules.tiles)] if rules.tls else []


def document(statements: Sequence[Statement]) -> Document:
    """Statements as one policy."""
    return {"Version": _VERSION, "Statement": list(statements)}


def same(one: Statement, other: Statement) -> bool:
    """Whether two statements say the same: stores give lists where a word was, in any order."""
    return bool(_normal(one) == _normal(other))


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: {"AWS": ["*"]} if (name, inner) == ("Principal", "*") else _normal(inner)
            for name, inner in value.items()
        }
    return sorted(map(str, value)) if isinstance(value, list) else [str(value)]


def writer(rules: Rules) -> Document:
    """The least that Countersign itself needs."""
    return document(
        [
            _allow(
                "WriteRecords",
                [
                    "s3:PutObject",
                    "s3:PutObjectRetention",
                    # What was written is read back with its lock.
                    "s3:GetObject",
                    "s3:GetObjectRetention",
                    "s3:GetObjectVersion",
                ],
                f"{arn(rules.records)}/*",
            ),
            _allow(
                "LookAtRecords",
                [
                    "s3:GetBucketObjectLockConfiguration",
                    "s3:GetBucketVersioning",
                    "s3:ListBucket",
                    "s3:ListBucketVersions",
                ],
                arn(rules.records),
            ),
            _allow(
                "KeepTiles",
                ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
                f"{arn(rules.tiles)}/*",
            ),
            _allow("LookAtTiles", ["s3:ListBucket"], arn(rules.tiles)),
        ]
    )


def auditor(rules: Rules) -> Document:
    """What an auditor needs: to read everything, versions and locks too, and no more."""
    return document(
        [
            _allow(
                "ReadRecords",
                [
                    "s3:GetObject",
                    "s3:GetObjectLegalHold",
                    "s3:GetObjectRetention",
                    "s3:GetObjectVersion",
                ],
                f"{arn(rules.records)}/*",
            ),
            _allow(
                "ReadSettings",
                [
                    "s3:GetBucketObjectLockConfiguration",
                    "s3:GetBucketPolicy",
                    "s3:GetBucketVersioning",
                    "s3:GetLifecycleConfiguration",
                    "s3:ListBucket",
                    "s3:ListBucketVersions",
                ],
                arn(rules.records),
            ),
            _allow("ReadTiles", ["s3:GetObject"], f"{arn(rules.tiles)}/*"),
            _allow("ListTiles", ["s3:ListBucket"], arn(rules.tiles)),
        ]
    )


def arn(bucket: str) -> str:
    """A bucket's name for policies."""
    return f"arn:aws:s3:::{bucket}"


def _tls_only(bucket: str) -> Statement:
    return {
        **_deny("TlsOnly", ["s3:*"], arn(bucket), Bool={"aws:SecureTransport": "false"}),
        "Resource": [arn(bucket), f"{arn(bucket)}/*"],
    }


def _deny(name: str, actions: list[str], resource: str, **condition: Any) -> Statement:
    found: Statement = {
        "Sid": name,
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": resource,
    }
    return {**found, "Condition": condition} if condition else found


def _allow(name: str, actions: list[str], resource: str) -> Statement:
    return {"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resource}
