"""Telephone numbers, international and as many countries write their own.

Without a country code a number needs the groups its country writes it in, a
trunk zero, or a word before it that says phone.
"""

from __future__ import annotations

from typing import Final

from countersign.sanitize import kinds, phones
from countersign.sanitize.rules.rule import Rule

_WORDS: Final = (
    r"phone|\btel|t(?:é|e)l(?:é|e)|\btél|mobile|\bmob\b|m(?:ó|o)vil|celular|cellulare|\bcell"
    r"|\bfax|whatsapp"
    r"|\bsms|\bcall|telefon|handy|\bgsm|natel|puhelin|komórk|numer|rufnummer|portable|rappel"
    r"|\bdial|\bring"
    r"|\btext(?:ed)? |reach(?:ed)? |contact|hotline|\bviber|signal|電話|电话|手机|전화|携帯"
)

RULES: Final = (
    Rule(
        id="phone.international",
        kind=kinds.PHONE,
        pattern=r"(?:^|[^0-9])(\+[1-9](?:[ \-./()\x{a0}]{0,3}[0-9]){7,14})",
        check=phones.international,
    ),
    Rule(
        id="phone.international.zeros",
        kind=kinds.PHONE,
        pattern=r"\b(?:00|011[ \-])[1-9][0-9]{0,2}[ \-./](?:[ \-./()]{0,3}[0-9]){6,12}\b",
        check=phones.international,
    ),
    Rule(
        id="phone.north_america",
        kind=kinds.PHONE,
        pattern=r"(?:\b1[ .\-])?(?:\([2-9][0-9]{2}\)[ \-]?|\b[2-9][0-9]{2}[ .\-/])"
        r"[2-9][0-9]{2}[ .\-][0-9]{4}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?\b",
    ),
    Rule(
        id="phone.trunk",
        kind=kinds.PHONE,
        pattern=r"(?:\(0[1-9][0-9]{0,4}\)[ .\-/]{0,3}|\b0[1-9][0-9]{0,4}(?: ?/ ?|[ .\-]"
        r"| - ))[0-9]{2,9}"
        r"(?:[ .\-][0-9]{1,6}){0,4}\b",
        check=phones.trunk,
        again=True,
    ),
    Rule(
        id="phone.trunk.whole",
        kind=kinds.PHONE,
        pattern=r"\b0(?:[1-9][0-9]{8}|[17][0-9]{9}|1[567][0-9]{9})\b",
    ),
    Rule(
        id="phone.grouped",
        kind=kinds.PHONE,
        pattern=r"\b(?:3[1-9][0-9][ .\-/](?:[0-9]{3}[ .\-]?[0-9]{4}"
        r"|[0-9]{2} [0-9]{2} [0-9]{3})"  # IT
        r"|1[3-9][0-9][ \-][0-9]{4}[ \-][0-9]{4}"  # CN
        r"|[6-9][0-9]{4}[ \-][0-9]{5}"  # IN
        r"|[4-9][0-9]{2} [0-9]{3} [0-9]{3}|[4-9][0-9]{2}-[0-9]{3}-[0-9]{3}"
        r"|[679][0-9]{2} [0-9]{2} [0-9]{2} [0-9]{2}"
        r"|[1-9][0-9] [0-9]{3} [0-9]{2} [0-9]{2}"  # ES, PL
        r"|[2-9][0-9]{2} [0-9]{2} [0-9]{3}"  # NO
        r"|[1-9][0-9] (?:9[0-9]{4}[ \-]|[2-9][0-9]{3}[ \-])[0-9]{4})\b",  # BR, MX
        check=phones.alone,
    ),
    Rule(
        id="phone.pairs",
        kind=kinds.PHONE,
        pattern=r"\b[2-9][0-9](?: [0-9]{2}){3,}\b",
        check=phones.pairs,
    ),
    Rule(
        id="phone.area",
        kind=kinds.PHONE,
        pattern=r"\([1-9][0-9]{1,2}\) ?(?:9 ?)?[0-9]{3,4}[ \-][0-9]{4}\b",
    ),
    Rule(
        id="phone.mentioned",
        kind=kinds.PHONE,
        pattern=rf"(?i)(?:{_WORDS})"
        r"[\p{L}]{0,8}[^\p{L}0-9\n\x00+]{1,6}(?:(?:number|no|nr|n[oº°]|me|us|him|her|them|at|on"
        r"|is|to|via|est|ist|es"
        r"|is now|unter|al|au|by phone)[^a-z0-9\n\x00]{1,3}){0,3}"
        r"(\+?[0-9(][0-9 ()\-./]{5,18}[0-9])",
        check=phones.mentioned,
    ),
)
