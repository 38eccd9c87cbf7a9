"""The guards of the policy workbench, and what they stop.

Data only; see `guarantees_guard`.
"""

from __future__ import annotations

from typing import Final

from guarantees_guard import INTEGRATION, UNIT, Guard

PROBING: Final = f"{INTEGRATION}/test_policy_probing.py"
TABLES: Final = f"{UNIT}/test_workbench_tables.py"
WRONG: Final = f"{TABLES}::test_what_is_wrong_is_said_with_its_line"

WORKBENCH_GUARDS: Final = (
    Guard(
        invariant=2,
        guard="countersign.policy.probing._Tried._one",
        what="a wrong answer to a generated question passes",
        old="await self._wrong(error.detail.splitlines(), value, sent)",
        new="pass",
        tests=(f"{PROBING}::test_each_breach_names_the_line_it_comes_from",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.probing._Tried._failed",
        what="a candidate may be as slow as it likes",
        old="            raise error",
        new="            pass",
        tests=(f"{PROBING}::test_a_candidate_is_tried_by_the_bundle_it_was_built_into",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.probing._Tried._one",
        what="a package that cannot be read passes, and denies everything",
        old="if reason.code == _MALFORMED and (named := _PACKAGE.search(reason.message)):",
        new="if False:",
        tests=(f"{PROBING}::test_what_fails_while_it_is_evaluated_is_found_too",),
    ),
    Guard(
        invariant=2,
        guard="countersign.workbench.tables._Table._object",
        what="a misspelt expectation is not looked at",
        old="if name not in known:",
        new="if False:",
        tests=(WRONG,),
    ),
    Guard(
        invariant=2,
        guard="countersign.workbench.strict_yaml._Reader._pairs",
        what="of two expectations one is silently dropped",
        old="if name in seen:",
        new="if False:",
        tests=(WRONG,),
    ),
    Guard(
        invariant=2,
        guard="countersign.workbench.comparing.differences",
        what="an answer that the contract refuses passes a case",
        old='return [f"the contract is broken: {line}" for line in error.detail.splitlines()]',
        new="pass",
        tests=(f"{TABLES}::test_an_answer_that_breaks_the_contract_passes_no_case",),
    ),
    Guard(
        invariant=3,
        guard="countersign.workbench.recorded.recorded",
        what="what a record masks is taken for what policy saw",
        old='unknown=(*dict.fromkeys(masked), "/findings/quantity"),',
        new="unknown=(),",
        tests=(
            f"{INTEGRATION}/test_workbench_explain.py::test_a_record_gives_back_what_policy_was_asked",
        ),
    ),
    Guard(
        invariant=3,
        guard="countersign.workbench.served._client",
        what="credentials in an address are taken, and told on",
        old="if parts.username or parts.password:",
        new="if False:",
        tests=(
            f"{INTEGRATION}/test_workbench_diff.py::test_wrong_usage_is_a_sentence_and_another_exit_code",
        ),
    ),
)
