"""Check digits of the numbers of digits alone that states give to people.

Each predicate takes the digits of one number without its separators and says
whether it can be one: check digits, and the date inside it where there is one.
Sources: the published algorithm of each number, named in its docstring.
Pure; used by `identity`.
"""

from __future__ import annotations

from typing import Final

from countersign.sanitize.checks import luhn

_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def date(month: bytes, day: bytes) -> bool:
    """Whether there is such a day in some year."""
    at = int(month)
    return 1 <= at <= 12 and 1 <= int(day) <= _DAYS[at - 1]


def weighted(number: bytes, weights: tuple[int, ...]) -> int:
    """Each digit times its weight."""
    return sum((byte - 48) * weight for byte, weight in zip(number, weights, strict=False))


def nhs(number: bytes) -> bool:
    """UK National Health Service: 10 digits, mod 11."""
    check = 11 - weighted(number, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return len(number) == 10 and check != 10 and check % 11 == number[9] - 48


def steuer_id(number: bytes) -> bool:
    """German tax identification: ISO 7064 mod 11,10, a digit stands there twice or thrice."""
    if len(number) != 11 or number[:1] == b"0":
        return False
    repeated = sorted((number[:10].count(d) for d in set(number[:10])), reverse=True)
    if repeated[0] not in {2, 3} or repeated[1] != 1:
        return False
    product = 10
    for byte in number[:10]:
        product = ((byte - 48 + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == number[10] - 48


def bsn(number: bytes) -> bool:
    """Dutch citizen service number: 9 digits, the eleven test."""
    return len(number) == 9 and weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def belgian(number: bytes) -> bool:
    """Belgian national register number: 11 digits, a date, mod 97."""
    if len(number) != 11 or int(number[2:4]) > 12 or int(number[4:6]) > 31:
        return False
    body, check = int(number[:9]), int(number[9:])
    return check in {97 - body % 97, 97 - (body + 2_000_000_000) % 97}


def personnummer(number: bytes) -> bool:
    """Swedish personal or coordination number: a date, Luhn over the last ten digits."""
    number = number[-10:]
    day = int(number[4:6])
    in_month = date(number[2:4], b"%d" % (day - 60 if day > 60 else day))
    return len(number) == 10 and in_month and luhn(number)


def fodselsnummer(number: bytes) -> bool:
    """Norwegian birth number: 11 digits, a date, two check digits mod 11."""
    if len(number) != 11:
        return False
    day, month = int(number[:2]), int(number[2:4])
    if not date(b"%d" % (month % 40), b"%d" % (day % 40)):
        return False
    first = -weighted(number, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
    second = -weighted(number, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return first == number[9] - 48 and second == number[10] - 48


def cpr(number: bytes) -> bool:
    """Danish CPR: a date; newer ones have no check digit."""
    return len(number) == 10 and date(number[2:4], number[:2])


def pesel(number: bytes) -> bool:
    """Polish PESEL: 11 digits, a date with the century in its month, mod 10."""
    if len(number) != 11 or not date(b"%d" % (int(number[2:4]) % 20), number[4:6]):
        return False
    return weighted(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def ahv(number: bytes) -> bool:
    """Swiss AHV: 13 digits that begin with 756, check digit of EAN-13."""
    weights = (1, 3) * 6 + (1,)
    return len(number) == 13 and number[:3] == b"756" and weighted(number, weights) % 10 == 0


def _brazilian(number: bytes, weights: tuple[int, ...]) -> bool:
    if len(set(number)) == 1:
        return False
    for size in (len(weights) - 1, len(weights)):
        rest = weighted(number[:size], weights[-size:]) * 10 % 11 % 10
        if rest != number[size] - 48:
            return False
    return True


def cpf(number: bytes) -> bool:
    """Brazilian CPF: 11 digits, two check digits mod 11."""
    return len(number) == 11 and _brazilian(number, (11, 10, 9, 8, 7, 6, 5, 4, 3, 2))


def cnpj(number: bytes) -> bool:
    """Brazilian CNPJ: 14 digits, two check digits mod 11."""
    return len(number) == 14 and _brazilian(number, (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))


_VERHOEFF_STEP: Final = (
    b"01234567891576283094580379614289160435279453126870428657390127938064157046913258"
)
_VERHOEFF_TIMES: Final = (
    b"01234567891234067895234017895634012895674012395678"
    b"59876043216598710432765982104387659321049876543210"
)


def aadhaar(number: bytes) -> bool:
    """Indian Aadhaar: 12 digits, Verhoeff (dihedral group of ten elements)."""
    if len(number) != 12 or number[:1] in {b"0", b"1"}:
        return False
    check = 0
    for at, byte in enumerate(reversed(number)):
        step = _VERHOEFF_STEP[at % 8 * 10 + byte - 48] - 48
        check = _VERHOEFF_TIMES[check * 10 + step] - 48
    return check == 0


def tfn(number: bytes) -> bool:
    """Australian tax file number: 9 digits, mod 11."""
    return len(number) == 9 and weighted(number, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def medicare(number: bytes) -> bool:
    """Australian Medicare card: 10 or 11 digits, the ninth is the check digit."""
    if len(number) not in {10, 11} or number[:1] not in {b"2", b"3", b"4", b"5", b"6"}:
        return False
    return weighted(number, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == number[8] - 48


def sin(number: bytes) -> bool:
    """Canadian social insurance number: 9 digits, Luhn."""
    return len(number) == 9 and number[:1] not in {b"0", b"8"} and luhn(number)


def south_african(number: bytes) -> bool:
    """South African identity number: 13 digits, a date, citizenship, Luhn."""
    if len(number) != 13 or not date(number[2:4], number[4:6]):
        return False
    return number[10:11] in {b"0", b"1"} and number[11:12] in {b"8", b"9"} and luhn(number)


def korean(number: bytes) -> bool:
    """Korean resident number: 13 digits, a date, gender and century; no check digit since 2020."""
    return len(number) == 13 and date(number[2:4], number[4:6]) and number[6:7] not in b"09"


def my_number(number: bytes) -> bool:
    """Japanese individual number: 12 digits, mod 11."""
    if len(number) != 12:
        return False
    rest = weighted(number, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest <= 1 else 11 - rest) == number[11] - 48


def chinese(number: bytes) -> bool:
    """Chinese resident identity (GB 11643): 17 digits with a date, ISO 7064 mod 11-2."""
    if len(number) != 18 or number[6:8] not in {b"18", b"19", b"20"}:
        return False
    if not date(number[10:12], number[12:14]):
        return False
    rest = weighted(number, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11
    return b"10X98765432"[rest] == number.upper()[17]


def czech(number: bytes) -> bool:
    """Czech and Slovak birth number: a date with gender in its month, mod 11."""
    if len(number) not in {9, 10} or not date(b"%d" % (int(number[2:4]) % 50 % 20), number[4:6]):
        return False
    return len(number) == 9 or int(number[:9]) % 11 % 10 == number[9] - 48


def cnp(number: bytes) -> bool:
    """Romanian CNP: 13 digits, a date, mod 11."""
    if len(number) != 13 or number[:1] == b"0" or not date(number[3:5], number[5:7]):
        return False
    rest = weighted(number, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return (1 if rest == 10 else rest) == number[12] - 48


def amka(number: bytes) -> bool:
    """Greek AMKA: 11 digits, a date, Luhn."""
    return len(number) == 11 and date(number[2:4], number[:2]) and luhn(number)


def baltic(number: bytes) -> bool:
    """Estonian and Lithuanian personal code: 11 digits, a date, mod 11 twice."""
    if len(number) != 11 or number[:1] in b"0789" or not date(number[3:5], number[5:7]):
        return False
    rest = weighted(number, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if rest == 10:
        rest = weighted(number, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return rest == number[10] - 48


_NIR_MONTHS: Final = frozenset({*range(1, 13), *range(20, 43), *range(50, 100)})
"""Numbers above twelve where the month is not known."""


def nir(number: bytes) -> bool:
    """French social security number: 13 characters and two check digits mod 97."""
    if len(number) != 15 or number[:1] not in b"123478" or number[1:3].isalpha():
        return False
    body = number[:13].upper().replace(b"2A", b"19").replace(b"2B", b"18")
    if not body.isdigit() or int(body[3:5]) not in _NIR_MONTHS:
        return False
    return 97 - int(body) % 97 == int(number[13:])
