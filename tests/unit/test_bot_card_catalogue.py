"""Every language says everything, and says it with the same holes."""

import re
from pathlib import Path

import pytest

from countersign.review import standing
from countersign_bot.card import catalogue, words
from countersign_bot.card.catalogue import HOLE, LANGUAGES

CATALOGUES = {language: catalogue.of(language) for language in LANGUAGES}
ENGLISH = CATALOGUES["en"].sentences


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_is_in_every_language_with_the_same_holes(language):
    sentences = CATALOGUES[language].sentences
    assert sentences.keys() == ENGLISH.keys()
    for key, sentence in sentences.items():
        assert sorted(HOLE.findall(sentence)) == sorted(HOLE.findall(ENGLISH[key])), key
        assert sentence.strip(), key
        assert sentence == sentence.strip() or key == "decision.asked", key


@pytest.mark.parametrize("language", LANGUAGES)
def test_plurals_come_in_pairs_and_name_their_number(language):
    sentences = CATALOGUES[language].sentences
    for key in sentences:
        stem, _, form = key.rpartition(".")
        if form in {"one", "other"} and f"{stem}.one" in sentences:
            assert f"{stem}.other" in sentences, key
            assert "{n}" in sentences[f"{stem}.other"], key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_markup(language):
    """They stand where clients read markup, so they hold none but code in plain messages."""
    for key, sentence in CATALOGUES[language].sentences.items():
        markup = r"[*_\[\]<>#|~]" if key.startswith("refusal.") else r"[*_\[\]<>#|~`]"
        assert key == "fallback" or not re.search(markup, HOLE.sub("", sentence)), key


def test_german_is_not_english():
    same = {key for key in ENGLISH if CATALOGUES["de"].sentences[key] == ENGLISH[key]}
    assert same == {"asserted.actor", "fact.bytes", "vote.by"}


def test_numbers_are_written_as_the_language_does():
    assert CATALOGUES["en"].say("detail.rows", n=1204) == "1,204 rows"
    assert CATALOGUES["de"].say("detail.rows", n=1204) == "1.204 Zeilen"
    assert CATALOGUES["de"].say("detail.rows", n=1) == "1 Zeile"


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de", "de"), ("de-AT", "de"), ("DE_ch", "de"), ("en-GB", "en"), ("fr", "en"), ("", "en")],
)
def test_a_language_is_chosen_by_its_first_part(tag, language):
    assert catalogue.of(tag).language == language


def test_a_catalogue_knows_its_own_sentences_with_numbers_in_their_holes():
    english = CATALOGUES["en"]
    assert english.says("1,204 rows")
    assert english.says("Approve")
    assert not english.says("Approve everything")
    assert not english.says("x rows")
    assert not CATALOGUES["de"].says("Approve")


def test_the_service_still_says_what_is_recognized_of_it():
    """Sentences that a review carries without a code are known by how they begin."""
    source = Path(standing.__file__).read_text(encoding="utf-8")
    said = re.sub(r'"\s*\n\s*f?"', "", source)
    for begin, code in words._SENTENCES:
        how, _, _ = begin.partition(" voted")
        assert how in said or begin in said, begin
        assert f'"{code}"' in said
        assert CATALOGUES["en"].has(f"refusal.{code.replace('.', '_')}")
