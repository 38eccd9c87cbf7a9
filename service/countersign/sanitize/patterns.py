"""The RE2 rules: one linear pass finds which can match, those alone look where.

Invariants: untrusted text meets RE2 only, so time is linear in its length. A
set that fails inside RE2 looks like a set that matched nothing, so every text
carries a canary; if the canary is not found, every rule is tried alone.
A rule's pattern marks the value by its first group, or else by the whole match.

Called by `detect` over all leaves of a context joined by NUL (no rule matches
across it), and by `guard` for the last look at what was rendered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import re2

from countersign.sanitize import checks, kinds
from countersign.sanitize.bounds import MAX_MATCHES, Allowance
from countersign.sanitize.checks import Parts
from countersign.sanitize.kinds import Kind


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern and what its match is."""

    id: str
    kind: Kind
    pattern: str
    check: Callable[[bytes], Parts] | None = None
    again: bool = False
    """What is left of a match, or all of one that failed its check, may hide another."""


_NAMES: Final = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|passwort|secret|token|api[_\-. ]?key|apikey|access[_-]?key"
    r"(?:[_-]?id)?|(?:private|signing|encryption|master|account|shared|storage|secret|license)[_-]?key"
    r"|sharedaccesskey|credential|connection[_-]?string|conn[_-]?str|client[_-]?secret|sig)"
)
_QUOTE: Final = r"""[\\"']{0,3}"""
_VALUE: Final = r"""(?:\\?"([^"\x00\n]+)|\\?'([^'\x00\n]+)|([^\s"'\\\x00][^\s\x00]*))"""
"""Quoted, or to the end of the word: nobody can tell which comma is the password's."""
_COUNTRIES: Final = "|".join(checks.IBAN_COUNTRIES)
# Octets with which no address of anybody begins (0, 127, 255) begin none here either.
_FIRST_OCTET: Final = r"(?:25[0-4]|2[0-4][0-9]|1[013-9][0-9]|12[0-689]|0?[1-9][0-9]|0{0,2}[1-9])"
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})"
# Ranges the US Social Security Administration never issued.
_SSN_AREA: Final = r"(?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))"
_SSN_GROUP: Final = r"(?:0[1-9]|[1-9][0-9])"
_SSN_SERIAL: Final = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"

RULES: Final = (
    Rule(
        id="pem",
        kind=kinds.SECRET,
        pattern=r"-----BEGIN [A-Z0-9 ]{0,40}(?:PRIVATE KEY|KEY BLOCK)[A-Z ]{0,10}-----"
        r"(?:[^\x00]*?-----END [A-Z0-9 ]{0,60}-----|[^\x00]*)",
    ),
    Rule(
        id="jwt",
        kind=kinds.SECRET,
        pattern=r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,3}",
    ),
    Rule(
        id="aws.access_key", kind=kinds.SECRET, pattern=r"A(?:KIA|SIA|BIA|CCA|ROA|IDA)[A-Z0-9]{16}"
    ),
    Rule(
        id="github",
        kind=kinds.SECRET,
        pattern=r"(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    ),
    Rule(
        id="slack",
        kind=kinds.SECRET,
        pattern=r"(?:xox[abceoprs]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}"
        r"|hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_+-]+)",
    ),
    Rule(id="google.api_key", kind=kinds.SECRET, pattern=r"AIza[0-9A-Za-z_-]{35}"),
    Rule(
        id="provider",
        kind=kinds.SECRET,
        pattern=r"(?:glpat-|[sr]k_(?:live|test)_|whsec_|npm_|pypi-|dop_v1_|hvs\.|SG\.|shpat_|sk-)"
        r"[A-Za-z0-9_.-]{16,}",
    ),
    Rule(
        id="authorization",
        kind=kinds.SECRET,
        pattern=r"""(?i)authori[sz]ation["'\\]{0,3}\s*[:=]\s*["'\\]{0,3}"""
        r"""(?:(?:bearer|basic|token|digest|negotiate|apikey)\s+)?([^\s"',\x00]+)""",
        check=checks.assigned,
    ),
    Rule(
        id="bearer",
        kind=kinds.SECRET,
        pattern=r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{8,})",
        check=checks.bearer,
    ),
    Rule(
        id="basic_auth",
        kind=kinds.SECRET,
        pattern=r"(?i)\bbasic\s+([A-Za-z0-9+/]{8,500}={0,2})",
        check=checks.basic_auth,
    ),
    Rule(
        id="cookie",
        kind=kinds.SECRET,
        pattern=r"(?i)\bcookie:\s*([^\n\x00]+)",
        check=checks.assigned,
    ),
    Rule(
        id="url.credentials",
        kind=kinds.SECRET,
        pattern=r"""://([^\s/?#\\"'<>:\x00]*:[^\s/?#"'<>\x00]*)@""",
        check=checks.assigned,
    ),
    Rule(
        id="url.credentials.database",
        kind=kinds.SECRET,
        pattern=r"(?i)(?:postgres(?:ql)?|mysql|mariadb|mongodb|redis|rediss|amqps?|ldaps?|s?ftp"
        r"""|smtps?|mssql|clickhouse)(?:\+[a-z0-9]+)?://([^\s:@/\x00]*:[^\s"'<>\x00]*)@""",
        check=checks.assigned,
    ),
    Rule(
        id="assignment",
        kind=kinds.SECRET,
        pattern=rf"(?i){_NAMES}s?(?:[_-]?(?:value|hash)|[0-9])?{_QUOTE}\s{{0,8}}"
        rf"(?::=|=>|[:=]|\s(?:is|was)\s)\s{{0,8}}{_VALUE}",
        check=checks.assigned,
    ),
    Rule(
        id="option",
        kind=kinds.SECRET,
        pattern=r"(?i)(?:^|[\s\"'\x00])--?[a-z0-9-]{0,30}"
        r"(?:password|passwd|passphrase|secret|token|api-?key|access-?key|private-?key)"
        rf"\s+{_VALUE}",
        check=checks.assigned,
    ),
    Rule(
        id="option.user",
        kind=kinds.SECRET,
        pattern=r"""(?:^|[\s"'\x00])(?:-u|--user|--proxy-user)[\s=]*["']?[^\s:"'/\x00]+:([^\s"'\x00]+)""",
        check=checks.assigned,
    ),
    Rule(
        id="random",
        kind=kinds.RANDOM,
        pattern=r"[A-Za-z0-9_+/=-]{20,}",
        check=checks.random_token,
    ),
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
    Rule(
        id="ipv4",
        kind=kinds.IP_ADDRESS,
        pattern=rf"\b{_FIRST_OCTET}(?:\.{_OCTET}){{3}}\b",
    ),
    Rule(
        id="ipv6",
        kind=kinds.IP_ADDRESS,
        pattern=r"(?i)(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
        r"|[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6}::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?)",
        check=checks.ipv6,
    ),
)

