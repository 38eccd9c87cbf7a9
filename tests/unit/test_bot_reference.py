"""Stored references: small, whole, and not believed because they were stored."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign_bot.connector import MAX_REFERENCE_BYTES, Reference, RefusedError
from countersign_bot.inbound import ServiceHosts

HOSTS = ServiceHosts(names=frozenset({"smba.trafficmanager.net"}))
TENANT = "5f1d3a52-0f0a-4c0b-9a3e-7d3f5d0c1a11"
HERE = Reference(
    service_url="https://smba.trafficmanager.net/emea/",
    conversation_id="a:1",
    conversation_type="personal",
    tenant=TENANT,
    bot_id="28:bot",
    user_id="29:bob",
)


def decoded(data: bytes) -> Reference:
    return Reference.decode(data, hosts=HOSTS, tenants={TENANT})


def test_it_comes_back_as_it_was() -> None:
    for reference in (HERE, HERE.in_thread("1763850000001")):
        assert decoded(reference.encode()) == reference


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_teams_calls_it_it_is_whole_or_refused(conversation: str, user: str) -> None:
    try:
        made = Reference(
            service_url=HERE.service_url,
            conversation_id=conversation,
            conversation_type="",
            tenant=TENANT,
            bot_id="28:bot",
            user_id=user,
        )
        data = made.encode()
    except RefusedError:
        return
    assert len(data) <= MAX_REFERENCE_BYTES
    if conversation:
        assert decoded(data) == made


@pytest.mark.parametrize(
    "changed",
    [
        {"service_url": "https://evil.example/"},
        {"service_url": "http://smba.trafficmanager.net/"},
        {"tenant": "c2a3f1de-8a55-4b8e-9b0e-3f4d0a5b6c77"},
        {"conversation_id": ""},
        {"bot_id": None},
        {"v": 2},
        {"user_id": 7},
        {"token": "x"},
        {"conversation_id": "x" * 600},
    ],
    ids=str,
)
def test_a_stored_one_that_was_changed_is_refused(changed: dict[str, object]) -> None:
    fields = json.loads(HERE.encode()) | changed
    data = json.dumps({name: value for name, value in fields.items() if value is not None})
    with pytest.raises(RefusedError) as refused:
        decoded(data.encode())
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"{" * 4_000, b" " * 5_000])
def test_bytes_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        decoded(data)
