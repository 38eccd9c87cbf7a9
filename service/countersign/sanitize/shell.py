"""Which programs a command runs, with which options, and whether it only reads.

Two readings. The rough one is for people: every program and option that may be
in the line, splitting at white space and operators, so that quoting may add
words and never hides a program. The strict one is for policy: a line `reads`
only when an allow-list takes it in to the last character: plain words and
quotes, known readers by name or from a system directory, options known to
write and start nothing.

Pure; called by `facts`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Final

import re2

MAX_WORDS: Final = 500
MAX_COMMANDS: Final = 100
OTHER: Final = "[OTHER]"

_SEPARATORS: Final = re2.compile(r"\|\||&&|[|;&\n\r()`]|\$\(")
_ASSIGNMENT: Final = re2.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=.*")
_PROGRAM: Final = re2.compile(r"(?:[A-Za-z_]|7z)[A-Za-z0-9_.+-]{0,39}")
"""Begins like a name: digits may be anybody's."""
_LONG: Final = re2.compile(r"(--[a-z][a-z0-9-]{0,39})(?:=.*)?")
_SHORT: Final = re2.compile(r"-[A-Za-z]{1,3}")
_ATTACHED: Final = frozenset("pPuUHw")
"""Short options whose value is often glued on: only the letter is shown."""
_WRAPPERS: Final = frozenset({"sudo", "env", "nohup", "time", "exec", "command", "xargs", "doas"})
_QUOTES: Final = "'\"{}[]\\"
_SYSTEM: Final = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/")

# --- what is known to read ---------------------------------------------------

