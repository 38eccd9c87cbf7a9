"""Made-up values with valid check digits: what the sanitizer has to find.

A value is random in everything but its form. Nothing is taken from a list of
real data; the names and streets of the two sets do not overlap. Used by
`bench_sanitizer_cases`.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from typing import Final

import bench_sanitizer_checks as checks
from bench_sanitizer_words import Words

Make = Callable[[random.Random, Words], str]

_LETTERS: Final = "ABCDEFGHJKLMNPRSTUVWXYZ"


def fill(rng: random.Random, pattern: str) -> str:
    """`#` becomes a digit, `%` one from 2 to 9, `@` a capital letter."""
    fills = {"#": "0123456789", "%": "23456789", "@": _LETTERS}
    return "".join(rng.choice(fills[char]) if char in fills else char for char in pattern)


# --- contact ------------------------------------------------------------------


def email(rng: random.Random, words: Words) -> str:
    """Plain, dotted, tagged, numbered, below a sub-domain, or with letters of other scripts."""
    given, family = rng.choice(words.people)
    given, family = _ascii(given).lower(), _ascii(family).lower()
    local = rng.choice(
        (
            f"{given}.{family}",
            f"{given[0]}{family}",
            f"{given}_{family}{rng.randrange(100)}",
            f"{given}+{rng.choice(words.nouns)}",
            f"{family}-{given}",
            f"{given}{rng.randrange(1950, 2010)}",
        )
    )
    host = rng.choice(words.mail_hosts)
    return f"{local}@{host}" if rng.random() < 0.9 else f"{local.upper()}@{host}"


def _ascii(name: str) -> str:
    table = str.maketrans("äöüéèáíóúñçłśøåğşč", "aoueeaiounclsoagsc")
    text = name.lower().translate(table)
    return "".join(char for char in text if char.isascii() and char.isalpha()) or "kim"


_PHONES: Final = {
    # international form, national form
    "US": ("+1 %%# %%#-####", "(%%#) %%#-####"),
    "CA": ("+1-%%#-%%#-####", "%%#-%%#-####"),
    "GB": ("+44 20 7### ####", "020 7### ####"),
    "IE": ("+353 1 ### ####", "01 ### ####"),
    "DE": ("+49 30 %#######", "030/%#######"),
    "AT": ("+43 1 %######", "01 %######"),
    "CH": ("+41 44 ### ## ##", "044 ### ## ##"),
    "FR": ("+33 1 %# ## ## ##", "01 %# ## ## ##"),
    "BE": ("+32 2 ### ## ##", "02 ### ## ##"),
    "NL": ("+31 20 ### ####", "020-%######"),
    "IT": ("+39 06 %### ####", "06 %### ####"),
    "ES": ("+34 91% ### ###", "91% ### ###"),
    "PT": ("+351 21# ### ###", "21# ### ###"),
    "SE": ("+46 8 ### ### ##", "08-### ### ##"),
    "NO": ("+47 2# ## ## ##", "2# ## ## ##"),
    "DK": ("+45 3# ## ## ##", "3# ## ## ##"),
    "PL": ("+48 22 ### ## ##", "22 ### ## ##"),
    "IN": ("+91 9#### #####", "09#### #####"),
    "JP": ("+81 3-%###-####", "03-%###-####"),
    "BR": ("+55 11 9####-####", "(11) 9####-####"),
    "MX": ("+52 55 %### ####", "55 %### ####"),
    "AU": ("+61 4## ### ###", "04## ### ###"),
    "ZA": ("+27 82 ### ####", "082 ### ####"),
    "KR": ("+82 10-%###-####", "010-%###-####"),
}


def phone_international(rng: random.Random, _: Words) -> str:
    """With `+`, or `00`, in groups, with other separators, or in one go."""
    text = fill(rng, rng.choice([form for form, _ in _PHONES.values()]))
    turn = rng.randrange(5)
    if turn == 0:
        return "+" + "".join(char for char in text if char.isdigit())
    if turn == 1:
        return text.replace(" ", "-")
    if turn == 2:
        return text.replace(" ", ".")
    return text.replace("+", "00", 1) if turn == 3 else text


def phone_national(rng: random.Random, _: Words) -> str:
    """As people write it at home."""
    return fill(rng, rng.choice([form for _, form in _PHONES.values()]))


def address(rng: random.Random, words: Words) -> str:
    """A street, house number and town of one of five manners."""
    street, town = rng.choice(words.streets), rng.choice(words.towns)
    house = rng.randrange(1, 300)
    return rng.choice(
        (
            f"{house} {street} Street, {town}, TX {fill(rng, '7####')}",
            f"{house} {street} Road, {town} {fill(rng, '@@# #@@')}",
            f"{street}straße {house}, {fill(rng, '%####')} {town}",
            f"{house} rue {street}, {fill(rng, '7####')} {town}",
            f"Calle {street} {house}, {fill(rng, '2####')} {town}",
        )
    )


def birth(rng: random.Random, _: Words) -> str:
    """A day of birth in one of six manners."""
    year, month, day = rng.randrange(1931, 2007), rng.randrange(1, 13), rng.randrange(1, 29)
    months = "January February March April May June July August September October November December"
    name = months.split()[month - 1]
    return rng.choice(
        (
            f"{year}-{month:02d}-{day:02d}",
            f"{month:02d}/{day:02d}/{year}",
            f"{day:02d}.{month:02d}.{year}",
            f"{day} {name} {year}",
            f"{name} {day}, {year}",
            f"{year}{month:02d}{day:02d}",
        )
    )


def person(rng: random.Random, words: Words) -> str:
    """A full name: most as on a passport, some as people write them."""
    given, family = rng.choice(words.people)
    turn = rng.random()
    if turn < 0.55:
        return f"{given} {family}"
    if turn < 0.65:
        return f"{given} {invented(rng, words)}"
    if turn < 0.72:
        return f"{given} {rng.choice(_LETTERS)}. {family}"
    if turn < 0.79:
        return f"{given} {rng.choice(('van der', 'de la', 'von', 'dos', 'bin'))} {family}"
    if turn < 0.84:
        return f"{family}, {given}"
    if turn < 0.89:
        return f"{given[0]}. {family}"
    return f"{given} {family}".upper() if turn < 0.93 else f"{given} {family}".lower()


def invented(rng: random.Random, words: Words) -> str:
    """A family name that stands in no list."""
    return "".join(rng.sample(words.syllables, rng.choice((2, 3)))).capitalize()


# --- money --------------------------------------------------------------------


def card(rng: random.Random, _: Words) -> str:
    """Of six issuers, in groups or in one go."""
    prefix, length = rng.choice(
        (("4", 16), ("51", 16), ("2720", 16), ("37", 15), ("6011", 16), ("3528", 16), ("36", 14))
    )
    body = fill(rng, prefix + "#" * (length - len(prefix) - 1))
    number = body + checks.luhn_digit(body)
    groups = (4, 6, length - 10) if length in {14, 15} else (4, 4, 4, 4)
    return _grouped(number, groups, rng.choice(("", "", " ", "-", " ")))


def _grouped(text: str, sizes: tuple[int, ...], gap: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size
    return gap.join(parts)


_ACCOUNTS: Final = {
    "DE": "#" * 18, "FR": "#" * 10 + "@#@####@###" + "##", "GB": "@@@@" + "#" * 14,
    "NL": "@@@@" + "#" * 10,
    "ES": "#" * 20, "IT": "@" + "#" * 22, "BE": "#" * 12, "AT": "#" * 16, "CH": "#" * 17,
    "PL": "#" * 24, "SE": "#" * 20, "NO": "#" * 11, "DK": "#" * 14, "FI": "#" * 14,
    "PT": "#" * 21, "IE": "@@@@" + "#" * 14, "CZ": "#" * 20, "AE": "#" * 19, "SA": "#" * 20,
}  # fmt: skip


def iban(rng: random.Random, _: Words) -> str:
    """Of nineteen countries, printed in fours or in one go, now and then in lower case."""
    country = rng.choice(list(_ACCOUNTS))
    text = checks.iban(country, fill(rng, _ACCOUNTS[country]))
    if rng.random() < 0.4:
        return " ".join(text[at : at + 4] for at in range(0, len(text), 4))
    return text.lower() if rng.random() < 0.1 else text


def wallet(rng: random.Random, _: Words) -> str:
    """A Bitcoin address of either sort, or an Ethereum one."""
    payload = rng.randbytes(20)
    return rng.choice(
        (checks.base58_check(b"\0" + payload), checks.segwit(payload), "0x" + payload.hex())
    )


# --- papers -------------------------------------------------------------------


def ssn(rng: random.Random, _: Words) -> str:
    """Of an area, group and serial that can be issued."""
    area = rng.choice([number for number in range(1, 900) if number != 666])
    gap = rng.choice("-- ")
    return f"{area:03d}{gap}{rng.randrange(1, 100):02d}{gap}{rng.randrange(1, 10000):04d}"


def ssn_plain(rng: random.Random, words: Words) -> str:
    """Nine digits in one go: something has to say what they are."""
    return ssn(rng, words).replace("-", "").replace(" ", "")


def national_id(rng: random.Random, _: Words) -> str:
    """Papers whose form alone tells them: letters and check digits in their places."""
    return rng.choice((_nino, _dni, _fiscal, _nir, _cpf, _hetu, _aadhaar))(rng)


def national_number(rng: random.Random, _: Words) -> str:
    """Papers that are digits only: something has to say what they are."""
    return rng.choice((_tax_id, _bsn, _sin, _pesel, _personnummer))(rng)


def _born(rng: random.Random) -> str:
    """Year, month and day, two digits each."""
    return f"{rng.randrange(40, 99)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"


def _nino(rng: random.Random) -> str:
    first, second = rng.choice("ABCEHJKLMPRSTWXYZ"), rng.choice("ABCEHJKLMPRSTWXYZ")
    return fill(rng, f"{first}{second} ## ## ## ") + rng.choice("ABCD")


def _dni(rng: random.Random) -> str:
    body = fill(rng, "%#######")
    return body + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]


def _fiscal(rng: random.Random) -> str:
    consonants = "".join(rng.choice("BCDFGLMNPRSTVZ") for _ in range(6))
    born = f"{rng.randrange(40, 99)}{rng.choice('ABCDEHLMPRST')}{rng.randrange(1, 29):02d}"
    body = f"{consonants}{born}{rng.choice('ABCDEFGH')}{rng.randrange(100, 999)}"
    return body + checks.fiscal_letter(body)


def _nir(rng: random.Random) -> str:
    body = rng.choice("12") + _born(rng)[:4] + fill(rng, "75###%##")
    return f"{_grouped(body, (1, 2, 2, 2, 3, 3), ' ')} {97 - int(body) % 97:02d}"


def _cpf(rng: random.Random) -> str:
    body = fill(rng, "#########")
    return f"{body[:3]}.{body[3:6]}.{body[6:]}-{checks.cpf_digits(body)}"


def _hetu(rng: random.Random) -> str:
    body = f"{rng.randrange(1, 29):02d}{rng.randrange(1, 13):02d}{rng.randrange(40, 99)}"
    serial = f"{rng.randrange(2, 900):03d}"
    return f"{body}-{serial}" + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(body + serial) % 31]


def _aadhaar(rng: random.Random) -> str:
    body = fill(rng, "%##########")
    number = body + checks.verhoeff_digit(body)
    return _grouped(number, (4, 4, 4), " ")


def _tax_id(rng: random.Random) -> str:
    digits = rng.sample("0123456789", 9)
    body = [rng.choice(digits[:3]) if digits[0] == "0" else digits[0], *digits[1:], digits[4]]
    text = "".join(body)
    return text + checks.mod_11_10(text)


def _bsn(rng: random.Random) -> str:
    while True:
        body = fill(rng, "%#######")
        last = checks.weighted(body, range(9, 1, -1)) % 11
        if last < 10:
            return f"{body}{last}"


def _sin(rng: random.Random) -> str:
    body = fill(rng, "%#######")
    return _grouped(body + checks.luhn_digit(body), (3, 3, 3), " ")


def _pesel(rng: random.Random) -> str:
    body = _born(rng) + fill(rng, "####")
    return f"{body}{-checks.weighted(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10}"


def _personnummer(rng: random.Random) -> str:
    body = _born(rng) + fill(rng, "###")
    return f"{body[:6]}-{body[6:]}{checks.luhn_digit(body)}"


def record_number(rng: random.Random, _: Words) -> str:
    """A hospital's own number."""
    return fill(rng, rng.choice(("########", "@#######", "@@-######", "##-##-####")))


