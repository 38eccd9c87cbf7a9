"""Values that a command line gives to options, variables, files and other programs.

By allow-list of what is known to hold a secret (`mysql -pX`, `sshpass -p X`, `vault
kv put a=X`), by name (`--db-password X`, `API_TOKEN=X cmd`), and by where it goes
(`echo X | base64 -d`, here-strings). The body of a here-document is hidden unless it
is read: SQL for its literals, settings for their values.

Pure; `mark` is called by `detect`, before patterns see the same texts; `shell_lists`
reads lists of words with the same rules.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import re2

from countersign.sanitize import fragments, keys, kinds, sql
from countersign.sanitize.checks_secrets import VARIABLES
from countersign.sanitize.shell_words import Line, Word, inner, lines
from countersign.sanitize.survey import Span, Survey

_LOG: Final = logging.getLogger(__name__)

MAX_DEPTH: Final = 3
_TO_THE_END: Final = 3
"""So many programs of a line are taken to own the rest of it."""
_MAX_BYTES: Final = 64 << 10
RULE: Final = "shell"

# --- what is known to take a secret --------------------------------------------

_ATTACHED: Final = {
    **dict.fromkeys(
        "mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlshow mariadb mariadb-dump"
        " mariadb-admin 7z 7za 7zr rar unrar".split(),
        "p",
    ),
}
"""`-pX`: the value is glued on; the next word is something else."""
_SEPARATE: Final = {
    **dict.fromkeys("sshpass mongo mongosh mongodump mongorestore mongoexport".split(), "p"),
    **dict.fromkeys("az docker podman nerdctl helm oras skopeo buildah crane regctl".split(), "p"),
    **dict.fromkeys("ldapsearch ldapadd ldapmodify ldapdelete ldappasswd ldapwhoami".split(), "w"),
    **dict.fromkeys("sqlcmd bcp isql tsql".split(), "P"),
    **dict.fromkeys("zip unzip".split(), "P"),
    "curl": "uUbE",
    "wget": "",
    "redis-cli": "a",
    "openssl": "kK",
    "ssh-keygen": "NP",
    "influx": "pt",
    "smbclient": "U",
    "lftp": "u",
    "ncftp": "p",
    "xfreerdp": "p",
    "cqlsh": "p",
    "clickhouse-client": "",
    "rabbitmqadmin": "p",
    "nats": "",
    "http": "a",
    "https": "a",
}  # fmt: skip
"""`-p X`, `-pX`, `-p=X`."""
_ONLY_WITH: Final = {
    "docker": "login", "podman": "login", "nerdctl": "login", "helm": "login", "oras": "login",
    "skopeo": "login", "buildah": "login", "crane": "login", "regctl": "login", "az": "login",
    "openssl": "enc",
}  # fmt: skip
"""Elsewhere the option is a port or a profile."""
_LONG: Final = {
    "openssl": "-pass -passin -passout -passwd",
    "kubectl": "",
    "oc": "",
    "gh": "-b --body --with-token",
    "gpg": "--passphrase",
    "net": "",
}
_ASSIGNERS: Final = {
    ("vault", "kv"), ("vault", "write"), ("heroku", "config:set"), ("fly", "secrets"),
    ("flyctl", "secrets"), ("doppler", "secrets"), ("supabase", "secrets"),
}  # fmt: skip
"""Every `name=X` of theirs is a secret."""
_LAST: Final = {
    ("vault", "login"): 1, ("net", "user"): 1, ("htpasswd", "-b"): 1, ("htpasswd", "-bc"): 1,
    ("htpasswd", "-nb"): 1, ("htpasswd", "-nbB"): 1, ("htpasswd", "-bB"): 1,
    ("rabbitmqctl", "add_user"): 1, ("rabbitmqctl", "change_password"): 1,
    ("consul", "login"): 1, ("usermod", "-p"): 0, ("useradd", "-p"): 0,
}  # fmt: skip
"""The last word that is no option."""
_NAMED: Final = frozenset({"setx", "aws", "git", "npm", "setenv", "gcloud"})
"""`aws configure set NAME X`: the word after a name is its value."""
_LOGINS: Final = frozenset({"sqlplus", "sqlldr", "rman", "expdp", "impdp", "exp", "imp"})
_READ_SECRETS: Final = frozenset({"chpasswd", "passwd", "base64", "cryptsetup", "gpg"})
_READ_OPTIONS: Final = frozenset({"--password-stdin", "--with-token", "--passphrase-fd", "-S"})
_TELLERS: Final = frozenset({"echo", "printf"})
_SQL_CLIENTS: Final = frozenset(
    {"psql", "mysql", "mariadb", "sqlite3", "sqlcmd", "clickhouse-client"}
)
_WRAPPERS: Final = frozenset({"sudo", "env", "nohup", "time", "exec", "command", "xargs", "doas"})

_RUN_BY_OTHERS: Final = frozenset(
    {*_ATTACHED, *_SEPARATE, *_LOGINS, "vault", "htpasswd", "rabbitmqctl"}
    - {"az", "helm", "http", "https", "nats", "influx", "exp", "imp", "zip", "unzip"}
)
PROGRAMS: Final = frozenset(
    {*_ATTACHED, *_SEPARATE, *_LONG, *(name for name, _ in (*_ASSIGNERS, *_LAST)), *_LOGINS}
    | {"setx", "aws", "chpasswd", "export", "setenv"}
)
_TRIGGER: Final = re2.compile(
    r"(?i)(?:^|[\s\"'\x00;|&(`/\\])(?:" + "|".join(map(re2.escape, sorted(PROGRAMS))) + r")[\s.]"
    r"|--from-literal|=(?:\$\(|`)\s*(?:echo|printf)\s|<<|\|\s*(?:base64|sudo|gpg|docker|podman|gh|(?:ch)?passwd)\b"
    r"|(?:^|[\s\"'\x00;|&(`])[A-Za-z_][A-Za-z0-9_]*(?i:pass|pw|pwd|password|secret|token|key|cred"
    r"entials?)=[\"'$\\]|--[a-z0-9-]*(?:password|passwd|pwd|pass|secret|token|key|passphrase)[=\s]+[\"'$\\]"
)
_ASSIGNMENT: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_.\-\[\]]*+\+?=")
_ASSIGNMENTS: Final = re.compile(
    rb"(?<![A-Za-z0-9_.\-\[\]])[0-9.\-\[\]]*+([A-Za-z_][A-Za-z0-9_.\-\[\]]*+)\+?="
)
"""The same wherever one stands. Nothing is tried within a name: a long one is read once."""
_LOGIN: Final = re.compile(rb"[^/@\s]+/([^@\s]+)")
_NO_SECRETS: Final = frozenset({("aws", "secret-id"), ("gcloud", "secret")})
"""Options that name a secret where it is kept."""
_ELSEWHERE: Final = {
    **dict.fromkeys(
        (("openssl", name) for name in ("-pass", "-passin", "-passout")),
        re.compile(rb"(?:env:[A-Za-z_][A-Za-z0-9_]*|file:.+|fd:[0-9]+|stdin)"),
    ),
    ("curl", "-b"): re.compile(rb"[^=;]+"),
    ("curl", "-E"): re.compile(rb"[^:]+"),
}
"""Values of options that say where the secret is kept: a variable, a file of cookies or keys."""
_FROM_LITERAL: Final = re.compile(rb"--from-literal(?:=|\Z)")
_VERBS: Final = frozenset({b"create", b"add"})
_CONFIG_MAPS: Final = frozenset({b"configmap", b"configmaps", b"cm"})
_KEPT_IN_FILES: Final = ("kubeconfig", "keystore", "netrc", "pgpass", "htpasswd", "pem", "pkcs12")
_PATH: Final = re.compile(
    rb"[\"']?(?:\$\{?[A-Za-z_][A-Za-z0-9_]*\}?|~|\.{1,2}"
    rb"|/(?:app|etc|home|mnt|opt|root|run|secrets|srv|tmp|usr|var))"
    rb"(?:/[A-Za-z0-9_.@-]{1,40}){1,12}[\"']?"
)
_OPTION: Final = re.compile(rb"(--?([A-Za-z][A-Za-z0-9_-]{0,60}))(=?)")


def mark(survey: Survey) -> None:
    """Cover such values in every text that may be a command line."""
    texts = survey.texts()
    if not _TRIGGER.search(texts.joined.encode("utf-8", "replace")):
        return
    for leaf in texts.spaced:
        data = leaf.text.encode("utf-8", "replace")
        if len(data) > _MAX_BYTES or not _TRIGGER.search(data):
            continue
        try:
            found = [*spans(data)]
        except Exception as error:  # noqa: BLE001 - fail closed: covered whole
            _LOG.error("a command was masked whole: %s", type(error).__name__)
            leaf.cover(kinds.UNREADABLE, RULE)
            survey.complete = False
            continue
        survey.spans.spend(len(found))
        leaf.spans.extend(found)


def spans(data: bytes, depth: int = 0) -> Iterator[Span]:
    """Where the secrets of a command line stand."""
    found = lines(data)
    for line, following in itertools.zip_longest(found, found[1:]):
        yield from (
            span
            for _, span in of_words(line)
            if not VARIABLES.fullmatch(data[span.start : span.end])
        )
        for word in line.inputs:
            yield Span(word.start, word.end, kinds.LITERAL, f"{RULE}.input")
        for start, end in line.documents:
            yield from _document(data, start, end, _program(line)[0])
        if following is not None and following.piped:
            yield from _told(line, following)
        elif following is not None and _is_given(data, line, following):
            yield from _said(following)
        if depth < MAX_DEPTH:
            for at, text in itertools.chain.from_iterable(map(inner, line.words)):
                yield from _moved(spans(text, depth + 1), at)


def _moved(found: Iterable[Span], by: int) -> Iterator[Span]:
    for span in found:
        yield span._replace(start=span.start + by, end=span.end + by)


def _told(line: Line, reader: Line) -> Iterator[Span]:
    """`echo X | base64 -d`: what goes to a program that reads secrets."""
    if _program(line)[0] not in _TELLERS:
        return
    other, _ = _program(reader)
    words = {word.value.decode("utf-8", "replace") for word in reader.words}
    first = (
        reader.words[0].value.decode("utf-8", "replace").rpartition("/")[2] if reader.words else ""
    )
    if {other, first} & _READ_SECRETS or words & _READ_OPTIONS:
        yield from _said(line)


def _is_given(data: bytes, line: Line, following: Line) -> bool:
    """`TOKEN=$(…)`: what a command says is given to a secret's name."""
    if not line.words or not following.words:
        return False
    word = line.words[-1]
    between = data[word.end : following.words[0].start]
    name = word.raw.removesuffix(b"=").decode("utf-8", "replace")
    return word.raw[-1:] == b"=" and between.strip() in {b"$(", b"`"} and _is_secret(name)


