"""Key sets over real sockets: what an issuer's server may do to us, and what it may not."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import ssl

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import OKPAlgorithm

from countersign.issuers import HttpFetch, Issuers, IssuerSource, KeySourceError
from countersign.model import TenantId
from countersign.tokens import IssuerSettings, TokenError, TokenUse

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW = 1_800_000_000
ISSUER = "https://id.example.test"
JWKS = json.dumps({"keys": [OKPAlgorithm.to_jwk(KEY.public_key(), as_dict=True)]}).encode()


def answer(body: bytes = JWKS, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(headers or (f"Content-Length: {len(body)}",)), "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """A real server on loopback. `says` are its bytes; it then closes, or hangs on."""

    def __init__(self, says: bytes, *, hangs: bool = False, trickles: bool = False) -> None:
        self.says = says
        self.hangs = hangs
        self.trickles = trickles
        self.requests: list[bytes] = []
        self.left = asyncio.Event()
        """Whoever asked has closed the connection."""
        self.url = ""
        self._handlers: list[asyncio.Task[None]] = []

    async def _serve(self, reader, writer) -> None:
        self._handlers.append(asyncio.current_task())
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.says)
            await writer.drain()
            gone = asyncio.create_task(reader.read())
            while self.trickles and not gone.done():
                writer.write(b"H")
                await asyncio.wait({gone}, timeout=0.01)
            if self.hangs:
                await gone
            gone.cancel()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.left.set()
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await writer.wait_closed()

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None):
        timeout = {"ssl_shutdown_timeout": 0.1} if tls else {}
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls, **timeout)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/keys?of=acme"
        async with server:
            yield self
        await asyncio.gather(*self._handlers)


async def fetched(server: Server, **options) -> bytes:
    async with server.running():
        return await HttpFetch(**options)(server.url)


async def failure(server: Server, **options) -> str:
    with pytest.raises(KeySourceError) as error:
        await fetched(server, **options)
    return error.value.message


async def test_a_token_is_verified_with_keys_from_a_real_server():
    async with Server(answer()).running() as server:
        settings = IssuerSettings(
            issuer=ISSUER,
            tenants=(TenantId("default"),),
            audiences={TokenUse.EVIDENCE: "cs-evidence"},
        )
        issuers = Issuers([IssuerSource(settings=settings, jwks_url=server.url)])
        told = {"iss": ISSUER, "sub": "alice", "aud": "cs-evidence", "iat": NOW, "exp": NOW + 60}
        token = jwt.encode(told, KEY, "EdDSA")
        verified = await issuers.verify(token, TokenUse.EVIDENCE, now_s=NOW)
        assert verified.subject == "alice"
        assert issuers.failures == {}
        with pytest.raises(TokenError):
            await issuers.verify(token, TokenUse.EVIDENCE, now_s=NOW + 90)
        assert len(server.requests) == 1


async def test_the_request_carries_its_address_and_nothing_else(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login bob password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://bob:hunter2@127.0.0.1:9")
    server = Server(answer(JWKS, "200 OK", f"Content-Length: {len(JWKS)}", "Set-Cookie: a=b"))
    async with server.running():
        fetch = HttpFetch()
        assert await fetch(server.url) == JWKS
        assert await fetch(server.url) == JWKS
    first, second = server.requests
    assert first == second
    assert first.startswith(b"GET /keys?of=acme HTTP/1.1\r\nHost: 127.0.0.1:")
    for name in (b"authorization", b"cookie", b"hunter2", b"proxy"):
        assert name not in first.lower()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Again", "308 Moved"])
async def test_a_redirect_is_not_followed(status):
    async with Server(answer()).running() as elsewhere:
        server = Server(
            answer(b"", status, f"Location: {elsewhere.url}", "Content-Length: 0"),
        )
        assert "redirects" in await failure(server)
        assert elsewhere.requests == []


@pytest.mark.parametrize("status", ["204 No Content", "404 Not Found", "500 Broken", "206 Part"])
async def test_only_a_plain_answer_counts(status):
    body = b"" if status.startswith("204") else JWKS
    assert await failure(Server(answer(body, status))) == f"the server answers {status[:3]}"


async def test_a_chunked_answer_is_put_together():
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(JWKS), JWKS)
    server = Server(answer(body, "200 OK", "Transfer-Encoding: chunked"))
    assert await fetched(server) == JWKS


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        answer()[:40],
        answer()[:-1],
        answer(JWKS, "200 OK", "Transfer-Encoding: chunked"),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n" + JWKS,
        b"HTTP/1.1 abc OK\r\n\r\n",
    ],
)
async def test_half_an_answer_is_none(says):
    assert await failure(Server(says)) == "the answer is not whole HTTP/1.1"


async def test_a_huge_answer_is_cut_off():
    server = Server(answer(b" " * 50_000_000), hangs=True)
    assert "larger than" in await failure(server)
    await asyncio.wait_for(server.left.wait(), 5)


async def test_an_answer_just_above_the_bound_is_too_large():
    assert await fetched(Server(answer(b" " * 262_144))) == b" " * 262_144
    assert "larger than" in await failure(Server(answer(b" " * 262_145)))


@pytest.mark.parametrize("server", [{"says": b"", "hangs": True}, {"says": b"", "trickles": True}])
async def test_a_slow_server_is_left_at_the_deadline(server):
    slow = Server(**server)
    async with slow.running():
        began = asyncio.get_running_loop().time()
        with pytest.raises(KeySourceError) as error:
            await HttpFetch(deadline_s=0.2)(slow.url)
        assert asyncio.get_running_loop().time() - began < 2
        assert "within 0.2 s" in error.value.message
        await asyncio.wait_for(slow.left.wait(), 5)


async def test_the_event_loop_goes_on_while_a_server_is_slow():
    async with Server(b"", hangs=True).running() as slow:
        fetching = asyncio.create_task(HttpFetch(deadline_s=0.5)(slow.url))
        turns = 0
        while not fetching.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 10
        assert isinstance(fetching.exception(), KeySourceError)


async def test_a_server_that_is_not_there_is_named_by_the_fault():
    async with Server(answer()).running() as server:
        pass
    with pytest.raises(KeySourceError) as error:
        await HttpFetch()(server.url)
    assert error.value.message == "cannot be reached (ConnectionRefusedError)"


def certificate(tmp_path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS of a server with its own certificate, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.public_bytes(Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cadata=made.public_bytes(Encoding.PEM).decode())


async def test_over_tls_the_server_must_prove_its_name(tmp_path):
    theirs, ours = certificate(tmp_path, "127.0.0.1")
    async with Server(answer()).running(theirs) as server:
        assert await HttpFetch(tls=ours)(server.url) == JWKS
        with pytest.raises(KeySourceError) as error:
            await HttpFetch()(server.url)
        assert error.value.message == "cannot be reached (SSLCertVerificationError)"
    theirs, ours = certificate(tmp_path, "127.0.0.2")
    async with Server(answer()).running(theirs) as server:
        with pytest.raises(KeySourceError):
            await HttpFetch(tls=ours)(server.url)
        assert server.requests == []
