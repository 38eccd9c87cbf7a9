"""Which numbers are believed to be somebody's, in which form.

A number without separators is believed only where chance alone would pass for
fewer than about one in a hundred; weaker ones need the separators they are
written with, or a word before them (`rules.mentioned`).
Pure; used by the rule tables only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from countersign.sanitize.checks import Parts, digits
from countersign.sanitize.lettered import aba, hetu, personalausweis
from countersign.sanitize.national import (
    aadhaar,
    ahv,
    baltic,
    belgian,
    chinese,
    cnpj,
    cpf,
    cpr,
    czech,
    fodselsnummer,
    korean,
    medicare,
    my_number,
    nhs,
    nir,
    personnummer,
    sin,
    south_african,
    steuer_id,
    tfn,
)


def _head_office(number: bytes) -> bool:
    """A CNPJ as nearly all are; other runs of 14 digits are mostly times."""
    return number[8:11] == b"000" and cnpj(number)


_PLAIN: Final[Mapping[int, tuple[Callable[[bytes], bool], ...]]] = {
    11: (steuer_id, belgian, fodselsnummer, baltic),
    13: (ahv, south_african),
    14: (_head_office,),
    15: (nir,),
    18: (chinese,),
}
"""Believed without separators or words around them."""
_GROUPED: Final[Mapping[str, tuple[Callable[[bytes], bool], ...]]] = {
    "000.000.000-00": (cpf,),
    "00.000.000/0000-00": (cnpj,),
    "00.00.00-000.00": (belgian,),
    "000.0000.0000.00": (ahv,),
    "000 0000 0000 00": (ahv,),
    "000000-0000": (personnummer, cpr),
    "000000+0000": (personnummer,),
    "00000000-0000": (personnummer,),
    "00000000+0000": (personnummer,),
    "000000-0000000": (korean,),
    "000000/0000": (czech,),
    "000000/000": (czech,),
    "000000 00000": (fodselsnummer,),
    "000000 0000 000": (south_african,),
    "000000 0000 00 0": (south_african,),
    "00 000 000 000": (steuer_id,),
    "000 000 0000": (nhs,),
    "000-000-0000": (nhs,),
    "000 000 000": (sin, tfn),
    "000-000-000": (sin, tfn),
    "0000 0000 0000": (aadhaar, my_number),
    "0000-0000-0000": (aadhaar, my_number),
    "0000 00000 0": (medicare,),
    "0 00 00 00 000 000 00": (nir,),
}
"""Believed with the separators they are written with; 0 stands for any digit."""
GROUPED: Final = "|".join(
    re.escape(form).replace("0", "[0-9]") for form in sorted(_GROUPED, key=len, reverse=True)
)
"""The pattern of all these forms, the longest first."""
_GROUPED_TESTS: Final = {form.encode(): tests for form, tests in _GROUPED.items()}
_ZEROS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_SEPARATORS: Final = re.compile(rb"[^0-9A-Za-z]")


def _whole(found: bytes, *, valid: bool) -> Parts:
    return ((0, len(found)),) if valid else ()


def plain_number(found: bytes) -> Parts:
    """A number in one piece that is some state's."""
    tests = _PLAIN.get(len(found), ())
    return _whole(found, valid=any(test(found) for test in tests))


def grouped_number(found: bytes) -> Parts:
    """A number in groups that is some state's."""
    tests = _GROUPED_TESTS.get(found.translate(_ZEROS), ())
    number = digits(found) if tests else b""
    for test in tests:
        if test(number):
            return _whole(found, valid=len(set(number)) > 1)
    return ()


def whole(test: Callable[[bytes], bool]) -> Callable[[bytes], Parts]:
    """A check of what is left when the separators are gone."""

    def check(found: bytes) -> Parts:
        return _whole(found, valid=test(_SEPARATORS.sub(b"", found)))

    return check


def numbered(least: int, most: int = 24) -> Callable[[bytes], Parts]:
    """For what words before it name: only that it holds this many digits."""

    def check(found: bytes) -> Parts:
        return _whole(found, valid=least <= len(digits(found)) <= most)

    return check


def routing(found: bytes) -> Parts:
    """A US routing number."""
    return _whole(found, valid=aba(digits(found)))


def finnish(found: bytes) -> Parts:
    """The sign of a Finnish code is no separator."""
    return _whole(found, valid=hetu(found))


def german_card(found: bytes) -> Parts:
    """The letters are few, so words and numbers alone are none."""
    mixed = len(digits(found)) >= 4 and not found.isdigit()
    return _whole(found, valid=mixed and personalausweis(found))


def coordinates(found: bytes) -> Parts:
    """Two numbers that are a latitude and a longitude."""
    first, second = (float(part) for part in re.findall(rb"[-+]?[0-9.]+", found))
    return _whole(found, valid=abs(first) <= 90 and abs(second) <= 180)
