"""Our engine as one recognizer of somebody's own Presidio."""

import pytest
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NoOpNlpEngine
from presidio_analyzer.recognizer_registry import RecognizerRegistry

from countersign.recognizers.entity import CountersignRecognizer


@pytest.fixture(scope="module")
def analyzer():
    nlp = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": ""}])
    nlp.load()
    registry = RecognizerRegistry(recognizers=[CountersignRecognizer()], supported_languages=["en"])
    return AnalyzerEngine(nlp_engine=nlp, registry=registry, supported_languages=["en"])


def found(analyzer, text, entities=None):
    return {
        (each.entity_type, text[each.start : each.end])
        for each in analyzer.analyze(text, "en", entities=entities)
    }


def test_it_finds_under_presidios_names_in_characters(analyzer):
    text = "grüße an Ada Lovelace, ada@example.com, karte 4111 1111 1111 1111"
    assert found(analyzer, text) == {
        ("PERSON", "Ada Lovelace"),
        ("EMAIL_ADDRESS", "ada@example.com"),
        ("CREDIT_CARD", "4111 1111 1111 1111"),
    }
    assert found(analyzer, text, ["CREDIT_CARD"]) == {("CREDIT_CARD", "4111 1111 1111 1111")}


@pytest.mark.parametrize(
    ("text", "entity", "part"),
    [
        ("mysql -u app -psup3rGeheim db", "SECRET", "sup3rGeheim"),
        ('{"password": "hunter2hunter"}', "SECRET", '"hunter2hunter"'),
        ("mail to YWRhQGV4YW1wbGUuY29t please", "EMAIL_ADDRESS", "YWRhQGV4YW1wbGUuY29t"),
        ("SELECT a FROM t WHERE name = 'Ada'", "LITERAL", "'Ada'"),
    ],
)
def test_it_reads_commands_json_encodings_and_statements(analyzer, text, entity, part):
    assert (entity, part) in found(analyzer, text)


def test_what_makes_presidios_own_pattern_run_for_a_minute_hides_nothing(analyzer):
    text = "a." * 10_000 + " ada@example.com"
    assert ("EMAIL_ADDRESS", "ada@example.com") in found(analyzer, text)


def test_a_text_that_cannot_be_looked_at_is_no_empty_answer(analyzer):
    with pytest.raises(ValueError, match="too long"):
        analyzer.analyze("x " * 40_000, "en")
