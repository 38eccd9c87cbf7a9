"""A real model of spaCy, trained here in a second or two, and a Presidio file that names it.

It knows a few sentences and nothing else of use: what is tried with it is the way there
and back, not how well a model finds names.
"""

from __future__ import annotations

import random
from pathlib import Path

import spacy
from spacy.training import Example

SENTENCES = (
    "please send the rows to {} before noon",
    "{} asked for the export",
    "the change was ordered by {} on monday",
    "nobody but {} may see this",
)
NOTHING = (
    "please send the rows before noon",
    "the export is for the report",
    "restart the service on monday",
    "nobody may see this",
)
REGISTRY = r"""
recognizer_registry:
  recognizers:
    - name: ZIP codes
      supported_language: en
      supported_entity: ZIP_CODE
      patterns: [{name: zip, regex: '\b\d{5}\b', score: 0.1}]
      context: [zip, code]
    - name: projects
      supported_language: en
      supported_entity: PROJECT
      deny_list: [bluebird]
    - name: slow
      supported_language: en
      supported_entity: SLOW
      patterns: [{name: slow, regex: '(x+x+)+y', score: 0.9}]
    - {name: EmailRecognizer, type: predefined}
"""
MODEL = """
nlp_configuration:
  nlp_engine_name: spacy
  models: [{lang_code: en, model_name: model}]
"""
HEAD = "supported_languages: [en]\ndefault_score_threshold: 0.4\n"


def trained(directory: Path) -> Path:
    """A folder with the model; a name that it never saw is found in the sentences it knows."""
    random.seed(7)
    spacy.util.fix_random_seed(7)
    nlp = spacy.blank("en")
    recognizer = nlp.add_pipe("ner")
    recognizer.add_label("PERSON")
    names = ["".join(random.choices("abdegilmnoprstu", k=5 + i % 6)) for i in range(20)]
    examples = [_example(nlp, sentence, name) for sentence in SENTENCES for name in names]
    examples += [Example.from_dict(nlp.make_doc(text), {"entities": []}) for text in NOTHING * 4]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(10):
        random.shuffle(examples)
        for batch in spacy.util.minibatch(examples, size=8):
            nlp.update(batch, sgd=optimizer, drop=0.1)
    nlp.to_disk(directory / "model")
    return directory / "model"


def _example(nlp: spacy.language.Language, sentence: str, name: str) -> Example:
    start = sentence.index("{}")
    text = sentence.format(name)
    return Example.from_dict(
        nlp.make_doc(text), {"entities": [(start, start + len(name), "PERSON")]}
    )


def written(directory: Path, *parts: str) -> Path:
    """The file that says it in the words of Presidio."""
    path = directory / "presidio.yaml"
    path.write_text(HEAD + "".join(parts), "utf-8")
    return path
