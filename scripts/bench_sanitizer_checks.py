"""Check digits, made: what turns random digits into a number somebody could have.

Written from the published descriptions and independent of the sanitizer's own
checks, so that a mistake there is not repeated here. Used by
`bench_sanitizer_values`; `tests/unit/test_bench_sanitizer.py` holds them
against published examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

_VERHOEFF_STEP: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def luhn_digit(body: str) -> str:
    """The digit that makes `body` plus itself a card number."""
    total = 0
    for position, char in enumerate(reversed(body)):
        digit = int(char)
        if position % 2 == 0:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return str(-total % 10)


def iban(country: str, account: str) -> str:
    """An IBAN around a basic account number: ISO 7064 mod 97-10."""
    spelled = "".join(str(int(char, 36)) for char in account + country + "00")
    return f"{country}{98 - int(spelled) % 97:02d}{account}"


def verhoeff_digit(body: str) -> str:
    """The last digit of an Aadhaar number: the dihedral group of ten."""
    check = 0
    for position, char in enumerate(reversed(body), start=1):
        digit = int(char)
        for _ in range(position % 8):
            digit = _VERHOEFF_STEP[digit]
        check = _dihedral(check, digit)
    return str(next(last for last in range(10) if _dihedral(check, last) == 0))


def _dihedral(left: int, right: int) -> int:
    """Product in the symmetry group of a pentagon."""
    if left < 5:
        return (left + right) % 5 if right < 5 else (left + right) % 5 + 5
    return (left - right) % 5 + 5 if right < 5 else (left - right) % 5


def weighted(body: str, weights: Sequence[int]) -> int:
    """The sum of digit times weight."""
    return sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True))


def mod_11_10(body: str) -> str:
    """The last digit of a German tax id: ISO 7064 mod 11,10."""
    product = 10
    for digit in body:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return str((11 - product) % 10)


def cpf_digits(body: str) -> str:
    """Both last digits of a Brazilian CPF."""
    first = weighted(body, range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(f"{body}{first}", range(11, 1, -1)) * 10 % 11 % 10
    return f"{first}{second}"


def fiscal_letter(body: str) -> str:
    """The last letter of an Italian codice fiscale."""
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25,
           24, 23)  # fmt: skip
    total = 0
    for position, char in enumerate(body):
        value = int(char) if char.isdigit() else ord(char) - ord("A")
        total += odd[value] if position % 2 == 0 else value
    return chr(ord("A") + total % 26)


# --- wallets ------------------------------------------------------------------

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def base58_check(payload: bytes) -> str:
    """Base58 with four bytes of double SHA-256 behind."""
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def segwit(program: bytes) -> str:
    """A Bitcoin address of witness version 0: Bech32 (BIP 173)."""
    bits = "".join(f"{byte:08b}" for byte in program)
    bits += "0" * (-len(bits) % 5)
    data = [0, *(int(bits[at : at + 5], 2) for at in range(0, len(bits), 5))]
    rest = _polymod([3, 3, 0, 2, 3, *data, 0, 0, 0, 0, 0, 0]) ^ 1
    check = [rest >> 5 * (5 - at) & 31 for at in range(6)]
    return "bc1" + "".join(_BECH32[value] for value in [*data, *check])


def _polymod(values: Sequence[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for at, generator in enumerate(
            (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
        ):
            check ^= generator if top >> at & 1 else 0
    return check
