"""What of a match is a secret: entropy, words, placeholders.

Each takes the bytes a pattern matched and says which parts of them are the
thing. All are linear in a match. Pure; used by `rules` only.
"""

from __future__ import annotations

import binascii
import math
import re
from typing import Final

import re2

from countersign.sanitize import kinds
from countersign.sanitize.checks import Parts

_QUOTES: Final = frozenset({b"'", b'"'})
_DIGIT: Final = re.compile(rb"[0-9]")
_NOT_ALNUM: Final = re.compile(rb"[^0-9A-Za-z]")

_HARMLESS: Final = re.compile(
    rb"(?:"
    + kinds.PLACEHOLDER.encode()
    + rb"|(?:(?i:bearer|basic|token) )?\$\{?[A-Z_][A-Z0-9_]*\}?|\*+|\.{3}|[\[{]+|"
    rb"|(?i:null|none|true|false|undefined|required|optional|string))"
)
_COMMAND: Final = re.compile(
    rb"\$\((?:[a-z][a-z._-]{0,40}|base64|[a-z0-9]{2,9}sum|python3"
    rb"|[a-z0-9._-]{0,20}/[a-z0-9._/-]{1,40}[,;&)}>]*)"
)
"""What a command says: its name, with a blank behind it where the value ends, or its path."""

VARIABLES: Final = re.compile(rb"(?:[\"']?\$\{?[A-Za-z_][A-Za-z0-9_]*\}?[\"']?:?){1,4}")
"""Where a shell puts values nobody sees here."""


def assigned(found: bytes) -> Parts:
    """The value given to a secret's name, unless it is a placeholder."""
    found = found.rstrip(b" ")
    last = found[-1:]
    if last in _QUOTES and found.count(last) == 1:
        found = found[:-1]  # the quote was opened before the name
    if not found or (len(found) < 64 and _HARMLESS.fullmatch(found.rstrip(b",;&)}>"))):
        return ()
    if len(found) < 64 and _COMMAND.fullmatch(found):
        return ()
    return ((0, len(found)),)


def assigned_or_named(found: bytes) -> Parts:
    """The same; the name of a secret in AWS is none, nor is the working directory."""
    return () if _NO_VALUE.fullmatch(found) else assigned(found)


NAME_IN_AWS: Final = (
    r"arn:aws[a-z-]{0,10}:secretsmanager:[a-z0-9-]{0,20}:[0-9]{0,12}:secret:[A-Za-z0-9/_+.@-]+"
)
DIRECTORY: Final = r"\$\{?(?-i:(?:OLD)?PWD)\}?[\"']?:[\"']?/"
"""Mounted somewhere: `-v "$PWD":/src`."""
_NO_VALUE: Final = re.compile(f"{NAME_IN_AWS}|{DIRECTORY.replace('-i', '')}".encode())


def assigned_word(found: bytes) -> Parts:
    """The same for a name that also counts (`pass: 12`)."""
    plain = found.rstrip(b",;.")
    return assigned(found) if not plain.isdigit() or len(plain) > 3 else ()


def mentioned(found: bytes) -> Parts:
    """A word after "password": letters and digits or signs mixed, no path, version or option."""
    word = found.rstrip(b",;.:!?)")
    if not _PASSWORD.fullmatch(word) or _VERSION.fullmatch(word):
        return ()
    return ((0, len(word)),)


_PASSWORD: Final = re.compile(
    rb"(?=.{0,200}[0-9])(?=.{0,200}[A-Za-z])[^\s/\\<>=\[\](){}:;,-][^\s/\\<>=\[\](){}:;,]{5,199}"
)
_VERSION: Final = re.compile(rb"[a-z]{0,3}[-_.]?v?[0-9][0-9.]*")


def basic_auth(found: bytes) -> Parts:
    """Base64 of `user:password`; "basic authentication" is none."""
    try:
        plain = binascii.a2b_base64(found + b"=" * (-len(found) % 4))
    except binascii.Error:
        return ()
    return ((0, len(found)),) if b":" in plain else ()


def bearer(found: bytes) -> Parts:
    """A token holds a digit or is long; "bearer certificates" is none."""
    if len(found) >= 24 or any(byte in b"0123456789" for byte in found):
        return ((0, len(found)),)
    return ()


_UUID: Final = re.compile(
    rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)
