"""The cases: one made-up value each, in one shape and one encoding.

Two sets. Detection may be tuned on the first; targets are stated on the second,
which has other templates, other names and, for a third of them, other
providers. Both are the same for the same seed. Used by `bench_sanitizer_main`.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import bench_sanitizer_secrets as secrets
import bench_sanitizer_shapes as shapes
import bench_sanitizer_values as values
from bench_sanitizer_texts import HELD_OUT as HELD_OUT_TEXTS
from bench_sanitizer_texts import TUNING as TUNING_TEXTS
from bench_sanitizer_texts import Texts
from bench_sanitizer_words import HELD_OUT as HELD_OUT_WORDS
from bench_sanitizer_words import TUNING as TUNING_WORDS
from bench_sanitizer_words import Words

PLAIN: Final = "plain"
SECRET: Final = "provider secret"  # noqa: S105 - the name of a class
NAME_IN_PROSE: Final = "name in prose"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A context with one thing in it that must go."""

    entity: str
    shape: str
    encoding: str
    value: str
    """What must go, as people know it."""
    written: str
    """The same as it stands in the arguments or in the reason."""
    arguments: dict[str, Any]
    reason: str = ""
    around: tuple[dict[str, Any], str]
    """The same arguments and reason without it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One sort of value: how it is made, and whether its form alone tells it."""

    name: str
    make: values.Make
    tells: bool
    named: bool = True
    """Whether it is also tried under keys that name it."""


_ENTITIES: Final = (
    Entity(name="password", make=values.password, tells=False),
    Entity(name="e-mail", make=values.email, tells=True),
    Entity(name="phone, international", make=values.phone_international, tells=True),
    Entity(name="phone, national", make=values.phone_national, tells=False),
    Entity(name="card", make=values.card, tells=True),
    Entity(name="IBAN", make=values.iban, tells=True),
    Entity(name="SSN", make=values.ssn, tells=True),
    Entity(name="SSN, nine digits", make=values.ssn_plain, tells=False),
    Entity(name="national id, by form", make=values.national_id, tells=True),
    Entity(name="national id, by name", make=values.national_number, tells=False),
    Entity(name="IP address", make=values.ip, tells=True),
    Entity(name="MAC address", make=values.mac, tells=True),
    Entity(name="date of birth", make=values.birth, tells=False),
    Entity(name="postal address", make=values.address, tells=False),
    Entity(name="name in a field", make=values.person, tells=False),
    Entity(name="medical record", make=values.record_number, tells=False),
    Entity(name="wallet", make=values.wallet, tells=True),
)
NAMES: Final = (SECRET, NAME_IN_PROSE, *(entity.name for entity in _ENTITIES))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """Everything one set draws from."""

    name: str
    seed: int
    words: Words
    texts: Texts
    secrets: Mapping[str, str]
    named: Mapping[str, tuple[shapes.Shape, ...]]
    unnamed: Mapping[str, tuple[shapes.Shape, ...]]


TUNING: Final = Set(
    name="tuning",
    seed=1,
    words=TUNING_WORDS,
    texts=TUNING_TEXTS,
    secrets={**secrets.BOTH, **secrets.TUNING_ONLY},
    named=shapes.TUNING,
    unnamed=shapes.UNNAMED_TUNING,
)
HELD_OUT: Final = Set(
    name="held-out",
    seed=2,
    words=HELD_OUT_WORDS,
    texts=HELD_OUT_TEXTS,
    secrets={**secrets.BOTH, **secrets.HELD_OUT_ONLY},
    named=shapes.HELD_OUT,
    unnamed=shapes.UNNAMED_HELD_OUT,
)


def cases(chosen: Set, *, rounds: int) -> Iterator[Case]:
    """Every entity in every shape, and in every encoding, `rounds` times over."""
    rng = random.Random(chosen.seed)  # noqa: S311 - made-up data, the same in every run
    for _ in range(rounds):
        yield from _secrets(rng, chosen)
        for entity in _ENTITIES:
            yield from _named(rng, chosen, entity)
            yield from _prose(rng, chosen, entity.name, entity.make(rng, chosen.words))
            if entity.tells:
                yield from _unnamed(
                    rng, chosen, entity.name, lambda e=entity: e.make(rng, chosen.words)
                )
        for _ in range(24):
            yield from _names(rng, chosen)


