"""The guards of what asks about many contexts at once, and of what is tried in shadow.

Data only; see `guarantees_guard`.
"""

from __future__ import annotations

from typing import Final

from guarantees_guard import INTEGRATION, UNIT, Guard

BATCHING: Final = f"{INTEGRATION}/test_policy_batching.py"
MANY: Final = f"{UNIT}/test_flow_checking_many.py"
SHADOW: Final = f"{INTEGRATION}/test_policy_shadow.py"

MANY_GUARDS: Final = (
    Guard(
        invariant=2,
        guard="countersign.policy.batching.values_of",
        what="OPA's answers are given out in order, though it leaves some out",
        old="return [answers[key] if key in answers else undefined() for key in keys]",
        new="return [*answers.values(), *[undefined()] * (count - len(answers))]",
        tests=(
            f"{BATCHING}::test_fifty_are_one_query_and_every_answer_is_its_own",
            f"{BATCHING}::test_a_batch_says_of_each_what_it_says_of_it_alone",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.batching.asked",
        what="a slow context uses up the time of all that it is asked about with",
        old="values = await together(inputs, deadline_s / 2)",
        new="values = await together(inputs, deadline_s)",
        tests=(f"{BATCHING}::test_a_slow_one_costs_only_itself",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.batching.asked",
        what="a query that fails is everybody's fault",
        old="if values is not None:",
        new=("if values is None:\n            return [undefined() for _ in inputs]\n        else:"),
        tests=(f"{BATCHING}::test_a_conflict_costs_the_others_a_second_question_and_nothing_else",),
    ),
    Guard(
        invariant=4,
        guard="countersign.policy.client.OpaClient.decide_many",
        what="an OPA that is replaced is ended within a batch",
        old="with self._pool.held():",
        new="if True:",
        tests=(f"{BATCHING}::test_a_batch_is_answered_by_one_revision_while_another_takes_over",),
    ),
    Guard(
        invariant=4,
        guard="countersign.flow.checking_many._Batch.ask_policy",
        what="an item of a batch gets another's verdict",
        old="zip(asking, answers.each, strict=True)",
        new="zip(asking, reversed(answers.each), strict=True)",
        tests=(f"{MANY}::test_each_gets_its_own_answer_in_its_own_place",),
    ),
    Guard(
        invariant=4,
        guard="countersign.flow.checking_many.check_many",
        what="an answer stands in another item's place",
        old="answered = iter(items)",
        new="answered = reversed(items)",
        tests=(f"{MANY}::test_each_gets_its_own_answer_in_its_own_place",),
    ),
    Guard(
        invariant=8,
        guard="countersign.flow.checking_many._Batch.question",
        what="a batch goes past a limit that the same Checks one by one would meet",
        old="flight=flight,",
        new="flight=None,",
        tests=(f"{MANY}::test_those_before_it_count_for_each_as_though_they_were_allowed",),
    ),
    Guard(
        invariant=8,
        guard="countersign.edge.decisions.Decisions._ask_of_batch",
        what="a batch is one request, however many it holds",
        old="if index:",
        new="if False:",
        tests=(
            f"{UNIT}/test_edge_batch_check.py::test_a_batch_costs_its_caller_as_many_requests_as_it_has_items",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.shadow.Shadow.offer",
        what="a candidate works as much as there is to decide",
        old="if child is None or busy or now < self._rest_until:",
        new="if child is None:",
        tests=(f"{SHADOW}::test_it_is_asked_one_at_a_time_and_rests_in_proportion",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.child._spawn",
        what="a candidate takes the processor from the policy in force",
        old="if settings.background:",
        new="if False:",
        tests=(f"{SHADOW}::test_it_yields_to_everything_else_and_lives_no_longer_than_we_do",),
    ),
    Guard(
        invariant=1,
        guard="countersign.flow.shadowing.recorded",
        what="a candidate fills the log that decisions need",
        old="if keeper is not None and not keeper.has_room(found.tenant, essential=False):",
        new="if False:",
        tests=(
            f"{UNIT}/test_flow_shadowing.py::test_a_log_that_is_nearly_full_takes_no_differences",
        ),
    ),
)