_CANARY: Final = b"\x00\x01countersign canary\x01"
_SET_MEMORY_BYTES: Final = 64 << 20
_RULE_MEMORY_BYTES: Final = 16 << 20


def _options(max_mem_bytes: int) -> Any:
    options = re2.Options()
    options.max_mem = max_mem_bytes
    options.log_errors = False  # RE2 would print the pattern; a failure is found by the canary
    return options


class Patterns:
    """The compiled rules. Immutable after construction, safe to share."""

    __slots__ = ("_canary_index", "_groups", "_regexps", "_set", "rules")

    def __init__(self, rules: tuple[Rule, ...] = RULES) -> None:
        self.rules = rules
        options = _options(_RULE_MEMORY_BYTES)
        self._regexps = [re2.compile(rule.pattern, options) for rule in rules]
        self._groups = [regexp.groups for regexp in self._regexps]
        self._set = re2.Set.SearchSet(_options(_SET_MEMORY_BYTES))
        for rule in rules:
            self._set.Add(rule.pattern)
        self._canary_index = self._set.Add(re2.escape(_CANARY.decode()))
        self._set.Compile()

    def candidates(self, text: bytes) -> list[int]:
        """The rules that may match in it; all of them if RE2 could not tell."""
        hits = self._set.Match(text + _CANARY)
        if not hits or self._canary_index not in hits:
            return list(range(len(self.rules)))
        return sorted(index for index in hits if index != self._canary_index)

    def find(self, text: bytes, candidates: Iterable[int]) -> Iterator[tuple[int, int, Rule]]:
        """Every checked match of these rules: start, end (bytes), rule.

        Raises `TooMuchError` when they match in more places than are looked at.
        """
        allowance = Allowance(MAX_MATCHES)
        for index in candidates:
            yield from self._find_one(index, text, allowance)

    def _find_one(
        self, index: int, text: bytes, allowance: Allowance
    ) -> Iterator[tuple[int, int, Rule]]:
        rule, regexp, groups = self.rules[index], self._regexps[index], self._groups[index]
        check = rule.check
        position = 0
        while position <= len(text):
            for match in regexp.finditer(text, position):
                allowance.spend()
                start, end = _value_span(match, groups)
                parts = ((0, end - start),) if check is None else check(text[start:end])
                for first, last in parts:
                    yield start + first, start + last, rule
                if rule.again:
                    rest = start + parts[-1][1] if parts else match.start() + 1
                    if rest < match.end():
                        position = rest
                        break
            else:
                return


def _value_span(match: Any, groups: int) -> tuple[int, int]:
    """The first group that took part, or the whole match of a rule without groups."""
    for group in range(1, groups + 1):
        span: tuple[int, int] = match.span(group)
        if span[0] >= 0:
            return span
    whole: tuple[int, int] = match.span()
    return whole
