"""Check digits and plausibility: what a pattern alone cannot tell.

Each takes the bytes a pattern matched and says which parts of them are the
thing. All are linear in a match whose length its pattern bounds.
Pure; used by `patterns` only.
"""

from __future__ import annotations

import binascii
import bisect
import ipaddress
import itertools
import math
import re
from collections.abc import Sequence
from typing import Final, TypeAlias

Parts: TypeAlias = "Sequence[tuple[int, int]]"
"""Where in the match the values stand; empty: there is none after all."""

_DIGIT_GROUP: Final = re.compile(rb"[0-9]+")
_NOT_ALNUM: Final = re.compile(rb"[^0-9A-Za-z]")
_NOT_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))


def digits(found: bytes) -> bytes:
    """Only the ASCII digits of it."""
    return found.translate(None, _NOT_DIGITS)


# --- payment cards -----------------------------------------------------------

_MIN_GROUP: Final = 3
"""Cards are written in groups of three digits or more; lists of small numbers are not cards."""
_TOO_MANY: Final = 100
"""What a shorter group counts as, so that no card reaches across it."""
_SHORTEST_CARD: Final = 13
_LONGEST_CARD: Final = 19
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_CARD_LENGTHS: Final = {
    b"4": (13, 16, 19),
    b"34": (15,),
    b"37": (15,),
    b"35": (16, 17, 18, 19),
    b"30": (14, 16),
    b"36": (14,),
    b"38": (14,),
    b"39": (14,),
    **{b"5%d" % second: (16,) for second in range(1, 6)},
    **{b"2%d" % second: (16,) for second in range(2, 8)},
    b"50": (13, 14, 15, 16, 17, 18, 19),
    **{b"5%d" % second: (13, 14, 15, 16, 17, 18, 19) for second in range(6, 9)},
    **{b"6%d" % second: (13, 14, 15, 16, 17, 18, 19) for second in range(10)},
    b"81": (16, 17, 18, 19),
}


def luhn(number: bytes) -> bool:
    """ISO/IEC 7812 check digit."""
    plain = number[-1::-2]
    total = sum(plain) - 48 * len(plain) + sum(number[-2::-2].translate(_DOUBLED))
    return total % 10 == 0


def card(found: bytes) -> Parts:
    """Every card (issuer's prefix, a length it uses, check digit) of whole groups of the run.

    A run may hold more digits than the card (`4111 1111 1111 1111 2025`), so
    every sequence of whole groups of fitting length is tried.
    """
    groups = [match.span() for match in _DIGIT_GROUP.finditer(found)]
    sizes = (end - start if end - start >= _MIN_GROUP else _TOO_MANY for start, end in groups)
    at = list(itertools.accumulate(sizes, initial=0))
    parts: list[tuple[int, int]] = []
    for first, (start, _) in enumerate(groups):
        lengths = _CARD_LENGTHS.get(found[start : start + 1]) or _CARD_LENGTHS.get(
            found[start : start + 2]
        )
        if lengths is None or (parts and start < parts[-1][1]):
            continue
        after = bisect.bisect_left(at, at[first] + _SHORTEST_CARD, first)
        while after < len(at) and at[after] - at[first] <= _LONGEST_CARD:
            end = groups[after - 1][1]
            if at[after] - at[first] in lengths and luhn(digits(found[start:end])):
                parts.append((start, end))
                break
            after += 1
    return parts


# --- bank accounts -----------------------------------------------------------

_IBAN_LENGTHS: Final = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        17: "",
        18: "DK FI FO GL NL SD FK",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK MN",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM TL SO",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "FR GR IT MC MR SM DJ BI",
        28: "AL AZ BY CY DO GT HU LB PL SV NI",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
IBAN_COUNTRIES: Final = tuple(sorted(_IBAN_LENGTHS))
_IBAN_GAPS: Final = b" -"
_IBAN_NUMBERS: Final = {ord(char): str(int(char, 36)) for char in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def iban(found: bytes) -> Parts:
    """ISO 13616: the length of the country and the check digits mod 97."""
    wanted = _IBAN_LENGTHS.get(found[:2].decode("ascii").upper())
    if wanted is None:
        return ()
    account = found.translate(None, _IBAN_GAPS)[:wanted]
    number = (account[4:] + account[:4]).decode("ascii").upper().translate(_IBAN_NUMBERS)
    if len(account) < wanted or int(number) % 97 != 1:
        return ()
    end = 0
    for byte in found:
        end += 1
        wanted -= byte not in _IBAN_GAPS
        if not wanted:
            break
    return ((0, end),)


# --- people and networks -----------------------------------------------------


def ssn(found: bytes) -> Parts:
    """Ranges the US Social Security Administration never issued are none."""
    number = digits(found)[-9:]
    area, group, serial = number[:3], number[3:5], number[5:]
    if area in {b"000", b"666"} or area >= b"900" or group == b"00" or serial == b"0000":
        return ()
    return ((0, len(found)),)


def international_phone(found: bytes) -> Parts:
    """E.164: 8 to 15 digits; country code 1 has an exact plan."""
    number = digits(found)
    if number[:1] == b"1" and (len(number) < 11 or number[1:2] in b"01"):
        return ()
    return ((0, len(found)),) if len(number) >= 8 else ()


def national_phone(found: bytes) -> Parts:
    """9 to 12 digits, the trunk zero included; what follows them is something else."""
    total = last = 0
    for group in _DIGIT_GROUP.finditer(found):
        total += len(group.group())
        if total > 12:
            break
        last = group.end() if total >= 9 else last
    return ((0, last),) if last else ()


def mentioned_phone(found: bytes) -> Parts:
    """A number that the words before it call a phone: 7 to 15 digits."""
    return ((0, len(found)),) if 7 <= len(digits(found)) <= 15 else ()


def ipv6(found: bytes) -> Parts:
    """RFC 4291, with at least two groups and a digit: `a::b` is code."""
    if b"::" not in found and found.count(b":") != 7:
        return ()
    text = found.decode("ascii")
    groups = [group for group in text.split(":") if group]
    if len(groups) < 2 or not _DIGIT_GROUP.search(found):
        return ()
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return ()
    return ((0, len(found)),)


# --- secrets -----------------------------------------------------------------

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
    if not _DIGIT_GROUP.search(found):
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
