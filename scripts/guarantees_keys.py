"""The guards of the keys that sign, as `make guarantees` takes them away."""

from typing import Final

from guarantees_guard import UNIT, Guard

_ASKING: Final = "tests/integration/test_witness_asking.py"
_KEYRING: Final = f"{UNIT}/test_keyring.py"
_LOG_KEYS: Final = f"{UNIT}/test_audit_logkeys.py"
_SIGNING: Final = f"{UNIT}/test_signing.py"

KEY_GUARDS: Final = (
    Guard(
        invariant=11,
        guard="countersign.signing.signature",
        what="a signature is used that does not fit its key",
        old="key.public_key().verify(signed, data)",
        new="pass",
        tests=(
            f"{_SIGNING}::test_a_signature_that_does_not_fit_its_key_is_not_used",
            f"{_SIGNING}::test_no_checkpoint_and_no_permit_leaves_with_one",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.keyring._require_different",
        what="one key is two roles",
        old="if other != setting:",
        new="if False:",
        tests=(
            f"{_KEYRING}::test_one_key_in_two_roles_is_refused_by_both_names",
            f"{_KEYRING}::test_a_copy_of_a_key_is_the_same_key_wherever_it_is",
            f"{_KEYRING}::test_a_witness_is_not_ourselves",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.rotation.KeyHistory.changed",
        what="a retired key signs again",
        old="if raw(each.key) == raw(keys[each.role]):",
        new="if False:",
        tests=(f"{_KEYRING}::test_a_key_that_was_retired_does_not_come_back",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.logkeys.LogKeys.signer",
        what="a retired key signs on",
        old="and since <= size <= each.until:",
        new="and since <= size:",
        tests=(
            f"{_LOG_KEYS}::test_each_key_signs_its_own_sizes_and_no_other",
            f"{_LOG_KEYS}::test_a_witness_takes_each_size_from_its_own_key",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.logkeys.LogKeys.signer",
        what="a new key signs what was before it",
        old="if self.current in found and since <= size:",
        new="if self.current in found:",
        tests=(
            f"{_LOG_KEYS}::test_each_key_signs_its_own_sizes_and_no_other",
            f"{_LOG_KEYS}::test_the_wrong_size_of_the_change_is_no_change",
        ),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.note.Note.verify",
        what="a key that nobody names signs",
        old="        if not found:\n",
        new="        if not found and not self.signatures:\n",
        tests=(f"{_LOG_KEYS}::test_an_unknown_key_is_refused_and_named",),
    ),
    Guard(
        invariant=11,
        guard="countersign.audit.witness.cosigning.Cosigning._cosign",
        what="a log goes on though a witness has more of it",
        old="self._published.freeze(tenant, error)",
        new="pass",
        tests=(f"{_ASKING}::test_a_log_of_which_a_witness_has_more_is_published_no_further",),
    ),
)
