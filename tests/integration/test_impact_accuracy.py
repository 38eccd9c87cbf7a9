"""Impact analysis is right: records alone, against raw inputs and brute force.

A small part of what `scripts/impact_accuracy.py` does, the same in each run: a few
edits of the shipped policy, drawn from a seed, on a few real decisions.
"""

from __future__ import annotations

import asyncio
import random
import sys

import pytest

import realparts
from countersign.policy.sources.directory import snapshot
from impact_brute import Score
from impact_edits import EDITS
from impact_trial import tried
from impact_world import past

EDITS_DRAWN = 5
DECISIONS = 3
REGO = realparts.ROOT / "rego"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    home = tmp_path_factory.mktemp("accuracy")
    return asyncio.run(past(home, realparts.opa(), REGO, count=60, seed="accuracy"))


def test_there_are_edits_of_every_sort_and_each_is_another_policy():
    files = dict(snapshot(REGO).files)
    edited = {name: edit(files) for name, edit in EDITS.items()}
    assert len(EDITS) >= 30
    assert sum(other != files for other in edited.values()) == len(EDITS) - 1


async def test_same_and_changed_are_never_wrong(recorded):
    chance = random.Random("accuracy")
    files, total = dict(snapshot(REGO).files), Score()
    for name in chance.sample(sorted(EDITS), EDITS_DRAWN):
        opa = realparts.opa()
        total.add(await tried(opa, files, name, recorded, count=DECISIONS, seed="accuracy"))
    sys.stdout.write(f"{total}\n")
    assert total.decisions == EDITS_DRAWN * DECISIONS
    assert not total.wrong
    assert total.same > 0


async def test_the_policy_that_decided_is_the_same_wherever_it_is_certain(recorded):
    files = dict(snapshot(REGO).files)
    score = await tried(realparts.opa(), files, "as it is", recorded, count=8, seed="accuracy")
    assert score.changed == 0
    assert not score.wrong
