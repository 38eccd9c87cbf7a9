"""Fuzz targets: what decodes messages and files. They refuse in their own words or take it whole.

Used by `fuzz_main`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import tomllib
from typing import Any, Final

from fuzz_pieces import Draw
from google.protobuf.message import DecodeError

from countersign import canonical
from countersign.edge import decode
from countersign.errors import ConfigurationError, InvalidRequestError, PolicyError
from countersign.model import TenantId
from countersign.policy import contract, wire
from countersign.sanitize import custom_file
from countersign.tokens import (
    IssuerSettings,
    KeySet,
    KeySetError,
    TokenError,
    TokenUse,
    issuer_of,
    verify,
)
from countersign.v1 import activity_pb2, context_pb2, decisions_pb2

NOW_S: Final = 1_800_000_000
_ISSUER: Final = IssuerSettings(
    issuer="https://id.example",
    tenants=(TenantId("default"),),
    audiences={TokenUse.EVIDENCE: "e", TokenUse.CALLER: "c", TokenUse.PERSON: "p"},
)
_DECODER: Final = decode.Decoder(max_context_bytes=65_536, mask_pointer=lambda pointer: pointer)


def strict_json(given: bytes) -> None:
    """Canonical JSON of what is taken reads as the same, and is canonical."""
    draw = Draw(given)
    sort = draw.byte() % 3
    data = draw.rest() if sort == 0 else draw.long_text().encode("utf-8", "replace")
    if sort == 2:
        data = json.dumps(Draw(given[1:]).json(depth=6)).encode()
    try:
        value = canonical.parse_value(data)
    except canonical.StrictJsonError:
        return
    encoded = canonical.encode(value)
    assert canonical.parse_value(encoded) == value
    assert canonical.encode(canonical.parse_value(encoded)) == encoded


_WORDS: Final = (
    *"effect reasons requirement mask code message stages name approvers groups people".split(),
    *"quorum escalate after_s must_show profiles exclude break_glass review_by batch".split(),
)
_SAID: Final = (
    "allow",
    "deny",
    "needs_approval",
    "/arguments/*",
    "facts:rows",
    "owner",
    "*",
    "a.b",
)


def policy_answer(given: bytes) -> None:
    """What policy may have said, decoded or refused; and the same over the wire, cut anywhere."""
    draw = Draw(given)
    answer: Any = draw.object(_WORDS, depth=6)
    if draw.byte() % 2:
        answer |= {"effect": draw.pick(_SAID), "reasons": [{"code": "a", "message": draw.text(3)}]}
        stage = {"name": draw.text(2), "approvers": {"groups": [draw.pick(_SAID)]}}
        needed = {"stages": [stage], "must_show": [draw.pick(_SAID)], **draw.object(_WORDS)}
        answer["requirement"] = draw.pick((None, needed))
    with contextlib.suppress(PolicyError):
        contract.decode(answer, "revision")
    _wire(draw)


def _wire(draw: Draw) -> None:
    """However an answer is cut, it reads the same."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"", b"5"]
    lines += [b"hello", b"0", b"Connection: close", b"A: b", b"fffffff", b"hello"]
    data = b"".join(draw.pick(lines) + b"\r\n" for _ in range(draw.byte() % 12))
    data = draw.pick((b"", b"HTTP/1.1 200 OK\r\n")) + data + draw.rest()
    assert _read(data, len(data) or 1) == _read(data, 1)


def _read(data: bytes, step: int) -> object:
    reader = wire.AnswerReader(max_body_bytes=1_000)
    for at in range(0, len(data), step):
        try:
            answer = reader.feed(data[at : at + step])
        except wire.WireError:
            return "refused"
        if answer is not None:
            rest = data[at + step :]
            return answer if not rest else "refused"  # in one piece, more is refused
    return None


_CLAIMS: Final = ("iss", "aud", "exp", "iat", "nbf", "sub", "azp", "client_id", "act", "events")
_GOOD: Final = {
    "iss": "https://id.example", "aud": "e", "exp": NOW_S + 60, "iat": NOW_S, "sub": "ada",
}  # fmt: skip


