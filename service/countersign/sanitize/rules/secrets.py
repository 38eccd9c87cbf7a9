"""Credentials: by the shape of a provider, by what they are assigned to, by chance alone."""

from __future__ import annotations

from typing import Final

from countersign.sanitize import checks_secrets, kinds
from countersign.sanitize.rules.rule import Rule

_NAMES: Final = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|passwort|secret|token|api[_\-. ]?key|apikey|access[_-]?key"
    r"(?:[_-]?id)?|(?:private|signing|encryption|master|account|shared|storage|secret|license"
    r"|subscription|functions?|deploy|service|webhook|host|ssh|write|project|instrumentation)[_-]?key"
    r"|sharedaccesskey|credential|connection[_-]?string|conn[_-]?str|client[_-]?secret|sig)"
)
_QUOTE: Final = r"""[\\"']{0,3}"""
_VALUE: Final = (
    r"""(?:\\"([^"\x00\n]+)|\\'([^'\x00\n]+)|"((?:[^"\\\x00\n]|\\[^\x00\n])+)"""
    r"""|'((?:[^'\\\x00\n]|\\[^\x00\n])+)|([^\s"'\\\x00](?:[^\s\\\x00]|\\[^\x00\n])*))"""
)
"""Quoted, or to the end of the word: nobody can tell which comma is the password's."""
_HEADERS: Final = (
    r"(?:(?:proxy-)?authori[sz]ation|(?:set-)?cookie2?|x-amz-security-token"
    r"|(?:[a-z0-9]+-){1,4}(?:key|token|secret|signature|auth|session|password|jwt)|dpop)"
)
_IN_QUERY: Final = (
    r"(?:(?:x-(?:amz|goog|oss|cos)-)?(?:signature|credential|security-token)|sig|sign|hmac|auth"
    r"|auth_?key|key|code|session|session_?id|sid|jwt|otp|pin|pwd|pass|pw|assertion|saml(?:response|art)"
    r"|ticket|hash|state_?token|invite|magic|nonce_?token)"
)