# --- machines -----------------------------------------------------------------


def ip(rng: random.Random, _: Words) -> str:
    """Version 4, private or not; version 6, short or in full."""
    turn = rng.randrange(5)
    if turn == 0:
        return f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    if turn < 3:
        return str(ipaddress.IPv4Address(rng.randrange(0x0B000000, 0x7E000000)))
    six = ipaddress.IPv6Address(0x20010DB8 << 96 | rng.getrandbits(70))
    return six.compressed if turn == 3 else six.exploded


def mac(rng: random.Random, _: Words) -> str:
    """Three manners of writing six bytes."""
    data = bytes([rng.randrange(0, 256, 4)]) + rng.randbytes(5)
    if rng.random() < 0.2:
        return data.hex(".", 2)
    return data.hex(rng.choice(":-")) if rng.random() < 0.5 else data.hex(":").upper()


def password(rng: random.Random, words: Words) -> str:
    """As people choose them: a word with trimmings, two words, or noise."""
    word, other = rng.choice(words.nouns), rng.choice(words.nouns)
    noise = "".join(
        rng.choice("abcdefghkmnpqrstuvwxyzABCDEFGHKLMNPQRSTUVWXYZ23456789") for _ in range(11)
    )
    return rng.choice(
        (
            f"{word.capitalize()}{rng.randrange(1970, 2027)}!",
            f"{word}-{other}-{rng.randrange(10, 99)}",
            f"{noise}#{rng.randrange(10)}",
            f"{word.replace('o', '0').replace('e', '3')}{rng.randrange(100, 999)}",
            noise,
        )
    )
