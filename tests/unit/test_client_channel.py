"""Plaintext never leaves this machine."""

import pytest

from countersign.client.bearer import Bearer
from countersign.client.channel import is_this_machine, open_channel
from countersign.credentials import Credential, SubjectKind, new_token
from countersign.errors import ConfigurationError

TOKEN = new_token(SubjectKind.CALLER)


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:7443", "127.9.9.9:1", "[::1]:7443", "localhost:7443", "unix:/run/c.sock"],
)
def test_plaintext_is_for_this_machine(endpoint):
    assert is_this_machine(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "10.0.0.1:7443",
        "countersign.example:7443",
        "127.0.0.1.example:7443",
        "localhost.example:7443",
        "[::ffff:10.0.0.1]:7443",
        "0.0.0.0:7443",
        "2130706433:7443",
    ],
)
def test_everything_else_is_tls(endpoint, monkeypatch):
    assert not is_this_machine(endpoint)
    monkeypatch.setattr("grpc.insecure_channel", lambda *_, **__: pytest.fail("plaintext"))
    open_channel(Credential(endpoint=endpoint, token=TOKEN)).close()


def test_a_named_ca_means_tls_on_this_machine_too(tmp_path, monkeypatch):
    (tmp_path / "ca.pem").write_bytes(b"not looked at before the first call")
    monkeypatch.setattr("grpc.insecure_channel", lambda *_, **__: pytest.fail("plaintext"))
    credential = Credential(endpoint="localhost:1", token=TOKEN, ca_file=tmp_path / "ca.pem")
    open_channel(credential).close()


def test_a_missing_certificate_is_named(tmp_path):
    credential = Credential(endpoint="localhost:1", token=TOKEN, ca_file=tmp_path / "ca.pem")
    with pytest.raises(ConfigurationError, match=r"ca_file .* cannot be read"):
        open_channel(credential)


def test_the_token_travels_as_a_bearer_and_is_left_out_without_one(tmp_path):
    assert Bearer(Credential(endpoint="localhost:1", token=TOKEN)).metadata() == (
        ("authorization", f"Bearer {TOKEN}"),
    )
    certificate = Credential(endpoint="h:1", cert_file=tmp_path / "c", key_file=tmp_path / "k")
    assert Bearer(certificate).metadata() == ()
