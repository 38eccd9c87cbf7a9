"""A summary in words, as JSON, as lines of CSV, and for a pull request.

Pure. Everything from a record or a policy is data of others: text is made safe
for a terminal by who prints it, Markdown here. Called by the command line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from countersign.workbench.impact.recorded import Unreplayed
from countersign.workbench.impact.summary import Change, Group, Judged, Need, Summary, Verdict

COLUMNS: Final = (
    *("seq", "decision", "kind", "action", "time", "verdict", "changed", "direction"),
    *("old_effect", "new_effect", "old_reasons", "new_reasons", "depends_on", "settled_by"),
)
_MAX_ROWS: Final = 20
_MAX_NAME: Final = 80
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@:$-])")
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def changes(summary: Summary) -> list[tuple[Change, Group]]:
    """The groups of changes, the largest first."""
    return sorted(summary.changes.items(), key=lambda pair: (-pair[1].count, str(pair[0])))


def needs(summary: Summary) -> list[tuple[Need, Group]]:
    """The groups of what would have to be known, the largest first."""
    return sorted(summary.needs.items(), key=lambda pair: (-pair[1].count, str(pair[0])))


def effect(change: Change) -> str:
    """`allow -> deny`, or the effect that stayed."""
    return change.old if change.old == change.new else f"{change.old} -> {change.new}"


def rules(change: Change) -> str:
    """`+gained -lost`, and what else is another."""
    codes = [*(f"+{code}" for code in change.gained), *(f"-{code}" for code in change.lost)]
    others = [part for part in change.parts if part not in ("effect", "reasons")]
    return " ".join(codes) + (f" ({', '.join(others)})" if others else "")


# --- text --------------------------------------------------------------------


def text(summary: Summary) -> Iterator[str]:
    """Lines for a terminal; not yet safe to print."""
    counts = summary.counts
    yield (
        f"{summary.replayed} decision(s) replayed: {counts[Verdict.SAME]} same, "
        f"{counts[Verdict.CHANGED]} changed, {counts[Verdict.DEPENDS]} depend on masked fields"
    )
    if summary.directions:
        told = (f"{summary.directions[name]} {name}" for name in ("loosened", "tightened"))
        yield f"effect: {', '.join(told)}"
    if summary.changes:
        yield ""
        yield "Changed, by action and rule:"
        yield from _table(
            (str(group.count), change.action, effect(change), rules(change), _examples(group))
            for change, group in changes(summary)
        )
    if summary.needs:
        yield ""
        yield "Depends on what the records do not show:"
        yield from _table(
            (str(group.count), need.action, " ".join(need.pointers), _examples(group))
            for need, group in needs(summary)
        )
    left = list(left_out(summary))
    if left:
        yield ""
        yield "Not replayed:"
        yield from (f"  {count:>7}  {why}" for why, count in left)
    if summary.in_part:
        yield ""
        yield "Compared in part, since the record holds no more of policy's own answer:"
        yield from (f"  {count:>7}  without {what}" for what, count in summary.in_part.items())


def left_out(summary: Summary) -> Iterator[tuple[str, int]]:
    """Why records were not replayed, and how many."""
    for why in Unreplayed:
        if summary.left_out[why]:
            yield why.value, summary.left_out[why]
    if summary.not_sampled:
        yield "not in the sample", summary.not_sampled
    if summary.more_groups:
        yield "replayed, but in none of the groups above", summary.more_groups


def _examples(group: Group) -> str:
    return "e.g. " + ", ".join(f"{seq} {decision}" for seq, decision in group.examples)


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    every = list(rows)
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    for count, *cells in every:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        yield f"  {count:>7}  {'  '.join(padded)}".rstrip()


# --- JSON --------------------------------------------------------------------


def plain(summary: Summary, about: Mapping[str, Any]) -> dict[str, Any]:
    """One JSON value; `about` says what was replayed against what."""
    return {
        **about,
        "replayed": summary.replayed,
        **{verdict.value: summary.counts[verdict] for verdict in Verdict},
        **{name: summary.directions[name] for name in ("loosened", "tightened")},
        "changes": [
            {
                "count": group.count,
                "action": change.action,
                "old_effect": change.old,
                "new_effect": change.new,
                "reasons_gained": list(change.gained),
                "reasons_lost": list(change.lost),
                "parts": list(change.parts),
                "examples": _plain_examples(group),
            }
            for change, group in changes(summary)
        ],
        "depends_on": [
            {
                "count": group.count,
                "action": need.action,
                "pointers": list(need.pointers),
                "examples": _plain_examples(group),
            }
            for need, group in needs(summary)
        ],
        "not_replayed": dict(left_out(summary)),
        "compared_without": dict(summary.in_part),
    }


def _plain_examples(group: Group) -> list[dict[str, Any]]:
    return [{"seq": seq, "decision": decision} for seq, decision in group.examples]


# --- CSV ---------------------------------------------------------------------


def csv_line(values: Iterable[str]) -> str:
    """One line; no cell is taken for a formula."""
    buffer = io.StringIO()
    safe = [f"'{value}" if value.startswith(_FORMULA) else value for value in values]
    csv.writer(buffer, lineterminator="").writerow(safe)
    return buffer.getvalue()


def row(one: Judged) -> list[str]:
    """A decision as a line of CSV."""
    case, answer = one.case, one.outcome.answer
    return [
        *(str(case.seq), case.decision, case.kind, case.action, case.time),
        *(one.verdict.value, " ".join(sorted(part.value for part in one.parts)), one.direction),
        *(case.recorded.effect, answer.effect if answer else ""),
        *(_codes(case.recorded.codes), _codes(answer.codes) if answer else ""),
        *(" ".join(one.outcome.needs), one.outcome.how.value),
    ]


def _codes(codes: frozenset[str] | None) -> str:
    return "?" if codes is None else " ".join(sorted(codes))


# --- Markdown ----------------------------------------------------------------


def markdown(summary: Summary, about: Mapping[str, Any]) -> Iterator[str]:
    """A comment for a pull request: short, and nothing in it is markup of others."""
    counts = summary.counts
    yield "### What this policy would have decided"
    yield ""
    since = f" since {escaped(str(about['since']))}" if about.get("since") else ""
    revision = code(str(about["revision"]))
    yield f"{summary.replayed} recorded decisions{since}, replayed against {revision}:"
    yield ""
    yield "| same | changed | loosened | tightened | depends on masked fields |"
    yield "|---:|---:|---:|---:|---:|"
    yield (
        f"| {counts[Verdict.SAME]} | {counts[Verdict.CHANGED]} | "
        f"{summary.directions['loosened']} | {summary.directions['tightened']} | "
        f"{counts[Verdict.DEPENDS]} |"
    )
    if summary.changes:
        yield from ("", "| | action | effect | rules | example |", "|---:|---|---|---|---|")
        for change, group in changes(summary)[:_MAX_ROWS]:
            seq, decision = group.examples[0]
            yield (
                f"| {group.count} | {code(change.action)} | {code(effect(change))} | "
                f"{code(rules(change))} | {seq} {code(decision)} |"
            )
        yield from _rest(len(summary.changes))
    if summary.needs:
        yield from ("", "| | action | depends on |", "|---:|---|---|")
        for need, group in needs(summary)[:_MAX_ROWS]:
            yield f"| {group.count} | {code(need.action)} | {code(' '.join(need.pointers))} |"
        yield from _rest(len(summary.needs))
    left = [f"{count} {escaped(why)}" for why, count in left_out(summary)]
    if left:
        yield from ("", f"Not replayed: {'; '.join(left)}.")


def _rest(count: int) -> Iterator[str]:
    if count > _MAX_ROWS:
        yield from ("", f"and {count - _MAX_ROWS} more groups")


def code(value: str) -> str:
    """Words of others between backticks, in a table's cell."""
    plain_text = _UNSAFE.sub("?", value)
    cut = plain_text if len(plain_text) <= _MAX_NAME else f"{plain_text[:_MAX_NAME]}…"
    cut = cut.replace("`", "'").replace("|", "\u2223").replace("\\", "\u2216").strip()
    return f"`{cut}`" if cut else ""


def escaped(value: str) -> str:
    """Words of others that are no markup."""
    return _SPECIAL.sub(r"\\\1", _UNSAFE.sub("?", value))
