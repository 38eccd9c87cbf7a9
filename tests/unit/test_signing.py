"""Signatures are looked at before they are used, and whoever signs may be slow, wrong or away."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.api_jws import PyJWS
from test_permit import CLAIMS, KEY, KEYS, SALT

from countersign.audit.note import Signer, sign
from countersign.errors import ConfigurationError
from countersign.keys import Kind, Source, create_key, open_key, read_key, rotate_key
from countersign.keys.external import ExternalKey
from countersign.permit import PermitKeys, public_jwk
from countersign.signing import SigningError, in_process, raw, signature

OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


class Faulty:
    """Says one key and signs with another, like a device that was given a new one."""

    def public_key(self):
        return KEY.public_key()

    def sign(self, data, /):
        return OTHER.sign(data)


def test_a_signature_that_does_not_fit_its_key_is_not_used():
    assert signature(KEY, b"text") == KEY.sign(b"text")
    with pytest.raises(SigningError) as error:
        signature(Faulty(), b"text")
    assert error.value.code == "keys.signature_invalid"


def test_no_checkpoint_and_no_permit_leaves_with_one():
    with pytest.raises(SigningError):
        sign("log.example/acme\n1\n", [Signer(name="log.example/acme", key=Faulty())])
    with pytest.raises(SigningError):
        PermitKeys("countersign", [Faulty()]).mint(CLAIMS, SALT)


def test_a_permit_is_the_token_that_pyjwt_makes_of_it():
    """So that one repeated after an upgrade is the same."""
    token = KEYS.mint(CLAIMS, SALT)
    payload = PyJWS(algorithms=["EdDSA"]).decode(token, KEY.public_key(), algorithms=["EdDSA"])
    headers = {"typ": "countersign-permit+jwt", "kid": public_jwk(KEY.public_key())["kid"]}
    assert PyJWS(algorithms=["EdDSA"]).encode(payload, KEY, "EdDSA", headers) == token


def test_only_what_is_here_signs_on_the_loop():
    assert in_process(KEY)
    assert not in_process(Faulty())
    assert PermitKeys("countersign", [KEY]).quick
    assert not PermitKeys("countersign", [KEY, Faulty()]).quick


# --- where keys are -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "place", "name"),
    [
        ("keys/log.pem", Kind.FILE, "keys/log.pem", ""),
        ("C:keys/log.pem", Kind.FILE, "C:keys/log.pem", ""),
        ("env:LOG_KEY", Kind.ENVIRONMENT, "LOG_KEY", ""),
        ("unix:/run/a#b/sock#log", Kind.SIGNER, "/run/a#b/sock", "log"),
        ("aws-kms:alias/log", Kind.KMS, "alias/log", ""),
    ],
)
def test_a_setting_names_a_file_a_variable_a_signer_or_kms(text, kind, place, name):
    source = Source.parse("keys.log", text)
    assert (source.kind, source.place, source.name) == (kind, place, name)
    assert str(source) == text


@pytest.mark.parametrize(
    "text", ["env:", "env:A-B", "unix:/run/sock", "unix:#log", "unix:/run/sock#a/b", "aws-kms:"]
)
def test_a_setting_that_names_nothing_is_refused_by_name(text):
    with pytest.raises(ConfigurationError) as error:
        Source.parse("keys.receipt", text)
    assert error.value.code == "keys.source_invalid"
    assert "keys.receipt" in error.value.message


def test_a_key_of_another_sort_in_a_variable_is_refused_without_telling_it(tmp_path):
    source = Source.parse("keys.log", "env:LOG_KEY")
    for secret in ("bm9uc2Vuc2U=", "no base64 at all", "-----BEGIN PRIVATE KEY-----\nAA\n"):
        with pytest.raises(ConfigurationError) as error:
            open_key(
                "keys.log",
                source,
                path=lambda text: tmp_path / text,
                variables={"LOG_KEY": secret},
                deadline_s=1,
            )
        assert error.value.code == "keys.invalid"
        assert secret not in str(error.value)


def test_rotation_leaves_a_new_key_and_the_old_one_beside_it(tmp_path):
    path = tmp_path / "log.pem"
    create_key(path)
    old = read_key("keys.log", path)
    aside = rotate_key("keys.log", path)
    new = read_key("keys.log", path)
    assert raw(new.public_key()) != raw(old.public_key())
    assert raw(read_key("keys.log", aside).public_key()) == raw(old.public_key())
    assert sorted(tmp_path.iterdir()) == sorted([path, aside])


# --- a signer that misbehaves -------------------------------------------------------


@contextlib.contextmanager
def answering(directory, *answers):
    """A socket that gives each connection the next answer, and then the last again.

    An answer is bytes, or seconds between one byte and the next.
    """
    path, left, asked = Path(directory) / "s", list(answers), []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    line, _ = server.accept()
                    with line, contextlib.suppress(OSError):
                        asked.append(line.recv(65_536))
                        answer = left.pop(0) if len(left) > 1 else left[0]
                        trickle(line, answer) if isinstance(answer, float) else line.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path, asked
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def trickle(line, pause_s):
    for byte in ok(bytes(64)):
        line.sendall(bytes([byte]))
        time.sleep(pause_s)


def ok(body, status=200):
    return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


PUBLIC = ok(raw(KEY.public_key()))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ok(b"", 404), "answers 404"),
        (ok(bytes(63)), "answers 200 with 63 bytes"),
        (ok(bytes(65)), "HTTP/1.1 with 64 bytes"),
        (b"SSH-2.0-OpenSSH\r\n", "HTTP/1.1"),
        (b"", "HTTP/1.1"),
        (b"x" * 1_000_000, "HTTP/1.1"),
        (0.05, "no whole answer within 0.3 s"),
    ],
)
def test_anything_but_a_signature_is_no_signature(tmp_path, answer, said):
    with answering(tmp_path, PUBLIC, answer) as (path, asked):
        key = ExternalKey("keys.log", path, "log", deadline_s=0.3)
        assert raw(key.public_key()) == raw(KEY.public_key())
        with pytest.raises(SigningError, match=said) as error:
            key.sign(b"text")
        assert error.value.code == "keys.unavailable"
        assert "keys.log" in error.value.message
        assert asked[0].startswith(b"GET /v1/keys/log HTTP/1.1\r\n")
        assert asked[1].startswith(b"POST /v1/keys/log/sign HTTP/1.1\r\n")
        assert asked[1].endswith(b"\r\n\r\ntext")


def test_a_signer_that_failed_is_left_alone_for_a_moment(tmp_path):
    now = [0.0]
    with answering(tmp_path, PUBLIC, ok(b"", 500), ok(KEY.sign(b"text"))) as (path, asked):
        key = ExternalKey("keys.log", path, "log", deadline_s=5, clock=lambda: now[0])
        for _ in range(3):
            with pytest.raises(SigningError):
                key.sign(b"text")
        assert len(asked) == 2, "the public key and one signature"
        now[0] = 1.0
        assert signature(key, b"text") == KEY.sign(b"text")


def test_a_public_key_that_is_none_is_refused_at_once(tmp_path):
    with answering(tmp_path, ok(b"short")) as (path, _), pytest.raises(SigningError):
        ExternalKey("keys.log", path, "log", deadline_s=1)
    with pytest.raises(SigningError, match="cannot be reached"):
        ExternalKey("keys.log", tmp_path / "none", "log", deadline_s=1)
