"""TLS and mutual TLS against a real server with real certificates."""

import datetime as dt
import ipaddress

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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


class Authority:
    """A throw-away certificate authority."""

    def __init__(self, directory, name):
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key.public_key(), ca=True)
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name):
        """`(certificate file, key file)` of a leaf for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), ca=False)
        cert_file, key_file = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert_file, key_file

    def _sign(self, subject, public_key, *, ca):
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
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
