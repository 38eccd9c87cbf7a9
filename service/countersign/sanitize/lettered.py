"""Check digits of numbers with letters: of states, vehicles, banks and wallets.

Each predicate takes the characters of one number without its separators, as
its pattern lets them through. Sources: the published algorithm of each number,
named in its docstring. Pure; used by `identity` and the rule tables.
"""

from __future__ import annotations

import hashlib
from typing import Final

from countersign.sanitize.national import date, weighted

_LETTERS_OF_23: Final = b"TRWAGMYFPDXBNJZSQVHLCKE"


def dni(number: bytes) -> bool:
    """Spanish DNI and NIE: 8 digits (X, Y, Z stand for 0, 1, 2), the letter mod 23."""
    plain = (
        number.upper().translate(bytes.maketrans(b"XYZ", b"012"), b"")
        if number[:1].isalpha()
        else number
    )
    return _LETTERS_OF_23[int(plain[:8]) % 23] == number.upper()[8]


_ODD: Final = (
    *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18),
    *(20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
)


def codice_fiscale(number: bytes) -> bool:
    """Italian fiscal code: 15 characters and a check letter."""
    number = number.upper()
    total = 0
    for at, byte in enumerate(number[:15]):
        value = byte - 48 if byte < 65 else byte - 65
        total += value if at % 2 else _ODD[value]
    return total % 26 == number[15] - 65


def hetu(number: bytes) -> bool:
    """Finnish personal identity code: a date, a sign for the century, mod 31."""
    if not date(number[2:4], number[:2]):
        return False
    check = int(number[:6] + number[7:10]) % 31
    return b"0123456789ABCDEFHJKLMNPRSTUVWXY"[check] == number.upper()[10]


def nric(number: bytes) -> bool:
    """Singapore NRIC and FIN: a letter, 7 digits, a check letter mod 11."""
    number = number.upper()
    start = {b"S": 0, b"F": 0, b"T": 4, b"G": 4, b"M": 3}[number[:1]]
    rest = (start + weighted(number[1:8], (2, 7, 6, 5, 4, 3, 2))) % 11
    if number[:1] == b"M":
        return b"KLJNPQRTUWX"[10 - rest] == number[8]
    return (b"JZIHGFEDCBA" if number[:1] in b"ST" else b"XWUTRQPNMLK")[rest] == number[8]


def hkid(number: bytes) -> bool:
    """Hong Kong identity card: one or two letters, 6 digits, mod 11."""
    number = number.upper().rjust(9)
    values = [36 if byte == 32 else byte - 55 if byte > 64 else byte - 48 for byte in number[:8]]
    total = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True))
    check = -total % 11
    return (b"A" if check == 10 else b"%d" % check) == number[8:]


def curp(number: bytes) -> bool:
    """Mexican CURP: 17 characters with a date, mod 10."""
    number = number.upper()
    if not date(number[6:8], number[8:10]):
        return False
    alphabet = "0123456789ABCDEFGHIJKLMN\u00d1OPQRSTUVWXYZ"
    total = sum(alphabet.index(chr(byte)) * (18 - at) for at, byte in enumerate(number[:17]))
    return -total % 10 == number[17] - 48


def pps(number: bytes) -> bool:
    """Irish PPS number: 7 digits, a check letter mod 23, perhaps one more letter."""
    number = number.upper()
    more = (number[8] - 64) * 9 if len(number) == 9 and number[8:] != b"W" else 0
    rest = (weighted(number, (8, 7, 6, 5, 4, 3, 2)) + more) % 23
    return b"WABCDEFGHIJKLMNOPQRSTUV"[rest] == number[7]


_MRZ: Final = (7, 3, 1)


def personalausweis(number: bytes) -> bool:
    """German identity card or passport: 9 characters and a check digit (ICAO 9303)."""
    values = (byte - 48 if byte < 65 else byte - 55 for byte in number.upper()[:9])
    total = sum(value * _MRZ[at % 3] for at, value in enumerate(values))
    return total % 10 == number[9] - 48


_VIN_VALUES: Final = dict(
    zip(
        b"ABCDEFGHJKLMNPRSTUVWXYZ",
        (*range(1, 9), *range(1, 6), 7, *range(9, 10), *range(2, 10)),
        strict=True,
    )
)
_VIN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin(number: bytes) -> bool:
    """Vehicle identification number (49 CFR 565): 17 characters, the ninth mod 11."""
    number = number.upper()
    if len(number) != 17 or number.isdigit() or not number[-4:].isdigit():
        return False
    values = [_VIN_VALUES.get(byte, byte - 48) for byte in number]
    rest = sum(value * weight for value, weight in zip(values, _VIN_WEIGHTS, strict=True)) % 11
    return (b"X" if rest == 10 else b"%d" % rest) == number[8:9]


def aba(number: bytes) -> bool:
    """US routing number: 9 digits, a district, mod 10."""
    district = int(number[:2] or b"99")
    known = district <= 12 or 21 <= district <= 32 or 61 <= district <= 72 or district == 80
    return len(number) == 9 and known and weighted(number, (3, 7, 1) * 3) % 10 == 0


_BASE58: Final = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58check(text: bytes) -> bool:
    """A Bitcoin address of the old form: 21 bytes and 4 of a double SHA-256."""
    value = 0
    for byte in text:
        value = value * 58 + _BASE58.index(byte)
    if value.bit_length() > 200:
        return False
    data = value.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(data[:21]).digest()).digest()[:4] == data[21:]


_BECH32: Final = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_STEPS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_ENDS: Final = {1, 0x2BC830A3}


def bech32(text: bytes) -> bool:
    """A Bitcoin address of the new form: BIP 173 and BIP 350."""
    text = text.lower()
    name, _, data = text.rpartition(b"1")
    values = [byte >> 5 for byte in name] + [0] + [byte & 31 for byte in name]
    values += [_BECH32.index(byte) for byte in data]
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for at, step in enumerate(_BECH32_STEPS):
            check ^= step if top >> at & 1 else 0
    return check in _BECH32_ENDS
