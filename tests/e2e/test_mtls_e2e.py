"""Clients known by their certificates, and tokens over mutual TLS, told to a real process.

The service wants a certificate of everybody. One whose alternative name is the
agent's SPIFFE id is the agent; any other proves nothing by itself, and lets its
holder as far as the door.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.x509 import DNSName, UniformResourceIdentifier

from certificates import Authority
from countersign.client import (
    AsyncClient,
    Choice,
    Client,
    Credential,
    NotPermitted,
    ReviewsClient,
    Unauthenticated,
    Unavailable,
)
from countersign.client.exchange import Timing
from countersign.credentials import read_credential, write_credential
from service import COMMAND, PATIENCE_S, TIMING, Service, context, eventually

AGENT = "spiffe://acme/ns/prod/agent"
MTLS = f'mtls_subject = "{AGENT}"\n'
ALLOWED = context("demo.allow")


class Fortress(Service):
    """A service that talks to nobody without a certificate of its authority."""

    def fortify(self, authority: Authority) -> None:
        self.authority = authority
        cert_file, key_file = authority.issue("server")
        self.configure(
            {
                "server.tls_certificate": str(cert_file),
                "server.tls_key": str(key_file),
                "server.tls_client_ca": str(authority.file),
            }
        )

    def with_certificate(
        self, *names: str, token: str | None = None, token_file: Path | None = None
    ) -> Credential:
        """Whoever holds a new certificate with these URIs, and perhaps a token."""
        uris = [UniformResourceIdentifier(name) for name in names]
        cert_file, key_file = self.authority.issue("agent", *(uris or [DNSName("agent")]))
        return Credential(
            endpoint=f"127.0.0.1:{self.port}",
            token=token,
            token_file=token_file,
            ca_file=self.authority.file,
            cert_file=cert_file,
            key_file=key_file,
        )

    def operate(self, *words: str | Path) -> str:
        """A command of whoever runs the host."""
        config = self.directory / "countersign.toml"
        done = subprocess.run(
            [COMMAND, *words, "--config", config],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        return done.stdout


@pytest.fixture
def fortress(tmp_path: Path) -> Iterator[Fortress]:
    policy = Path(__file__).with_name("policy")
    with Fortress(tmp_path / "countersign", policy=policy) as service:
        service.fortify(Authority(tmp_path, "acme"))
        service.person("alice", "approvers")
        service.person("bob", "approvers")
        service.caller("agent", "alice")
        with (service.directory / "callers.toml").open("a") as register:
            register.write(MTLS)  # a key of the table just appended
        service.start()
        yield service


def is_refused(client: Client) -> bool:
    try:
        return not client.check(ALLOWED).allowed
    except Unauthenticated:
        return True


async def test_a_spiffe_id_is_who_calls(fortress: Fortress) -> None:
    own = fortress.with_certificate(AGENT)
    with Client(own, timing=TIMING) as agent:
        assert agent.check(ALLOWED).allowed
        pending = agent.check(context("demo.approve")).pending
        assert pending is not None
    bob = fortress.with_certificate(token=fortress.tokens["bob"])
    with ReviewsClient(bob, timing=TIMING) as reviewer:
        reviewer.decide(reviewer.get(pending.review_id), Choice.APPROVE)
    async with AsyncClient(own, timing=TIMING) as agent:
        assert (await agent.claim(pending, context("demo.approve"))).permit


@pytest.mark.parametrize(
    "names",
    [
        (),  # the same common name, which says nothing
        ("spiffe://acme/ns/dev/agent",),
        (f"{AGENT}/",),
        (f"{AGENT}/sub",),
        ("spiffe://ACME/ns/prod/agent",),
    ],
)
def test_another_name_is_nobodys(fortress: Fortress, names: tuple[str, ...]) -> None:
    with Client(fortress.with_certificate(*names), timing=TIMING) as stranger:
        assert is_refused(stranger)


def test_the_right_name_of_another_authority_does_not_get_in(
    fortress: Fortress, tmp_path: Path
) -> None:
    acme, fortress.authority = fortress.authority, Authority(tmp_path, "impostor")
    forged = fortress.with_certificate(AGENT)
    impostor = Credential(
        endpoint=forged.endpoint,
        ca_file=acme.file,
        cert_file=forged.cert_file,
        key_file=forged.key_file,
    )
    impatient = Timing(call_s=1, backoff_s=0.1)
    with Client(impostor, timing=impatient) as client, pytest.raises(Unavailable):
        client.check(ALLOWED)


def test_a_certificate_that_is_no_longer_registered_is_refused_at_the_next_poll(
    fortress: Fortress,
) -> None:
    with Client(fortress.with_certificate(AGENT), timing=TIMING) as agent:
        assert not is_refused(agent)
        register = fortress.directory / "callers.toml"
        edited = register.with_suffix(".new")
        edited.write_text(register.read_text().replace(MTLS, ""))
        edited.replace(register)  # whole, so that no poll reads half of it
        eventually(lambda: is_refused(agent))  # over the connection that was open
    token = fortress.tokens["agent"]
    with Client(fortress.with_certificate(AGENT, token=token), timing=TIMING) as agent:
        assert not is_refused(agent)  # its other way in goes on


def test_tokens_overlap_while_one_takes_over_from_the_other(
    fortress: Fortress, tmp_path: Path
) -> None:
    """Both over mutual TLS; the certificate's name is nobody's."""
    first = fortress.with_certificate(token=fortress.tokens["agent"])
    fortress.operate("caller", "rotate", "agent", "--credential", tmp_path / "new.credential")
    second = fortress.with_certificate(token=read_credential(tmp_path / "new.credential").token)
    with Client(first, timing=TIMING) as old, Client(second, timing=TIMING) as new:
        eventually(lambda: not is_refused(new))
        assert not is_refused(old)
        fortress.operate("caller", "revoke", "agent")
        eventually(lambda: is_refused(old))
        assert not is_refused(new)


def test_a_token_file_over_mutual_tls(fortress: Fortress, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.touch(0o600)
    token_file.write_text(fortress.tokens["agent"])
    own = fortress.with_certificate(token_file=token_file)
    with Client(own, timing=TIMING) as agent:
        assert not is_refused(agent)
        token_file.write_text(fortress.tokens["bob"])
        with pytest.raises(NotPermitted, match=r"person\.not_a_caller"):
            agent.check(ALLOWED)
    token_file.write_text(fortress.tokens["bob"])
    write_credential(tmp_path / "bob.credential", own)  # as the command line reads it
    shown = fortress.types("review", "list", as_="bob")
    assert shown.returncode == 0, shown
