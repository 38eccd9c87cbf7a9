"""Writing flat rows: JSON Lines, CSV, Parquet, OCSF. Streams; the same bytes each time.

A table is for looking, not evidence: nothing in it can be verified. Records are
sanitized and still somebody else's text, so a spreadsheet must not run it.
Called by `audit export`.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from countersign.audit.flat import COLUMNS, flat
from countersign.audit.ocsf import event
from countersign.errors import ConfigurationError
from countersign.model import JsonObject

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH: Final = 10_000
_RUNS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""


def write_jsonl(records: Iterable[JsonObject], to: BinaryIO) -> int:
    """One flat row a line."""
    return _lines(map(flat, records), to)


def write_ocsf(records: Iterable[JsonObject], to: BinaryIO) -> int:
    """One OCSF event a line."""
    return _lines(map(event, records), to)


def write_csv(records: Iterable[JsonObject], to: BinaryIO) -> int:
    """RFC 4180 with newlines; a cell that a spreadsheet would run begins with a quote mark."""
    text = io.TextIOWrapper(to, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    count = 0
    for record in records:
        rows.writerow(map(_inert, flat(record).values()))
        count += 1
    text.detach()
    return count


def write_parquet(records: Iterable[JsonObject], to: BinaryIO) -> int:
    """Parquet with zstd; needs the extra `parquet`."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - the same
    except ModuleNotFoundError:
        raise ConfigurationError(
            "audit.no_parquet",
            "--format parquet: pyarrow is not installed",
            advice="Install it with: pip install 'countersign[parquet]', or choose csv or jsonl.",
        ) from None
    schema = _schema()
    count = 0
    with parquet.ParquetWriter(to, schema, compression="zstd") as writer:
        for batch in _batches(map(flat, records)):
            rows = [{**row, "time": _moment(row["time"])} for row in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _schema() -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - an extra

    types = {"seq": pa.int64(), "time": pa.timestamp("us", tz="UTC")}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(rows, _BATCH)):
        yield batch


def _moment(time: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(time))
    except ValueError:
        return None


def _inert(cell: str | int | None) -> str | int | None:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_RUNS) else cell


def _lines(rows: Iterable[dict[str, Any]], to: BinaryIO) -> int:
    count = 0
    for row in rows:
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        to.write(line.encode() + b"\n")
        count += 1
    return count


WRITERS: Final = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
    "ocsf": write_ocsf,
}
