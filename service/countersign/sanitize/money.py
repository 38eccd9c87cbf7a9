"""Money: what a context says would move, in whole units rounded up.

A key's name says that money stands below it, by how it ends: `refund_amount`,
`totalPrice`, `value_usd`; `amount_cents` and `amount_minor` are hundredths. A list adds
up, since each of its items would be paid; of everything else the largest counts,
since a total and its parts are one payment. Signs and currencies mean nothing: a
refund moves money too, and nobody here knows a rate.

Of two ways to read a text the larger counts (`1.234` is a thousand); what is
understood in neither counts as unread. Nothing here is subtracted or divided by
what a caller says, so more arguments never make the result smaller.

Pure; called by `facts` with the fields the survey collected. More of them than
are looked at raise `TooMuchError`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from countersign.model import JsonValue
from countersign.sanitize import keys
from countersign.sanitize.bounds import MAX_AMOUNTS, Allowance
from countersign.sanitize.quantities import MAX_QUANTITY, UNREAD, Measure

if TYPE_CHECKING:
    from countersign.sanitize.survey import Field, Place, Step

UNITS: Final = "amount"
HUNDREDTHS: Final = "amount_hundredths"
_FACTS: Final = frozenset({UNITS, HUNDREDTHS})
_CURRENCIES: Final = """aed ars aud bgn bhd brl cad chf clp cny cop czk dkk egp eur gbp hkd huf idr
    ils inr isk jpy kes krw kwd kzt mad mxn myr ngn nok nzd pen php pkr pln qar ron rsd rub sar sek
    sgd thb twd uah usd vnd xaf xof zar usdc usdt btc eth""".split()
_BARE: Final = "usd eur gbp chf jpy".split()
"""Of those, what no other word is spelt like."""
_LONG: Final = "amount price total cost".split()
"""Told at the end of any word: `transferamount`."""
_SHORT: Final = "amt fee".split()
"""Words of their own: `coffee` is none."""
_QUALIFIERS: Final = """approved authorized captured charged due gross max maximum min minimum net
    new old owed paid received refunded requested sent transferred value""".split()
_MINOR: Final = "cent cents minor pence pennies unit units".split()


def _any(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(words)})"


_TAIL: Final = (
    rf"(?:_{_any(_QUALIFIERS)}){{0,2}}(?:_in)?(?:_?{_any(_CURRENCIES)})?"
    r"(?P<minor>_?(?:cents?|minor(?:_?units?)?|pence|pennies))?(?:_?[0-9]{1,3})?"
)
_SUM: Final = r"(?:[a-z_]*_)?(?<!check_)sum"
"""Neither `check_sum` nor `sha256_sum`."""
_NAME: Final = re.compile(
    rf"(?:[a-z0-9_]*{_any(_LONG)}|(?:[a-z0-9_]*_)?{_any(_SHORT)}|{_SUM})s?{_TAIL}"
    rf"|(?:[a-z0-9_]*_)?value_?{_any(_CURRENCIES)}(?:_?(?P<minor_value>cents?|minor))?"
    rf"|{_any(_BARE)}(?:_(?:amount|value))?"
    rf"|(?:{_any(_BARE)}_)?(?P<minor_alone>cents|pence|pennies|minor_units?)"
)
_ENDINGS: Final = frozenset(
    word[-3:]
    for word in (*_CURRENCIES, *_LONG, *_SHORT, "sum", *_QUALIFIERS, *_MINOR)
    for word in (word, f"{word}s")
)


def fact_of(name: str) -> str | None:
    """`UNITS` or `HUNDREDTHS` for the name of a key that money stands below."""
    if name[-1:].isalpha() and name[-3:].lower() not in _ENDINGS:
        return None  # most keys
    found = _NAME.fullmatch("_".join(keys.words(name)))
    if found is None:
        return None
    return HUNDREDTHS if any(found.groups()) else UNITS


# --- the whole context -------------------------------------------------------


class _Node:
    """What stands at one place and below it."""

    __slots__ = ("below", "own")

    def __init__(self) -> None:
        self.own = Measure(0)
        self.below: dict[Step, _Node] = {}

    def measure(self) -> Measure:
        found = [(step, node.measure()) for step, node in self.below.items()]
        listed = sum(each.most for step, each in found if isinstance(step, int))
        named = max((each.most for step, each in found if isinstance(step, str)), default=0)
        return Measure(
            max(self.own.most, listed, named),
            max(self.own.unread, sum(each.unread for _, each in found)),
        )


def moved(fields: Sequence[Field]) -> Measure | None:
    """What all fields of money in one context say together."""
    paid = [field for field in fields if field.fact in _FACTS]
    if not paid:
        return None
    root = _Node()
    allowance = Allowance(MAX_AMOUNTS)
    for field in paid:
        node = root
        for step in _path(field.place):
            node = node.below.setdefault(step, _Node())
        node.own = _read(field.value, allowance, hundredths=field.fact == HUNDREDTHS)
    most, unread = root.measure()
    return Measure(min(most, MAX_QUANTITY), unread)


def _path(place: Place) -> list[Step]:
    steps: list[Step] = []
    while place is not None:
        place, step = place
        steps.append(step)
    return steps[::-1]


# --- one value ---------------------------------------------------------------

_NOT_UNDERSTOOD: Final = Measure(UNREAD, 1)
_CURRENCY_KEYS: Final = frozenset({"currency", "currencycode", "ccy", "cur"})
_CODE: Final = re.compile(r"[A-Za-z]{3,4}")
_MARK: Final = rf"(?:US\$|[$€£¥₹]|(?i:{_any(_CURRENCIES)}))"
_TEXT: Final = re.compile(
    rf"[-+]?(?:{_MARK} ?)?[-+]?(?P<digits>[0-9](?:[0-9.,'_ ]*[0-9])?)(?: ?{_MARK})?"
)
_GROUPED: Final = re.compile(
    r"(?P<whole>[1-9][0-9]{0,2}(?P<by>[.,'_ ])(?:[0-9]{2,3}(?P=by))*[0-9]{3})"
    r"(?:(?!(?P=by))[.,](?P<part>[0-9]+))?"
)
_PLAIN: Final = re.compile(r"(?P<whole>[0-9]+)(?:[.,](?P<part>[0-9]+))?")
_LIKE_BLANKS: Final = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'"})
_MAX_TEXT: Final = 64


def _read(value: JsonValue, allowance: Allowance, *, hundredths: bool) -> Measure:
    """What stands below a key of money: a list adds up, of an object the largest counts."""
    allowance.spend()
    if isinstance(value, list):
        items = [_read(item, allowance, hundredths=hundredths) for item in value]
        return Measure(sum(item.most for item in items), sum(item.unread for item in items))
    if isinstance(value, dict):
        parts = [
            _read(item, allowance, hundredths=hundredths or fact_of(key) == HUNDREDTHS)
            for key, item in value.items()
            if not _is_currency(key, item)
        ]
        most = max((part.most for part in parts), default=0)
        return Measure(most, sum(part.unread for part in parts))
    whole = _whole(value)
    if whole is None:
        return _NOT_UNDERSTOOD
    return Measure(-(-whole // 100) if hundredths else whole)


def _is_currency(key: str, value: JsonValue) -> bool:
    named = key.lower().replace("_", "") in _CURRENCY_KEYS
    return named and isinstance(value, str) and _CODE.fullmatch(value) is not None


def _whole(value: JsonValue) -> int | None:
    """The number without its sign, rounded up."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.ceil(abs(value))
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return None
    text = _TEXT.fullmatch(value.translate(_LIKE_BLANKS).strip(" "))
    if text is None:
        return None
    number = _GROUPED.fullmatch(text["digits"]) or _PLAIN.fullmatch(text["digits"])
    if number is None:
        return None
    whole = int("".join(char for char in number["whole"] if char.isdigit()))
    return whole + bool((number["part"] or "").strip("0"))
