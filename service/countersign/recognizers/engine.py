"""Presidio, made from the YAML its users know, without its ways of failing open.

Runs in the child (`worker`) only. What is kept from Presidio: the recognizers, the
model behind them, context words and thresholds. What is not: its default list of
recognizers, falling back to defaults when a file is wrong, fetching models and
lists of suffixes from the network, its loggers (which quote text), and skipping a
pattern that takes too long (`worker` sets no limit, the service ends the child).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import spacy
import tldextract
import yaml
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NlpEngine, NlpEngineProvider, SpacyNlpEngine
from presidio_analyzer.recognizer_registry import (
    RecognizerRegistry,
    RecognizerRegistryProvider,
)
from spacy.language import Language
from spacy.tokens import Doc

_PARTS: Final = frozenset(
    {"supported_languages", "default_score_threshold", "nlp_configuration", "recognizer_registry"}
)
_LOWER: Final = "countersign_lower"


class NotLoadedError(Exception):
    """The file, or what it names, cannot be used. Says what is wrong; it holds no data."""


class Found(NamedTuple):
    """One find; offsets in bytes of the text's UTF-8 form."""

    start: int
    end: int
    entity: str


class Engine:
    """An analyzer that looks for the entities the operator wants."""

    def __init__(self, analyzer: AnalyzerEngine, wanted: Sequence[str], id_: str) -> None:
        self.id = id_
        self._analyzer = analyzer
        self._wanted = {
            language: [name for name in wanted if name in analyzer.get_supported_entities(language)]
            for language in analyzer.supported_languages
        }

    def find(self, text: str) -> list[Found]:
        """Everything in one text, in every language there is."""
        found = {
            (each.start, each.end, each.entity_type)
            for language, wanted in self._wanted.items()
            if wanted
            for each in self._analyzer.analyze(text, language, entities=wanted)
        }
        if text.isascii():
            return [Found(*each) for each in sorted(found)]
        return [
            Found(_size(text[:start]), _size(text[:end]), entity)
            for start, end, entity in sorted(found)
        ]


def load(path: Path, wanted: Sequence[str]) -> Engine:
    """The engine that a file describes. Raises `NotLoadedError`.

    Paths of models in it are relative to the working directory.
    """
    data = path.read_bytes()
    table = _table(data)
    languages = table.get("supported_languages", ["en"])
    nlp = _nlp(table.get("nlp_configuration"), languages)
    analyzer = AnalyzerEngine(
        nlp_engine=nlp,
        registry=_registry(table.get("recognizer_registry"), languages, nlp),
        supported_languages=languages,
        default_score_threshold=table.get("default_score_threshold", 0),
    )
    supported = set(analyzer.get_supported_entities())
    missing = sorted(set(wanted) - supported)
    if missing:
        raise NotLoadedError(
            f"entities: nothing in the file looks for {', '.join(missing)}; "
            f"it looks for {', '.join(sorted(supported)) or 'nothing'}"
        )
    return Engine(analyzer, wanted, _id(data, table))


def _table(data: bytes) -> Mapping[str, Any]:
    try:
        table = yaml.safe_load(data)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        at = f" (line {where.line + 1})" if where else ""
        raise NotLoadedError(f"is no YAML{at}") from None
    if not isinstance(table, dict):
        raise NotLoadedError("must be a mapping, as Presidio's analyzer configuration is")
    unknown = sorted(map(str, set(table) - _PARTS))
    if unknown:
        raise NotLoadedError(f"{unknown[0]}: unknown key; there are {', '.join(sorted(_PARTS))}")
    if not table.get("nlp_configuration") and not table.get("recognizer_registry"):
        raise NotLoadedError("has neither nlp_configuration nor recognizer_registry: finds nothing")
    return table


# --- the model ----------------------------------------------------------------


@Language.component(_LOWER)
def _lower(doc: Doc) -> Doc:
    """Without lemmas Presidio's context words do nothing; small letters are close enough."""
    for token in doc:
        token.lemma_ = token.lower_
    return doc


class _WordsOnly(SpacyNlpEngine):
    """Splits words for context words to be found, and knows no entities."""

    engine_name = "words"

    def load(self) -> None:
        languages = {model["lang_code"]: spacy.blank(model["lang_code"]) for model in self.models}
        for language in languages.values():
            language.add_pipe(_LOWER)
        self.nlp = languages  # type: ignore[assignment]  # declared None, and meant to be set

    def get_supported_entities(self) -> list[str]:
        return []


def _nlp(configuration: Mapping[str, Any] | None, languages: Sequence[str]) -> NlpEngine:
    if not configuration:
        engine = _WordsOnly(models=[{"lang_code": each, "model_name": ""} for each in languages])
        engine.load()
        return engine
    for name in _models(configuration):
        if not (Path(name).exists() or spacy.util.is_package(name)):
            raise NotLoadedError(
                f"nlp_configuration.models: {name} is neither a folder nor installed; "
                "nothing is downloaded"
            )
    return NlpEngineProvider(nlp_configuration=dict(configuration)).create_engine()


def _models(configuration: Mapping[str, Any]) -> Iterator[str]:
    """The models of spaCy; those of other engines are their own affair."""
    if configuration.get("nlp_engine_name", "spacy") != "spacy":
        return
    for model in configuration.get("models") or ():
        if isinstance(model, dict):
            yield str(model.get("model_name", ""))


# --- the recognizers ----------------------------------------------------------


def _registry(
    configuration: Mapping[str, Any] | None, languages: Sequence[str], nlp: NlpEngine
) -> RecognizerRegistry:
    # The list of suffixes that comes with it: it would fetch a newer one.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    if not configuration:
        registry = RecognizerRegistry(supported_languages=list(languages))
        registry.add_nlp_recognizer(nlp)
        return registry
    provider = RecognizerRegistryProvider(
        registry_configuration={**configuration, "supported_languages": list(languages)},
        nlp_engine=None if isinstance(nlp, _WordsOnly) else nlp,
    )
    return provider.create_recognizer_registry()


# --- which engine this is -----------------------------------------------------


def _id(data: bytes, table: Mapping[str, Any]) -> str:
    """A hash of the file, the versions and the models that it names."""
    digest = hashlib.sha256(data)
    for package in ("presidio-analyzer", "spacy"):
        digest.update(f"\0{package} {importlib.metadata.version(package)}".encode())
    for name in _models(table.get("nlp_configuration") or {}):
        folder = Path(name)
        if not folder.exists():
            digest.update(f"\0{name} {importlib.metadata.version(name)}".encode())
            continue
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            digest.update(b"\0" + str(file.relative_to(folder)).encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
