"""Fuzz targets: what reads text. It raises nothing but what it says, and its offsets lie in it.

Each takes what a fuzzer made and fails with an `AssertionError` or whatever was
raised. Used by `fuzz_main`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from fuzz_pieces import Draw

from countersign.sanitize import (
    assignments,
    fragments,
    names,
    shell,
    shell_secrets,
    shell_words,
    sql,
    views,
)
from countersign.sanitize.bounds import TooMuchError


def _lie_within(spans: Iterable[tuple[int, int]], data: bytes, *, whole: bool = True) -> None:
    """Whether each is a part of it, and begins and ends where a character does."""
    for start, end in spans:
        assert 0 <= start <= end <= len(data), (start, end, len(data))
        if whole:
            data[start:end].decode("utf-8")


def statements(given: bytes) -> None:
    """SQL: what it hides lies within it, in order."""
    text = Draw(given).long_text()
    sql.looks_like(text)
    sql.begins_statement(text)
    try:
        read = sql.read(text)
    except sql.UnreadableSqlError:
        return
    data = text.encode("utf-8")
    _lie_within(read.hidden, data)
    ends = [0, *(end for _, end in read.hidden)]
    assert all(end <= start for end, (start, _) in zip(ends, read.hidden, strict=False))
    for quote in (b"'",):  # all of them are within what is hidden, or quote names
        shown = bytearray(data)
        for start, end in read.hidden:
            shown[start:end] = b" " * (end - start)
        assert quote not in shown or b'"' in shown or b"`" in shown


def commands(given: bytes) -> None:
    """Shell words: each is what stands where it says; secrets lie within the line."""
    text = Draw(given).long_text()
    data = text.encode("utf-8", "replace")
    for line in shell_words.lines(data):
        for word in (*line.words, *line.inputs):
            assert data[word.start : word.end] == word.raw
        _lie_within(line.documents, data)
    _lie_within(((span.start, span.end) for span in shell_secrets.spans(data)), data)
    shell.read(text)
    shell.read_item(text)
    shell.read(text.split(" "))


def settings(given: bytes) -> None:
    """YAML, INI, headers, assignments: values lie within the text."""
    text = Draw(given).long_text()
    data = text.encode("utf-8", "replace")
    fragments.is_read(text)
    _lie_within(((span.start, span.end) for span in fragments.spans(text)), data)
    # A value may be cut in a character where it is longer than is looked at.
    found = ((span.start, span.end) for span in assignments.spans(text))
    _lie_within(found, data, whole=False)


def readings(given: bytes) -> None:
    """Other readings of texts: each part of one leads back into the text it was made of."""
    draw = Draw(given)
    texts = [draw.text(12) for _ in range(draw.byte() % 3)] + [draw.long_text()]
    joined = views.Joined(texts)
    with contextlib.suppress(TooMuchError):
        found, unread = views.read(joined)
        for part in unread:
            _lie_within([(part.start, part.end)], joined.parts[part.owner])
        for reading in found:
            data, original = reading.data, joined.parts[reading.owner]
            data.decode("utf-8")
            before = 0
            for at in range(0, len(data) + 1, max(1, len(data) // 16)):
                for end in (at, min(at + 1, len(data)), len(data)):
                    start, stop = reading.origin(at, end)
                    assert 0 <= start <= stop <= len(original)
                    if end == len(data):
                        assert start >= before, "further in the reading is no earlier in the text"
                        before = start


def people(given: bytes) -> None:
    """Names in prose lie within it, in order, and are no blanks."""
    text = Draw(given).long_text()
    if names.is_prose(text):
        for start, end in names.find(text):
            assert 0 <= start < end <= len(text)
            assert text[start:end].strip()