def _secrets(rng: random.Random, chosen: Set) -> Iterator[Case]:
    """Every kind in prose, where nothing names it, below a key that does, and encoded."""
    made = {kind: secrets.credential(rng, shape) for kind, shape in chosen.secrets.items()}
    made["JSON web token"] = secrets.signed(rng)
    made["private key"] = secrets.private_key(rng)
    unnamed, named = _flat(chosen.unnamed), _flat(chosen.named)
    for each in made.values():
        yield from _prose(rng, chosen, SECRET, each.text, each.secret)
        if "\n" in each.text:
            continue
        shape, make = rng.choice(unnamed)
        if not (shape == "URL" and "://" in each.text):
            yield _case(SECRET, shape, make, "v", each.text, secret=each.secret)
        shape, make = rng.choice(named)
        key = rng.choice(chosen.texts.keys[SECRET])
        yield _case(SECRET, shape, make, key, each.text, secret=each.secret)
        encoding, write = rng.choice([*shapes.ENCODINGS.items()])
        yield _encoded(rng, chosen, SECRET, each.text, encoding, write, each.secret)


def _named(rng: random.Random, chosen: Set, entity: Entity) -> Iterator[Case]:
    for shape, make in _flat(chosen.named):
        key = rng.choice(chosen.texts.keys[entity.name])
        yield _case(entity.name, shape, make, key, entity.make(rng, chosen.words))


def _unnamed(rng: random.Random, chosen: Set, name: str, make_value: Any) -> Iterator[Case]:
    for shape, make in _flat(chosen.unnamed):
        yield _case(name, shape, make, "v", make_value())
    for encoding, write in shapes.ENCODINGS.items():
        yield _encoded(rng, chosen, name, make_value(), encoding, write)


def _encoded(
    rng: random.Random,
    chosen: Set,
    name: str,
    value: str,
    encoding: str,
    write: shapes.Encoding,
    secret: str = "",
) -> Case:
    """Half of them in prose, half in a shape that says nothing about them."""
    if rng.random() < 0.5:
        template = rng.choice(chosen.texts.neutral)
        return _in_prose(rng, chosen, name, template, value, secret, encoding, write)
    shape, make = rng.choice(_flat(chosen.unnamed))
    return _case(name, shape, make, "v", value, secret, encoding, write)


def _prose(
    rng: random.Random, chosen: Set, name: str, value: str, secret: str = ""
) -> Iterator[Case]:
    template = rng.choice(chosen.texts.prose[name])
    yield _in_prose(rng, chosen, name, template, value, secret)


def _names(rng: random.Random, chosen: Set) -> Iterator[Case]:
    """A full name, a given name alone, or a title and a family name."""
    given, family = rng.choice(chosen.words.people)
    turn = rng.random()
    if turn < 0.7:
        value, templates = values.person(rng, chosen.words), chosen.texts.prose[NAME_IN_PROSE]
    elif turn < 0.85:
        value, templates = given, chosen.texts.given_alone
    else:
        value, templates = family, chosen.texts.titled
    yield _in_prose(rng, chosen, NAME_IN_PROSE, rng.choice(templates), value)


def _in_prose(
    rng: random.Random,
    chosen: Set,
    name: str,
    template: str,
    value: str,
    secret: str = "",
    encoding: str = PLAIN,
    write: shapes.Encoding = shapes.plain,
) -> Case:
    place = rng.choice(chosen.texts.places)

    def stand(text: str) -> tuple[dict[str, Any], str]:
        return ({}, text) if place == "reason" else ({"id": 17, place: text}, "")

    written = write(value)
    arguments, reason = stand(template.replace("{}", written))
    return Case(
        entity=name,
        shape="prose",
        encoding=encoding,
        value=secret or value,
        written=_written(value, written, secret, encoding),
        arguments=arguments,
        reason=reason,
        around=stand(template.replace("{}", "")),
    )


def _case(
    name: str,
    shape: str,
    make: shapes.Shape,
    key: str,
    value: str,
    secret: str = "",
    encoding: str = PLAIN,
    write: shapes.Encoding = shapes.plain,
) -> Case:
    written = write(value)
    return Case(
        entity=name,
        shape=shape,
        encoding=encoding,
        value=secret or value,
        written=_written(value, written, secret, encoding),
        arguments=make(key, written),
        around=(make(key, ""), ""),
    )


def _written(value: str, written: str, secret: str, encoding: str) -> str:
    """How the part that must go was written: by itself, unless all was encoded together."""
    return secret if encoding == PLAIN and secret not in {"", value} else written


def _flat(by_name: Mapping[str, Sequence[shapes.Shape]]) -> list[tuple[str, shapes.Shape]]:
    return [(name, make) for name, makes in by_name.items() for make in makes]
