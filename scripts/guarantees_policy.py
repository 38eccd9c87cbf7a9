"""The guards of which policy decides, and what they stop.

Data only; see `guarantees_guard`.
"""

from __future__ import annotations

from typing import Final

from guarantees_guard import INTEGRATION, Guard

ACTIVATION: Final = f"{INTEGRATION}/test_policy_activation.py"
REFUSED: Final = (
    f"{ACTIVATION}::test_what_is_refused_never_answers_and_a_corrected_one_does_without_a_restart"
)
APPROVAL: Final = "tests/e2e/test_policy_approval_e2e.py"

POLICY_GUARDS: Final = (
    Guard(
        invariant=2,
        guard="countersign.policy.admission.Admission.probe",
        what="a policy that breaks the contract answers",
        old="if breaches:",
        new="if False:",
        tests=(REFUSED,),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.admission.Admission.admit",
        what="a policy whose own tests fail answers",
        old="if self._settings.tests and has_tests(snapshot):",
        new="if False:",
        tests=(REFUSED, f"{ACTIVATION}::test_tests_that_never_end_are_cut"),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.admission.Admission._run_tests",
        what="the tests of whoever can push take all memory of the machine",
        old="_TESTS_ROOM * self._memory_bytes",
        new="None",
        tests=(f"{ACTIVATION}::test_tests_that_take_all_memory_are_refused_it",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.patience.PatientClient.decide",
        what="a policy that is too slow is only thought to be starved",
        old="if spent(self._pid, began_s, deadline_s):",
        new="if False:",
        tests=(REFUSED,),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.activation.Keeper._answer",
        what="a version is not probed before it answers",
        old="probe = None if examined else self._admission.probe",
        new="probe = None",
        tests=(
            REFUSED,
            f"{ACTIVATION}::test_a_start_without_any_policy_that_passes_is_refused",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.admission.is_machine",
        what="a fault of the machine is never tried again",
        old='error.code.startswith("opa.") or',
        new="",
        tests=(
            f"{ACTIVATION}::test_while_opa_cannot_be_run_it_is_tried_again_by_itself",
            f"{ACTIVATION}::test_a_second_opa_that_is_slow_to_start_is_tried_again",
        ),
    ),
    Guard(
        invariant=12,
        guard="countersign.edge.policy.PolicyVerbs._require_ours",
        what="any tenant's operator changes everybody's policy",
        old="if operator.tenant != self._tenant:",
        new="if False:",
        tests=(
            f"{INTEGRATION}/test_policy_verbs.py::test_policy_is_for_the_operators_of_one_tenant",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.policy.approving.Proposals.needed",
        what="one person changes the rules alone",
        old="return self._approver is not None and not await self._approver.is_approved(snapshot)",
        new="return False",
        tests=(f"{ACTIVATION}::test_what_nobody_approved_does_not_answer",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.activation.Keeper._put_forward",
        what="a restart puts in force what nobody approved",
        old="if not self._started:",
        new="if False:",
        tests=(f"{ACTIVATION}::test_a_start_serves_nothing_that_nobody_approved",),
    ),
    Guard(
        invariant=8,
        guard="countersign.policy.activation.Keeper._approved",
        what="an approval lets a version answer without being spent",
        old="await self._proposals.spend(proposal)",
        new="pass",
        tests=(f"{ACTIVATION}::test_an_approval_that_cannot_be_spent_lets_nothing_answer",),
    ),
)
