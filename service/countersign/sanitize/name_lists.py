"""The lists names are found with: dictionaries, names, and the words around names.

`data/names.gz` is made by `scripts/names_data.py`, `data/things.txt` by hand;
`data/README.md` says where they come from. Both are read once, at the first
use. Used by `names`, and by the script that makes the file.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import unicodedata
from importlib import resources
from typing import Final

ORDINARY: Final = 1
"""A dictionary has it in small letters."""
PROPER: Final = 2
"""A dictionary has it with a capital letter only."""
FIRST: Final = 4
LAST: Final = 8
THING: Final = 16
"""A place, a product, a day, a word of the trade: no name by itself."""
NAME: Final = FIRST | LAST


@functools.cache
def flags() -> dict[str, int]:
    """What the lists say of a word in small letters without accents."""
    data = resources.files(__package__) / "data"
    words, _, letters = gzip.decompress((data / "names.gz").read_bytes()).decode().partition("\n")
    table = dict(zip(words.split(" "), map(_FLAG_OF.__getitem__, letters), strict=True))
    for line in (data / "things.txt").read_text("utf-8").splitlines():
        never = line.startswith("! ")
        for thing in line.removeprefix("! ").split():
            table[thing] = THING if never else table.get(thing, 0) | THING
    return table


_FLAG_OF: Final = {chr(64 + flag): flag for flag in range(16)}
_FOLDED: Final = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ß": "ss", "æ": "ae", "œ": "oe"}
    | {"\u0131": "i"}
)


def fold(word: str) -> str:
    """In small letters, without accents: how the lists have it."""
    if word.isascii():
        return word.lower()
    plain = unicodedata.normalize("NFKD", word.lower().translate(_FOLDED))
    return "".join(char for char in plain if not unicodedata.combining(char))


# --- words around names ---

TITLES: Final = frozenset(
    """
    mr mrs ms miss mx dr prof professor sir madam mister doctor herr frau fru hr mme mlle
    monsieur madame mademoiselle señor señora señorita sr sra srta don doña signor signora
    signore dott dottoressa dhr mevr mevrouw meneer pan pani sig sra senhor senhora rev
    captain capt col lt sgt judge sheikh rabbi imam sister nurse attorney uncle aunt
    """.split()
)
PARTICLES: Final = frozenset(
    """
    van von der den de del della di da dos das du la le el al bin ibn ben ter ten zu zur y e
    af av
    """.split()
)
CUES: Final = frozenset(
    """
    customer client patient employee colleague user manager approver reviewer requester
    applicant named called signed regards cheers thanks dear hi hello hey ask asked contact
    tell told cc with sincerely from for by to employees contractor candidate tenant guest
    member subscriber mother father wife husband son daughter brother sister partner boss
    friend teammate behalf per kunde kundin klient cliente clienta señor patientin klant
    utente usuario
    """.split()
)
"""After these a word that is also a name is one."""
PEOPLE_CUES: Final = frozenset(
    """
    customer client patient employee colleague user manager approver named called dear hi
    hello hey ask asked contact tell told cc regards signed thanks cheers mr mrs ms miss dr
    prof wife husband son daughter behalf account for by from with to of and
    """.split()
)
"""After these a name in small letters is one, if it is nothing else."""
PEOPLE: Final = frozenset(
    """
    customer patient employee colleague named dear mr mrs ms miss dr prof wife husband son daughter
    """.split()
)
"""After these a first name in small letters is one even if it is a word as well."""
ACCOUNTS: Final = PEOPLE | {"user", "client"}
"""After these a word in small letters that no list has is a name."""
VERBS: Final = frozenset(
    """
    will may can mark grant bill page an so do see love sue pat drew chase skip rob hunter may art
    tray dean rich faith hope joy chance major star royal guy ace
    """.split()
)
"""First names that are nearly always words when they have no capital."""
CONTRACTIONS: Final = frozenset({"s", "t", "re", "ve", "ll", "d", "m"})
GERMAN: Final = frozenset(
    """
    der die das und nicht für wird mit ist auf den dem ein eine wegen bitte von zu im
    """.split()
)
FOREIGN: Final = frozenset(
    """
    le les des une est pour avec dans que sur pas el los las una para con por del di il gli
    che non per het een niet voor met och att som är inte og ikke til på jest nie się na dla o
    os uma não em
    """.split()
)
PREFIXES: Final = (
    "re",
    "un",
    "auto",
    "pre",
    "de",
    "multi",
    "sub",
    "micro",
    "over",
    "non",
    "inter",
    "co",
)
SUFFIXES: Final = (
    "s",
    "es",
    "ed",
    "d",
    "ing",
    "er",
    "ers",
    "able",
    "ly",
    "ness",
    "ize",
    "ized",
    "izing",
)


@functools.cache
def active() -> tuple[frozenset[str], frozenset[str]]:
    """Words in small letters that may be a name; words that are none even with a capital."""
    table = flags()
    small = frozenset(
        word for word, flag in table.items() if flag & NAME and not flag & (ORDINARY | THING)
    )
    inert = frozenset(word for word, flag in table.items() if not flag & NAME and flag != PROPER)
    return small, inert - TITLES


def table_id() -> str:
    """Everything these lists hold, for the hash of the rule set."""
    data = resources.files(__package__) / "data"
    parts = [(data / name).read_bytes() for name in ("names.gz", "things.txt")]
    around = (TITLES, PARTICLES, CUES, PEOPLE_CUES, PEOPLE, ACCOUNTS, VERBS, GERMAN, FOREIGN)
    parts.append(repr([sorted(words) for words in around]).encode())
    return hashlib.sha256(b"".join(parts)).hexdigest()
