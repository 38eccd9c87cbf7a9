"""A bundle in an S3 bucket: `s3://bucket/key`. Blocking.

Credentials and region come by the ordinary AWS chain. boto3 comes with the extra `s3`.
The permission needed is s3:GetObject on that key.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import time
from typing import TYPE_CHECKING, Any, Final

from countersign.errors import ConfigurationError
from countersign.policy.sources.bundle import Delivered

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3.client import S3Client

_URL: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([!-~]{1,1024})")
_CHUNK_BYTES: Final = 64 * 1024
_DEFAULT_REGION: Final = "us-east-1"


class S3Place:
    """A `Place`."""

    def __init__(
        self, url: str, *, endpoint: str, region: str, deadline_s: float, max_bytes: int
    ) -> None:
        """Raises `ConfigurationError` when no client can be made of these settings."""
        named = _URL.fullmatch(url)
        if named is None:
            raise ConfigurationError(
                "policy.source_invalid",
                "policy.bundle.url is not s3://bucket/key",
                advice="Name the object of the bundle, such as s3://policies/countersign.tar.gz.",
            )
        self._url, self._bucket, self._key = url, named[1], named[2]
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._client = _client(endpoint, region, deadline_s)

    @property
    def origin(self) -> str:
        return self._url

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    def get(self, tag: str) -> Delivered | None:
        """See `Place`."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an extra

        asked: dict[str, Any] = {"IfNoneMatch": tag} if tag else {}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key, **asked)
            if answer["ContentLength"] > self._max_bytes:
                raise self._failed(f"is larger than policy.bundle.max_bytes ({self._max_bytes})")
            archive = self._read(answer["Body"])
            whole = len(archive) == answer["ContentLength"]
        except ClientError as error:
            if tag and error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
                return None
            code = error.response.get("Error", {}).get("Code", "")
            raise self._failed(f"the store answers {code}") from None
        except (BotoCoreError, OSError) as error:
            raise self._failed(f"cannot be reached ({type(error).__name__})") from None
        if not whole:
            raise self._failed("did not come whole")
        version = answer.get("VersionId", "")
        return Delivered(
            archive=archive,
            tag=answer.get("ETag", ""),
            version_id=f"version {version}" if version not in ("", "null") else "",
        )

    def _read(self, body: StreamingBody) -> bytes:
        """All of it, before the deadline: a store that trickles holds no thread."""
        ends_at = time.monotonic() + self._deadline_s
        archive = bytearray()
        with contextlib.closing(body):
            for chunk in body.iter_chunks(_CHUNK_BYTES):
                archive += chunk
                if len(archive) > self._max_bytes or time.monotonic() > ends_at:
                    break
        return bytes(archive)

    def _failed(self, problem: str) -> ConfigurationError:
        return ConfigurationError(
            "policy.unreachable",
            f"the policy bundle at {self.origin} {problem}",
            advice="See that policy.bundle.url names it, and that the credentials of the AWS "
            "settings may read it.",
        )


def _client(endpoint: str, region: str, deadline_s: float) -> S3Client:
    if importlib.util.find_spec("boto3") is None:
        raise ConfigurationError(
            "s3.not_installed",
            "boto3 is not installed; buckets need an extra",
            advice="Install it with: pip install 'countersign[s3]'",
        )
    import boto3  # noqa: PLC0415 - an extra
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    try:
        session = boto3.session.Session(region_name=region or None)
        return session.client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=session.region_name or _DEFAULT_REGION,
            config=Config(
                connect_timeout=deadline_s / 2,
                read_timeout=deadline_s / 2,
                retries={"total_max_attempts": 1, "mode": "standard"},
                s3={"addressing_style": "path" if endpoint else "auto"},
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            "policy.source_invalid",
            f"policy.bundle: no S3 client can be made of these settings: {error}",
            advice="Correct endpoint, region, or the profile that the AWS settings name.",
        ) from error
