"""What of a match is a secret: entropy, words, placeholders.

Each takes the bytes a pattern matched and says which parts of them are the
thing. All are linear in a match. Pure; used by `rules` only.
"""

from __future__ import annotations

import binascii
import math
import re
from typing import Final

from countersign.sanitize.checks import Parts

_DIGIT: Final = re.compile(rb"[0-9]")
_NOT_ALNUM: Final = re.compile(rb"[^0-9A-Za-z]")

_HARMLESS: Final = re.compile(
    rb"(?:\[[A-Z_]{2,20}(?::[0-9a-f]{4,16})?\]|\$\{?[A-Z_][A-Z0-9_]*\}?|\*+|\.{3}|[\[{]+|"
    rb"|(?i:null|none|true|false|undefined|required|optional|string))"
)


def assigned(found: bytes) -> Parts:
    """The value given to a secret's name, unless it is a placeholder."""
    if not found or (len(found) < 64 and _HARMLESS.fullmatch(found.rstrip(b",;&)}>"))):
        return ()
    return ((0, len(found)),)


def basic_auth(found: bytes) -> Parts:
    """Base64 of `user:password`; "basic authentication" is none."""
    try:
        plain = binascii.a2b_base64(found + b"=" * (-len(found) % 4))
    except binascii.Error:
        return ()
    return ((0, len(found)),) if b":" in plain else ()


def bearer(found: bytes) -> Parts:
    """A token holds a digit or is long; "bearer certificates" is none."""
    if len(found) >= 24 or any(byte in b"0123456789" for byte in found):
        return ((0, len(found)),)
    return ()


_UUID: Final = re.compile(
    rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)
_TIMESTAMP: Final = re.compile(rb"(?:19|20)[0-9]{6}[T_-]?[0-9]{6}Z?")
_OUR_ID: Final = re.compile(rb"(?:dec|rev|pmt|qst|chk|clm|rep|ans|ask|cnl|rvk|vot)_[0-9a-f]{32}")
_ULID: Final = re.compile(rb"01[0-9A-HJKMNP-TV-Z]{24}")
_WORDS: Final = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NOT_VOWELS: Final = bytes(set(range(256)) - set(b"aeiouyAEIOUY"))
_MIN_RANDOM: Final = 16
_MIN_ENTROPY: Final = 3.0


def random_token(found: bytes) -> Parts:
    """Letters and digits mixed as no word, date, path, UUID or id of ours mixes them."""
    if _UUID.fullmatch(found) or _OUR_ID.fullmatch(found) or _ULID.fullmatch(found):
        return ()
    if not _DIGIT.search(found):
        return ()
    rest = _TIMESTAMP.sub(b"-", _UUID.sub(b"-", found))
    mixed = b"".join(piece for piece in _NOT_ALNUM.split(rest) if _is_mixed(piece))
    if len(mixed) < _MIN_RANDOM or _entropy(mixed) < _MIN_ENTROPY:
        return ()
    return ((0, len(found)),)


def _is_mixed(piece: bytes) -> bool:
    """Not a number, and not words with a number or two between them."""
    if len(piece) < 4 or piece.isdigit():
        return False
    if len(piece) > 64:
        return not piece.isalpha()
    numbers = 0
    for word in _WORDS.finditer(piece):
        part = word.group()
        if part.isdigit():
            numbers += 1
            if numbers > 2:
                return True
        elif len(part) < 2 or not part.translate(None, _NOT_VOWELS):
            return not piece.isalpha() or len(_WORDS.findall(piece)) > 2
    return False


def _entropy(token: bytes) -> float:
    """Shannon entropy in bits a byte."""
    size = len(token)
    counts = map(token.count, set(token))
    return math.log2(size) - sum([n * math.log2(n) for n in counts if n > 1]) / size


# --- what a provider's rule matched ------------------------------------------


def provided(found: bytes, *, min_entropy: float) -> Parts:
    """A provider's value that is random enough and not masked already."""
    if min_entropy and _entropy(found) <= min_entropy:
        return ()
    return assigned(found)


def mixed(found: bytes, *, min_entropy: float) -> Parts:
    """The same for a rule that knows no provider: letters alone are a word or a name."""
    return provided(found, min_entropy=min_entropy) if _DIGIT.search(found) else ()