def _said(line: Line) -> Iterator[Span]:
    """`echo X`: everything but its options."""
    name, at = _program(line)
    for word in line.words[at + 1 :] if name in _TELLERS else ():
        if not (word.value[:1] == b"-" and len(word.value) == 2):
            yield _secret(word, 0)


def _document(data: bytes, start: int, end: int, program: str) -> Iterator[Span]:
    """The body of a here-document: what is understood of it, or all."""
    body = data[start:end]
    text = body.decode("utf-8", "replace")
    known: Sequence[Span] | None = None
    if program in _SQL_CLIENTS:
        try:
            known = [Span(*at, kinds.LITERAL, "sql") for at in sql.read(text).hidden]
        except sql.UnreadableSqlError:
            known = None
    elif fragments.is_read(text):
        known = fragments.spans(text)
    if known is None:
        if body.strip():
            yield Span(start, end - body.endswith(b"\n"), kinds.LITERAL, f"{RULE}.document")
        return
    yield from _moved(known, start)


# --- one command ----------------------------------------------------------------


def _program(line: Line) -> tuple[str, int]:
    """Its name, and which word that is."""
    for index, word in enumerate(line.words):
        if word.value[:1] == b"-" or _ASSIGNMENT.match(word.value):
            continue
        name = name_of(word)
        if name not in _WRAPPERS:
            return name, index
    return "", len(line.words)


