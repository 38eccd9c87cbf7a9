"""Check digits and plausibility: what a pattern alone cannot tell.

Each takes the bytes a pattern matched and says which parts of them are the
thing. All are linear in a match whose length its pattern bounds.
Pure; used by `patterns` only.
"""

from __future__ import annotations

import bisect
import ipaddress
import itertools
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


def email(found: bytes) -> Parts:
    """A login before a host is no address: in a URL (`url.credentials`), or one of a machine."""
    if b"://" in found or found.startswith(_MACHINES):
        return ()
    return ((0, len(found)),)


_MACHINES: Final = (b"git@", b"ubuntu@", b"ec2-user@", b"deploy@")
"""Accounts that nobody's mail goes to."""


def ssn(found: bytes) -> Parts:
    """Ranges the US Social Security Administration never issued are none."""
    number = digits(found)[-9:]
    area, group, serial = number[:3], number[3:5], number[5:]
    if area in {b"000", b"666"} or area >= b"900" or group == b"00" or serial == b"0000":
        return ()
    return ((0, len(found)),)


def mac(found: bytes) -> Parts:
    """Six bytes that are neither all zeros nor all ones, and not twelve decimal digits."""
    number = _NOT_ALNUM.sub(b"", found).lower()
    if number in {b"0" * 12, b"f" * 12} or (b"." in found and number.isdigit()):
        return ()
    return ((0, len(found)),)


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
