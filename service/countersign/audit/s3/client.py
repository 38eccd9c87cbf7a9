"""A boto3 client for one store: bounded waits, no hidden retries, no hidden checksums.

Credentials come by the ordinary AWS chain unless they are given. A caller
decides by itself what is tried again, because only it knows what a lost answer
means; and it sends the checksum of what it has, not one made on the way.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from countersign.errors import ConfigurationError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 10
_DEFAULT_REGION: Final = "us-east-1"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the store is."""

    endpoint: str = ""
    """Its URL; empty means AWS. Another store is addressed by path."""
    region: str = ""
    """Empty: what the AWS chain says."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An access key, where the AWS chain is not to be asked."""

    key_id: str
    secret: str = dataclasses.field(repr=False)


def make_client(
    place: Place,
    *,
    credentials: Credentials | None = None,
    anonymous: bool = False,
    max_connections: int = 16,
) -> S3Client:
    """A client; close it when done. `anonymous` signs nothing."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=max_connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if place.endpoint else "auto"},
        signature_version=botocore.UNSIGNED if anonymous else None,
    )
    try:
        session = boto3.session.Session(region_name=place.region or None)
        return session.client(
            "s3",
            endpoint_url=place.endpoint or None,
            region_name=session.region_name or _DEFAULT_REGION,
            aws_access_key_id=credentials.key_id if credentials else None,
            aws_secret_access_key=credentials.secret if credentials else None,
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            "s3.client_invalid",
            f"no S3 client can be made of these settings: {error}",
            advice="Correct the endpoint, the region, or the profile the AWS settings name.",
        ) from error


def key_id_in_use() -> str:
    """The access key that the AWS chain leads to; empty if there is none."""
    found = boto3.session.Session().get_credentials()
    return found.access_key if found else ""