_TIMESTAMP: Final = re.compile(rb"(?:19|20)[0-9]{6}[T_-]?[0-9]{6}Z?")
_OUR_ID: Final = re.compile(rb"(?:dec|rev|pmt|qst|chk|clm|rep|ans|ask|cnl|rvk|vot)_[0-9a-f]{32}")
_ULID: Final = re.compile(rb"01[0-9A-HJKMNP-TV-Z]{24}")
_AWS_ID: Final = re.compile(
    rb"(?:acl|ami|dopt|eipalloc|eni|fs|i|igw|lt|nat|pcx|rtb|sg|snap|subnet|tgw|vol|vpc|vpce)"
    rb"-0[0-9a-f]{16}"
)
_IDS: Final = (_UUID, _OUR_ID, _ULID, _AWS_ID)
_WORDS: Final = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NOT_VOWELS: Final = bytes(set(range(256)) - set(b"aeiouyAEIOUY"))
_MIN_RANDOM: Final = 16
_MIN_ENTROPY: Final = 3.0


_SHORT: Final = (
    r"(?: (?:[A-Za-z0-9._/~^@][A-Za-z0-9._/~^@=-]{0,18}|-{1,2}[0-9a-zA-FH-RT-Z][a-z0-9=-]{0,16}))"
    r"{0,4}"
)
"""Words too short to be random tokens; nothing that is searched for (`-S`, `-G`)."""
_GIT: Final = (
    r"git(?: -C [A-Za-z0-9._/~-]{1,60})? (?:am|archive|bisect|blame|branch|cat-file|checkout"
    r"|cherry|cherry-pick|describe|diff|diff-tree|fetch|format-patch|log|ls-tree|merge"
    r"|merge-base|name-rev|push|range-diff|read-tree|rebase|reset|restore|rev-list"
    r"|rev-parse|revert|show|switch|tag|update-ref|verify-commit|worktree)"
)
_TAKES_COMMIT: Final = (
    r" --(?:base|contains|fixup|force-with-lease|merged|no-contains|no-merged|onto|points-at"
    r"|reuse-message|source|squash)"
)
_CONTAINERS: Final = (
    r"(?:docker|podman|nerdctl|crictl)(?: container| image)? (?:attach|commit|cp|diff|export"
    r"|history|inspect|kill|logs|pause|port|push|rename|restart|rm|rmi|save|start|stats|stop|tag"
    r"|top|unpause|update|wait)"
)
_ARN: Final = (
    r"\barn:aws[a-z-]{0,10}:[a-z0-9-]{2,30}:[a-z0-9-]{0,20}:(?:aws:policy/[A-Za-z0-9/-]{1,80}"
    r"|[0-9]{12}:(?:(?:targetgroup|loadbalancer|listener|listener-rule)/(?:[A-Za-z0-9-]{1,19}/){1,2}"
    r"[0-9a-f]{16}(?:/[0-9a-f]{16}){0,2}|task/(?:[A-Za-z0-9-]{1,19}/)?[0-9a-f]{32}))\b"
    r"|\bhosted-?zone(?:-id)?[ =/]Z[A-Z0-9]{12,31}\b"
)

DIGESTS: Final = (
    r"sha256:[0-9a-f]{64}\b"
    rf"|\b{_GIT}{_SHORT}(?: |{_TAKES_COMMIT}=)[0-9a-f]{{40}}(?:[~^][0-9]{{0,3}})?"
    r"(?:\.{2,3}[0-9a-f]{40})?\b"
    rf"|\b{_CONTAINERS}{_SHORT} [0-9a-f]{{64}}\b"
    rf"|{_ARN}"
    r"|(?i:\b(?:commit|revert(?:s|ed|ing)?(?: to)?|cherry[ -]pick(?:ed from(?: commit)?)?|checkout"
    r"|reset --hard|merge|rebase(?: onto)?|rev|sha|sha1|HEAD is now at"
    r"|git (?:diff|log|show|revert|bisect|blame|branch|tag|worktree)(?: [a-z][a-z-]{0,9})?"
    r"(?: -{1,2}[a-z-]{1,20}){0,3})[ :=]{1,2}"
    r"|@)(?-i:[0-9a-f]{40}(?:[~^][0-9]{0,3})?(?:\.{2,3}[0-9a-f]{40})?)\b"
    r"|(?i:\btrace[_.-]?id[\"']{0,2}[ ]?[:=][ ]?[\"']{0,2})(?-i:[0-9a-f]{32})\b"
    r"|(?i:\bspan[_.-]?id[\"']{0,2}[ ]?[:=][ ]?[\"']{0,2})(?-i:[0-9a-f]{16})\b"
    r"|\b00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b"
)
"""Digests that say what they are, commits behind a word of Git, ids of containers and of
what runs in AWS where a command or an ARN says so, ids of W3C traces."""
_DIGESTS: Final = re2.compile(DIGESTS)
_PARTS: Final = re.compile(rb"[^.~]+")


