"""Makes `service/countersign/sanitize/data/names.gz` from lists that others publish.

Word lists of SCOWL (Debian packages `wamerican`, `wbritish`), names of the 1990
census of the United States (PyPI `names` 0.3.0, files `dist.*`), and names of
many countries (PyPI `faker` 40.54.0, `providers/person`, Latin script and what
folds to it). `data/README.md` says what each may be used for.

    python scripts/names_data.py --words DICT... --census DIR --faker DIR OUT
"""

from __future__ import annotations

import argparse
import ast
import gzip
from pathlib import Path
from typing import Final

from countersign.sanitize.name_lists import FIRST, LAST, ORDINARY, PROPER, fold

_MAX_LAST: Final = 20_000
"""Surnames by their share of the people; rarer ones are rare words anyway."""
_LEAST: Final = 3


def main() -> None:
    """Read the lists, write one file: words in order, then a letter for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--words", nargs="+", type=Path, required=True)
    parser.add_argument("--census", type=Path, required=True)
    parser.add_argument("--faker", type=Path, required=True)
    parser.add_argument("--without", type=Path, help="names to leave out, to measure unseen ones")
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    flags: dict[str, int] = {}
    for path in asked.words:
        _words(path, flags)
    _census(asked.census, flags)
    _faker(asked.faker, flags)
    if asked.without:
        for name in asked.without.read_text("utf-8").split():
            word = fold(name)
            flags[word] = flags.get(word, 0) & ~(FIRST | LAST)
    kept = sorted(word for word, flag in flags.items() if flag)
    body = " ".join(kept) + "\n" + "".join(chr(64 + flags[word]) for word in kept)
    asked.out.write_bytes(gzip.compress(body.encode(), compresslevel=9, mtime=0))
    print(f"{len(kept)} words, {asked.out.stat().st_size} bytes")


def _words(path: Path, flags: dict[str, int]) -> None:
    words = path.read_text("utf-8").split()
    ordinary = {fold(word) for word in words if word.isalpha() and word.islower()}
    for word in words:
        if word.isalpha() and len(word) >= 2:
            _add(flags, word, ORDINARY if fold(word) in ordinary else PROPER)


def _census(folder: Path, flags: dict[str, int]) -> None:
    for file, flag, most in (
        ("dist.male.first", FIRST, None),
        ("dist.female.first", FIRST, None),
        ("dist.all.last", LAST, _MAX_LAST),
    ):
        lines = (folder / file).read_text("ascii").splitlines()[:most]
        for line in lines:
            _add(flags, line.split()[0], flag)


def _faker(folder: Path, flags: dict[str, int]) -> None:
    for file in sorted(folder.glob("*/__init__.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                flag = _flag_of(node.targets[0].id)
                for text in ast.walk(node.value) if flag else ():
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        for part in text.value.replace("-", " ").split():
                            _add(flags, part, flag)


def _flag_of(name: str) -> int:
    if "prefix" in name or "suffix" in name or "format" in name:
        return 0
    if "first_name" in name or "middle_name" in name:
        return FIRST
    return LAST if "last_name" in name else 0


def _add(flags: dict[str, int], name: str, flag: int) -> None:
    word = fold(name)
    long = len(word) >= (_LEAST if flag in {FIRST, LAST} else 2)
    if long and word.isascii() and word.isalpha():
        flags[word] = flags.get(word, 0) | flag


if __name__ == "__main__":
    main()
