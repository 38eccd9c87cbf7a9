"""The id of a rule set changes with everything that says what is found."""

import dataclasses
import functools
import subprocess
import sys

import pytest

from countersign.sanitize import Sanitizer, fragments, ruleset, shell_secrets
from countersign.sanitize.custom import NONE
from countersign.sanitize.rules import BUILT_IN, providers

TOLD = "from countersign.sanitize import Sanitizer; print(Sanitizer().ruleset)"


@pytest.fixture(autouse=True)
def fresh():
    ruleset._readers.cache_clear()
    yield
    ruleset._readers.cache_clear()


def with_rule(**changes):
    """The rules, one provider's of them changed."""
    changed = dataclasses.replace(providers.RULES[0], **changes)
    return ruleset.id_of(
        tuple(changed if rule is providers.RULES[0] else rule for rule in BUILT_IN), NONE
    )


def test_it_is_the_same_in_every_process():
    told = subprocess.run(
        [sys.executable, "-c", TOLD], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == Sanitizer().ruleset


def test_keywords_and_the_least_entropy_of_a_rule_belong_to_it():
    first = providers.RULES[0]
    assert with_rule() == ruleset.id_of(BUILT_IN, NONE)
    assert with_rule(keywords=("other",)) != with_rule()
    check = functools.partial(first.check.func, min_entropy=0.5)
    assert with_rule(check=check) != with_rule()
    assert with_rule(again=not first.again) != with_rule()


def test_the_version_of_the_providers_rules_belongs_to_it(monkeypatch):
    before = ruleset.id_of(BUILT_IN, NONE)
    monkeypatch.setattr(providers, "VERSION", "another")
    assert ruleset.id_of(BUILT_IN, NONE) != before


@pytest.mark.parametrize(
    ("module", "table"), [(shell_secrets, "_ATTACHED"), (fragments, "_SECRET_DATA")]
)
def test_tables_of_commands_and_settings_belong_to_it(module, table, monkeypatch):
    before = ruleset.id_of(BUILT_IN, NONE)
    ruleset._readers.cache_clear()
    monkeypatch.setattr(module, table, type(getattr(module, table))())
    assert ruleset.id_of(BUILT_IN, NONE) != before
