"""What belongs to a person: numbers with check digits, addresses, phones."""

from __future__ import annotations

from typing import Final

from countersign.sanitize import checks, kinds
from countersign.sanitize.rules.rule import Rule

_COUNTRIES: Final = "|".join(checks.IBAN_COUNTRIES)
# Ranges the US Social Security Administration never issued.
_SSN_AREA: Final = r"(?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))"
_SSN_GROUP: Final = r"(?:0[1-9]|[1-9][0-9])"
_SSN_SERIAL: Final = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"

RULES: Final = (
    Rule(
        id="card",
        kind=kinds.CREDIT_CARD,
        pattern=r"[0-9](?:[ .\-\x{a0}]?[0-9]){12,}",
        check=checks.card,
    ),
    Rule(
        id="iban",
        kind=kinds.IBAN,
        pattern=rf"(?i:{_COUNTRIES})[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{11,30}}",
        check=checks.iban,
        again=True,
    ),
    Rule(
        id="ssn",
        kind=kinds.US_SSN,
        pattern=rf"\b{_SSN_AREA}[\- ]{_SSN_GROUP}[\- ]{_SSN_SERIAL}\b",
    ),
    Rule(
        id="ssn.mentioned",
        kind=kinds.US_SSN,
        pattern=r"(?i)(?:\bssn|social security)[^0-9\n\x00]{0,20}([0-9]{9})\b",
        check=checks.ssn,
    ),
    Rule(
        id="email",
        kind=kinds.EMAIL,
        pattern=r"""[^\s@<>()\[\],;:\\"'/=&?`{}|\x00]+@(?:[A-Za-z0-9\x{80}-\x{10ffff}_-]+\.)+"""
        r"[A-Za-z\x{80}-\x{10ffff}][A-Za-z0-9\x{80}-\x{10ffff}-]+",
    ),
    Rule(
        id="phone.international",
        kind=kinds.PHONE,
        pattern=r"\+[1-9](?:[ \-./()\x{a0}]{0,3}[0-9]){7,14}",
        check=checks.international_phone,
    ),
    Rule(
        id="phone.international.zeros",
        kind=kinds.PHONE,
        pattern=r"\b00[1-9][0-9]{0,2}[ \-./](?:[ \-./()]{0,3}[0-9]){6,12}\b",
        check=checks.international_phone,
    ),
    Rule(
        id="phone.us",
        kind=kinds.PHONE,
        pattern=r"(?:\b1[ .\-])?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .\-])"
        r"[2-9][0-9]{2}[ .\-][0-9]{4}\b",
    ),
    Rule(
        id="phone.uk",
        kind=kinds.PHONE,
        pattern=r"\b(?:07[0-9]{9}|0(?:7[0-9]{3}|2[0-9]|1[0-9]{2,3}|[38][0-9]{2})[ \-]"
        r"[0-9]{3,4}[ \-]?[0-9]{3,4})\b",
    ),
    Rule(
        id="phone.de",
        kind=kinds.PHONE,
        pattern=r"\b0(?:1[567][0-9]{8,9}\b|[1-9][0-9]{1,4}(?: ?/ ?|[ \-])[0-9]{2,9}"
        r"(?:[ \-][0-9]{1,6}){0,4}\b)",
        check=checks.national_phone,
        again=True,
    ),
    Rule(
        id="phone.mentioned",
        kind=kinds.PHONE,
        pattern=r"(?i)(?:phone|\btel|mobile|\bcell|\bfax|whatsapp|\bsms|\bcall|telefon|handy)"
        r"[a-z]{0,8}[^a-z0-9\n\x00+]{1,6}(?:(?:number|no|nr|me|us|him|her|at|on|is|to)[^a-z0-9\n\x00]"
        r"{1,3}){0,2}(\+?[0-9(][0-9 ()\-./]{5,18}[0-9])",
        check=checks.mentioned_phone,
    ),
)
