"""Logs in S3: by the address an auditor types, or as the service's settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from countersign.audit import s3
from countersign.config import Config
from countersign.errors import ConfigurationError

if TYPE_CHECKING:
    from countersign.audit.s3.source import S3Source

SCHEME: Final = "s3://"
_KEYS: Final = frozenset({"tiles", "endpoint", "region"})


def of_address(address: str) -> S3Source:
    """`s3://RECORDS/PREFIX/ORIGIN?tiles=BUCKET[&endpoint=URL][&region=NAME]`."""
    parts = urlsplit(address)
    given = dict(parse_qsl(parts.query))
    root = parts.path.strip("/")
    if not parts.netloc or not root or not given.get("tiles") or set(given) - _KEYS:
        raise ConfigurationError(
            "audit.address_invalid",
            "--log: a log in S3 is s3://RECORDS/PREFIX/ORIGIN?tiles=BUCKET, with &endpoint= and "
            "&region= where they are needed",
            advice="Quote it. RECORDS and BUCKET are the service's `s3.records_bucket` and "
            "`s3.tiles_bucket`, ORIGIN is the first line of the log's checkpoint.",
        )
    return _source(
        records=parts.netloc,
        tiles=given["tiles"],
        root=root,
        endpoint=given.get("endpoint", ""),
        region=given.get("region", ""),
    )


def of_service(settings: Config, origin: str) -> S3Source:
    """The log of a service that publishes to S3."""
    section = settings.s3
    return _source(
        records=section.records_bucket,
        tiles=section.tiles_bucket,
        root=section.prefix + origin,
        endpoint=section.endpoint,
        region=section.region,
    )


def _source(*, records: str, tiles: str, root: str, endpoint: str, region: str) -> S3Source:
    s3.require()
    from countersign.audit.s3.client import Place, make_client  # noqa: PLC0415 - an extra
    from countersign.audit.s3.source import S3Source  # noqa: PLC0415

    client = make_client(Place(endpoint=endpoint, region=region))
    return S3Source(client, records_bucket=records, tiles_bucket=tiles, root=root)
