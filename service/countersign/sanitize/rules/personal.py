"""What belongs to a person and is the same everywhere: cards, accounts, e-mail."""

from __future__ import annotations

from typing import Final

from countersign.sanitize import checks, kinds
from countersign.sanitize.rules.rule import Rule

_COUNTRIES: Final = "|".join(checks.IBAN_COUNTRIES)
# Ranges the US Social Security Administration never issued.
_SSN_AREA: Final = r"(?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))"
_SSN_GROUP: Final = r"(?:0[1-9]|[1-9][0-9])"
_SSN_SERIAL: Final = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_ATOM: Final = r"""[^\s@<>()\[\],;:\\"'/=&?`{}|\x00]+"""

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
        pattern=r"(?i)(?:\bssn|_ssn|social[ _-]?security)[^0-9\n\x00]{0,20}([0-9]{9})\b",
        check=checks.ssn,
    ),
    Rule(
        id="email",
        kind=kinds.EMAIL,
        pattern=r"""(?:[a-z][a-z0-9+]{1,20}://[^\s/?#\\"'<>:@\x00]*:[^\s/?#"'<>@\x00]*@|(?:"""
        rf"""(?:"[^"@\s\x00\\]{{1,64}}(?: [^"@\s\x00\\]{{1,64}}){{0,3}}"|"""
        rf"{_ATOM}(?:'{_ATOM})*)@"
        r"(?:(?:[A-Za-z0-9\x{80}-\x{10ffff}_-]+\.)+"
        r"[A-Za-z\x{80}-\x{10ffff}][A-Za-z0-9\x{80}-\x{10ffff}-]+|\[[0-9.]{7,15}\])))",
        check=checks.email,
    ),
    Rule(
        id="email.spelled",
        kind=kinds.EMAIL,
        pattern=r"(?i)\b[a-z0-9._%+-]{2,64} ?(?:[(\[{<] ?at ?[)\]}>]|\bat\b) ?[a-z0-9-]{1,63}"
        r"(?: ?(?:[(\[{<] ?dot ?[)\]}>]|\bdot\b) ?[a-z0-9-]{2,63}){1,3}\b",
    ),
)
