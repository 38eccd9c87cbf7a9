"""Opening a log: whether the store extends what its sink already holds.

Invariant 11: a store that is behind its own published log refuses to start. A
crash between writing to the sink and noting it in the store looks different
from a roll-back, and is picked up where it stopped, with the same bytes.
Called by the publisher, once for each tenant.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import re
from collections.abc import Sequence
from typing import Final

from countersign.audit.blocking import blocking
from countersign.audit.logkeys import Keys
from countersign.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash
from countersign.audit.note import Checkpoint, Note, Signer, sign
from countersign.audit.plan import (
    CHECKPOINTS,
    POINTER,
    RECORDS,
    File,
    Keep,
    SegmentName,
    checkpoint_name,
    fence_name,
)
from countersign.audit.sink import LogState, RecordSource, Sink
from countersign.audit.tiles import WIDTH, Tail, bundle_path, decode_entries, restore
from countersign.audit.witness.asking import Asking, check_witnesses
from countersign.errors import LogError
from countersign.model import TenantId

log = logging.getLogger(__name__)

_PAGE: Final = 1_000
_HOUR: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d):", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A log whose store and sink agree."""

    tail: Tail
    note: bytes | None
    """The newest checkpoint in the sink."""
    resume_last: int | None
    """Last sequence number of a segment that a crash left without checkpoint."""


async def check_extends(
    tenant: TenantId,
    *,
    source: RecordSource,
    sink: Sink,
    signer: Signer,
    keys: Keys,
    witnesses: Sequence[Asking] = (),
) -> Opened:
    """Compare the store with the sink; raise `LogError` unless it extends it.

    Codes: `log.rolled_back` (the store misses or contradicts what was
    published), `log.sink_behind` (the sink misses what was published),
    `log.checkpoint_invalid` / `log.signature_invalid` / `log.tile_invalid` /
    `log.tile_missing` (the sink was changed), `log.conflict` (somebody else
    publishes there). `keys` are those that may have signed what is there, the newest of
    which may have been retired just now; `signer` is who signs from here on. If the
    sink is ahead of the store's own note, by a crash, the note and the pointer are made
    good. Store and sink may have gone back together: `witnesses` that answer are asked
    what they have (`log.rolled_back`, `log.forked`).
    """
    state = await source.log_state(tenant)
    found = await blocking(newest_checkpoint, sink, signer.name, keys)
    if found is None:
        if state.published:
            raise _behind(0, state.published)
        tail, note = Tail(), None
        empty = await blocking(sign, _empty(signer.name).text(), [signer])
        await _ask(witnesses, empty, sink)
    else:
        head, note = found
        frontier = await _frontier_at(head.size, tenant, state, source)
        if frontier.root() != head.root:
            raise _rolled_back("the store holds other records than those published")
        tail = await blocking(_tail, sink, signer.name, frontier)
        await _ask(witnesses, Note.parse(note), sink)
        await blocking(_point_to, sink, signer.name, note)
        if head.size > state.published:
            await source.mark_published(tenant, head.size, frontier.hashes, ())
    last = await blocking(_unfinished, sink, signer.name, tail)
    if last is not None and last >= state.size:
        raise _rolled_back(f"record {last} was published, the store has {state.size}")
    return Opened(tail=tail, note=note, resume_last=last)


def _empty(origin: str) -> Checkpoint:
    return Checkpoint(origin=origin, size=0, root=EMPTY_ROOT)


async def _ask(witnesses: Sequence[Asking], note: Note, sink: Sink) -> None:
    """Go on only if no witness that answers has cosigned more, or other records."""
    head = Checkpoint.parse(note.text)

    def passed_over(error: LogError) -> None:
        log.warning("%s: not compared with a witness: %s", head.origin, error.message)

    await check_witnesses(witnesses, note, functools.partial(sink.read, head.origin), passed_over)


