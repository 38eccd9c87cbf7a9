"""What recognizers beside the rules find, such as a model that knows names.

Asking them is IO, so it happens before a look (`Sanitizer.asks` says about which
texts), and what they answered is handed in. Invariants: their finds only add;
a text they should have seen and did not is masked whole, and policy is told
that it holds everything they look for (2). Pure; used by `sanitizer`, `detect`
and `free`, answered by `countersign.recognizers`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from countersign.model import Withheld
from countersign.sanitize import characters, kinds, names
from countersign.sanitize.kinds import Kind
from countersign.sanitize.survey import SHORTEST, WHOLE, Leaf, Span, Survey

Recognized: TypeAlias = Mapping[str, Sequence[Span]]
"""Finds by text, offsets in bytes of its UTF-8 form."""

RAN: Final = "ok"
FAILED: Final = "failed"
"""As reports, records and policy are told, under `ner`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recognizers:
    """What is asked besides the rules, and what it may find."""

    id: str
    """Names exactly the recognizers and their settings."""
    kinds: tuple[Kind, ...]
    every_text: bool = False
    """Asked about all strings, not about prose alone."""

    def wants(self, text: str) -> bool:
        """Whether they are to look at this text."""
        return len(text) >= SHORTEST if self.every_text else names.is_prose(text)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Asked(Withheld):
    """Who was to be asked about a value, and what they answered."""

    recognizers: Recognizers
    answer: Recognized | None
    """None: nothing was asked, or there was no whole answer."""

    @property
    def state(self) -> str:
        """As reports say it."""
        return FAILED if self.answer is None else RAN

    def spans(self, text: str) -> Sequence[Span] | None:
        """The finds in one text; None when nobody looked at it."""
        return None if self.answer is None else self.answer.get(text)


class Recognizer(Protocol):
    """Whoever asks them."""

    async def recognize(self, texts: Sequence[str]) -> Recognized | None:
        """What they find in each text; None when there is no whole answer in time."""
        ...


def wanted(survey: Survey, recognizers: Recognizers) -> Iterator[Leaf]:
    """The leaves of a survey that recognizers are to look at."""
    run = () if recognizers.every_text else {id(leaf) for leaf in to_run(survey)}
    for leaf in survey.leaves:
        if not leaf.is_text or leaf.parsed is not None or id(leaf) in run:
            continue
        if not any(span.end >= WHOLE for span in leaf.spans) and recognizers.wants(leaf.text):
            yield leaf


_RUN_FACTS: Final = frozenset({"sql", "query", "shell", "commands", "shell_more"})


def to_run(survey: Survey) -> Iterator[Leaf]:
    """What is not prose because it will be run."""
    for field in survey.fields:
        if field.fact in _RUN_FACTS:
            yield from field.leaves


def texts(leaves: Iterable[Leaf]) -> list[str]:
    """Each text once: rows say the same again and again."""
    return list(dict.fromkeys(leaf.text for leaf in leaves))


def words(text: str, recognizers: Recognizers) -> list[str]:
    """What to ask about a text that stands alone, as it will be looked at."""
    shown = characters.printable(text)
    return [shown] if recognizers.wants(shown) else []


UNSEEN: Final = Span(0, WHOLE, kinds.UNEXAMINED, "ner.failed")
"""Covers all of a text that nobody looked at."""
