"""The guards of what facts say of infrastructure.

Data only; see `guarantees_guard`.
"""

from __future__ import annotations

from typing import Final

from guarantees_guard import UNIT, Guard

INFRA: Final = f"{UNIT}/test_sanitize_infra.py"
LYING: Final = f"{UNIT}/test_sanitize_facts_policy.py::test_no_attack_is_allowed"

FACT_GUARDS: Final = (
    Guard(
        invariant=2,
        guard="countersign.sanitize.infra._change",
        what="a plan's entry of actions nobody knows counts as though it did nothing",
        old='known or "other"',
        new='known or "nothing"',
        tests=(f"{INFRA}::test_actions_out_of_the_ordinary_are_no_creation", LYING),
    ),
    Guard(
        invariant=2,
        guard="countersign.sanitize.infra.terraform",
        what="a plan's entry that does not say what it does is left out",
        old="if action is None:\n                unread += 1",
        new="if action is None:\n                unread += 0",
        tests=(f"{INFRA}::test_a_change_that_does_not_say_what_it_does_is_unread",),
    ),
    Guard(
        invariant=2,
        guard="countersign.sanitize.infra._unread",
        what="a manifest in YAML, which nobody read, counts as read",
        old="return texts > sum(leaf.parsed is not None for leaf in manifest.leaves)",
        new="return False",
        tests=(f"{INFRA}::test_a_manifest_that_is_no_json_is_unread", LYING),
    ),
    Guard(
        invariant=2,
        guard="countersign.sanitize.infra._namespaces",
        what="one object's namespace stands in for another's",
        old="if objects - own or not found:",
        new="if not found:",
        tests=(
            f"{INFRA}::test_an_object_without_a_namespace_is_not_covered_by_another",
            LYING,
        ),
    ),
)
