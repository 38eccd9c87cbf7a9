"""What Teams says, as values of ours: the tenant above all, and untrusted words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign_bot.inbound import Inbound, Refusal, RefusedError, ServiceHosts
from countersign_bot.inbound.activity import MAX_BODY_BYTES, read

TENANT = "5f1d3a52-0f0a-4c0b-9a3e-7d3f5d0c1a11"
OTHER = "c2a3f1de-8a55-4b8e-9b0e-3f4d0a5b6c77"
APP = "0c8b7e0e-3d5c-4a55-8a35-0b0f4f6f2b22"
BOB = "6f9b1c1e-2b1a-4d0e-9d53-0a5f0c7d3b44"
HOSTS = ServiceHosts(names=frozenset({"smba.trafficmanager.net"}))


def activity(**changed: Any) -> dict[str, Any]:
    told = {
        "type": "message",
        "id": "1",
        "channelId": "msteams",
        "serviceUrl": "https://smba.trafficmanager.net/emea/",
        "from": {"id": "29:bob", "name": "Bob", "aadObjectId": BOB},
        "recipient": {"id": f"28:{APP}"},
        "conversation": {"id": "a:1", "conversationType": "personal", "tenantId": TENANT},
        "channelData": {"tenant": {"id": TENANT}},
        "text": "help",
    } | changed
    return {name: value for name, value in told.items() if value is not None}


def said(told: Any, *, app_id: str = APP) -> Inbound:
    data = told if isinstance(told, bytes) else json.dumps(told).encode()
    return read(data, app_id=app_id, tenants={TENANT}, hosts=HOSTS)


def refusal(told: Any) -> Refusal:
    with pytest.raises(RefusedError) as refused:
        said(told)
    return refused.value.refusal


def places(conversation: str | None, data: str | None) -> dict[str, Any]:
    return activity(
        conversation={"id": "a:1"} | ({"tenantId": conversation} if conversation else {}),
        channelData={"tenant": {"id": data}} if data else {},
    )


@pytest.mark.parametrize(
    ("conversation", "data", "expected"),
    [
        (OTHER, TENANT, Refusal.TENANT_CONFLICT),
        (TENANT, OTHER, Refusal.TENANT_CONFLICT),
        (OTHER, OTHER, Refusal.TENANT_FOREIGN),
        (None, TENANT, Refusal.BODY_MALFORMED),
        (TENANT, None, Refusal.BODY_MALFORMED),
        (None, None, Refusal.BODY_MALFORMED),
    ],
)
def test_the_tenant_is_one_that_is_served_in_both_places(
    conversation: str | None, data: str | None, expected: Refusal
) -> None:
    assert refusal(places(conversation, data)) is expected
    assert said(places(TENANT, TENANT.upper())).tenant == TENANT


def test_a_tenant_in_the_mapping_of_the_sdk_is_no_third_place() -> None:
    told = activity(conversation={"id": "a:1", "tenantID": TENANT, "tenantId": OTHER})
    assert refusal(told) is Refusal.TENANT_CONFLICT


def test_a_thread_is_told_apart_from_its_conversation() -> None:
    conversation = {"id": "19:c@thread.tacv2;messageid=17", "tenantId": TENANT}
    inbound = said(activity(conversation=conversation))
    assert (inbound.conversation_id, inbound.thread_root) == ("19:c@thread.tacv2", "17")


def test_who_acts_is_told_by_object_id_in_lower_case() -> None:
    inbound = said(activity(**{"from": {"id": "29:bob", "aadObjectId": BOB.upper()}}))
    assert (inbound.subject, inbound.issuer) == (BOB, f"teams:{TENANT}")


def test_an_event_may_come_from_nobody() -> None:
    told = activity(type="conversationUpdate", text=None, membersAdded=[{"id": "29:bob"}])
    inbound = said(told | {"from": {"id": "29:nobody"}})
    assert (inbound.subject, inbound.members_added[0].user_id) == ("", "29:bob")
    for kind in ("message", "invoke"):
        assert refusal(told | {"type": kind, "from": {"id": "29:x"}}) is Refusal.BODY_MALFORMED


def test_installing_says_what_was_done() -> None:
    inbound = said(activity(type="installationUpdate", action="add", text=None))
    assert inbound.action == "add"
    assert said(activity(action="add")).action == ""


def test_members_who_come_and_go_are_named() -> None:
    inbound = said(
        activity(
            type="conversationUpdate",
            membersAdded=[{"id": f"28:{APP}"}, {"id": "29:a", "aadObjectId": BOB.upper()}],
            membersRemoved=[{"id": "29:b"}],
        )
    )
    assert [(one.user_id, one.subject) for one in inbound.members_added] == [
        (f"28:{APP}", ""),
        ("29:a", BOB),
    ]
    assert inbound.members_removed[0].user_id == "29:b"
    crowd = [{"id": f"29:{number}"} for number in range(201)]
    assert refusal(activity(type="conversationUpdate", membersAdded=crowd)) is (
        Refusal.BODY_MALFORMED
    )


def test_only_mentions_of_the_bot_are_taken_out_of_what_was_typed() -> None:
    bot = {"type": "mention", "text": "<at>Countersign</at>", "mentioned": {"id": f"28:{APP}"}}
    bob = {"type": "mention", "text": "<at>Bob</at>", "mentioned": {"id": "29:bob"}}
    told = activity(text="<at>Countersign</at>  ask\n<at>Bob</at>&nbsp;", entities=[bot, bob, 7])
    assert said(told).text == "ask <at>Bob</at>"


def test_long_words_are_cut_and_long_ids_refused() -> None:
    long = said(activity(text="x" * 100_000, **{"from": {
        "id": "29:bob", "name": "B" * 5_000, "aadObjectId": BOB,
    }}))  # fmt: skip
    assert (len(long.text), len(long.user_name)) == (8_000, 256)
    assert refusal(activity(id="1" * 513)) is Refusal.BODY_MALFORMED


@pytest.mark.parametrize("value", ["text", 7, [1], None])
def test_what_a_click_sends_is_an_object_or_nothing(value: Any) -> None:
    assert said(activity(type="invoke", value=value)).value == {}


@pytest.mark.parametrize("locale", ["<b>", "de_DE", "x" * 40, ""])
def test_a_locale_is_a_language_tag_or_nothing(locale: str) -> None:
    assert said(activity(locale=locale)).locale == ""
    assert said(activity(locale="pt-BR")).locale == "pt-BR"


def test_what_is_too_large_or_twice_is_refused() -> None:
    assert refusal(b" " * (MAX_BODY_BYTES + 1)) is Refusal.BODY_TOO_LARGE
    twice = json.dumps(activity())[:-1] + ', "text": "again"}'
    assert refusal(twice.encode()) is Refusal.BODY_MALFORMED


def test_another_bots_request_is_refused() -> None:
    assert refusal(activity(recipient={"id": f"28:{OTHER}"})) is Refusal.RECIPIENT_FOREIGN
    assert refusal(activity(recipient={"id": APP})) is Refusal.RECIPIENT_FOREIGN


def test_where_to_answer_is_a_host_of_the_cloud() -> None:
    for url in ("https://evil.example/", "http://smba.trafficmanager.net/"):
        assert refusal(activity(serviceUrl=url)) is Refusal.HOST_FOREIGN


def test_a_refusal_names_the_field_and_never_the_value() -> None:
    canary = "canary" * 30
    for changed in (
        {"id": canary * 3},
        {"serviceUrl": f"https://{canary}/"},
        {"channelId": canary},
        {"recipient": {"id": canary}},
        {"from": {"id": "29:bob", "aadObjectId": canary}},
    ):
        with pytest.raises(RefusedError) as refused:
            said(activity(**changed))
        assert next(iter(changed)) in refused.value.message
        assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://smba.trafficmanager.net/emea/", True),
        ("https://smba.trafficmanager.net", True),
        ("https://smba.trafficmanager.net:443/de/5f1d3a52-0f0a-4c0b-9a3e-7d3f5d0c1a11/", True),
        ("http://smba.trafficmanager.net/", False),
        ("https://smba.trafficmanager.net:8443/", False),
        ("https://smba.trafficmanager.net.evil.example/", False),
        ("https://evil.example/smba.trafficmanager.net", False),
        ("https://smba.trafficmanager.net@evil.example/", False),
        ("https://evil.example#@smba.trafficmanager.net/", False),
        ("https://evil.example?smba.trafficmanager.net/", False),
        ("https://evil.example\\@smba.trafficmanager.net/", False),
        ("https://smba.trafficmanager.net\n.evil.example/", False),
        ("https://smba.trafficmanager.net/%2e%2e/", False),
        ("https://SMBA.trafficmanager.net/", False),
        ("https://smba.trafficmanager.net./", False),
        (" https://smba.trafficmanager.net/", False),
        ("https://smba.trafficmanager.net/" + "a" * 500, False),
        ("http://127.0.0.1:56150/_connector", False),
        ("", False),
    ],
)
def test_the_host_list_is_read_to_the_letter(url: str, allowed: bool) -> None:
    assert HOSTS.allow(url) is allowed


def test_development_adds_this_machine_and_nothing_else() -> None:
    hosts = ServiceHosts(names=HOSTS.names, loopback=True)
    assert hosts.allow("http://127.0.0.1:56150/_connector")
    assert hosts.allow("http://localhost/")
    for url in ("http://127.0.0.1.evil.example/", "http://10.0.0.1/", "http://127.0.0.1@evil/"):
        assert not hosts.allow(url)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20,
), st.sampled_from(sorted(activity())))  # fmt: skip
def test_no_value_anywhere_is_more_than_refused(value: Any, field: str) -> None:
    told = activity() | {field: value}
    try:
        data = json.dumps(told).encode()
        assert said(data).tenant == TENANT
    except RefusedError as refused:
        assert refused.refusal.status in {400, 401, 403}  # noqa: PT017
