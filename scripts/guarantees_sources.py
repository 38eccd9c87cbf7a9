"""The guards of where policy comes from, as `make guarantees` takes them away."""

from typing import Final

from guarantees_guard import INTEGRATION, UNIT, Guard

_ARCHIVE: Final = f"{UNIT}/test_policy_archive.py"
_SIGNED: Final = f"{INTEGRATION}/test_policy_signatures.py"
_BUNDLE: Final = f"{INTEGRATION}/test_policy_source_bundle.py"
_HTTP: Final = f"{INTEGRATION}/test_policy_source_http.py"
_GIT: Final = f"{INTEGRATION}/test_policy_source_git.py"
_GIT_SIGNED: Final = f"{INTEGRATION}/test_policy_source_git_signed.py"
_KEPT: Final = f"{INTEGRATION}/test_policy_source_last_good.py"
_WATCHED: Final = f"{INTEGRATION}/test_policy_source_directory.py"

SOURCE_GUARDS: Final = (
    Guard(
        invariant=2,
        guard="countersign.policy.sources.archive._path",
        what="a bundle names files elsewhere",
        old='part in (".", "..") or not _PART.fullmatch(part)',
        new="not part",
        tests=(f"{_ARCHIVE}::test_a_name_that_leads_elsewhere_is_refused",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.archive._inflate",
        what="a bundle decides how much memory it takes",
        old="if len(plain) > max_bytes:",
        new="if False:",
        tests=(f"{_ARCHIVE}::test_a_bomb_is_not_unpacked",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.archive._require_short",
        what="a bundle's header decides how long nobody is answered",
        old="size > _MAX_EXTENDED or _NOT_EXTENDED.search(extended)",
        new="size > 3 * MAX_FILES",
        tests=(f"{_ARCHIVE}::test_an_extended_header_that_is_more_than_a_name_is_refused",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.archive._path",
        what="what OPA runs beside Rego comes along",
        old="raise _refused(what,",
        new="_refused(what,",
        tests=(
            f"{_ARCHIVE}::test_what_opa_would_run_beside_rego_is_refused",
            f"{_BUNDLE}::test_one_made_for_webassembly_is_refused",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.signatures.BundleKey.verify",
        what="nobody verifies a bundle's signature",
        old="self._ask_opa(Path(scratch), files, pem)",
        new="pass",
        tests=(
            f"{_SIGNED}::test_another_key_did_not_sign",
            f"{_SIGNED}::test_a_file_changed_added_or_taken_away_is_noticed",
            f"{_SIGNED}::test_no_other_algorithm_gets_by",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.signatures._only_token",
        what="the key id is read from another signature than the verified one",
        old="if rest in ([], _BY_OPA):",
        new="if True:",
        tests=(f"{_SIGNED}::test_the_key_id_is_read_from_the_signature_that_opa_verified",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.signatures.BundleKey.verify",
        what="a signature under another key id is as good",
        old="if self.key_id and named != self.key_id:",
        new="if False:",
        tests=(f"{_SIGNED}::test_another_key_id_or_scope_is_not_what_was_asked_for",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.bundle.BundleSource._opened",
        what="a bundle is opened unsigned",
        old='self._key.verify(unpacked) if self._key else ""',
        new='""',
        tests=(
            f"{_BUNDLE}::test_only_what_the_key_signed_is_given",
            f"{_KEPT}::test_it_starts_with_it_when_what_is_there_is_not_trusted",
        ),
    ),
    Guard(
        invariant=4,
        guard="countersign.policy.sources.bundle.BundleSource._require_new_name",
        what="one revision names two contents",
        old="if revision == self._accepted[0] and content != self._accepted[1]:",
        new="if False:",
        tests=(
            f"{_BUNDLE}::test_one_revision_never_names_two_contents",
            f"{_KEPT}::test_a_revision_is_not_reused_over_a_restart",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.http.HttpPlace.get",
        what="what was not sent is taken for unchanged",
        old="if tag and answer.status == 304:",
        new="if answer.status == 304:",
        tests=(f"{_HTTP}::test_a_304_that_nobody_asked_for_is_no_answer",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.git.GitSource._require_later",
        what="a branch goes back to what was replaced",
        old="if self._repository.descends(commit, earlier):",
        new="if True:",
        tests=(
            f"{_GIT}::test_a_branch_that_lost_what_was_accepted_is_refused",
            f"{_GIT}::test_rolling_back_here_opens_no_way_for_another_history",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.git.GitSource.accept",
        what="a roll-back opens the way for another history",
        old="if older and not self._settings.allow_rewrite:",
        new="if False:",
        tests=(f"{_GIT}::test_rolling_back_here_opens_no_way_for_another_history",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.git.GitSource._signed",
        what="an unsigned commit between signed ones comes along",
        old="if self._settings.history is History.EVERY and earlier:",
        new="if False:",
        tests=(
            f"{_GIT_SIGNED}::test_the_tip_vouches_unless_every_commit_must_be_signed",
            f"{_GIT_SIGNED}::test_what_is_merged_counts_among_every_commit",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.git.GitSource._judged",
        what="nobody asks who signed a commit",
        old="self._signed(commit, earlier)",
        new='""',
        tests=(
            f"{_GIT_SIGNED}::test_an_unsigned_commit_is_refused_by_name_and_the_next_signed_one_taken",
            f"{_GIT_SIGNED}::test_a_key_that_is_not_listed_signs_nothing",
            f"{_GIT_SIGNED}::test_a_signature_of_other_bytes_is_none",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.git.GitSource._wanted",
        what="a link or another repository stands for a rule",
        old="raise self._refused(",
        new="self._refused(",
        tests=(
            f"{_GIT}::test_a_link_in_the_place_of_a_rule_is_refused",
            f"{_GIT}::test_another_repository_inside_is_refused_and_not_fetched",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.repository",
        what="a redirect leads git and its token elsewhere",
        old='"http.followRedirects=false"',
        new='"http.followRedirects=true"',
        tests=(f"{_GIT}::test_a_redirect_is_not_followed",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.program.run",
        what="a server decides how much disk it takes",
        old="blocks = str(-(-max_bytes // _BLOCK_BYTES))",
        new='blocks = "unlimited"',
        tests=(f"{_GIT}::test_a_repository_without_bound_is_not_fetched",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.last_good.LastGood._said",
        what="what was kept of one address is taken for another's",
        old='return said if said["origin"] == self.origin else None',
        new="return said",
        tests=(f"{_KEPT}::test_under_another_key_or_address_it_vouches_for_nothing",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.git.GitSource.again",
        what="a signer who left vouches for the kept commit",
        old='self._signed(version, "")',
        new='""',
        tests=(f"{_KEPT}::test_a_signer_who_left_vouches_for_nothing_kept",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.git.GitSource.again",
        what="an object of the cache need not be what it is called",
        old="self._repository.check()",
        new="pass",
        tests=(
            f"{_KEPT}::test_objects_of_the_cache_that_are_not_what_they_are_called_are_refused",
        ),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.bundle.BundleSource.again",
        what="another archive stands for the kept one",
        old="if _version(evidence) != version:",
        new="if False:",
        tests=(f"{_KEPT}::test_what_was_put_there_with_a_hash_of_its_own_lacks_the_signature",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.last_good.LastGood._opened",
        what="a damaged copy is served",
        old='if digest.decode("latin-1") != hashlib.sha256(body).hexdigest():',
        new="if False:",
        tests=(f"{_KEPT}::test_one_changed_byte_is_refused_and_not_served",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.last_good.LastGood._read",
        what="a copy that others could write is served",
        old="if stat.S_IMODE(seen.st_mode) & 0o077:",
        new="if False:",
        tests=(f"{_KEPT}::test_nobody_else_may_read_or_have_written_it",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.directory.DirectorySource.fetch",
        what="half a file is taken for a policy",
        old="if known and not self._settled(snapshot):",
        new="if False:",
        tests=(f"{_WATCHED}::test_what_is_still_being_written_is_left_for_the_next_look",),
    ),
    Guard(
        invariant=2,
        guard="countersign.policy.sources.stamps.trusted",
        what="a stamp is believed that another edit may share",
        old="if time.time_ns() - newest < SETTLED_NS:",
        new="if False:",
        tests=(f"{_BUNDLE}::test_a_file_is_read_again_only_when_its_stamp_changes",),
    ),
)
