"""TLS and mutual TLS against a real server with real certificates."""

import grpc
import pytest

from certificates import Authority
from countersign.client import Client, Context, Credential, Resource, Timing, Unavailable
from countersign.client.testing import Rule
from countersign.credentials import SubjectKind, new_token
from countersign.model import Effect
from simulators.decision_server import DecisionServer

TOKEN = new_token(SubjectKind.CALLER)
IMPATIENT = Timing(call_s=1, backoff_s=0.1)
EXPORT = Context(
    action="db.export",
    resource=Resource("table", "customers"),
    environment="production",
    actor="export-agent",
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


def serve(authority, *, mutual):
    cert_file, key_file = authority.issue("server")
    secret = grpc.ssl_server_credentials(
        [(key_file.read_bytes(), cert_file.read_bytes())],
        root_certificates=authority.file.read_bytes() if mutual else None,
        require_client_auth=mutual,
    )
    server = DecisionServer(TOKEN, tls=secret)
    server.point.rules.append(Rule(pattern="*", effect=Effect.ALLOW))
    return server


def test_a_server_with_a_certificate_of_the_named_authority_is_trusted(authority):
    with serve(authority, mutual=False) as server:
        credential = Credential(endpoint=server.endpoint, token=TOKEN, ca_file=authority.file)
        with Client(credential) as client:
            assert client.check(EXPORT).allowed


def test_a_server_of_another_authority_gets_neither_token_nor_context(authority, tmp_path):
    other = Authority(tmp_path, "other")
    with serve(authority, mutual=False) as server:
        credential = Credential(endpoint=server.endpoint, token=TOKEN, ca_file=other.file)
        with Client(credential, timing=IMPATIENT) as client, pytest.raises(Unavailable):
            client.check(EXPORT)
        assert server.calls == []


def test_a_plaintext_client_gets_nowhere_with_a_tls_server(authority):
    with serve(authority, mutual=False) as server:
        credential = Credential(endpoint=server.endpoint, token=TOKEN)
        with Client(credential, timing=IMPATIENT) as client, pytest.raises(Unavailable) as caught:
            client.check(EXPORT)
        assert "TLS" in caught.value.advice


def test_a_client_certificate_proves_the_client(authority):
    cert_file, key_file = authority.issue("agent")
    with serve(authority, mutual=True) as server:
        credential = Credential(
            endpoint=server.endpoint,
            token=TOKEN,
            ca_file=authority.file,
            cert_file=cert_file,
            key_file=key_file,
        )
        with Client(credential) as client:
            assert client.check(EXPORT).allowed


def test_without_one_the_server_does_not_talk(authority):
    with serve(authority, mutual=True) as server:
        credential = Credential(endpoint=server.endpoint, token=TOKEN, ca_file=authority.file)
        with Client(credential, timing=IMPATIENT) as client, pytest.raises(Unavailable):
            client.check(EXPORT)
        assert server.calls == []
