"""What `make fuzz` tries for long, tried for a moment in every run: the same inputs each time.

The targets are those of `scripts/fuzz_*.py`: lexers keep their offsets in the
text, decoders refuse in words of their own, and no planted value gets out of
the sanitizer in any shape. And they do find what is wrong.
"""

from __future__ import annotations

import base64
import itertools
import random
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import realparts
from countersign.sanitize import fragments, sql
from countersign.sanitize.kinds import SECRET
from countersign.sanitize.survey import Span

SCRIPTS = realparts.ROOT / "scripts"
sys.path.append(str(SCRIPTS))

import bench_sanitizer_measure as measure  # noqa: E402 - the scripts are no package
import bench_sanitizer_secrets as secrets  # noqa: E402
import bench_sanitizer_shapes as shapes  # noqa: E402
import bench_sanitizer_values as values  # noqa: E402
import fuzz_growth  # noqa: E402
import fuzz_lexers  # noqa: E402
import fuzz_main  # noqa: E402
import fuzz_planted  # noqa: E402
from bench_sanitizer_words import TUNING as WORDS  # noqa: E402
from fuzz_pieces import PIECES, Draw, repeated  # noqa: E402

BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
INPUTS = st.one_of(
    st.binary(max_size=300),
    st.integers(0, 2**32).map(lambda seed: random.Random(seed).randbytes(150)),
)


@pytest.mark.parametrize("name", fuzz_main.TARGETS)
@given(data=INPUTS)
@BOUNDED
def test_each_target_holds_for_a_moment(name, data):
    fuzz_main._target(name)(data)


# --- planted, in every shape there is ---------------------------------------------

ASKED = measure.Measure()
MAKES = {
    "e-mail": values.email,
    "card": values.card,
    "IBAN": values.iban,
    "SSN": values.ssn,
    "secret": lambda rng, _=None: secrets.credential(rng, secrets.BOTH["github classic"]).text,
}
SHAPES = [
    (name, make)
    for table in (shapes.TUNING, shapes.HELD_OUT, shapes.UNNAMED_TUNING, shapes.UNNAMED_HELD_OUT)
    for name, makes in table.items()
    for make in makes
]
WRITTEN = {
    "plain": shapes.plain,
    "percent": shapes.percent,
    "escape": shapes.escaped,
    "base64": shapes.in_base64,
    "URL-safe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "twice": lambda text: shapes.in_base64(shapes.percent(text)),
}


@pytest.mark.parametrize("entity", MAKES)
@pytest.mark.parametrize("written", WRITTEN)
def test_no_run_of_a_planted_value_leaves_in_any_shape(entity, written):
    rng = random.Random(f"{entity} {written}")
    for shape, make in SHAPES:
        value = MAKES[entity](rng, WORDS)
        text = WRITTEN[written](value)
        raw = measure.context(make("v", text))
        outcome = ASKED.of(raw, {value: text}, "\x00".join(measure.texts(make("v", ""))))
        assert not outcome.survives, (shape, value, outcome.shown)
        left = ASKED.leaving(raw)
        found = ASKED.sanitizer.detect(raw, known=lambda _: False)
        clean = ASKED.sanitizer.clean(raw, found, policy_mask=(), tag_key=bytes(32))
        assert clean.report["guard"] == 0, (shape, value, clean.report)
        for free in (ASKED.sanitizer.detail(raw.arguments), ASKED.sanitizer.text(text), left):
            assert value not in str(free)


SPLIT = {
    "e-mail": lambda rng: values.email(rng, WORDS),
    "card": lambda rng: values.card(rng, WORDS).replace(" ", "").replace("-", ""),
    "IBAN": lambda rng: values.iban(rng, WORDS).replace(" ", "").upper(),
    "secret": MAKES["secret"],
}


