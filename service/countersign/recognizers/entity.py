"""Our engine as one recognizer of somebody's own Presidio.

    registry.add_recognizer(CountersignRecognizer())

It finds what the service finds with the built-in rules, or with an operator's own,
in time that is linear in the text, and under Presidio's names of entities. Needs
`countersign[presidio,server]`.
"""

from __future__ import annotations

from typing import Any, Final

from presidio_analyzer import EntityRecognizer, RecognizerResult

from countersign.recognizers.entities import PRESIDIO_NAMES
from countersign.sanitize import Sanitizer
from countersign.sanitize.kinds import LITERAL

_SURE: Final = 1.0
_LIKELY: Final = 0.75
"""Of a long random text, or of a word that is taken for a name."""
_OWN_NAME: Final = "CountersignRecognizer"
_RULES_OF_THUMB: Final = frozenset({"names", "random"})


class CountersignRecognizer(EntityRecognizer):
    """All of our rules at once."""

    def __init__(
        self, sanitizer: Sanitizer | None = None, *, supported_language: str = "en"
    ) -> None:
        self._sanitizer = sanitizer or Sanitizer()
        super().__init__(
            supported_entities=sorted(map(_name, {LITERAL.name, *self._sanitizer.types})),
            supported_language=supported_language,
            name=_OWN_NAME,
        )

    def load(self) -> None:
        """Nothing: the rules are compiled."""

    def analyze(
        self,
        text: str,
        entities: list[str],
        nlp_artifacts: Any = None,  # noqa: ARG002
    ) -> list[RecognizerResult]:
        """Finds in characters. A text that cannot be looked at raises `ValueError`.

        An empty answer would let it through.
        """
        found = self._sanitizer.finds_in_text(text)
        if found is None:
            raise ValueError("the text is too long to be looked at")
        data = text.encode("utf-8", "replace")
        return [
            RecognizerResult(
                entity_type=_name(find.type),
                start=_characters(data, find.start),
                end=_characters(data, find.end),
                score=_LIKELY if find.rule in _RULES_OF_THUMB else _SURE,
                recognition_metadata={
                    RecognizerResult.RECOGNIZER_NAME_KEY: _OWN_NAME,
                    RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
                    "rule": find.rule,
                },
            )
            for find in found
            if _name(find.type) in entities
        ]


def _name(kind: str) -> str:
    return PRESIDIO_NAMES.get(kind, kind)


def _characters(data: bytes, offset: int) -> int:
    return len(data[:offset].decode("utf-8", "ignore"))