def name_of(word: Word) -> str:
    """A program's name without its directory, as Windows and others write it."""
    raw = word.raw.strip(b"'\"")
    value = raw if raw[-4:].lower() == b".exe" else word.value
    name = value.decode("utf-8", "replace").strip().lower().removesuffix(".exe")
    return name.replace("\\", "/").rpartition("/")[2]


def of_words(line: Line) -> Iterator[tuple[int, Span]]:
    """Secrets among the words of one command, each with the index of its word.

    A word that is called like a program may be a name (`vault kv put secret/mysql a=X`),
    so the first programs get all the words behind them, whatever these are.
    """
    words = line.words
    hides_literals = not _makes_config_map(words)
    begins = [0, *_inner_programs(words), len(words)]
    found: dict[tuple[int, Span], None] = {}
    for number, (first, last) in enumerate(itertools.pairwise(begins)):
        part = Line(words=words[first : None if number < _TO_THE_END else last], piped=False)
        for index, span in _of_program(part, hides_literals=hides_literals):
            found[first + index, span] = None
    yield from found


def _inner_programs(words: Sequence[Word]) -> Iterator[int]:
    """Where a program begins that another runs: `docker exec db mysql -pX`."""
    for index in range(1, len(words)):
        name = name_of(words[index])
        before = words[index - 1].value
        if name in _RUN_BY_OTHERS and (before == b"--" or before[:1] != b"-"):
            yield index


def _of_program(line: Line, *, hides_literals: bool) -> Iterator[tuple[int, Span]]:
    program, at = _program(line)
    words = line.words
    texts = {word.value.decode("utf-8", "replace") for word in words[at + 1 :]}
    assigner = any((program, text) in _ASSIGNERS for text in texts)
    for index, word in enumerate(words):
        yield from _assigned(
            index, word, everything=assigner and index > at and word.raw[:1] != b"-"
        )
        if hides_literals and _FROM_LITERAL.match(word.value):
            yield from _literal(words, index)
        else:
            yield from _option(words, index, program, texts)
    plain = [index for index in range(at + 2, len(words)) if words[index].value[:1] not in b"-/<>"]
    for text in texts:
        least = _LAST.get((program, text))
        if least is not None and len(plain) > (program == "net") and len(plain) >= least:
            yield plain[-1], _secret(words[plain[-1]], 0)
    if program in _LOGINS:
        for index in range(at + 1, len(words)):
            if login := _LOGIN.match(words[index].value):
                yield index, _secret(words[index], _offset(words[index], login.group(1)))