_READERS: Final[dict[str, frozenset[str]]] = {
    name: frozenset(letters)
    for name, letters in {
        "cat": "AbeEnstTuv",
        "cut": "bcdfnsz",
        "df": "ahHiklPT",
        "diff": "abBcdEiNpqrstuwyZ",
        "du": "abchHkLmsSx0",
        "file": "bikLNr0",
        "grep": "aAbBcCeEFhHiIlLmnoPqrRsTvwxz",
        "head": "cnqvz",
        "id": "agGnruz",
        "ls": "1aAbBcCdfFgGhHiklLmnNopqQrRsStTuUvwxXZ",
        "ps": "aAcdeflLmopTuwxyZ",
        "pwd": "LP",
        "sha256sum": "btz",
        "stat": "cfLt",
        "tail": "cnqvz",
        "uname": "aimnoprsv",
        "uptime": "ps",
        "wc": "cLlmw",
        "whoami": "",
    }.items()
}
"""Programs that start nothing and write nowhere with these options, values glued on or not."""
_SAFE_LONG: Final = frozenset(
    """--all --almost-all --brief --bytes --classify --color --context --count --delimiter --exclude
    --exclude-dir --extended-regexp --fields --files-with-matches --fixed-strings --format --full
    --group --help --human-readable --ignore-case --include --inode --invert-match --line-number
    --lines --long --max-count --max-depth --name --no-filename --number --only-matching --quiet
    --recursive --reverse --si --sort --summarize --time --total --unified --user --version
    --with-filename --word-regexp --words""".split()
)
_WORD: Final = re.compile(
    r"(?:[A-Za-z0-9_./:,@%+-]|(?<=[A-Za-z0-9_./:,@%+-])[=*^~]|'[^'\x00-\x1f\x7f]*'|\"[^\"$`\\!\x00-\x1f\x7f]*\")+"
)
_PLAIN: Final = re.compile(
    r"(?:[A-Za-z0-9_./:=,@%+*^~| ;&-]|'[^'\x00-\x1f\x7f]*'|\"[^\"$`\\!\x00-\x1f\x7f]*\")+"
)
_PIECE: Final = re.compile(r"'[^']*'|\"[^\"]*\"|&&|\|\||[|;]|[^'\"|;& ]+| +|&")
_ITEM: Final = re.compile(r"[A-Za-z0-9_./:=,@%+ -]+")
_CLUSTER: Final = re.compile(r"-([A-Za-z])([A-Za-z]*)([0-9]*)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Programs in order, options sorted. Names still pass the text rules."""

    programs: tuple[str, ...]
    flags: tuple[str, ...]
    reads: bool


def read(command: str | Sequence[str]) -> Command:
    """Describe a command line, or an argument vector that no shell sees."""
    command = _whole(command) if isinstance(command, str) else [*map(_whole, command)]
    text = command if isinstance(command, str) else ""
    parts: list[list[str]] = [list(command)]
    if isinstance(command, str):
        parts = [part.split() for part in _SEPARATORS.split(text, maxsplit=MAX_COMMANDS)]
    if len(parts) > MAX_COMMANDS or sum(map(len, parts)) > MAX_WORDS:
        return Command(programs=(OTHER,), flags=(), reads=False)
    programs: dict[str, None] = {}
    flags: set[str] = set()
    for words in parts:
        _read_one(words, programs, flags)
    reads = _line_reads(text) if isinstance(command, str) else _vector_reads(command)
    return Command(programs=tuple(programs), flags=tuple(sorted(flags)), reads=reads)


def _whole(text: str) -> str:
    """Without half characters, which JSON in a string may hold and RE2 does not take."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def read_item(item: str) -> Command:
    """An item of an argument vector that may be a command, a name or a text.

    Only words in small letters are programs there.
    """
    command = read(item)
    programs = dict.fromkeys(name if name.islower() else OTHER for name in command.programs)
    return dataclasses.replace(command, programs=tuple(programs))


def is_reader(program: str) -> bool:
    """Whether it is on the list."""
    return program in _READERS


def _read_one(words: Iterable[str], programs: dict[str, None], flags: set[str]) -> None:
    expects_program = True
    for raw in words:
        word = raw.strip(_QUOTES)
        if word.startswith("-"):
            flag = _flag(word)
            if flag:
                flags.add(flag)
        elif expects_program and word and not _ASSIGNMENT.fullmatch(word):
            name = _program(word)
            programs[name] = None
            expects_program = name in _WRAPPERS


def _program(word: str) -> str:
    """Its name; `OTHER` for one from a directory that is not the system's."""
    for directory in _SYSTEM:
        word = word.removeprefix(directory) if word.startswith(directory) else word
    return word if _PROGRAM.fullmatch(word) else OTHER


def _flag(word: str) -> str:
    long = _LONG.fullmatch(word)
    if long:
        return str(long.group(1))
    if _SHORT.fullmatch(word) and word[1] not in _ATTACHED:
        return word
    return word[:2] if len(word) > 1 and word[1].isascii() and word[1].isalpha() else ""


# --- the strict reading ------------------------------------------------------


def _line_reads(line: str) -> bool:
    """Words, quotes, pipes and lists of readers; nothing a shell would expand or redirect."""
    if not _PLAIN.fullmatch(line):
        return False
    commands: list[list[str]] = [[]]
    word = ""
    for piece in _PIECE.findall(line):
        if piece[0] in " |;&":
            if word:
                commands[-1].append(word)
                word = ""
            if piece == "&":
                return False
            if piece[0] != " ":
                commands.append([])
        else:
            word += piece
    if word:
        commands[-1].append(word)
    if len(commands) > 1 and not commands[-1] and line.rstrip(" ").endswith(";"):
        commands.pop()
    return all(_reads([_unquoted(word) for word in words]) for words in commands)


def _unquoted(word: str) -> str:
    """The word as the program gets it; empty for one that is not plain."""
    if not _WORD.fullmatch(word):
        return ""
    return "".join(piece[1:-1] if piece[0] in "'\"" else piece for piece in _PIECE.findall(word))


def _vector_reads(words: Sequence[str]) -> bool:
    """An argument vector of which a shell, too, would make the same."""
    return all(_ITEM.fullmatch(word) for word in words) and _reads(words)


def _reads(words: Sequence[str]) -> bool:
    if not words or not all(words):
        return False
    name = _program(words[0])
    letters = _READERS.get(name)
    if letters is None:
        return False
    return all(
        _is_safe(word, letters) for word in words[1:] if word.startswith("-") and word != "-"
    )


def _is_safe(option: str, letters: frozenset[str]) -> bool:
    if option.startswith("--"):
        return option == "--" or option.partition("=")[0] in _SAFE_LONG
    if option[1:].isascii() and option[1:].isdigit():
        return True
    cluster = _CLUSTER.fullmatch(option)
    return cluster is not None and letters.issuperset(cluster.group(1) + cluster.group(2))
