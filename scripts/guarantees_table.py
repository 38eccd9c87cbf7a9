"""The guards that `make guarantees` takes away one by one, and the tests that must fail then.

Data only; see `guarantees_guard`. Who is behind a request and who decides is in
`guarantees_trust`.
"""

from __future__ import annotations

from typing import Final

from guarantees_auditor import AUDITOR_GUARDS
from guarantees_bot import BOT_GUARDS
from guarantees_facts import FACT_GUARDS
from guarantees_guard import INTEGRATION, STORE, UNIT, Guard
from guarantees_impact import IMPACT_GUARDS
from guarantees_keeping import KEEPING_GUARDS
from guarantees_keys import KEY_GUARDS
from guarantees_many import MANY_GUARDS
from guarantees_policy import POLICY_GUARDS
from guarantees_shown import SHOWN_GUARDS
from guarantees_sources import SOURCE_GUARDS
from guarantees_trust import TRUST_GUARDS
from guarantees_workbench import WORKBENCH_GUARDS

GUARDS: Final = (
    Guard(
        invariant=6,
        guard="countersign.review.standing.excluded",
        what="the requester chain votes",
        old="if person in review.excluded:",
        new="if False:",
        tests=(
            f"{UNIT}/test_review.py::test_nobody_in_the_requester_chain_has_a_say",
            f"{UNIT}/test_review_sufficiency.py::test_nobody_excluded_lends_or_borrows",
            f"{UNIT}/test_flow_people.py::test_whoever_owns_the_requester_by_now_cannot_vote",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.review.seats.used_up",
        what="one person votes twice",
        old="for who in (vote.person, seat_of(vote), *vote.known_to)",
        new="for who in ()",
        tests=(f"{UNIT}/test_review.py::test_quorum_counts_distinct_people",),
    ),
    Guard(
        invariant=4,
        guard="countersign.review.voting._unseen",
        what="a vote names any preview",
        old=("if shown is None or not hmac.compare_digest(shown.hash, event.preview_hash):"),
        new="if shown is None:",
        tests=(
            f"{UNIT}/test_review.py::test_a_vote_names_the_revision_and_preview_it_saw",
            f"{UNIT}/test_review_sufficiency.py::test_the_glass_is_not_easy_to_break",
        ),
    ),
    Guard(
        invariant=9,
        guard="countersign.review.voting._unseen",
        what="what is hidden is approved",
        old="if approving and not shown.reviewable:",
        new="if False:",
        tests=(
            f"{UNIT}/test_review.py::test_what_cannot_be_reviewed_can_be_denied_but_not_approved",
            f"{UNIT}/test_review_sufficiency.py::test_the_glass_shows_what_cannot_be_reviewed_to_nobody",
        ),
    ),
    Guard(
        invariant=10,
        guard="countersign.review.rules._timers",
        what="the deadline itself is in time",
        old="if due is None or now < due:",
        new="if due is None or now <= due:",
        tests=(
            f"{UNIT}/test_review.py::test_a_vote_at_the_very_deadline_is_too_late",
            f"{UNIT}/test_review.py::test_an_approval_lapses_at_its_use_by",
        ),
    ),
    Guard(
        invariant=9,
        guard="countersign.review.seats.approvals",
        what="approvals outlive the revision they saw",
        old="        and vote.revision == review.revision\n",
        new="",
        tests=(f"{UNIT}/test_review.py::test_an_answer_voids_the_approvals_that_did_not_see_it",),
    ),
    Guard(
        invariant=4,
        guard="countersign.review.claiming.claim_refusal",
        what="an approval is spent on another context",
        old="if not hmac.compare_digest(review.commitment, event.commitment):",
        new="if False:",
        tests=(f"{UNIT}/test_review.py::test_a_wrong_attempt_spends_nothing",),
    ),
    Guard(
        invariant=5,
        guard="countersign.review.claiming.claim_refusal",
        what="a closed review is claimed",
        old="if review.state is not ReviewState.APPROVED:",
        new="if False:",
        tests=(f"{UNIT}/test_review.py::test_an_approval_lapses_at_its_use_by",),
    ),
    Guard(
        invariant=5,
        guard="countersign.review.claiming.may_claim",
        what="anybody executes",
        old="return bool(audience) and audience in requirement.claim_by",
        new="return True",
        tests=(
            f"{UNIT}/test_review.py::test_policy_may_let_only_the_gateway_execute",
            f"{UNIT}/test_flow_claim.py::test_only_the_gateway_executes_what_policy_gives_to_it",
        ),
    ),
    Guard(
        invariant=8,
        guard="countersign.review.claiming.voided",
        what="today's denial is not heard",
        old="        return event.policy.reasons\n",
        new="        return ()\n",
        tests=(
            f"{UNIT}/test_review.py::test_todays_denial_revokes_with_its_reason",
            f"{UNIT}/test_flow_claim.py::test_todays_denial_revokes_with_the_rule_named",
        ),
    ),
    Guard(
        invariant=8,
        guard="countersign.review.claiming.insufficient",
        what="today's requirement is not judged",
        old="    if stage is None:\n        return ()\n",
        new="    return ()\n",
        tests=(
            f"{UNIT}/test_review.py::test_votes_that_no_longer_suffice_revoke",
            f"{UNIT}/test_flow_claim.py::test_votes_must_meet_what_policy_demands_today",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.review.claiming._good_votes",
        what="who is excluded today still counts",
        old="barred = {*review.excluded, *excluded, *today.exclude}",
        new="barred = {*review.excluded}",
        tests=(
            f"{UNIT}/test_flow_claim.py::test_whoever_became_an_owner_after_voting_has_not_approved",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.flow.judge._decided",
        what="a policy fault allows",
        old="decision = deny(reason, verdict.revision, retryable=said.retryable)",
        new=('decision = PolicyDecision(effect=Effect.ALLOW, reasons=(reason,), revision="")'),
        tests=(
            f"{UNIT}/test_flow_check.py::test_a_passing_fault_denies_once_and_is_not_remembered",
            f"{UNIT}/test_guards.py::test_policy_that_says_nothing_usable_never_allows",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.flow.judge._within_bounds",
        what="the unexamined is allowed",
        old="if decision.effect is Effect.ALLOW and not findings.complete:",
        new="if False:",
        tests=(
            f"{UNIT}/test_flow_check.py::test_what_could_not_be_examined_is_never_allowed_and_never_approved",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.flow.judge._within_bounds",
        what="nobody is left to decide",
        old="if nobody:",
        new="if False:",
        tests=(
            f"{UNIT}/test_flow_check.py::test_a_requirement_that_nobody_is_left_to_meet_is_refused_at_once",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.flow.question._unresolved",
        what="an unknown person is passed over",
        old="if not chain.unresolved:",
        new="if True:",
        tests=(f"{UNIT}/test_flow_check.py::test_a_person_named_but_unknown_is_refused",),
    ),
    Guard(
        invariant=8,
        guard="countersign.flow.judge._breach",
        what="policy goes below the floor",
        old="if not breach:",
        new="if True:",
        tests=(
            f"{UNIT}/test_flow_check.py::test_policy_below_a_floor_is_as_wrong_as_any_other_and_says_where",
            f"{UNIT}/test_flow_claim.py::test_floors_of_today_hold_at_the_claim",
        ),
    ),
    Guard(
        invariant=1,
        guard="countersign.flow.judge._unkeepable",
        what="a lock is promised without one",
        old="if requirement.durability is Durability.LOCKED and not parts.lockable:",
        new="if False:",
        tests=(
            f"{UNIT}/test_flow_check.py::test_a_locked_record_is_promised_only_where_it_can_be_kept",
        ),
    ),
    Guard(
        invariant=1,
        guard="countersign.app.App.__init__",
        what="a locked log starts on a directory",
        old='if config.log.durability == "locked" and not self._sink.enforcing:',
        new="if False:",
        tests=(
            f"{UNIT}/test_guards.py::test_locked_records_are_promised_only_with_a_sink_that_enforces_it",
        ),
    ),
    Guard(
        invariant=3,
        guard="countersign.flow.judge._worded",
        what="policy's words carry input",
        old="await masking.said(parts, reason.message)",
        new="reason.message",
        tests=(
            f"{UNIT}/test_flow_check.py::test_what_policy_says_in_its_own_words_is_sanitized_too",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.flow.check._Check._reuse",
        what="a second Check excludes nobody more",
        old="review = widen(tx, existing, self._judgement.chain.excluded)",
        new="review = existing",
        tests=(
            f"{UNIT}/test_flow_check.py::test_whoever_stands_behind_a_second_check_is_excluded_too",
        ),
    ),
    Guard(
        invariant=5,
        guard="countersign.flow.claim._Claim._step",
        what="a fault at the claim ends the approval",
        old="if judgement.fault and not isinstance(result, Refusal):",
        new="if False:",
        tests=(f"{UNIT}/test_flow_claim.py::test_policy_that_cannot_be_asked_changes_nothing",),
    ),
    Guard(
        invariant=12,
        guard="countersign.flow.claim._concerns",
        what="any caller claims any review",
        old="return review.caller == claimant.id or may_claim(",
        new="return True or may_claim(",
        tests=(f"{UNIT}/test_flow_claim.py::test_to_others_the_review_is_like_one_that_never_was",),
    ),
    Guard(
        invariant=6,
        guard="countersign.flow.people._excluding_todays_chain",
        what="a new owner still votes",
        old="return widen(tx, review, excluded)",
        new="return review",
        tests=(f"{UNIT}/test_flow_people.py::test_whoever_owns_the_requester_by_now_cannot_vote",),
    ),
    Guard(
        invariant=3,
        guard="countersign.flow.people.ask_info",
        what="a question is stored raw",
        old="await masking.said(parts, question)",
        new="question",
        tests=(f"{UNIT}/test_flow_people.py::test_a_question_is_sanitized_and_put_once",),
    ),
    Guard(
        invariant=5,
        guard="countersign.flow.request.Request.replayed",
        what="a request id serves other content",
        old="if stored.content_mac != self.content_mac:",
        new="if False:",
        tests=(
            f"{UNIT}/test_flow_check.py::test_the_same_request_gets_the_same_permit_and_another_is_told_so",
            f"{UNIT}/test_flow_people.py::test_the_same_vote_again_is_one_vote_and_another_is_told_so",
        ),
    ),
    Guard(
        invariant=4,
        guard="countersign.permit.verify",
        what="a permit opens another context",
        old=(
            "if len(salt) != canonical.SALT_BYTES or not hmac.compare_digest(\n"
            "        canonical.commitment(bound, salt), commitment\n"
            "    ):"
        ),
        new="if len(salt) != canonical.SALT_BYTES:",
        tests=(
            f"{UNIT}/test_permit.py::test_anything_else_than_what_it_was_given_for_is_refused",
            f"{UNIT}/test_permit.py::test_a_permit_of_another_tenant_does_not_open_this_context",
        ),
    ),
    Guard(
        invariant=10,
        guard="countersign.permit.verify",
        what="a permit outlives its last second",
        old="now_s >= expires",
        new="now_s > expires",
        tests=(f"{UNIT}/test_permit.py::test_anything_else_than_what_it_was_given_for_is_refused",),
    ),
    Guard(
        invariant=4,
        guard="countersign.permit._signed_claims",
        what="a signature is not looked at",
        old='_JWS.decode(token, key, algorithms=["EdDSA"])',
        new=('_JWS.decode(token, key, algorithms=["EdDSA"], options={"verify_signature": False})'),
        tests=(
            f"{UNIT}/test_permit.py::test_what_is_not_signed_by_a_listed_key_under_our_type_is_refused",
        ),
    ),
    Guard(
        invariant=4,
        guard="countersign.canonical.commitment",
        what="a commitment forgets its salt",
        old="_COMMITMENT_DOMAIN + salt + canonical",
        new="_COMMITMENT_DOMAIN + canonical",
        tests=(f"{UNIT}/test_canonical.py::test_a_commitment_is_what_the_specification_says",),
    ),
    Guard(
        invariant=4,
        guard="countersign.canonical._pairs",
        what="a key is named twice",
        old="if len(result) == len(pairs):",
        new="if True:",
        tests=(
            f"{UNIT}/test_canonical.py::test_what_would_have_to_be_guessed_is_refused_at_its_place",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.directory.Directory.requester_chain",
        what="registered owners are not excluded",
        old="excluded = set(entry.behind_when(proven))",
        new="excluded = set()",
        tests=(f"{UNIT}/test_guards.py::test_owners_are_excluded_whatever_actor_is_named",),
    ),
    Guard(
        invariant=6,
        guard="countersign.directory.Directory.requester_chain",
        what="a named person is not excluded",
        old="excluded |= people",
        new="pass",
        tests=(
            f"{UNIT}/test_directory_exclusion.py::test_a_named_person_is_excluded_by_id_and_by_any_account",
            f"{UNIT}/test_directory_exclusion.py::test_a_person_named_as_something_else_is_excluded_all_the_same",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.enrolment.values.Entry.behind_when",
        what="proof spares owners",
        old="self.unspared if proven in self.behind",
        new="frozenset() if proven in self.behind",
        tests=(
            f"{UNIT}/test_directory_exclusion.py::test_proof_by_a_user_of_the_line_spares_its_other_users_and_no_owner",
            f"{UNIT}/test_directory_exclusion.py::test_proof_spares_at_most_the_users_of_the_callers_own_line",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.enrolment.values.Entry.behind_when",
        what="anybody's proof spares users",
        old="if proven in self.behind else self.behind",
        new="",
        tests=(
            f"{UNIT}/test_directory_exclusion.py::test_proof_by_somebody_else_spares_nobody_and_adds_them",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.directory.Directory.requester_chain",
        what="a proof speaks for every caller named",
        old="excluded |= other.behind",
        new="excluded |= other.behind_when(proven)",
        tests=(
            f"{UNIT}/test_directory_exclusion.py::test_proof_says_nothing_of_another_caller_by_the_actors_name_or_named_besides",
        ),
    ),
    Guard(
        invariant=6,
        guard="countersign.enrolment.books._entry",
        what="who was shown a caller's token may approve what it asks",
        old="*(all_.seen_by.get(member.id, ()) for member in line),",
        new="",
        tests=(
            f"{UNIT}/test_directory_exclusion.py::test_whoever_was_shown_a_token_of_the_line_could_drive_it",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign.directory.Directory.scope_refusal",
        what="a caller speaks for any actor",
        old=('if context.actor.type != "workload" or context.actor.id not in entry.caller.actors:'),
        new="if False:",
        tests=(
            f"{UNIT}/test_directory.py::test_a_caller_speaks_only_for_what_it_is_registered_for",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign.edge.authentication.as_person",
        what="a machine or channel breaks the glass",
        old="if isinstance(subject, Person):",
        new="if True:",
        tests=(
            f"{UNIT}/test_guards.py::test_a_channel_must_say_who_acts_and_cannot_do_all_a_person_can",
            f"{UNIT}/test_edge_authentication.py::test_each_role_lets_in_its_kinds_and_says_why_not",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign.edge.authentication.as_reader",
        what="a machine reads and decides",
        old="if not isinstance(subject, Caller):",
        new="if True:",
        tests=(f"{UNIT}/test_guards.py::test_a_machine_has_no_verb_of_people",),
    ),
    Guard(
        invariant=7,
        guard="countersign.edge.authentication._person",
        what="a token that an agent was issued is a person's",
        old="if any(directory.is_client(tenant, said.client) for tenant in said.tenants):",
        new="if False:",
        tests=(
            f"{UNIT}/test_edge_authentication.py::test_a_jwt_that_proves_nobody_is_refused_like_any_unknown_credential",
            f"{UNIT}/test_edge_authentication.py::test_a_client_of_any_tenant_of_the_issuer_is_a_machine",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign.edge.authentication.Authenticator._by_certificate",
        what="the first name of a certificate counts",
        old="if len(known) == 1 else None",
        new="if known else None",
        tests=(
            f"{UNIT}/test_edge_authentication.py::test_a_certificate_of_two_subjects_is_nobodys",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign.edge.voter._asserted",
        what="a channel asserts accounts of any issuer",
        old="if assertion.issuer not in channel.issuers:",
        new="if False:",
        tests=(f"{UNIT}/test_edge_voter.py::test_a_channel_asserts_nothing_of_other_issuers",),
    ),
    Guard(
        invariant=7,
        guard="countersign.edge.voter._check_fresh",
        what="what was proven long ago counts",
        old="<= age_us <= max_age_s * SECOND_US:",
        new="<= age_us:",
        tests=(f"{UNIT}/test_edge_voter.py::test_what_was_proven_long_ago_or_will_be_does_not",),
    ),
    Guard(
        invariant=7,
        guard="countersign.edge.voter.voter",
        what="a person's credential acts for somebody else",
        old="if assertion is not None:",
        new="if False:",
        tests=(
            f"{UNIT}/test_edge_voter.py::test_with_their_own_credential_nobody_says_that_they_are_somebody_else",
        ),
    ),
    Guard(
        invariant=7,
        guard="countersign.edge.authentication.as_caller",
        what="a person asks and claims",
        old="if isinstance(subject, Caller):",
        new="if True:",
        tests=(f"{UNIT}/test_guards.py::test_a_person_has_no_verb_of_machines",),
    ),
    Guard(
        invariant=12,
        guard="countersign.directory._only",
        what="a login leads to the first tenant that knows it",
        old="if len(things) == 1 else None",
        new="if things else None",
        tests=(
            f"{UNIT}/test_directory.py::test_a_login_by_jwt_is_exact_and_leads_to_one_tenant",
            f"{UNIT}/test_edge_authentication.py::test_a_jwt_leads_to_one_tenant_or_nowhere",
        ),
    ),
    Guard(
        invariant=12,
        guard="countersign.edge.authentication.Authenticator._by_token",
        what="any well-formed token is somebody's",
        old="found = directory.person_by_token(sha256_hex)",
        new="found = next(iter(directory._people[0].values()))",
        tests=(
            f"{UNIT}/test_guards.py::test_without_a_registered_credential_nobody_gets_in",
            f"{UNIT}/test_guards.py::test_a_credential_decides_as_its_own_person_and_in_its_own_tenant",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.sanitize.sanitizer.Sanitizer.detect",
        what="what failed to be read counts as read",
        old="complete=False",
        new="complete=True",
        tests=(
            f"{UNIT}/test_sanitize_preview.py::test_detection_that_fails_outright_shows_nothing",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.sanitize.sanitizer.Sanitizer.preview",
        what="a masker that fails shows everything",
        old="canonical.encode(envelope.dark())",
        new="canonical.encode(context.to_json())",
        tests=(
            f"{UNIT}/test_sanitize_preview.py::test_detection_that_fails_outright_shows_nothing",
            f"{UNIT}/test_guards.py::test_what_could_not_be_read_is_not_shown_though_no_pattern_knows_it",
        ),
    ),
    Guard(
        invariant=9,
        guard="countersign.sanitize.sanitizer.Sanitizer.preview",
        what="what could not be examined is approved",
        old="findings.complete\n                and not cut",
        new="not cut",
        tests=(
            f"{UNIT}/test_flow_check.py::test_what_could_not_be_examined_is_never_allowed_and_never_approved",
            f"{UNIT}/test_guards.py::test_what_is_not_all_read_is_not_approved_though_nothing_asked_for_is_masked",
        ),
    ),
    Guard(
        invariant=9,
        guard="countersign.sanitize.sanitizer.Sanitizer.preview",
        what="what was cut is approved",
        old="                and not cut\n",
        new="",
        tests=(
            f"{UNIT}/test_sanitize_preview.py::test_a_preview_that_is_too_large_is_cut_and_cannot_be_approved",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.sanitize.detect._recognized",
        what="what a recognizer did not look at is shown",
        old="if found is None:",
        new="if False:",
        tests=(
            f"{UNIT}/test_sanitize_recognized.py::test_what_nobody_looked_at_is_hidden_and_held_to_be_the_worst",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.sanitize.detect._assume",
        what="policy is not told what may be in what nobody looked at",
        old="if unseen else ()",
        new="if False else ()",
        tests=(
            f"{UNIT}/test_sanitize_recognized.py::test_what_nobody_looked_at_is_hidden_and_held_to_be_the_worst",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.sanitize.free.Free._said",
        what="a reason that no recognizer looked at is shown",
        old="return kinds.UNEXAMINED.placeholder",
        new="found = ()",
        tests=(f"{UNIT}/test_sanitize_recognized.py::test_texts_and_details_are_hidden_as_well",),
    ),
    Guard(
        invariant=3,
        guard="countersign.sanitize.guard.guard",
        what="no last look",
        old="if not bad:",
        new="if True:",
        tests=(f"{UNIT}/test_sanitize_preview.py::test_the_guard_masks_what_masking_forgot",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.contract.decode",
        what="a broken answer is taken",
        old="if decision is None or breaches:",
        new="if decision is None:",
        tests=(f"{UNIT}/test_policy_contract.py::test_each_broken_rule_of_a_decision_is_named",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.contract._Strict",
        what="unknown keys are passed over",
        old='extra="forbid"',
        new='extra="ignore"',
        tests=(
            f"{UNIT}/test_policy_contract.py::test_each_broken_rule_of_a_requirement_is_named",
            f"{UNIT}/test_policy_contract.py::test_each_broken_rule_of_a_decision_is_named",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.client.value_of",
        what="undefined means allow",
        old='if "result" not in document:',
        new=('if "result" not in document:\n        return {"effect": "allow"}\n    if False:'),
        tests=(f"{UNIT}/test_policy_client.py::test_no_result_is_undefined",),
    ),
    Guard(
        invariant=1,
        guard="countersign.store.group_commit.GroupCommit._serve",
        what="the store goes on after a failed COMMIT",
        old="self.failed = True",
        new="self.failed = False",
        tests=(
            f"{UNIT}/test_store_group_commit.py::test_a_failed_commit_fails_all_its_commands_and_every_later_one",
        ),
    ),
    Guard(
        invariant=5,
        guard="countersign/store/sql/sqlite/queries.sql",
        what="two writers change one version",
        old=" AND version = ?6 - 1",
        new="",
        tests=(
            f"{STORE}::test_a_review_changes_only_from_the_version_before",
            f"{STORE}::test_of_many_claims_of_one_approval_exactly_one_wins",
        ),
    ),
    Guard(
        invariant=12,
        guard="countersign/store/sql/sqlite/queries.sql",
        what="another tenant's review is found",
        old="SELECT body FROM review WHERE tenant = ? AND id = ?;",
        new="SELECT body FROM review WHERE ? <> '' AND id = ?;",
        tests=(f"{STORE}::test_another_tenants_ids_are_like_ids_that_never_were",),
    ),
    Guard(
        invariant=11,
        guard="countersign.store.sqlite_writes.SqliteTransaction.undo",
        what="a failed command leaves a hole",
        old="self._logs, records, changes, decided = self._mark",
        new="_, records, changes, decided = self._mark",
        tests=(f"{STORE}::test_a_command_that_raises_leaves_nothing_and_harms_nobody",),
    ),
    Guard(
        invariant=10,
        guard="countersign.store.clock.StoreClock.now",
        what="time goes back",
        old="if wall <= told:",
        new="if False:",
        tests=(
            f"{UNIT}/test_flow_claim.py::test_a_clock_that_is_set_back_gives_no_time_back",
            f"{UNIT}/test_store_parts.py::test_the_clock_follows_the_wall_but_never_back",
        ),
    ),
    Guard(
        invariant=10,
        guard="countersign.store.clock.StoreClock.now",
        what="time stands still while the wall is behind",
        old="told = Instant(self._taken + (steady - self._taken_at) // 1000)",
        new="told = self._taken",
        tests=(
            f"{UNIT}/test_store_parts.py::test_time_goes_on_while_the_wall_is_behind",
            f"{UNIT}/test_store_parts.py::test_time_goes_on_from_the_newest_commit_when_the_wall_is_behind_it_at_start",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.verify._Verification._segment",
        what="an edited record passes",
        old="intact = lines is not None and hashes == truth",
        new="intact = lines is not None",
        tests=(
            f"{UNIT}/test_audit_verify.py::test_an_edited_record_is_named",
            f"{UNIT}/test_audit_verify.py::test_swapped_records_are_named",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.verify._Verification._judge_heads",
        what="any root fits a checkpoint",
        old="if head.root == root:",
        new="if True:",
        tests=(
            f"{UNIT}/test_audit_verify.py::test_history_rewritten_throughout_contradicts_its_checkpoints",
            f"{UNIT}/test_audit_verify.py::test_a_signed_fork_is_named",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.verify._Verification.ending",
        what="truncation passes",
        old="for size, head in self._heads.beyond(self._end):",
        new="for size, head in ():",
        tests=(
            f"{UNIT}/test_audit_verify.py::test_careful_truncation_is_found_by_a_remembered_checkpoint",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.note.Note.verify",
        what="any signature is good",
        old="if not verifier.accepts(self.text, line.signature):",
        new="if False:",
        tests=(
            f"{UNIT}/test_audit_note.py::test_one_bad_signature_by_a_known_key_spoils_the_note",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.opening.check_extends",
        what="a store with other records starts",
        old="if frontier.root() != head.root:",
        new="if False:",
        tests=(
            f"{UNIT}/test_audit_publisher.py::test_a_store_with_other_records_refuses_to_start",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.opening._frontier_at",
        what="a log that lost what was published is continued",
        old="if size < state.published:",
        new="if False:",
        tests=(
            f"{UNIT}/test_audit_publisher.py::test_a_sink_that_lost_what_was_published_refuses_to_start",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.witness.rules._extends",
        what="a witness cosigns two histories",
        old="verify_consistency(seen.size, head.size, seen.root, head.root, request.proof)",
        new="pass",
        tests=(f"{UNIT}/test_witness_rules.py::test_no_proof_leads_to_another_history",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.witness.rules._follows",
        what="nobody is told that a log went back",
        old="if request.old != size:",
        new="if False:",
        tests=(
            f"{UNIT}/test_witness_rules.py::test_only_what_is_proven_to_extend_the_cosigned_checkpoint_is_cosigned",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.witness.service.Witness._in_turn",
        what="a cosignature leaves before it is remembered",
        old="self._memory.keep(origin, Note(text=request.note.text, signatures=(*by_log, line)))",
        new="",
        tests=(
            f"{INTEGRATION}/test_witness_process.py::test_killed_at_any_step_of_remembering_it_has_cosigned_nothing_it_forgets",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.opening.check_extends",
        what="store and log that went back together start",
        old="await _ask(witnesses, Note.parse(note), sink)",
        new="pass",
        tests=(
            f"{INTEGRATION}/test_witness_asking.py::test_a_log_put_back_with_its_store_is_named_by_the_witness",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.seen.Sightings.conclude",
        what="a witness that is demanded may be missing",
        old="if last != size and name not in self._wrong:",
        new="if False:",
        tests=(
            f"{UNIT}/test_audit_seen.py::test_what_a_witness_has_not_seen_yet_is_missing_and_counted",
        ),
    ),
    Guard(
        invariant=8,
        guard="countersign.store.sqlite._restored",
        what="a restart forgets what adds up",
        old="for tenant, caller, action, method, effect, minute, count, touched, moved in rows:",
        new=(
            "for tenant, caller, action, method, effect, minute, count, touched, moved in rows[:0]:"
        ),
        tests=(f"{STORE}::test_recent_counts_committed_decisions_by_effect",),
    ),
    *SHOWN_GUARDS,
    *TRUST_GUARDS,
    *AUDITOR_GUARDS,
    *IMPACT_GUARDS,
    *KEEPING_GUARDS,
    *KEY_GUARDS,
    *MANY_GUARDS,
    *BOT_GUARDS,
    *SOURCE_GUARDS,
    *POLICY_GUARDS,
    *FACT_GUARDS,
    *WORKBENCH_GUARDS,
)
