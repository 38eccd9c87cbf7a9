"""The words of cards, by language; a sentence a key, with plural forms.

`Words` are made here and nowhere else, from the catalogue and from numbers, so
that what somebody wrote can never stand where a client reads markup. A sentence
about somebody's values is made of `parts`, whose holes are runs of their own.
Catalogues are TOML files beside this one; `en` has every key and is what any
unknown language reads. Loaded once, at import.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Final, NewType

Words = NewType("Words", str)
"""A sentence of the catalogue, numbers filled in."""

LANGUAGES: Final = ("en", "de")
DEFAULT: Final = "en"
HOLE: Final = re.compile(r"\{([a-z_]+)\}")
NUMBER: Final = r"-?[0-9][0-9.,]*"
_GROUPS: Final = {"en": ",", "de": "."}


class Catalogue:
    """The words of one language."""

    def __init__(self, language: str, sentences: Mapping[str, str]) -> None:
        self.language = language
        self.sentences = sentences

    def has(self, key: str) -> bool:
        """Whether there are words for it."""
        return key in self.sentences or f"{key}.other" in self.sentences

    def say(self, key: str, **numbers: int) -> Words:
        """A sentence; `n` chooses the plural form."""
        written = {name: self.number(value) for name, value in numbers.items()}
        return Words(self._template(key, numbers.get("n")).format(**written))

    def parts(self, key: str, n: int | None = None) -> Iterator[tuple[Words, str]]:
        """A sentence as words and the name of the hole after them; the last name is empty."""
        pieces = HOLE.split(self._template(key, n))
        for index in range(0, len(pieces), 2):
            yield Words(pieces[index]), pieces[index + 1] if index + 1 < len(pieces) else ""

    def number(self, value: int) -> str:
        """A whole number, in groups of three digits."""
        return f"{value:,}".replace(",", _GROUPS[self.language])

    def says(self, text: str) -> bool:
        """Whether a text is one of these sentences, with numbers in its holes."""
        return self._all.fullmatch(text) is not None

    @functools.cached_property
    def _all(self) -> re.Pattern[str]:
        forms = {
            NUMBER.join(map(re.escape, HOLE.split(template)[::2]))
            for template in self.sentences.values()
        }
        return re.compile("|".join(sorted(forms)))

    def _template(self, key: str, n: int | None) -> str:
        if key in self.sentences:
            return self.sentences[key]
        return self.sentences[f"{key}.{'one' if n == 1 else 'other'}"]


def of(language: str) -> Catalogue:
    """The catalogue of a BCP 47 language tag, by its first part; English for any other."""
    primary = language.replace("_", "-").split("-", 1)[0].lower()
    return _ALL.get(primary, _ALL[DEFAULT])


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, str):
            yield f"{above}{name}", value
        else:
            yield from _flat(value, f"{above}{name}.")


def _load(language: str) -> Catalogue:
    file = resources.files(__name__).joinpath(f"{language}.toml")
    return Catalogue(language, dict(_flat(tomllib.loads(file.read_text(encoding="utf-8")))))


_ALL: Final = {language: _load(language) for language in LANGUAGES}