def newest_checkpoint(sink: Sink, log_id: str, keys: Keys) -> tuple[Checkpoint, bytes] | None:
    """The largest checkpoint in the sink, its signature verified.

    The pointer only says where to start looking: it can be rolled back, the
    immutable checkpoints after it cannot.
    """
    note = sink.read(log_id, POINTER)
    head = keys.open(note) if note is not None else None
    after = checkpoint_name(head.size) if head is not None else ""
    later = sink.names(log_id, CHECKPOINTS, after=after)
    if later:
        note = sink.read(log_id, later[-1]) or b""
        head = keys.open(note)
        if checkpoint_name(head.size) != later[-1]:
            raise LogError(
                "log.checkpoint_invalid",
                f"{later[-1]}: holds the checkpoint of another size",
                advice="The audit directory was tampered with; run `verify` on it.",
            )
    return None if head is None or note is None else (head, note)


async def _frontier_at(
    size: int, tenant: TenantId, state: LogState, source: RecordSource
) -> Frontier:
    """The tree of the store's first `size` records."""
    if size > state.size:
        raise _rolled_back(f"{size} records were published, the store has {state.size}")
    if size < state.published:
        raise _behind(size, state.published)
    frontier = Frontier(tuple(state.frontier), state.published)
    while frontier.size < size:
        limit = min(_PAGE, size - frontier.size)
        records = await source.records(tenant, frontier.size, limit)
        if not records:
            raise _rolled_back(f"record {frontier.size} was published, the store has lost it")
        frontier = frontier.extend(leaf_hash(record.body) for record in records)
    return frontier


def _tail(sink: Sink, log_id: str, frontier: Frontier) -> Tail:
    tail = restore(frontier.size, lambda name: sink.read(log_id, name))
    if tail.frontier() != frontier:
        raise LogError(
            "log.tile_invalid",
            "the newest tiles do not lead to the newest checkpoint",
            advice="The audit directory was tampered with; run `verify` on it and restore "
            "the tiles it names from a copy.",
        )
    return tail


def _point_to(sink: Sink, log_id: str, note: bytes) -> None:
    if sink.read(log_id, POINTER) != note:
        sink.write(log_id, (File(name=POINTER, data=note, keep=Keep.POINTER),))


def _unfinished(sink: Sink, log_id: str, tail: Tail) -> int | None:
    """The last record of a segment fenced or written just before a crash, if there is one.

    It can only be in the hour of the last published record or a later one.
    """
    found = []
    for name in sink.names(log_id, RECORDS, after=_hour_of_last(sink, log_id, tail)):
        segment = SegmentName.parse(name)
        if segment is not None and segment.last >= tail.size:
            found.append(segment)
    fenced = _fenced(sink, log_id, tail)
    if not found:
        return fenced
    if len(found) > 1 or found[0].first != tail.size or fenced not in (None, found[0].last):
        raise LogError(
            "log.conflict",
            "the sink holds segments that do not follow the newest checkpoint",
            advice="Two writers share this log, or it was tampered with; run `verify` on it.",
        )
    return found[0].last


def _fenced(sink: Sink, log_id: str, tail: Tail) -> int | None:
    """The last record of a segment whose writer has fenced its place."""
    text = sink.read(log_id, fence_name(tail.size))
    return None if text is None else Checkpoint.parse(text.decode("utf-8", "replace")).size - 1


def _hour_of_last(sink: Sink, log_id: str, tail: Tail) -> str:
    """The directory of the newest hour that may hold an unfinished segment."""
    if not tail.size:
        return ""
    bundle = tail.entries or sink.read(log_id, bundle_path(tail.size // WIDTH - 1)) or b""
    *_, last = (b"", *decode_entries(bundle))
    try:
        match = _HOUR.match(str(json.loads(last)["time"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        match = None
    return f"{RECORDS}dt={match[1]}/hour={match[2]}/" if match else ""


def _behind(size: int, published: int) -> LogError:
    return LogError(
        "log.sink_behind",
        f"the sink holds {size} records, {published} were published",
        advice="The audit directory or bucket is not the one this store published to, or "
        "lost its newest part. Point to the right one, or restore it from a copy.",
    )


def _rolled_back(problem: str) -> LogError:
    return LogError(
        "log.rolled_back",
        problem,
        advice="The store was restored from an old backup or is another one. Restore the "
        "newest store; if it is lost, start a new log under another log name.",
    )
