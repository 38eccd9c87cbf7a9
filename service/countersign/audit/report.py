"""The evidence pack's report: one static HTML page.

Pure. No script, no image, nothing fetched; a policy in the page itself forbids
both. Records are sanitized and still other people's text: every text goes
through `_text`, which leaves nothing that a browser could take for markup, and
makes control and direction characters visible. The same log and options give
the same page.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from countersign.audit.controls import Control
from countersign.audit.evidence import Evidence, Rows
from countersign.audit.result import Result
from countersign.audit.trust import TrustedLog
from countersign.audit.verdict import Verdict, not_checked, verdict

MAX_SHOWN: Final = 200
"""Rows of one table; the files beside the page have all."""
_MAX_CHARS: Final = 400
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; }
tr { border-bottom: 1px solid #8884; }
.l { overflow-wrap: anywhere; } code { font: 13px ui-monospace, monospace; }
.verdict { padding: .8rem 1rem; border-left: .5rem solid; margin: 1rem 0; }
.whole { border-color: #1a7f37; } .tampered { border-color: #cf222e; }
.incomplete, .unknown { border-color: #bf8700; }
.note { opacity: .75; } .n { white-space: nowrap; }
@media print { body { max-width: none; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
"""
_LONG: Final = 28
"""No word of ours or time is longer."""
_SAYS: Final = {
    Verdict.WHOLE: "Every record that a signed checkpoint covers is here, unchanged and in order.",
    Verdict.TAMPERED: "Something here is not what was logged, or history was rewritten.",
    Verdict.INCOMPLETE: "Something that was signed is not here.",
    Verdict.UNKNOWN: "Nothing here is signed by the key: nothing can be judged.",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """All that a report is made of."""

    trusted: TrustedLog
    result: Result
    evidence: Evidence
    controls: Sequence[tuple[str, Control]]
    proofs: Mapping[int, str]
    """SHA-256 of each sampled record whose proof is in the folder."""


def render(pack: Pack) -> str:
    """The page."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    title = f"Evidence: {pack.result.origin}"
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'sha256-{digest}'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>\n"
    )
    sections = (
        _summary(pack),
        _population(pack),
        _sample(pack),
        _exceptions(pack.evidence),
        _changes(pack.evidence),
        _keys(pack),
        _controls(pack),
        _how_to_check(),
    )
    return f"{head}<h1>{_text(title)}</h1>\n{''.join(sections)}</body></html>\n"


# --- sections ---


def _summary(pack: Pack) -> str:
    found = verdict(pack.result)
    findings = [
        (finding.code, "" if finding.seq is None else finding.seq, finding.file, finding.message)
        for finding in pack.result.findings
    ]
    shown = _table(("Finding", "Record", "File", "What"), findings) if findings else ""
    open_ = "".join(f"<li>{_text(item)}</li>" for item in not_checked(pack.result))
    period = f"{pack.evidence.since or 'the beginning'} to {pack.evidence.until or 'the end'}"
    return (
        f"<p>Period: {_text(period)}</p>"
        f'<div class="verdict {found.value}"><strong>{found.value.upper()}</strong>: '
        f"{_text(_SAYS[found])}</div>{shown}"
        f"<p>Not checked:</p><ul>{open_}</ul>\n"
    )


def _population(pack: Pack) -> str:
    result, evidence = pack.result, pack.evidence
    first = evidence.first or {}
    last = evidence.last or {}
    gaps = "yes" if evidence.gapless else "NO"
    facts = (
        ("Tree size: all records ever logged", result.size),
        ("Root", result.root.hex()),
        ("Verified against", "; ".join(result.anchors) or "nothing"),
        ("Locks", result.locks.words() if result.locks else "not looked at: a copy has none"),
        ("Stored", _stored(result)),
        ("Records in the period", evidence.records),
        ("First", f"{first.get('seq', '')} at {first.get('time', '')}"),
        ("Last", f"{last.get('seq', '')} at {last.get('time', '')}"),
        ("Numbered without gaps", gaps),
        ("Longest silence", f"{evidence.longest_silence_s} s, {_after(evidence)}"),
    )
    kinds = _table(("Kind", "Records"), sorted(evidence.kinds.items()))
    effects = _table(("Decision", "Times"), sorted(evidence.effects.items()))
    revisions = _table(("Policy revision", "Decisions"), sorted(evidence.revisions.items()))
    reviewers = _table(("Reviewer", "Votes"), sorted(evidence.reviewers.items()))
    return f"<h2>Population</h2>{_table((), facts)}{kinds}{effects}{reviewers}{revisions}\n"


def _stored(result: Result) -> str:
    if result.delay_s is None:
        return "not known: only a bucket has a clock of its own"
    return f"at most {result.delay_s:.0f} s after the records' own times, by the bucket's clock"


def _after(evidence: Evidence) -> str:
    return "never" if evidence.silence_after < 0 else f"after record {evidence.silence_after}"


def _sample(pack: Pack) -> str:
    evidence = pack.evidence
    rows = [
        (
            row["seq"],
            row["time"],
            row["kind"],
            row["title"],
            row["effect"],
            f"sample/{row['seq']}.proof" if row["seq"] in pack.proofs else "NOT PROVEN",
            pack.proofs.get(row["seq"] if isinstance(row["seq"], int) else -1, ""),
        )
        for row in evidence.sample
    ]
    columns = ("Record", "Time", "Kind", "What", "Effect", "Proof", "SHA-256")
    return (
        f"<h2>Sample</h2><p>{len(rows)} of {evidence.acts} acts (decisions, claims, emergencies) "
        "of the period: those with the smallest SHA-256 of "
        f"<code>countersign/sample/v1/{_text(evidence.seed)}/&lt;record&gt;</code>. Whoever reads "
        f"the log draws the same.</p>{_table(columns, rows)}\n"
    )


def _exceptions(evidence: Evidence) -> str:
    sums = evidence.reconciliation
    unknown, known = evidence.unauthenticated, evidence.refused_calls
    calls = [(code, count, "nobody known") for code, count in sorted(unknown.items())]
    calls += [(code, count, "a known caller") for code, count in sorted(known.items())]
    found = [(item.code, item.seq, item.about, item.message) for item in sums.found]
    refused = ("person", "changed_by", "refused", "action", "title", "change")
    return (
        "<h2>Exceptions</h2><h3>Refused votes and changes</h3>"
        f"{_rows(evidence.refused, refused)}"
        '<h3>Calls refused before a decision</h3><p class="note">Counted by heartbeats; they have '
        f"no record of their own.</p>{_table(('Status', 'Calls', 'From'), calls)}"
        f"<h3>Emergencies</h3>{_rows(evidence.emergencies, ('action', 'person', 'title'))}"
        f"<h3>Claims and outcomes, whole log</h3><p>{sums.claims} claims, {sums.reported} "
        f"reported, {sums.open} not due yet; {sums.allowed} allowed at once, "
        f"{sums.allowed_reported} reported.</p>"
        f"{_table(('Exception', 'Record', 'About', 'What'), found)}\n"
    )


def _changes(evidence: Evidence) -> str:
    return (
        "<h2>Changes of policy, people and settings</h2>"
        f"{_rows(evidence.changes, ('kind', 'changed_by', 'change'))}\n"
    )


def _keys(pack: Pack) -> str:
    seen = {sight.name: str(sight) for sight in pack.result.witnesses}
    keys = [
        ("log", str(pack.trusted.verifier), ""),
        *(
            ("log, retired", str(each.verifier), f"signed up to size {each.until}")
            for each in pack.trusted.retired
        ),
        *(
            ("witness", str(witness), seen[witness.name])
            if witness.name in seen
            else ("witness", str(witness), "DID NOT COSIGN")
            for witness in pack.trusted.witnesses
        ),
        *(("permits, by id", kid, "") for kid in sorted(pack.evidence.permit_keys)),
    ]
    note = "Compare the log's key with its owner, by a way of its own."
    return f"<h2>Keys</h2><p>{note}</p>{_table(('Of', 'Key', ''), keys)}\n"


def _controls(pack: Pack) -> str:
    rows = [
        (
            framework,
            control.id,
            control.asks,
            control.figure(pack.evidence, pack.result),
            control.files,
            control.leaves,
        )
        for framework, control in pack.controls
    ]
    columns = ("Framework", "Control", "It asks that", "Found", "Files", "Left open")
    return (
        '<h2>Controls</h2><p class="note">What bears on each control. Whether it is enough is for '
        f"whoever assesses.</p>{_table(columns, rows)}\n"
    )


def _how_to_check() -> str:
    steps = (
        "sha256sum -c SHA256SUMS",
        "countersign audit verify --log COPY --trust trust.toml",
        "python3 check_proof.py --key KEY sample/*.proof",
    )
    lines = "".join(f"<li><code>{_text(step)}</code></li>" for step in steps)
    return (
        "<h2>Check it yourself</h2><p>This page and the tables beside it are no evidence by "
        f"themselves; the proofs and the log are.</p><ol>{lines}</ol><p>KEY is the log's, from its "
        "owner; check_proof.py is a file of the source repository that needs Python alone. Neither "
        "should come from this folder.</p>\n"
    )


# --- pieces ---


def _rows(rows: Rows, columns: Sequence[str]) -> str:
    shown = [[row["seq"], row["time"], *(row[name] for name in columns)] for row in rows.kept]
    head = ("Record", "Time", *(name.replace("_", " ").capitalize() for name in columns))
    return _table(head, shown, count=rows.count)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]], *, count: int = 0) -> str:
    if not rows:
        return "<p>None.</p>"
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[:MAX_SHOWN])
    names = "".join(f"<th>{_text(name)}</th>" for name in head)
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    left = max(count, len(rows)) - MAX_SHOWN
    more = f'<p class="note">And {left} more, in the files.</p>' if left > 0 else ""
    return f"<table>{top}<tbody>{body}</tbody></table>{more}"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="n">{_text(value)}</td>'
    said = "" if value is None else str(value)
    # Hashes break anywhere; a word that may would make its column as narrow as one letter.
    opening = '<td class="l">' if any(len(word) > _LONG for word in said.split()) else "<td>"
    return f"{opening}{_text(said)}</td>"


def _text(value: object) -> str:
    """Any value as text that is only text."""
    text = str(value)
    if len(text) > _MAX_CHARS:
        text = text[:_MAX_CHARS] + "…"
    return html.escape("".join(_visible(text)), quote=True)


def _visible(text: str) -> Iterable[str]:
    for char in text:
        hidden = unicodedata.category(char) in _HIDDEN
        yield f"<U+{ord(char):04X}>" if hidden else char