_DATABASES: Final = (
    r"(?:postgres(?:ql)?|mysql|mariadb|mongodb|redis|rediss|amqps?|ldaps?|s?ftp|smtps?|mssql"
    r"|clickhouse)(?:\+[a-z0-9]+)?"
)
_USER: Final = r"""[^\s/?#\\"'<>:@\x00]*"""
_PERSONAL_USER: Final = r"""[^\s/?#\\"'<>:@\x00]*(?:\.|%40)[^\s/?#\\"'<>:@\x00]*"""

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
        id="provider.parts",
        kind=kinds.SECRET,
        pattern=r"(?:\bya29\.[A-Za-z0-9_-]{20,}|\b[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}"
        r"|\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}"
        r"|\bpat[A-Za-z0-9]{14}\.[0-9a-f]{64}|\b[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,}"
        r"|dckr_[po]at_[A-Za-z0-9_-]{20,})",
    ),
    Rule(
        id="header",
        kind=kinds.SECRET,
        pattern=r"""(?i)(?:(?:^|[\n\x00])[ \t>]*|-H[ =]?|--header[ =])(?:"""
        rf""""{_HEADERS}:[ \t]*([^"\n\x00]+)|'{_HEADERS}:[ \t]*([^'\n\x00]+)"""
        rf"""|{_HEADERS}:[ \t]*([^"'\n\x00]+))""",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="authorization",
        kind=kinds.SECRET,
        pattern=r"""(?i)authori[sz]ation["'\\]{0,3}\s*[:=]\s*["'\\]{0,3}(?:"""
        r"""(?:digest|aws4-hmac-sha256|oauth|hawk|signature|hobav?)\s+([^\n\x00]+)"""
        r"""|(?:(?:bearer|basic|token|negotiate|apikey)\s+)?([^\s"',\x00]+))""",
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
        pattern=r"(?i)\b(?:set-)?cookie2?:\s*([^\n\x00]+)",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="url.credentials",
        kind=kinds.SECRET,
        # Whoever logs in to a database is what a reviewer asks about; elsewhere it may be a token.
        pattern=rf"""(?i)(?:{_DATABASES}://(?:({_PERSONAL_USER}:[^\s/?#"'<>\x00]*)"""
        rf"""|{_USER}:([^\s/?#"'<>\x00]*))@"""
        r"""|://([^\s/?#\\"'<>:\x00]*:[^\s/?#"'<>\x00]*)@)""",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="url.credentials.database",
        kind=kinds.SECRET,
        pattern=rf"(?i){_DATABASES}://(?:({_PERSONAL_USER}:[^\s\"'<>\x00]*)"
        r"""|[^\s:@/\x00]*:([^\s"'<>\x00]*))@""",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="url.user",
        kind=kinds.SECRET,
        pattern=r"""(?i)\b(?:https?|git|wss?)://([^\s/?#\\"'<>:@\x00]{6,})@""",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="url.query",
        kind=kinds.SECRET,
        pattern=rf"""(?i)[?&;]{_IN_QUERY}=([^&\s"'<>\x00]+)""",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="jdbc.login",
        kind=kinds.SECRET,
        pattern=r"(?i)jdbc:[a-z0-9:]{2,40}:([^\s/@:\x00]*/[^\s@\x00]+)@",
    ),
    Rule(
        id="assignment",
        kind=kinds.SECRET,
        pattern=rf"(?i){checks_secrets.NAME_IN_AWS}|{checks_secrets.DIRECTORY}"
        rf"|{_NAMES}s?(?:[_-]?(?:value|hash|base)|[0-9])?{_QUOTE}\]?\s{{0,8}}"
        rf"(?::=|=>|[:=]|\s(?:is|was)(?:\s?:)?\s)\s{{0,8}}{_VALUE}",
        check=checks_secrets.assigned_or_named,
    ),
    Rule(
        id="assignment.short",
        kind=kinds.SECRET,
        pattern=rf"(?i)(?:\b|_)(?:pass|pw|auth[_-]?key){_QUOTE}\]?\s?[:=]\s?{_VALUE}",
        check=checks_secrets.assigned_word,
    ),
    Rule(
        id="mentioned",
        kind=kinds.SECRET,
        pattern=r"(?i)\b(?:password|passphrase|passwd|passcode|token|secret|api[ _-]?key)[ \t]+"
        r"""["']?([^\s"'\x00]{6,})""",
        check=checks_secrets.mentioned,
    ),
    Rule(
        id="element",
        kind=kinds.SECRET,
        pattern=rf"(?i)<[\w.:-]{{0,40}}{_NAMES}(?:\s[^<>\x00]{{0,200}})?>([^<\x00]+)<",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="sql.password",
        kind=kinds.SECRET,
        pattern=r"(?i)\b(?:password|identified\s{1,8}(?:by|with\s{1,8}\S{1,40}\s{1,8}(?:by|as)))"
        r"""(?:\s{1,8}for\s{1,8}\S{1,80})?(?:\s{1,8}=?|=)\s{0,8}(?:N|E|password\s?\(\s?)?"""
        r"""(?:'([^'\x00]+)|"([^"\x00]+))""",
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
        # An option of that name with a URL or a host's port, and no user.
        pattern=r"""(?:^|[\s"'\x00])-ur[il]=["']?(?:[A-Za-z][A-Za-z0-9+.-]*://|jdbc:"""
        r"""|(?:localhost|[A-Za-z0-9.-]+\.[A-Za-z0-9-]+):[0-9]{1,5}\b)()"""
        r"""|(?:^|[\s"'\x00])(?:-u(?:r[il]=)?|--?(?:proxy-)?user|--?auth)"""
        r"""[\s=]*["']?[^\s:"'/\x00]+:([^\s"'\x00]+)""",
        check=checks_secrets.assigned,
    ),
    Rule(
        id="random",
        kind=kinds.RANDOM,
        pattern=rf"{checks_secrets.DIGESTS}"
        r"|(?:[A-Za-z0-9_-]{4,24}\.){0,2}[A-Za-z0-9_+/=-]{20,}(?:[.~][A-Za-z0-9_+/=-]{4,}){0,3}",
        check=checks_secrets.random_run,
    ),
)