def token(given: bytes) -> None:
    """A token is refused in words that quote nothing of it, whatever it holds."""
    draw = Draw(given)
    if draw.byte() % 4 == 0:
        text = draw.rest().decode("utf-8", "replace")
    else:
        header = {"alg": "EdDSA", **draw.object(("alg", "kid", "typ", "crit", "jwk"), depth=3)}
        claims = {**_GOOD, **draw.object(_CLAIMS, depth=5)}
        parts = (json.dumps(header).encode(), json.dumps(claims).encode(), draw.rest() or b"x")
        text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    with contextlib.suppress(TokenError):
        issuer_of(text)
    for use in TokenUse:
        with contextlib.suppress(TokenError):
            verify(text, settings=_ISSUER, keys=KeySet(keys=()), use=use, now_s=NOW_S)
            raise AssertionError("no key, and it is good")


_MEMBERS: Final = ("keys", "kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops")


def key_set(given: bytes) -> None:
    """A set of keys."""
    draw = Draw(given)
    if draw.byte() % 4 == 0:
        data = draw.rest()
    else:
        keys = [draw.object(_MEMBERS, depth=3) for _ in range(draw.byte() % 4)]
        for each in keys:
            each["kty"] = draw.pick(("RSA", "EC", "OKP", "oct"))
            each["crv"] = draw.pick(("P-256", "Ed25519", "P-521", ""))
            for name in ("x", "y", "n", "e"):
                each[name] = base64.urlsafe_b64encode(bytes([draw.byte()] * 32)).decode()[:43]
        data = json.dumps({"keys": keys}).encode()
    with contextlib.suppress(KeySetError):
        KeySet.parse(data)


_RULES: Final = (
    *("[[rules]]\n", "[allow]\n", "[entities.CREDIT_CARD]\n", 'id = "a"\n', 'type = "A_B"\n'),
    *('type = "SECRET"\n', 'regex = "a(b)"\n', "regex = 'a|\\b'\n", 'words = ["zeus"]\n'),
    *('keys = ["k_a"]\n', 'examples = ["ab"]\n', 'examples = ["zeus"]\n', 'action = "tag"\n'),
    *('action = "keep_last_4"\n', 'classes = ["c"]\n', 'values = ["a@b.co"]\n', "x = 1979-05-27\n"),
    *("regex = '(?i)[a-z]{1000}'\n", "regex = '('\n", "id = 1\n", "rules = []\n", "nan = nan\n"),
)


def rules(given: bytes) -> None:
    """A file of an operator's own rules: taken, or refused with what is wrong in it."""
    draw = Draw(given)
    lines = [draw.pick(_RULES) for _ in range(draw.byte() % 12)]
    text = "".join(lines) + (draw.text(8) if draw.byte() % 3 == 0 else "")
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return
    with contextlib.suppress(ConfigurationError):
        custom_file.parse(table, name="sanitizer.toml")


def request(given: bytes) -> None:
    """A context as it comes over the wire, and what stands beside it."""
    draw = Draw(given)
    message = context_pb2.Context()
    if draw.byte() % 2:
        try:
            message.ParseFromString(draw.rest())
        except DecodeError:
            return
    else:
        _fill(message, draw)
    with contextlib.suppress(InvalidRequestError):
        taken = _DECODER.context(message)
        canonical.parse_value(canonical.encode(taken.to_json()))
    rest = draw.long_text()
    content = activity_pb2.Content(json=rest.encode("utf-8", "replace"))
    answer = decisions_pb2.AnswerRequest()
    answer.answered_by.id = rest[:300]
    for read in (
        lambda: _DECODER.content("content", content),
        lambda: decode.answered_by(answer),
        lambda: decode.labels([(rest[:3], rest)]),
        lambda: decode.request_id(rest, required=True),
        lambda: decode.reference("id", rest),
        lambda: decode.trace_id(rest),
        lambda: decode.dotted("type", rest),
    ):
        with contextlib.suppress(InvalidRequestError):
            read()


def _fill(message: context_pb2.Context, draw: Draw) -> None:
    message.action, message.environment = draw.pick(("db.export", draw.text(3))), "production"
    message.actor.type, message.actor.id = "agent", draw.text(3) or "a"
    message.resource.type, message.resource.id = "table", draw.text(3) or "t"
    message.resource.attributes_json = json.dumps(draw.json()).encode()
    message.arguments_json = draw.pick((b"", json.dumps(draw.object()).encode()))
    for _ in range(draw.byte() % 3):
        proven = draw.pick(("", "x"))
        message.on_behalf_of.add(type=draw.pick(("person", "b")), id=draw.text(2), evidence=proven)
    message.reason = draw.text()
