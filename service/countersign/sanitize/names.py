"""Names of people in prose, without a model: rare words with capital letters.

A word with a capital letter that no dictionary lists, or that lists of names
do, is taken for a name, together with the names, initials and particles beside
it. Words that are both (`Mark`, `Baker`, `Paris`) need another name, a title or
a word like *customer* beside them; names in small letters need one too. German
writes every noun with a capital, so there the lists alone decide.

Only text that has the shape of prose is looked at (`is_prose`): statements,
commands, code and identifiers are not. Invariants: no model, no network; time
is linear in the text. Pure. Called by `detect`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from countersign.sanitize import name_lists as lists
from countersign.sanitize.name_lists import FIRST, LAST, NAME, ORDINARY, PROPER, THING, flags, fold

# --- what is prose ----------------------------------------------------------------

_SYMBOLS: Final = b'{}[]()<>=;|\\/$&*_#"`^~+'
_SYMBOLS_EACH: Final = 12
"""One symbol for so many letters is prose still."""
_SHORTEST: Final = 6
_COMMAND: Final = re.compile(
    r"\s*(?:\$ |#!|(?:sudo|kubectl|aws|docker|terraform|git|curl|select|insert|create|alter|drop"
    r"|import|def|class|func) |delete from |update \w+ set |with \w+ as |from \w+ import )",
    re.IGNORECASE,
)
_OPTION: Final = re.compile(r"\s--?[a-z][a-z-]+[ =]")


def is_prose(text: str) -> bool:
    """Whether it reads like sentences or a name, not like code, a command or an id."""
    if " " not in text or len(text) < _SHORTEST:
        return False
    data = text.encode("utf-8", "replace")
    symbols = len(data) - len(data.translate(None, _SYMBOLS))
    if symbols > 2 and symbols * _SYMBOLS_EACH > len(data):
        return False
    if " -" in text and _OPTION.search(text):
        return False
    return "=>" not in text and "::" not in text and not _COMMAND.match(text)


# --- words ------------------------------------------------------------------------

_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['\-][^\W\d_]+)*")
_ASCII_TOKEN: Final = re.compile(r"[A-Za-z]+(?:['\-][A-Za-z]+)*")
"""The same in ASCII, in half the time."""
_JOINED_BEFORE: Final = frozenset("_/@#$\\=<%~&0123456789.:-*`")
_JOINED_AFTER: Final = frozenset("_/@\\=(0123456789`*{[$")
_SENTENCE_ENDS: Final = frozenset('.!?:\n•*>-"“(')
_CAMEL_NAME: Final = re.compile(r"(?:Mc|Mac|De|Di|La|Le|Van|Von|Fitz|O|Al|El)[A-Z][a-zà-ÿ]+")
_EAST_ASIAN: Final = re.compile(
    r"([\u4e00-\u9fff\u30a0-\u30ff\uac00-\ud7a3]{2,6}) ?(?:さん|様|氏|先生|女士|小姐|씨|님)"
)
_SHORTEST_NAME: Final = 3
_BETWEEN: Final = frozenset({"", ",", ":"})
"""What may stand between a name and the word that announces it."""
_SHORTEST_PART: Final = 4
_LONGEST: Final = 32
"""No word of a dictionary is longer."""


class _Token(NamedTuple):
    start: int
    end: int
    text: str


class _Word(NamedTuple):
    """A word with a capital letter that may be part of a name."""

    start: int
    end: int
    flags: int
    strong: bool
    """A name whatever stands around it."""
    initial: bool = False


class _Language(NamedTuple):
    """What capitals mean here."""

    nouns: bool
    """Every noun has one."""
    foreign: bool
    """The dictionary is of no use for the first word of a sentence."""


def _language(tokens: Sequence[_Token]) -> _Language:
    small = [token.text for token in tokens if token.text.islower()]
    nouns = sum(word in lists.GERMAN for word in small) >= 2
    return _Language(nouns, nouns or sum(word in lists.FOREIGN for word in small) >= 2)


def find(text: str, known: Callable[[str], bool] | None = None) -> list[tuple[int, int]]:
    """Where names stand in prose, in characters. `known` tells ids that may stay."""
    text = text.replace("\u2019", "'")
    if _is_plain(text):
        return []
    tokens = [_Token(*found.span(), found.group()) for found in _TOKEN.finditer(text)]
    language = _language(tokens)
    spans: list[tuple[int, int]] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if not token.text[0].isupper():
            count = _small(text, tokens, at)
            if count:
                spans.append((token.start, _end(tokens[at + count - 1])))
            at += count or 1
        elif fold(token.text) in lists.TITLES:
            at += 1
        else:
            run, after = _run(text, tokens, at, language)
            spans += _named(text, tokens, at, run)
            at = max(after, at + 1)
    if not text.isascii():
        spans = sorted(spans + [match.span(1) for match in _EAST_ASIAN.finditer(text)])
    if known is not None:
        spans = [span for span in spans if not known(text[span[0] : span[1]])]
    return spans


def _is_plain(text: str) -> bool:
    """Whether no word of it can be a name: true of most sentences, and soon said."""
    if not text.isascii():
        return False
    small, inert = lists.active()
    words = _ASCII_TOKEN.findall(text)
    if not small.isdisjoint(words) or not lists.ACCOUNTS.isdisjoint(words):
        return False
    return inert.issuperset([word.lower() for word in words if not word.islower()])


# --- names with capitals ------------------------------------------------------------


def _run(
    text: str, tokens: Sequence[_Token], at: int, language: _Language
) -> tuple[list[_Word], int]:
    """The words from here on that may be one name, and the index after them."""
    run: list[_Word] = []
    index = at
    while index < len(tokens):
        token = tokens[index]
        if run and text[tokens[index - 1].end : token.start] not in {" ", ". ", ".", "\u00a0"}:
            break
        if not token.text[0].isupper():
            skip = _particles(tokens, index) if run else 0
            if not skip:
                break
            index += skip
            continue
        word = _judge(text, token, language)
        if word is None:
            break
        run.append(word)
        index += 1
        ends = not word.initial and text[token.end : token.end + 1] == "."
        if ends or word.end < token.end:  # a sentence or a possessive ends a name
            break
    return run, index


def _particles(tokens: Sequence[_Token], index: int) -> int:
    """How many particles stand here before another name (`van der`)."""
    for count in range(1, 4):
        if index + count >= len(tokens) or tokens[index + count - 1].text not in lists.PARTICLES:
            return 0
        if tokens[index + count].text[0].isupper():
            return count
    return 0


def _judge(text: str, token: _Token, language: _Language) -> _Word | None:
    """What a word with a capital letter may be; None: no part of a name."""
    start, end, word = token
    if not _stands_alone(text, token):
        return None
    if len(word) == 1:
        pointed = text[end : end + 1] == "."
        return _Word(start, end, 0, strong=False, initial=True) if pointed or word > "I" else None
    if word[-2:] == "'s":
        word, end = word[:-2], end - 2
    flag = _flags_of(word)
    if flag & (ORDINARY | THING) or (word.isupper() and len(word) > 1):
        if word.isupper() and flag & ORDINARY:  # `GRANT`, by itself no name however it is asked for
            flag |= THING
        strong = bool(flag & FIRST) and end < token.end
        return _Word(start, end, flag, strong=strong) if flag & NAME else None
    if not flag and not _is_rare(text, token, word, language):
        return None if not language.nouns else _Word(start, end, flag, strong=False)
    return _Word(start, end, flag, strong=True)


def _is_rare(text: str, token: _Token, word: str, language: _Language) -> bool:
    """Whether a word that no list has is so rare that it will be a name."""
    if language.nouns or not word.replace("-", "").isalpha():
        return False
    if language.foreign and _begins(text, token.start):
        return False
    return not _is_made_of_words(word)


def _flags_of(word: str) -> int:
    table = flags()
    if "-" in word:
        pieces = word.split("-")
        parts = [table.get(fold(piece), 0) for piece in pieces]
        plain = any(part & THING or (part & ORDINARY and not part & NAME) for part in parts)
        if plain or all(part & ORDINARY for part in parts) or any(map(str.islower, pieces)):
            return THING
        return NAME if any(part & NAME for part in parts) else 0
    if "'" not in word and not word[1:].islower() and not word.isupper():
        return LAST if _CAMEL_NAME.fullmatch(word) else THING
    folded = fold(word)
    if folded in table:
        return table[folded]
    if "'" in word:
        tail = folded.rpartition("'")[2]
        if tail in lists.CONTRACTIONS:
            return THING
        return LAST if word[1] == "'" else table.get(folded.replace("'", ""), 0) & NAME
    return 0


def _begins(text: str, start: int) -> bool:
    """Whether a sentence does here."""
    before = text[max(0, start - 3) : start].rstrip(" ")
    return not before or before[-1] in _SENTENCE_ENDS


def _is_made_of_words(word: str) -> bool:
    """`Reindexing`, `Backfill`: what dictionaries leave out because it is plain."""
    table, plain, low = flags(), ORDINARY | THING, fold(word)
    if len(low) > _LONGEST:
        return False
    stems = {low, low.removesuffix("ies") + "y", low.removesuffix("ing") + "e"}
    stems |= {low.removesuffix(end) for end in lists.SUFFIXES if len(low) > len(end) + 3}
    stems |= {stem.removeprefix(start) for stem in tuple(stems) for start in lists.PREFIXES}
    if any(table.get(stem, 0) & plain for stem in stems if len(stem) > 2):
        return True
    cuts = range(_SHORTEST_PART, len(low) - _SHORTEST_PART + 1)
    return any(table.get(low[:at], 0) & plain and table.get(low[at:], 0) & plain for at in cuts)


def _named(
    text: str, tokens: Sequence[_Token], at: int, run: list[_Word]
) -> Iterator[tuple[int, int]]:
    """The part of a run that is a name."""
    before = _word_before(text, tokens, at)
    titled = before in lists.TITLES
    if not run:  # a title makes a name even of an ordinary word
        if titled and not tokens[at].text.isupper() and text[tokens[at].start - 1] in " .":
            yield tokens[at].start, _end(tokens[at])
        return
    if len(run) > 1 and not titled and _is_verb(text, run[0]):
        run = run[1:]
    while run and run[-1].initial and text[run[-1].end : run[-1].end + 1] != ".":
        run = run[:-1]
    if all(word.initial for word in run):
        return
    if titled or any(word.strong for word in run) or _is_pair(run) or _is_called(before, run):
        yield run[0].start, run[-1].end


def _word_before(text: str, tokens: Sequence[_Token], at: int) -> str:
    """The word before this one, unless a sentence ends between them; small, without accents."""
    gap = text[tokens[at - 1].end : tokens[at].start] if at else "|"
    word = fold(tokens[at - 1].text)
    return word if gap.strip() in _BETWEEN or (word in lists.TITLES and gap == ". ") else ""


def _is_verb(text: str, word: _Word) -> bool:
    """`Call Marcin`: an ordinary word has its capital from the sentence, a first name its own."""
    return bool(word.flags & ORDINARY and not word.flags & FIRST and _begins(text, word.start))


def _is_pair(run: list[_Word]) -> bool:
    """A first and a last name that are both words as well; or an initial and a last name."""
    words = [word for word in run if not word.initial]
    if len(words) < 2:
        return run[0].initial and bool(words[0].flags & NAME)
    things = all(word.flags & THING for word in words)
    return bool(words[0].flags & FIRST and words[-1].flags & (LAST | PROPER) and not things)


def _is_called(before: str, run: list[_Word]) -> bool:
    if before not in lists.CUES:
        return False
    return any(word.flags & NAME and not word.flags & THING for word in run)


# --- names in small letters -----------------------------------------------------------


def _small(text: str, tokens: Sequence[_Token], at: int) -> int:
    """How many words in small letters from here on are a name."""
    token = tokens[at]
    if len(token.text) < _SHORTEST_NAME:
        return 0
    flag = flags().get(fold(token.text), 0)
    if (flag and not flag & NAME) or token.text in lists.VERBS or not _stands_alone(text, token):
        return 0
    before = _word_before(text, tokens, at)
    rare = not flag and (
        not token.text.isascii()
        or (before in lists.ACCOUNTS and len(token.text) > 3 and not _is_made_of_words(token.text))
    )
    called = before in lists.PEOPLE_CUES
    plain = bool(flag & THING or (flag & ORDINARY and before not in lists.PEOPLE))
    first = (flag & FIRST or (rare and called)) and (called or not plain)
    if first and _is_last(text, tokens, at + 1, plain=plain, called=called):
        return 2
    return 1 if called and not plain and (flag & FIRST or rare) else 0


def _is_last(text: str, tokens: Sequence[_Token], at: int, *, plain: bool, called: bool) -> bool:
    """Whether the word after a first name in small letters is a last name."""
    if at >= len(tokens) or text[tokens[at - 1].end : tokens[at].start] != " ":
        return False
    word = tokens[at].text.removesuffix("'s")
    flag = flags().get(fold(word), 0)
    if not word.islower() or flag & THING or not _stands_alone(text, tokens[at]):
        return False
    if flag & ORDINARY:
        return bool(flag & LAST and not plain)
    return bool(flag & LAST or (called and not flag))


def _stands_alone(text: str, token: _Token) -> bool:
    """Not a part of an id, a path, a host or a setting."""
    if token.start and text[token.start - 1] in _JOINED_BEFORE:
        return False
    after = text[token.end : token.end + 1]
    if after in {".", "-", ":"} and text[token.end + 1 : token.end + 2].isalnum():
        return after == "." and len(token.text) == 1
    return not after or after not in _JOINED_AFTER


def _end(token: _Token) -> int:
    """Without a possessive."""
    return token.end - 2 if token.text.endswith("'s") else token.end
