"""The guards of impact analysis: each keeps it from guessing.

Data only; see `guarantees_guard`.
"""

from __future__ import annotations

from typing import Final

from guarantees_guard import INTEGRATION, UNIT, Guard

_IMPACT: Final = "countersign.workbench.impact"
_TRACE: Final = f"{INTEGRATION}/test_impact_trace.py"
_LOOKS: Final = f"{_TRACE}::test_a_rule_that_looks_at_a_masked_value_is_noticed"
_RECORDED: Final = f"{UNIT}/test_impact_recorded.py"
_COMPILED: Final = f"{INTEGRATION}/test_impact_compiling.py"

IMPACT_GUARDS: Final = (
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.trace.Trace._left",
        what="the order of what is unknown is taken for known",
        old="if keeps_order:",
        new="if False:",
        tests=(_LOOKS,),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.judging.Judge._judged",
        what="an answer that is made of what is masked is taken for known",
        old="if held:",
        new="if False:",
        tests=(
            f"{INTEGRATION}/test_impact_judging.py::test_an_answer_that_names_a_masked_key_is_not_known",
        ),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.unknowns._find",
        what="a placeholder is taken for the value",
        old="if kinds_in or _SPELLED in value:",
        new="if False:",
        tests=(
            f"{_RECORDED}::test_a_masked_text_number_boolean_and_key_are_unknown_each_in_its_way",
        ),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.unknowns._find",
        what="a masked key is taken for the key",
        old="if masked:",
        new="if False:",
        tests=(
            f"{_RECORDED}::test_a_masked_text_number_boolean_and_key_are_unknown_each_in_its_way",
        ),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.quantity.known",
        what="the detector counts again where something was masked",
        old="and not masked",
        new="",
        tests=(
            f"{_RECORDED}::test_a_masked_text_number_boolean_and_key_are_unknown_each_in_its_way",
        ),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.trace.Trace._unified",
        what="a comparison with a masked value is not noticed",
        old="self.needed |= self._marks.depends(a, b)",
        new="pass",
        tests=(_LOOKS,),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.trace.Trace._entered",
        what="a function's pattern is not noticed",
        old="self.needed |= self._matched(pattern, value)",
        new="pass",
        tests=(_LOOKS,),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.trace.Trace._evaluated",
        what="what is evaluated on an input of policy's own making is not noticed",
        old='if node.get("with"):',
        new="if False:",
        tests=(_LOOKS,),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.operations.depends",
        what="a built-in nobody knows is taken not to look",
        old="if known is None:\n        return inside",
        new="if known is None:\n        return _NOTHING",
        tests=(_LOOKS,),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.compiling.is_constant",
        what="whatever compiling leaves counts as proof",
        old="and not _is_open(left)",
        new="",
        tests=(
            f"{_COMPILED}::test_a_constant_is_believed_and_nothing_else",
            f"{_COMPILED}::test_what_is_left_must_mention_neither_the_input_nor_a_rule_that_was_not_worked_out",
        ),
    ),
    Guard(
        invariant=8,
        guard=f"{_IMPACT}.recorded._object",
        what="an object with other bytes than its name says is replayed",
        old="if data is None or hashlib.sha256(data).hexdigest() != name:",
        new="if data is None:",
        tests=(f"{_RECORDED}::test_a_large_context_is_read_from_its_object_and_gone_without_it",),
    ),
    Guard(
        invariant=2,
        guard="countersign.cli.policy.impact.impact",
        what="a gate of CI that was given an empty place instead of a log is green",
        old="if not summary.replayed and not source.inventory().segments:",
        new="if False:",
        tests=(f"{INTEGRATION}/test_impact_cli.py::test_where_there_is_no_log_nothing_passes",),
    ),
)
