"""The reference pages of policy's input and answer say what the code says."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import realparts
from countersign.policy import contract, schema
from countersign.policy.question import QUESTION

REFERENCE = realparts.ROOT / "docs" / "reference"
EXAMPLES = re.findall(
    r"^```json\n(.*?)^```",
    (REFERENCE / "policy-input.md").read_text("utf-8"),
    re.MULTILINE | re.DOTALL,
)


def test_what_is_generated_is_what_is_committed() -> None:
    done = subprocess.run(
        [sys.executable, realparts.ROOT / "scripts" / "schemas_main.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_of_an_input_is_one() -> None:
    QUESTION.validate_python(json.loads(EXAMPLES[0]))


def test_the_example_of_an_answer_is_one() -> None:
    assert contract.decode(json.loads(EXAMPLES[1]), "r").requirement is not None


def test_every_field_of_the_input_is_told() -> None:
    text = (REFERENCE / "policy-input.md").read_text("utf-8")

    def names(node: object) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(names, node)) if node else set()
        if not isinstance(node, dict):
            return set()
        here = set(node.get("properties", {}))
        return here.union(*(names(each) for each in node.values()))

    for name in names(schema.question()):
        assert re.search(rf"\b{name}\b", text), name
