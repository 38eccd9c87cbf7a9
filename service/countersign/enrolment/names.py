"""Which texts are ids and names, and when two of them are the same."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from countersign.errors import ConfigurationError

_ID_RULE: Final = "An id is 1 to 128 of a-z 0-9 . _ @ - and starts with a letter or digit."
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,127}")


def is_id(text: str) -> bool:
    """Whether this is well-formed as an id. No token is, but one in 10^10: ids have no capitals."""
    return _ID.fullmatch(text) is not None


def fold(name: str) -> str:
    """One spelling for names that differ only in what nobody sees or means.

    Case, Unicode form, outer blanks, invisible format characters and the scheme
    of an address do not make another person.
    """
    if not name.isascii():
        plain = unicodedata.normalize("NFKC", name)
        name = "".join(char for char in plain if unicodedata.category(char) != "Cf").casefold()
    return name.lower().strip().removeprefix("mailto:")


def subject_name(kind: str, tenant: str, id: str) -> str:
    """How messages name a caller, person, channel or group whose id is well-formed."""
    return f'{kind} "{id}" of tenant "{tenant}"'


def check_id(place: str, id: str) -> None:
    """Raises `ConfigurationError` unless this is an id."""
    if not is_id(id):
        raise ConfigurationError("directory.invalid_id", f"{place} is not an id", advice=_ID_RULE)


def is_plain(text: str) -> bool:
    """Printable, not empty, and without blanks around it."""
    return bool(text) and text.isprintable() and text == text.strip()


def check_plain(place: str, text: str) -> None:
    """Raises `ConfigurationError` unless this is plain text."""
    if not is_plain(text):
        raise ConfigurationError(
            "directory.invalid_text",
            f"{place} is empty, has blanks around it or holds control characters",
            advice="Write it as plain text.",
        )