_SAID: Final = re.compile(rb"(?s).*[ =:](?=[0-9a-f]{40})")
"""What stands before a digest."""
_SECRET_WORDS: Final = frozenset(
    b"""authorization bearer cookie cookies cred credential credentials header headers hmac key keys
    otp pass passcode passphrase passwd password passwords pin pw pwd salt secret secrets token
    tokens""".split()
)
_TAKES_TEXT: Final = re.compile(
    rb" -[GSHeo](?=[ =])"
    rb"| (?:-m|--(?:author|committer|env|exec|format|grep|label|message|pretty|push-option|trailer"
    rb"|receive-pack|upload-pack))[ =]\Z"
)
"""Options whose values may be anything: messages, settings, what is searched for."""
_DIRECTORY: Final = re.compile(rb"^git -C [^ ]+")
_LETTERS: Final = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def _is_secret_by(said: bytes) -> bool:
    """Whether words before hex call it a secret, or give it to an option that takes any text."""
    words = {word.lower() for word in _LETTERS.findall(_DIRECTORY.sub(b"", said))}
    return not _SECRET_WORDS.isdisjoint(words) or _TAKES_TEXT.search(said) is not None


def random_run(found: bytes) -> Parts:
    """A random token with the parts beside it, between dots, that are no plain words."""
    if not _DIGIT.search(found):
        return ()
    if _DIGESTS.fullmatch(found):
        at = _SAID.match(found)
        return ((at.end(), len(found)),) if at and _is_secret_by(at.group()) else ()
    parts = [(match.start(), match.end()) for match in _PARTS.finditer(found)]
    random = [at for at in parts if random_token(found[slice(*at)])]
    if not random:
        return ()
    first, last = parts.index(random[0]), parts.index(random[-1])
    while first > 0 and _MIXED_PART.search(found[slice(*parts[first - 1])]):
        first -= 1
    while last + 1 < len(parts) and _MIXED_PART.search(found[slice(*parts[last + 1])]):
        last += 1
    return ((parts[first][0], parts[last][1]),)


_MIXED_PART: Final = re2.compile(rb"[0-9].*[a-z]|[a-z].*[0-9A-Z]|[A-Z]{2}.*[a-z0-9]")


def random_token(found: bytes) -> Parts:
    """Letters and digits mixed as no word, date, path, UUID or id of ours mixes them."""
    if any(known.fullmatch(found) for known in _IDS):
        return ()
    if not _DIGIT.search(found) or found.startswith(b"sha256:"):
        return ()
    rest = _TIMESTAMP.sub(b"-", _UUID.sub(b"-", found))
    mixed = b"".join(piece for piece in _NOT_ALNUM.split(rest) if _is_mixed(piece))
    if len(mixed) < _MIN_RANDOM or _entropy(mixed) < _MIN_ENTROPY:
        return ()
    return ((0, len(found)),)


def _is_mixed(piece: bytes) -> bool:
    """Not a number, and not words with a number or two between them."""
    if len(piece) < 4 or piece.isdigit():
        return False
    if len(piece) > 64:
        return not piece.isalpha()
    numbers = 0
    for word in _WORDS.finditer(piece):
        part = word.group()
        if part.isdigit():
            numbers += 1
            if numbers > 2:
                return True
        elif len(part) < 2 or not part.translate(None, _NOT_VOWELS):
            return not piece.isalpha() or len(_WORDS.findall(piece)) > 2
    return False


def _entropy(token: bytes) -> float:
    """Shannon entropy in bits a byte."""
    size = len(token)
    counts = map(token.count, set(token))
    return math.log2(size) - sum([n * math.log2(n) for n in counts if n > 1]) / size


# --- what a provider's rule matched ------------------------------------------


def provided(found: bytes, *, min_entropy: float) -> Parts:
    """A provider's value that is random enough and not masked already."""
    if min_entropy and _entropy(found) <= min_entropy:
        return ()
    return () if VARIABLES.fullmatch(found) else assigned(found)


def mixed(found: bytes, *, min_entropy: float) -> Parts:
    """The same for a rule that knows no provider: letters alone are a word or a name."""
    return provided(found, min_entropy=min_entropy) if _DIGIT.search(found) else ()
