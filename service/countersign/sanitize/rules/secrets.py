"""Credentials: by the shape of a provider, by what they are assigned to, by chance alone."""

from __future__ import annotations

from typing import Final

from countersign.sanitize import checks_secrets, kinds
from countersign.sanitize.rules.rule import Rule

_NAMES: Final = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|passwort|secret|token|api[_\-. ]?key|apikey|access[_-]?key"
    r"(?:[_-]?id)?|(?:private|signing|encryption|master|account|shared|storage|secret|license)[_-]?key"
    r"|sharedaccesskey|credential|connection[_-]?string|conn[_-]?str|client[_-]?secret|sig)"
)
_QUOTE: Final = r"""[\\"']{0,3}"""
_VALUE: Final = r"""(?:\\?"([^"\x00\n]+)|\\?'([^'\x00\n]+)|([^\s"'\\\x00][^\s\x00]*))"""
"""Quoted, or to the end of the word: nobody can tell which comma is the password's."""

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
        check=checks_secrets.assigned,
    ),
    Rule(
        id="bearer",
        kind=kinds.SECRET,
        pattern=r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{8,})",
        check=checks_secrets.bearer,
    ),
    Rule(
        id="basic_auth",
        kind=kinds.SECRET,
        pattern=r"(?i)\bbasic\s+([A-Za-z0-9+/]{8,500}={0,2})",
        check=checks_secrets.basic_auth,
    ),
    Rule(
        id="cookie",
        kind=kinds.SECRET,
        pattern=r"(?i)\bcookie:\s*([^\n\x00]+)",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="url.credentials",
        kind=kinds.SECRET,
        pattern=r"""://([^\s/?#\\"'<>:\x00]*:[^\s/?#"'<>\x00]*)@""",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="url.credentials.database",
        kind=kinds.SECRET,
        pattern=r"(?i)(?:postgres(?:ql)?|mysql|mariadb|mongodb|redis|rediss|amqps?|ldaps?|s?ftp"
        r"""|smtps?|mssql|clickhouse)(?:\+[a-z0-9]+)?://([^\s:@/\x00]*:[^\s"'<>\x00]*)@""",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="assignment",
        kind=kinds.SECRET,
        pattern=rf"(?i){_NAMES}s?(?:[_-]?(?:value|hash)|[0-9])?{_QUOTE}\s{{0,8}}"
        rf"(?::=|=>|[:=]|\s(?:is|was)\s)\s{{0,8}}{_VALUE}",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="option",
        kind=kinds.SECRET,
        pattern=r"(?i)(?:^|[\s\"'\x00])--?[a-z0-9-]{0,30}"
        r"(?:password|passwd|passphrase|secret|token|api-?key|access-?key|private-?key)"
        rf"\s+{_VALUE}",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="option.user",
        kind=kinds.SECRET,
        pattern=r"""(?:^|[\s"'\x00])(?:-u|--user|--proxy-user)[\s=]*["']?[^\s:"'/\x00]+:([^\s"'\x00]+)""",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="random",
        kind=kinds.RANDOM,
        pattern=r"[A-Za-z0-9_+/=-]{20,}",
        check=checks_secrets.random_token,
    ),
)
