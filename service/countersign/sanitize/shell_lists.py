"""Commands that are lists of words, or an object that holds their parts.

`["mysql", "-pX"]` is read as it is run, wherever it stands: below any key, as JSON in a
string, with numbers or lists among its words. What an object says of one command in
several places is put together: `{"command": ["mysql"], "args": ["-pX"]}`, each program
with each of the lists beside it, so that no order and no decoy hides one.

Linear: a word is read with its own list and the two above it; how many words are read
again for programs beside them is counted. Pure; `mark` is called by `detect`.
"""

from __future__ import annotations

import bisect
import itertools
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import re2

from countersign.model import JsonObject, JsonValue
from countersign.sanitize import characters, kinds, shell_secrets
from countersign.sanitize.bounds import Allowance, TooMuchError
from countersign.sanitize.facts import field_of
from countersign.sanitize.shell_words import Line, Word, lines
from countersign.sanitize.survey import PARSED, WHOLE, Leaf, Place, Run, Span, Step, Survey

_LOG: Final = logging.getLogger(__name__)

MAX_WORDS: Final = 20_000
"""Words read together with a program that stands beside them, each as often as one does."""
_DEEP: Final = 2
"""Lists in a list of words that are words of it as well."""
_COMMANDS: Final = frozenset(
    "bin binary entrypoint exe exec executable process program run shell tool".split()
)
"""Keys of commands beside those that facts are made from."""
_USER_OPTIONS: Final = frozenset({b"-u", b"-user", b"--user", b"--proxy-user", b"--auth"})
_NAMED: Final = re2.compile(
    r"""(?i)(?:^|[\x00/\s"'\\])("""
    + "|".join(map(re2.escape, sorted(shell_secrets.PROGRAMS)))
    + r"""|-u|--?(?:proxy-)?user|--?auth)(?:\.exe)?(?:$|[\x00\s"'\\])"""
)
_BETWEEN: Final = b"\x00\x00"
"""Two: a match takes what stands before and behind it."""
_AROUND: Final = 5
"""So far above a program's name may a list or object stand of which it is a part."""
_LOGIN: Final = re.compile(rb"[^\s:\"'/]+:(?=\S)(?![0-9]+\Z)")
_FACTS: Final = frozenset({"shell", "commands"})
_MORE: Final = "shell_more"
_JSON: Final = b"{}"
"""A word that is JSON: what is in it is judged where it stands."""

_Address: TypeAlias = "tuple[int, Step]"


class _Token(NamedTuple):
    """A word of a command, and where it stands."""

    place: Place
    step: Step | None
    """None: the name of an option that is a key, and shown."""
    value: JsonValue
    word: Word


def mark(survey: Survey) -> None:
    """Cover what programs are given as secrets, in lists of words and in their parts."""
    hot = _places_of_programs(survey.run)
    named: dict[str, bool] = {}
    reader: _Reader | None = None
    for run in survey.run:
        if id(run.place) not in hot:
            if isinstance(run.value, dict):
                continue
            if run.key not in named:
                named[run.key] = _is_command(run.key)
            if not named[run.key]:
                continue
        reader = reader or _Reader(survey)
        for tokens in reader.commands(run):
            reader.read(tokens)


def _places_of_programs(runs: Sequence[Run]) -> set[int]:
    """What names a program that takes secrets, or gives a login, and what stands around it.

    All texts are searched at once: most contexts run nothing.
    """
    texts = [_joined(run.value) for run in runs]
    ends = list(itertools.accumulate(len(text) + len(_BETWEEN) for text in texts))
    hot: set[int] = set()
    for match in _NAMED.finditer(_BETWEEN.join(texts)):
        place = runs[bisect.bisect_right(ends, match.start(1))].place
        hot.add(id(place))
        for _ in range(_AROUND):
            place = place[0] if place else None
            hot.add(id(place))
    return hot


def _joined(value: list[JsonValue] | JsonObject) -> bytes:
    """The texts in a list or object, not those deeper in it."""
    items = value.values() if isinstance(value, dict) else value
    return "\x00".join([item for item in items if type(item) is str]).encode("utf-8", "replace")