def _makes_config_map(words: Sequence[Word]) -> bool:
    """`kubectl create configmap`: names say which of its literals is a secret."""
    values = [word.value for word in words]
    made = (thing for verb, thing in itertools.pairwise(values) if verb in _VERBS)
    return b"secret" not in values and next(made, b"") in _CONFIG_MAPS


def _literal(words: Sequence[Word], index: int) -> Iterator[tuple[int, Span]]:
    """`--from-literal=a=X`, whatever the program is that makes a secret of it."""
    word = words[index]
    if b"=" in word.raw:
        yield index, _secret(word, word.raw.index(b"=") + 1)
    elif index + 1 < len(words) and words[index + 1].value[:1] != b"-":
        yield index + 1, _secret(words[index + 1], 0)


def _assigned(index: int, word: Word, *, everything: bool) -> Iterator[tuple[int, Span]]:
    """`NAME=X`, alone, after an option, or among others: `a.b=1,password=X`."""
    for name in _ASSIGNMENTS.finditer(word.raw.replace(b"'", b" ").replace(b'"', b" ")):
        before = word.raw[max(name.start(1) - 1, 0) : name.start(1)]
        if before in {b" ", b"\n"}:
            continue  # a command of its own, in quotes
        key = name.group(1).decode("ascii")
        rule = keys.rule_of(key)
        if everything and rule is None:
            yield index, _secret(word, name.end())
        elif _is_file(key, word.raw[name.end() :]):
            return
        elif rule is not None and not rule.if_personal and len(word.raw) > name.end():
            yield index, Span(word.start + name.end(), word.end, rule.kind, f"{RULE}.{rule.id}")
            return


def _is_file(key: str, value: bytes) -> bool:
    """`KUBECONFIG=~/.kube/prod`: the path of what holds the secret."""
    return key.lower().endswith(_KEPT_IN_FILES) and _PATH.fullmatch(value) is not None


def _option(
    words: Sequence[Word], index: int, program: str, texts: set[str]
) -> Iterator[tuple[int, Span]]:
    """The value of an option: glued on, after `=`, or the next word."""
    word = words[index]
    following = _following(words, index, program)
    value = word.value.decode("utf-8", "replace")
    if value[:1] != "-":
        named = program in _NAMED and "-" not in value and _is_secret(value)
        if named and following is not None and following.value[:1] != b"-":
            yield index + 1, _secret(following, 0)
        return
    needed = _ONLY_WITH.get(program)
    separate = _SEPARATE.get(program, "") if needed is None or needed in texts else ""
    letter = value[1:2]
    if letter and letter in separate + _ATTACHED.get(program, ""):
        if len(value) > 2:
            yield index, _secret(word, _offset(word, value[2:].encode()))
        elif following is not None and letter in separate:
            yield index + 1, _secret(following, 0)
        return
    option = _OPTION.match(word.value)
    if option is None or not _takes_secret(program, option):
        return
    if option.group(3):
        yield index, _secret(word, word.raw.index(b"=") + 1)
    elif following is not None and following.value[:1] != b"-":
        yield index + 1, _secret(following, 0)


def _following(words: Sequence[Word], index: int, program: str) -> Word | None:
    """The next word, unless it says where the value is kept: `-passin env:NAME`."""
    if index + 1 >= len(words):
        return None
    elsewhere = _ELSEWHERE.get((program, words[index].value.decode("utf-8", "replace")))
    following = words[index + 1]
    return following if elsewhere is None or not elsewhere.fullmatch(following.value) else None


def _takes_secret(program: str, option: re.Match[bytes]) -> bool:
    name = option.group(2).decode()
    return (_is_secret(name) and (program, name) not in _NO_SECRETS) or (
        option.group(1).decode() in _LONG.get(program, "").split()
    )


def _is_secret(name: str) -> bool:
    rule = keys.rule_of(name)
    return rule is not None and rule.kind is kinds.SECRET


def _offset(word: Word, value: bytes) -> int:
    """Where the rest of the word begins, quotes included."""
    at = word.raw.find(value[:1], 1) if value else len(word.raw)
    return max(at - (word.raw[at - 1 : at] in {b"'", b'"'}), 0) if at > 0 else 0


def _secret(word: Word, start: int) -> Span:
    return Span(word.start + start, word.end, kinds.SECRET, RULE)
