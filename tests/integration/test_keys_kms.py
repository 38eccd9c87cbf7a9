"""Requests to AWS KMS, held against a server that knows their shape and is not KMS.

boto3 makes and signs the requests; what answers is forty lines here that do what AWS
documents for `GetPublicKey` and `Sign`. That KMS itself agrees is not shown by this.
"""

import base64
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countersign.errors import ConfigurationError
from countersign.keys import Source, open_key
from countersign.signing import SigningError, raw, signature

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Shapes(ThreadingHTTPServer):
    """Answers as AWS documents, for one key."""

    daemon_threads = True

    def __init__(self, key):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = key
        self.refuse = ""
        self.asked = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        verb = self.headers["X-Amz-Target"].removeprefix("TrentService.")
        self.server.asked.append((verb, body, self.headers.get("Authorization", "")))
        if self.server.refuse:
            return self._send(400, {"__type": self.server.refuse, "message": "no"})
        if verb == "GetPublicKey":
            public = self.server.key.public_key()
            der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return self._send(200, {"KeyId": body["KeyId"], "PublicKey": _b64(der)})
        signed = self.server.key.sign(base64.b64decode(body["Message"]))
        return self._send(200, {"KeyId": body["KeyId"], "Signature": _b64(signed)})

    def _send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def _b64(data):
    return base64.b64encode(data).decode()


@contextlib.contextmanager
def answering(monkeypatch, key):
    server = Shapes(key)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def opened(tmp_path):
    source = Source.parse("keys.log", "aws-kms:alias/log")
    return open_key(
        "keys.log", source, path=lambda text: tmp_path / text, variables={}, deadline_s=5
    )


def test_a_message_is_signed_raw_with_pure_ed25519(monkeypatch, tmp_path):
    with answering(monkeypatch, KEY) as server:
        key = opened(tmp_path)
        assert raw(key.public_key()) == raw(KEY.public_key())
        assert signature(key, b"text") == KEY.sign(b"text")
    (verb, body, _), (then, asked, authorization) = server.asked
    assert (verb, body) == ("GetPublicKey", {"KeyId": "alias/log"})
    assert then == "Sign"
    assert asked == {
        "KeyId": "alias/log",
        "Message": _b64(b"text"),
        "MessageType": "RAW",
        "SigningAlgorithm": "ED25519_SHA_512",
    }
    assert authorization.startswith("AWS4-HMAC-SHA256 ")


def test_a_refusal_is_named_and_nothing_is_signed(monkeypatch, tmp_path):
    with answering(monkeypatch, KEY) as server:
        key = opened(tmp_path)
        server.refuse = "KMSInvalidStateException"
        with pytest.raises(SigningError, match=r"keys\.log.*KMSInvalidStateException") as error:
            key.sign(b"text")
        assert error.value.code == "keys.unavailable"
        count = len(server.asked)
        with pytest.raises(SigningError, match="a moment ago"):
            key.sign(b"text")
        assert len(server.asked) == count
        server.refuse = "AccessDeniedException"
        with pytest.raises(ConfigurationError, match="AccessDeniedException") as refused:
            opened(tmp_path)
        assert refused.value.code == "keys.unavailable"


def test_a_key_of_another_spec_is_refused_at_the_start(monkeypatch, tmp_path):
    other = ec.generate_private_key(ec.SECP256R1())
    with (
        answering(monkeypatch, other),
        pytest.raises(ConfigurationError, match="ECC_NIST_EDWARDS25519"),
    ):
        opened(tmp_path)