class _Reader:
    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._words = Allowance(MAX_WORDS)
        self._runs: dict[_Address, Run] = {
            (id(run.place[0]), run.place[1]): run for run in survey.run if run.place
        }
        self._leaves: dict[_Address, Leaf] = {}
        self._covered: set[tuple[int, Span]] = set()

    # --- which words are a command -----------------------------------------------

    def commands(self, run: Run) -> Iterator[Sequence[_Token]]:
        """Every command that a list or object may be."""
        if isinstance(run.value, dict):
            yield from self._of_object(run, run.value)
        else:
            words = [*self._of_list(run, _DEEP)]
            yield words
            if _fact(run.key) == "shell" and any(map(_begins_with_program, words)):
                yield [*itertools.chain.from_iterable(map(_split, words))]

    def _of_list(self, run: Run, depth: int) -> Iterator[_Token]:
        for step, value in enumerate(run.value):
            if isinstance(value, list):
                inner = self._runs.get((id(run.place), step)) if depth else None
                yield from self._of_list(inner, depth - 1) if inner else ()
            elif isinstance(value, str | int | float):
                yield self._token(run.place, step, value)

    def _token(self, place: Place, step: Step, value: str | float) -> _Token:
        if not isinstance(value, str):
            said = str(value).encode()
            return _Token(place, step, value, Word(0, WHOLE, said, said))
        leaf = self._leaf(place, step) if value[:1] in {"{", "["} else None
        if leaf is not None and leaf.parsed is not None:
            return _Token(place, step, value, Word(0, WHOLE, _JSON, _JSON))
        return _Token(place, step, value, _word(value))

    def _of_object(self, run: Run, items: JsonObject) -> Iterator[Sequence[_Token]]:
        """Each program with all that stands beside it and may be its words."""
        parts = [
            (key, _is_command(key) or _fact(key) == _MORE, [*self._of_part(run, key, value)])
            for key, value in items.items()
        ]
        programs = [each for each in parts if any(_is_program(token.word) for token in each[2])]
        for name, is_run, program in programs:
            for key, is_said, words in parts:
                if key == name or not words:
                    continue
                # The name of a program beside a list of things is no command.
                if is_run or is_said or any(token.word.value[:1] == b"-" for token in words):
                    self._words.spend(len(program) + len(words))
                    yield [*program, *words]

    def _of_part(self, run: Run, key: str, value: JsonValue) -> Iterator[_Token]:
        inner = self._runs.get((id(run.place), key))
        if isinstance(value, list):
            yield from self._of_list(inner, _DEEP) if inner else ()
        elif isinstance(value, str):
            yield from self._of_text(run.place, key, value)
        elif isinstance(value, dict) and inner is not None and _fact(key) == _MORE:
            for option, given in value.items():
                if isinstance(given, str | int | float):
                    yield _Token(None, None, option, _word(option))
                    yield self._token(inner.place, option, given)

    def _of_text(self, place: Place, key: str, value: str) -> Iterator[_Token]:
        """A program's name, its options in one text, or a list that is written as JSON."""
        leaf = self._leaf(place, key) if value[:1] == "[" else None
        if leaf is not None and leaf.parsed is not None:
            inner = self._runs.get((id(leaf.place), PARSED))
            yield from self._of_list(inner, _DEEP) if inner else ()
        elif value[:1] == "-" or _is_command(key) or _fact(key) == _MORE:
            commands = [line.words for line in lines(value.encode("utf-8", "replace"))]
            named = [words for words in commands if any(map(_is_program, words))]
            for word in (named[-1:] or commands[:1] or [[]])[0]:
                yield _Token(place, key, value, word)
        elif _is_program(word := _word(value)):
            yield _Token(place, key, value, word)

    # --- what of them is a secret ---------------------------------------------------

    def read(self, tokens: Sequence[_Token]) -> None:
        """Cover the secrets of one command; all of it where reading fails."""
        line = Line(words=[token.word for token in tokens], piped=False)
        try:
            for index, span in [*shell_secrets.of_words(line), *_logins(tokens)]:
                self._cover(tokens[index], span)
        except TooMuchError:
            raise
        except Exception as error:  # noqa: BLE001 - fail closed: covered whole
            _LOG.error("a command was masked whole: %s", type(error).__name__)
            for token in tokens:
                self._cover(token, Span(0, WHOLE, kinds.UNREADABLE, shell_secrets.RULE))
            self._survey.complete = False

    def _cover(self, token: _Token, span: Span) -> None:
        if token.step is None:
            return
        leaf = self._leaf(token.place, token.step)
        if leaf is None:
            text = isinstance(token.value, str)
            leaf = Leaf(str(token.value), (token.place, token.step), "", is_text=text)
            self._leaves[id(token.place), token.step] = leaf
            self._survey.leaves.append(leaf)
        if (id(leaf), span) not in self._covered:
            self._covered.add((id(leaf), span))
            self._survey.spans.spend()
            leaf.add(span)

    def _leaf(self, place: Place, step: Step) -> Leaf | None:
        """What stands there, known by the place that holds it: places of a walk are one object."""
        if not self._leaves:  # of what was walked; they are made once
            for leaf in self._survey.leaves:
                if leaf.place is not None:
                    self._leaves[id(leaf.place[0]), leaf.place[1]] = leaf
        return self._leaves.get((id(place), step))


def _word(text: str) -> Word:
    data = text.encode("utf-8", "replace")
    return Word(0, len(data), data, data)


def _begins_with_program(token: _Token) -> bool:
    """`["mysql -u root", "-pX"]`: several words in one item."""
    first, blank, _ = token.word.value.partition(b" ")
    return bool(blank) and _is_program(Word(0, len(first), first, first))


def _split(token: _Token) -> Iterator[_Token]:
    """The words of an item that is the beginning of a command."""
    commands = lines(token.word.value) if _begins_with_program(token) else []
    if len(commands) != 1:
        yield token
    for word in commands[0].words if len(commands) == 1 else ():
        yield token._replace(word=word)


def _is_program(word: Word) -> bool:
    return shell_secrets.name_of(word) in shell_secrets.PROGRAMS


def _fact(key: str) -> str | None:
    return field_of(characters.plain(key))


def _is_command(key: str) -> bool:
    """Whether a key says that what stands below it is run."""
    return _fact(key) in _FACTS or characters.plain(key).casefold() in _COMMANDS


def _logins(tokens: Sequence[_Token]) -> Iterator[tuple[int, Span]]:
    """`-u name:X`, whatever the program is; numbers are ids of users."""
    for index, (option, token) in enumerate(itertools.pairwise(tokens), 1):
        if option.word.value in _USER_OPTIONS and (login := _LOGIN.match(token.word.value)):
            yield index, Span(login.end(), WHOLE, kinds.SECRET, shell_secrets.RULE)
