"""The guards of what is kept and locked, as `make guarantees` takes them away."""

from typing import Final

from guarantees_guard import INTEGRATION, UNIT, Guard

_KEEPING: Final = f"{UNIT}/test_flow_keeping.py"
_RETENTION: Final = f"{UNIT}/test_s3_retention.py"
_SPLIT: Final = f"{INTEGRATION}/test_split_brain.py"
_LATE: Final = f"{_KEEPING}::test_a_claim_without_its_lock_is_spent_unreleased_and_collected_later"
_FULL: Final = f"{_KEEPING}::test_without_room_nothing_is_let_through_and_denials_are_recorded"
_LIAR: Final = f"{_RETENTION}::test_a_server_that_takes_it_and_does_not_lock_it_freezes_the_log"
_OTHER: Final = f"{_RETENTION}::test_any_other_is_not"

KEEPING_GUARDS: Final = (
    Guard(
        invariant=1,
        guard="countersign.flow.keeping.kept",
        what="a permit leaves before its record is locked",
        old="await parts.keeper.published(tenant, answer.decision.record.seq)",
        new="pass",
        tests=(_LATE,),
    ),
    Guard(
        invariant=1,
        guard="countersign.flow.claim.claim",
        what="a claim does not wait for its lock",
        old="await keeping.kept(parts, claimant.tenant, answer, deadline_s=deadline_s)",
        new="answer",
        tests=(_LATE,),
    ),
    Guard(
        invariant=1,
        guard="countersign.flow.keeping.require_room",
        what="what cannot be kept is let through",
        old="parts.keeper.has_room(tenant, essential=essential)",
        new="True",
        tests=(_FULL,),
    ),
    Guard(
        invariant=1,
        guard="countersign.audit.publisher.Publisher.has_room",
        what="a log that is frozen goes on letting things through",
        old="if found.frozen and not essential:",
        new="if False:",
        tests=(
            f"{UNIT}/test_audit_many_logs.py::test_a_log_that_is_frozen_holds_no_other_and_lets_nothing_through",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.tenant_log.TenantLog._write_segment",
        what="two writers publish two histories of one log",
        old="self._fence(publication)",
        new="pass",
        tests=(
            f"{_SPLIT}::test_whoever_is_second_is_stopped_before_it_writes_anything",
            f"{_SPLIT}::test_of_two_that_race_exactly_one_goes_on",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.opening._unfinished",
        what="a fence without its segment is forgotten",
        old="fenced = _fenced(sink, log_id, tail)",
        new="fenced = None",
        tests=(f"{_SPLIT}::test_a_fence_without_its_segment_still_keeps_others_out",),
    ),
    Guard(
        invariant=1,
        guard="countersign.audit.backlog.Bounds.room",
        what="the age of what waits has no bound",
        old=" or age_s >= self.max_age_s",
        new="",
        tests=(
            f"{UNIT}/test_audit_backlog.py::test_bytes_and_age_are_bounded_and_denials_have_more",
        ),
    ),
    Guard(
        invariant=1,
        guard="countersign.audit.s3.retention.confirm",
        what="an object that is not locked counts as locked",
        old="if not lock.mode or lock.until is None:",
        new="if lock.until is None:\n        return\n    if False:",
        tests=(_OTHER, _LIAR),
    ),
    Guard(
        invariant=1,
        guard="countersign.audit.s3.retention.confirm",
        what="a lock that somebody can undo is believed",
        old="if lock.mode not in {Mode.COMPLIANCE.value, retention.mode.value}:",
        new="if False:",
        tests=(_OTHER, _LIAR),
    ),
    Guard(
        invariant=1,
        guard="countersign.audit.s3.retention.confirm",
        what="a lock that ends too soon is believed",
        old="if lock.until < at_least - _ROUNDING:",
        new="if False:",
        tests=(_OTHER, _LIAR),
    ),
    Guard(
        invariant=1,
        guard="countersign.audit.s3.sink.S3Sink._lock",
        what="a version laid over a record is not noticed",
        old='if put is not None and lock.version != put.get("VersionId"):',
        new="if False:",
        tests=(f"{_RETENTION}::test_another_version_over_the_one_just_written_freezes_it_too",),
    ),
    Guard(
        invariant=1,
        guard="countersign.audit.s3.sink.S3Sink._put",
        what="what no bucket took counts as written",
        old="if done is None:",
        new="if False:",
        tests=(
            f"{_RETENTION}::test_what_was_not_written_is_tried_again_and_never_taken_for_written",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.s3.source.S3Source._first",
        what="the version somebody laid over a record is believed",
        old="self.versions().get(name, ())",
        new="reversed(self.versions().get(name, ()))",
        tests=(f"{_RETENTION}::test_of_two_versions_in_one_second_the_first_is_read",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.published.PublishedLogs.receipt",
        what="a receipt promises what is not so",
        old=" or leaf != record.leaf_hash",
        new="",
        tests=(f"{UNIT}/test_audit_receipt.py::test_nothing_is_promised_that_is_not_so",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.receipt.Receipt.open",
        what="anybody can write a receipt",
        old="note.verify(verifier)",
        new="pass",
        tests=(f"{UNIT}/test_audit_receipt.py::test_nothing_in_it_can_be_changed",),
    ),
)
