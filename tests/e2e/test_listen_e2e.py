"""What must be so before it serves: TLS beyond loopback, one owner, the newest store."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from countersign.client import Client, Timing, Unauthenticated, Unavailable
from countersign.credentials import Credential
from service import Service, context

IMPATIENT = Timing(call_s=1.0, attempt_s=0.5)


class Authority:
    """A certificate authority of the test's own, in a directory."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir()
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraint = x509.BasicConstraints(ca=True, path_length=0)
        self.certificate = self._write(
            "ca",
            self._builder(self._subject, self._key).add_extension(constraint, critical=True),
        )

    def issue(self, name: str, usage: x509.ObjectIdentifier) -> tuple[Path, Path]:
        """Certificate and key, PEM, for a server on loopback or a client of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if usage == ExtendedKeyUsageOID.SERVER_AUTH:
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        builder = (
            self._builder(subject, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        certificate = self._write(name, builder)
        path = self.directory / f"{name}.key"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, path

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
        )

    def _write(self, name: str, builder: x509.CertificateBuilder) -> Path:
        path = self.directory / f"{name}.crt"
        signed = builder.sign(self._key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", "the authority")


def with_tls(service: Service, authority: Authority) -> None:
    certificate, key = authority.issue("localhost", ExtendedKeyUsageOID.SERVER_AUTH)
    service.configure({"server.tls_certificate": str(certificate), "server.tls_key": str(key)})


def checks(credential: Credential) -> bool:
    """Whether a client with that credential gets an answer."""
    with Client(credential, timing=IMPATIENT) as client:
        try:
            return client.check(context("demo.allow")).allowed
        except Unavailable:
            return False


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.7:7443", "example.org:7443"])
def test_beyond_loopback_it_needs_tls(prepared: Service, listen: str) -> None:
    prepared.configure({"server.listen": listen})
    said = prepared.refuses_to_start()
    assert "server.tls_required" in said
    assert "server.listen" in said
    assert "Set server.tls_certificate and server.tls_key, or listen on 127.0.0.1." in said


def test_the_status_page_never_leaves_loopback(prepared: Service, authority: Authority) -> None:
    with_tls(prepared, authority)
    prepared.configure({"server.status_listen": "0.0.0.0:0"})
    assert "server.status_listen" in prepared.refuses_to_start()


def test_tls_for_whoever_trusts_the_authority(
    prepared: Service, authority: Authority, tmp_path: Path
) -> None:
    with_tls(prepared, authority)
    prepared.configure({"server.listen": f"0.0.0.0:{prepared.port}"})
    prepared.start()
    endpoint, token = f"127.0.0.1:{prepared.port}", prepared.tokens["agent"]
    assert checks(Credential(endpoint=endpoint, token=token, ca_file=authority.certificate))
    other = Authority(tmp_path / "other", "another authority")
    assert not checks(Credential(endpoint=endpoint, token=token, ca_file=other.certificate))
    assert not checks(Credential(endpoint=endpoint, token=token))
    assert prepared.stop() == 0


def test_mutual_tls_for_registered_subjects_of_the_authority(
    prepared: Service, authority: Authority, tmp_path: Path
) -> None:
    with_tls(prepared, authority)
    prepared.configure({"server.tls_client_ca": str(authority.certificate)})
    with (prepared.directory / "callers.toml").open("a") as callers:
        callers.write(
            '\n[[callers]]\nid = "by-certificate"\nactors = ["agent"]\nowners = ["alice"]\n'
            'environments = ["production"]\nresources = ["table:*"]\n'
            'mtls_subject = "agent.internal"\n'
        )
    prepared.start()
    other = Authority(tmp_path / "other", "another authority")

    def credential(issuer: Authority, name: str, token: str | None = None) -> Credential:
        certificate, key = issuer.issue(name, ExtendedKeyUsageOID.CLIENT_AUTH)
        return Credential(
            endpoint=f"127.0.0.1:{prepared.port}",
            token=token,
            ca_file=authority.certificate,
            cert_file=certificate,
            key_file=key,
        )

    assert checks(credential(authority, "agent.internal"))
    assert checks(credential(authority, "anybody", prepared.tokens["agent"]))
    assert not checks(credential(other, "agent.internal"))
    assert not checks(
        Credential(
            endpoint=f"127.0.0.1:{prepared.port}",
            token=prepared.tokens["agent"],
            ca_file=authority.certificate,
        )
    )
    with (
        Client(credential(authority, "unregistered"), timing=IMPATIENT) as nobody,
        pytest.raises(Unauthenticated, match=r"credential\.unknown"),
    ):
        nobody.check(context("demo.allow"))


def test_a_subject_is_not_believed_without_a_client_authority(
    prepared: Service, authority: Authority
) -> None:
    """Server TLS alone verifies no client, so a certificate that is offered proves nothing."""
    with_tls(prepared, authority)
    with (prepared.directory / "callers.toml").open("a") as callers:
        callers.write(
            '\n[[callers]]\nid = "by-certificate"\nactors = ["agent"]\nowners = ["alice"]\n'
            'environments = ["production"]\nresources = ["table:*"]\n'
            'mtls_subject = "agent.internal"\n'
        )
    prepared.start()
    certificate, key = authority.issue("agent.internal", ExtendedKeyUsageOID.CLIENT_AUTH)
    credential = Credential(
        endpoint=f"127.0.0.1:{prepared.port}",
        token=None,
        ca_file=authority.certificate,
        cert_file=certificate,
        key_file=key,
    )
    with (
        Client(credential, timing=IMPATIENT) as client,
        pytest.raises(Unauthenticated, match=r"credential\.unknown"),
    ):
        client.check(context("demo.allow"))


def test_two_servers_never_share_a_store(running: Service, tmp_path: Path) -> None:
    with Service(tmp_path / "second") as second:
        second.configure(
            {
                "store.path": str(running.directory / "state" / "countersign.db"),
                "log.directory": str(running.directory / "log"),
            }
        )
        said = second.refuses_to_start()
        assert "store.locked" in said
        assert "Stop the other server" in said
    assert running.client("agent").check(context("demo.allow")).allowed


def test_a_store_older_than_its_published_log_is_refused(running: Service) -> None:
    state = running.directory / "state"
    client = running.client("agent")
    client.check(context("demo.allow"))
    assert running.stop() == 0
    shutil.copytree(state, running.directory / "backup")
    running.start()
    client.check(context("demo.allow", "orders"))
    assert running.stop() == 0
    newest, _ = running.verified_log()
    shutil.rmtree(state)
    shutil.copytree(running.directory / "backup", state)
    said = running.refuses_to_start()
    assert "log.rolled_back" in said
    assert "restored from an old backup" in said
    assert running.verified_log()[0].size == newest.size


def test_a_log_that_lost_its_newest_part_is_refused(running: Service) -> None:
    running.client("agent").check(context("demo.allow"))
    assert running.stop() == 0
    shutil.rmtree(running.log_directory())
    assert "log.sink_behind" in running.refuses_to_start()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('[server]\nlisten = "nowhere"', "server.listen"),
        ("[server]\nrequests_burst = 0", "server.requests_burst"),
        ('[server]\nlisten_on = "127.0.0.1:1"', "server.listen_on: unknown key"),
        ("[limits]\npermit_ttl_s = 1.5", "limits.permit_ttl_s"),
        ('[log]\ndurability = "locked"', "log.durability"),
        ("[floors.production]\nleast_quorum = 0", "floors.production.least_quorum"),
        ('fault = "check.committed"', "fault: unknown key"),
        ('[policy]\nopa = "missing/opa"', "missing/opa"),
        ('[keys]\nlog = "keys/none.pem"', "keys.log"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, line: str, named: str) -> None:
    with Service(tmp_path / "countersign") as service:
        (service.directory / "countersign.toml").write_text(line)
        said = service.refuses_to_start()
        assert named in said


def test_it_says_that_it_is_well_until_it_is_gone(running: Service) -> None:
    assert running.health() == "SERVING"
    assert running.status("/livez")[0] == 200
    assert running.status("/nothing")[0] == 404
    assert running.stop() == 0
    with pytest.raises(grpc.RpcError):
        running.health()
