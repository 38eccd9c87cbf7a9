"""The guards of an auditor who goes on from last time, proves one record, opens a commitment.

Data only; see `guarantees_guard`.
"""

from __future__ import annotations

from typing import Final

from guarantees_guard import UNIT, Guard

CLI: Final = "tests/integration/test_cli_audit.py"
MATRIX: Final = "tests/integration/test_audit_matrix.py"
VERIFY: Final = f"{UNIT}/test_audit_verify.py"
AGAIN: Final = f"{UNIT}/test_audit_again.py"

AUDITOR_GUARDS: Final = (
    Guard(
        invariant=11,
        guard="countersign.audit.heads.Heads.remember",
        what="what an earlier verification saw does not count",
        old="if earlier is not None:",
        new="if False:",
        tests=(
            f"{AGAIN}::test_a_log_that_was_rewritten_since_does_not_extend_what_was_seen",
            f"{AGAIN}::test_a_log_that_was_rolled_back_is_shorter_than_what_was_seen",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.verify._resumable",
        what="tiles that no longer show what was seen are gone on from",
        old="return tail if tail.frontier() == known else None",
        new="return tail",
        tests=(f"{AGAIN}::test_damaged_tiles_lead_back_to_the_start_which_names_them",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.verify._Verification._count_earlier",
        what="segments that were verified before may vanish",
        old="if name.first > at:",
        new="if False:",
        tests=(f"{AGAIN}::test_an_earlier_segment_that_is_gone_is_noticed_without_reading",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.cosignature.WitnessKey.cosigned_s",
        what="anybody cosigns for a witness",
        old="self.key.verify(line.signature[_TIME_BYTES:], message(note, seconds))",
        new="pass",
        tests=(f"{AGAIN}::test_a_missing_cosignature_is_incomplete_and_a_wrong_one_tampered",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.prove.Proof.verify",
        what="a proof of one record is one of any",
        old="verify_inclusion(leaf_hash(record), self.index, head.size, self.path, head.root)",
        new="pass",
        tests=(
            f"{UNIT}/test_audit_prove.py::test_a_proof_of_one_record_is_not_one_of_another",
            f"{UNIT}/test_audit_prove.py::test_any_record_is_proven_and_its_proof_stands_alone",
        ),
    ),
    Guard(
        invariant=4,
        guard="countersign.audit.commitments.opens",
        what="any context is what was approved",
        old="return canonical.commitment(bound, salt).hex() == committed",
        new="return True",
        tests=(f"{CLI}::test_only_the_very_context_and_salt_open_a_commitment",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.heads.Heads._judge_twins",
        what="the log's key may sign two histories of one size",
        old="if other is not None:",
        new="if False:",
        tests=(f"{MATRIX}::test_from_a_copy_it_is_caught_and_named",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.heads.Heads._judge_pointer",
        what="the pointer may be rolled back",
        old="if pointed is not None and sum(size > pointed.size for size in sizes) > 1:",
        new="if False:",
        tests=(f"{MATRIX}::test_from_a_copy_it_is_caught_and_named",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.contents.Contents._judge_store",
        what="records dated back do not contradict the bucket's clock",
        old="elif delay_s > self.max_delay_s:",
        new="elif False:",
        tests=(f"{VERIFY}::test_the_clock_of_a_store_bounds_when_records_were_made",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.promises.judge",
        what="any record keeps a promise",
        old="if leaf(seq) == receipt.leaf_hash:",
        new="if True:",
        tests=(f"{UNIT}/test_audit_receipt.py::test_a_promise_is_kept_only_by_its_own_record",),
    ),
)