@pytest.mark.parametrize("entity", SPLIT)
def test_no_run_leaves_of_what_is_split_over_fields_beside_each_other(entity):
    rng = random.Random(entity)
    for value in (SPLIT[entity](rng) for _ in range(40)):
        first = max(3, value.find("@"))  # a word before the part with the sign stays a word
        cuts = sorted(rng.sample(range(first, len(value) - 2), rng.randint(1, 3)))
        parts = [value[low:high] for low, high in itertools.pairwise([0, *cuts, len(value)])]
        if any(ASKED.sanitizer.text(part) != part for part in parts):
            continue  # what is found by itself is no half of anything
        named = {f"part_{'abcd'[at]}": part for at, part in enumerate(parts)}
        for arguments in ({"x": parts}, {"x": named}, named):
            who = value.partition("@")[0]  # a domain may end before the last part of it
            outcome = ASKED.of(measure.context(arguments), {who: who}, "part_abcd")
            assert not outcome.survives, (parts, outcome.shown)


# --- the harness finds what is wrong -----------------------------------------------


def test_a_lexer_that_points_outside_its_text_is_found(monkeypatch):
    monkeypatch.setattr(fragments, "spans", lambda _: [Span(0, 99, SECRET, "x")])
    with pytest.raises(AssertionError):
        fuzz_lexers.settings(b"\x00\x01")


def test_a_lexer_that_raises_what_it_does_not_say_is_found(monkeypatch):
    def read(text):
        raise ValueError

    monkeypatch.setattr(sql, "read", read)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it is
        fuzz_lexers.statements(b"")


def test_a_value_that_gets_out_is_found(monkeypatch):
    sanitizer = fuzz_planted._ASKED.sanitizer
    monkeypatch.setattr(sanitizer, "clean", lambda context, *_, **__: _Unmasked(context.to_json()))
    with pytest.raises(AssertionError, match=r"in \('record',\)"):
        fuzz_planted.planted(bytes(20))


class _Unmasked:
    def __init__(self, context):
        self.context = context
        self.report = {"masked": [], "guard": 0}


def test_a_failure_that_the_sanitizer_swallows_is_found(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(fragments, "mark", fail)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        fuzz_planted.planted(bytes(20))


def test_what_costs_the_square_is_found():
    class Square:
        def seconds(self, shape, size, looks=1):
            return (size / fuzz_growth.SHORT) ** 2 / 500

    class Linear:
        def seconds(self, shape, size, looks=1):
            return size / fuzz_growth.SHORT / 500

    shape = fuzz_growth.Shape(place="a text", begins="", pieces="a", ends="")
    for asked, found in ((Square(), [shape]), (Linear(), [])):
        seen = fuzz_growth.Seen()
        fuzz_growth.look(asked, shape, seen)
        assert list(seen.found) == found


def test_a_shape_is_as_long_as_it_is_asked_for_and_numbers_differ():
    assert repeated("a{n} ", 3) == "a0 a1 a2 "
    for pieces in PIECES:
        shape = fuzz_growth.Shape(place="a text", begins="", pieces=pieces, ends="")
        assert 300 <= len(shape.text(500).encode()) <= 1_000


def test_what_a_fuzzer_made_is_read_to_its_end_and_then_is_the_first_choice():
    draw = Draw(b"\x02\x05\x06")
    assert draw.text() == PIECES[5] + PIECES[6]
    assert (draw.byte(), draw.number(), draw.rest(), draw.json()) == (0, 0, b"", "")


def test_an_unknown_target_is_refused_and_a_known_one_runs(tmp_path):
    command = [sys.executable, str(SCRIPTS / "fuzz_main.py"), "--corpus", str(tmp_path)]
    wrong = subprocess.run([*command, "nothing"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "there is no target nothing" in wrong.stderr
    good = subprocess.run(
        [*command, "--seconds", "1", "json"], capture_output=True, text=True, check=False
    )
    assert good.returncode == 0, good.stdout
    assert "0 of 1 targets found something" in good.stdout
