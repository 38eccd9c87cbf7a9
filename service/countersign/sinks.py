"""The sink that the settings name. Used by `app`, and by commands that read a service's log."""

from __future__ import annotations

from collections.abc import Callable

from countersign.audit import s3
from countersign.audit.local import LocalSink
from countersign.audit.sink import Sink
from countersign.config import Config
from countersign.errors import ConfigurationError
from countersign.faults import nowhere


def sink_of(config: Config, reached: Callable[[str], None] = nowhere) -> Sink:
    """A directory, or two buckets. Raises `ConfigurationError`; asks nobody yet.

    `reached` is told what was just made durable, for fault injection.
    """
    if config.log.sink == "local":
        return LocalSink(config.path(config.log.directory), reached=reached)
    s3.require()
    from countersign.audit.s3.client import Place, make_client  # noqa: PLC0415 - an extra
    from countersign.audit.s3.retention import Mode, Retention  # noqa: PLC0415
    from countersign.audit.s3.sink import S3Sink  # noqa: PLC0415

    section = config.s3
    if not section.records_bucket or not section.tiles_bucket:
        raise ConfigurationError(
            "s3.bucket_invalid",
            "s3.records_bucket, s3.tiles_bucket: name both",
            advice="`countersign audit init-bucket` makes them.",
        )
    return S3Sink(
        make_client(Place(endpoint=section.endpoint, region=section.region)),
        records_bucket=section.records_bucket,
        tiles_bucket=section.tiles_bucket,
        prefix=section.prefix,
        reached=reached,
        retention=Retention(
            days=section.retain_days, max_days=section.max_retain_days, mode=Mode(section.mode)
        ),
    )
