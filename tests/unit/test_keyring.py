"""The keys of the settings are different ones, and one that was retired stays away."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign.audit.cosignature import WitnessSigner
from countersign.audit.note import Signer
from countersign.config import load
from countersign.errors import ConfigurationError
from countersign.keyring import keyring_of
from countersign.keys import create_key, read_key
from countersign.model import SECOND_US, Instant, TenantId
from countersign.rotation import PERMITS_LAPSE_S, Gone, KeyHistory, Role, public
from countersign.signing import raw

LOG_ID = "log.example/acme"


def key(number):
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key()


NOW = {Role.PERMIT: key(1), Role.LOG: key(2), Role.RECEIPT: key(3)}


@pytest.fixture
def home(tmp_path):
    for name in ("permit", "log", "receipt", "older"):
        create_key(tmp_path / "keys" / f"{name}.pem")
    return tmp_path


def config(home, text="", environment=None):
    path = home / "countersign.toml"
    path.write_text(text, "utf-8")
    return load(path, environment or {})


def refusal(home, text, environment=None):
    with pytest.raises(ConfigurationError) as error:
        keyring_of(config(home, text, environment))
    return error.value


def test_each_role_has_a_key_of_its_own(home):
    ring = keyring_of(config(home, '[keys]\npermit = ["keys/permit.pem", "keys/older.pem"]'))
    assert len({raw(each) for each in ring.public().values()}) == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('receipt = "keys/log.pem"', "keys.log and keys.receipt"),
        ('log = "keys/permit.pem"', "keys.permit and keys.log"),
        ('permit = ["keys/permit.pem", "keys/receipt.pem"]', "keys.permit and keys.receipt"),
    ],
)
def test_one_key_in_two_roles_is_refused_by_both_names(home, text, named):
    error = refusal(home, f"[keys]\n{text}")
    assert error.code == "keys.shared"
    assert error.message == f"{named} are the same key"


def test_a_copy_of_a_key_is_the_same_key_wherever_it_is(home):
    text = (home / "keys" / "log.pem").read_text()
    error = refusal(home, '[keys]\nreceipt = "env:RECEIPT"', {"RECEIPT": text})
    assert error.code == "keys.shared"
    assert text not in str(error)


def test_a_witness_is_not_ourselves(home):
    own = read_key("keys.receipt", home / "keys" / "receipt.pem")
    witness = WitnessSigner(name="witness.example/us", key=own).public
    error = refusal(home, f'[[witnesses]]\nurl = "https://witness.example"\nkey = "{witness}"')
    assert error.code == "keys.shared"
    assert "keys.receipt and [[witnesses]] witness.example/us" in error.message


# --- what the store remembers -------------------------------------------------------


def test_what_is_noted_is_read_back_and_holds_public_keys_only():
    gone = Gone(role=Role.LOG, key=key(4), at=Instant(5), until={"acme": 7})
    history = KeyHistory(current=NOW, gone=(gone,))
    assert KeyHistory.parse(history.encode()) == history
    assert KeyHistory.parse(None) == KeyHistory(current={})


def test_a_change_is_told_by_its_role_and_the_first_keys_are_none():
    assert KeyHistory(current={}).changed(NOW) == []
    assert KeyHistory(current=NOW).changed(NOW) == []
    assert KeyHistory(current=NOW).changed({**NOW, Role.RECEIPT: key(9)}) == [Role.RECEIPT]


@pytest.mark.parametrize("role", Role)
def test_a_key_that_was_retired_does_not_come_back(role):
    gone = Gone(role=role, key=key(9), at=Instant(0), until={})
    history = KeyHistory(current=NOW, gone=(gone,))
    with pytest.raises(ConfigurationError) as error:
        history.changed({**NOW, role: key(9)})
    assert error.value.code == "keys.retired"
    assert f"keys.{role.value}" in error.value.message


def test_a_log_knows_its_own_retired_keys_and_no_other_tenants():
    gone = (
        Gone(role=Role.LOG, key=key(7), at=Instant(0), until={"acme": 10, "empty": 0}),
        Gone(role=Role.RECEIPT, key=key(8), at=Instant(0), until={}),
    )
    history = KeyHistory(current=NOW, gone=gone)
    configured = Signer(name=LOG_ID, key=Ed25519PrivateKey.generate()).verifier
    keys = history.log_keys(TenantId("acme"), configured)
    assert [(raw(each.verifier.key), each.until) for each in keys.retired] == [(raw(key(7)), 10)]
    assert raw(keys.current.key) == raw(NOW[Role.LOG]), "what signed what is there"
    for tenant in ("empty", "later"):
        assert history.log_keys(TenantId(tenant), configured).retired == ()


def test_a_retired_permit_key_is_told_until_its_permits_lapsed():
    gone = Gone(role=Role.PERMIT, key=key(9), at=Instant(0), until={})
    history = KeyHistory(current=NOW, gone=(gone,))
    last = PERMITS_LAPSE_S * SECOND_US
    assert [raw(each) for each in history.permits(Instant(last - 1))] == [raw(key(9))]
    assert history.permits(Instant(last)) == []


def test_public_keys_are_told_as_those_who_check_know_them():
    assert public(Role.LOG, key(2), LOG_ID)["key"].startswith(f"{LOG_ID}+")
    assert public(Role.RECEIPT, key(3), LOG_ID)["key"].startswith(f"{LOG_ID}/receipts+")
    assert len(public(Role.PERMIT, key(1), LOG_ID)["id"]) == 43
