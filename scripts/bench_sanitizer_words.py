"""Words for made-up values and texts: one set to tune on, one that is held out.

No name, street or host of one set stands in the other. The names are common
ones of many places, written as people there write them in Latin letters.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one set draws from."""

    people: tuple[tuple[str, str], ...]
    syllables: tuple[str, ...]
    """What family names are invented of that stand in no list."""
    streets: tuple[str, ...]
    towns: tuple[str, ...]
    mail_hosts: tuple[str, ...]
    nouns: tuple[str, ...]


def _people(given: str, family: str) -> tuple[tuple[str, str], ...]:
    """Every given name with three family names."""
    names, families = given.split(), itertools.cycle(family.split())
    return tuple((name, next(families)) for name in names for _ in range(3))


TUNING: Final = Words(
    people=_people(
        """Jane Robert Emily Michael Katharina Jürgen Sabine Amélie Luc Chiara Matteo Lucía Javier
        Agnieszka Tomasz Ingrid Lars Mehmet Ayşe Priya Rahul Wei Mei Hiroshi Yuki Fatima Omar
        Chidi Amara Thabo Nguyen Minjun Sofia Mateus Olena Dmitri Grace Mark Will Rose""",
        """Miller Johnson Thompson Schneider Hoffmann Dubois Lefèvre Rossi Ferrari García Fernández
        Kowalska Nowak Andersson Hansen Yılmaz Kaya Sharma Patel Zhang Wang Tanaka Suzuki
        Al-Masri Haddad Okafor Nkosi Tran Kim Silva Costa Shevchenko Ivanov Brown Young Banks""",  # noqa: RUF001 - that letter is Turkish
    ),
    syllables=("vorn", "tsila", "brek", "onjim", "haldu", "quist", "pereth", "zamo", "lyk", "ard"),
    streets=("Maple", "Hawthorn", "Linden", "Station", "Victor Hugo", "Birken", "Mayor", "Quarry"),
    towns=("Austin", "Leeds", "Kassel", "Lyon", "Sevilla", "Dallas", "Bath", "Ulm"),
    mail_hosts=(
        "example.com", "mail.example.org", "acme-corp.test", "kunden.example.de",
        "post.example.co.uk",
    ),
    nouns=("river", "copper", "falcon", "orchard", "marble", "thunder", "violet", "summer"),
)  # fmt: skip

HELD_OUT: Final = Words(
    people=_people(
        """Susan David Olivia Thomas Brigitte Wolfgang Anneliese Élodie Baptiste Giulia Lorenzo
        Carmen Álvaro Zofia Krzysztof Astrid Bjørn Emre Zeynep Ananya Vikram Jing Hao Kenji Sakura
        Layla Yusuf Ngozi Kwame Lerato Thuy Seojun Beatriz Rafael Kateryna Sergei Faith Grant
        Hope Dean""",
        """Wilson Harris Robinson Zimmermann Krüger Moreau Girard Esposito Romano Martínez Delgado
        Wiśniewska Zieliński Lindqvist Johansen Demir Çelik Gupta Reddy Liu Chen Watanabe
        Kobayashi Al-Rashid Mansour Adeyemi Mensah Dlamini Pham Park Oliveira Pereira Bondarenko
        Volkov Green Stone Field""",
    ),
    syllables=("grun", "mbele", "sark", "ewicz", "tolva", "hurn", "ikaru", "desh", "fjal", "oum"),
    streets=("Juniper", "Foundry", "Tannen", "Priory", "Gambetta", "Eichen", "Alcalá", "Harbour"),
    towns=("Houston", "Derby", "Mainz", "Nantes", "Málaga", "El Paso", "Wells", "Trier"),
    mail_hosts=(
        "example.net", "inbox.example.edu", "northwind.test", "buero.example.at",
        "office.example.com.au",
    ),
    nouns=("harbor", "silver", "badger", "meadow", "granite", "lantern", "saffron", "winter"),
)  # fmt: skip
