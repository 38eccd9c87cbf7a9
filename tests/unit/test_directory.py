"""Who is calling, what a caller may speak for, and who is known."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.credentials import SubjectKind, new_token, token_hash
from countersign.directory import Directory, Login, diff
from countersign.enrolment import Pattern
from countersign.errors import ConfigurationError, UnauthenticatedError
from countersign.model import (
    ActionContext,
    Caller,
    CallerId,
    Person,
    PersonId,
    Principal,
    Resource,
    Stage,
    TenantId,
)

ACME = TenantId("acme")
OTHER = TenantId("other")


def caller(id: str = "export-agent", **changes: Any) -> Caller:
    plain = Caller(
        tenant=ACME,
        id=CallerId(id),
        actors=("export-bot",),
        environments=("staging", "production"),
        resources=("table:sales/*",),
        owners=(PersonId("alice"),),
    )
    return dataclasses.replace(plain, **changes)


def person(
    id: str, *groups: str, tenant: TenantId = ACME, accounts: tuple[str, ...] = ()
) -> Person:
    return Person(
        tenant=tenant,
        id=PersonId(id),
        name=id.title(),
        groups=frozenset(groups),
        accounts=accounts,
    )


def login(subject: Caller | Person, *tokens: str, mtls: str | None = None) -> Login:
    kind = SubjectKind.CALLER if isinstance(subject, Caller) else SubjectKind.PERSON
    hashes = tuple(map(token_hash, tokens))
    return Login(
        tenant=subject.tenant,
        kind=kind,
        subject=subject.id,
        token_sha256=hashes,
        mtls_subject=mtls,
    )


def context(
    *,
    actor: tuple[str, str] = ("workload", "export-bot"),
    environment: str = "production",
    resource: tuple[str, str] = ("table", "sales/2026"),
) -> ActionContext:
    return ActionContext(
        actor=Principal(type=actor[0], id=actor[1]),
        on_behalf_of=(),
        action="db.export",
        resource=Resource(type=resource[0], id=resource[1], owner="", attributes={}),
        environment=environment,
        arguments={},
        reason="",
        session="",
    )


def refusal(callers: list[Caller], people: list[Person], *logins: Login) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        Directory.of(callers, people, logins)
    return refused.value


# --- who is calling ---


def test_a_credential_proves_one_subject_and_only_of_its_kind() -> None:
    agent, alice = caller(), person("alice")
    old, new = new_token(SubjectKind.CALLER), new_token(SubjectKind.CALLER)
    hers = new_token(SubjectKind.PERSON)
    directory = Directory.of(
        [agent], [alice], [login(agent, old, new, mtls="CN=agent"), login(alice, hers)]
    )
    assert directory.caller_by_token(token_hash(old)) is agent
    assert directory.caller_by_token(token_hash(new)) is agent
    assert directory.caller_by_mtls("CN=agent") is agent
    assert directory.person_by_token(token_hash(hers)) is alice
    assert directory.person_by_token(token_hash(old)) is None
    assert directory.caller_by_token(token_hash(hers)) is None
    assert directory.person_by_mtls("CN=agent") is None
    assert directory.caller_by_token(old) is None
    assert directory.caller_by_mtls("") is None


def test_no_two_subjects_share_a_credential_whatever_their_kind_or_tenant() -> None:
    agent, alice, token = caller(), person("alice"), new_token(SubjectKind.CALLER)
    twin = person("alice", tenant=OTHER)
    for first, second in ((agent, alice), (alice, twin)):
        for both in (
            [login(first, token), login(second, token)],
            [login(first, mtls="CN=agent"), login(second, mtls="CN=agent")],
        ):
            error = refusal([agent], [alice, twin], *both)
            assert error.code == "directory.duplicate_credential"
            assert token_hash(token) not in str(error)
            assert "CN=agent" not in str(error)


def test_a_credential_must_belong_to_somebody_registered() -> None:
    agent, alice = caller(), person("alice")
    stray = login(person("mallory"))
    assert refusal([agent], [alice], stray).code == "directory.unknown_subject"
    assert refusal([agent], [alice], *[login(agent)] * 2).code == "directory.unknown_subject"
    wrong_kind = dataclasses.replace(login(alice), kind=SubjectKind.CALLER)
    assert refusal([agent], [alice], wrong_kind).code == "directory.unknown_subject"


def test_a_token_instead_of_its_hash_is_refused_and_not_repeated() -> None:
    token = new_token(SubjectKind.CALLER)
    for wrong in (token, token_hash(token).upper(), token_hash(token)[:-1], ""):
        pasted = dataclasses.replace(login(caller()), token_sha256=(wrong,))
        error = refusal([caller()], [person("alice")], pasted)
        assert error.code == "directory.invalid_token_hash"
        assert 'caller "export-agent"' in str(error)
        assert not wrong or wrong not in str(error)


# --- what is refused when a directory is built ---


@pytest.mark.parametrize(
    ("changes", "code", "names"),
    [
        ({"id": "Export"}, "directory.invalid_id", "caller number 1: id"),
        ({"id": ""}, "directory.invalid_id", "caller number 1: id"),
        ({"id": "a" * 129}, "directory.invalid_id", "caller number 1: id"),
        ({"id": "agent\n"}, "directory.invalid_id", "caller number 1: id"),
        ({"tenant": "A/B"}, "directory.invalid_id", "caller number 1: tenant"),
        ({"actors": ()}, "directory.empty_scope", "actors is empty"),
        ({"environments": ()}, "directory.empty_scope", "environments is empty"),
        ({"resources": ()}, "directory.empty_scope", "resources is empty"),
        ({"actors": ("ok", "*")}, "directory.invalid_id", "actors[1]"),
        ({"environments": ("*",)}, "directory.invalid_id", "environments[0]"),
        ({"resources": ("table",)}, "directory.invalid_pattern", "resources[0]"),
        ({"resources": ("table:",)}, "directory.invalid_pattern", "resources[0]"),
        ({"resources": (":x",)}, "directory.invalid_pattern", "resources[0]"),
        ({"resources": ("t:x", "t:y ")}, "directory.invalid_pattern", "resources[1]"),
        ({"owners": ()}, "directory.no_owner", "owners is empty"),
        ({"owners": ("alice", "zed")}, "directory.unknown_person", "owners[1]"),
        ({"users": ("zed",)}, "directory.unknown_person", "users[0]"),
        ({"parent": "nobody"}, "directory.unknown_parent", "its parent"),
        ({"parent": "export-agent"}, "directory.parent_cycle", "circle"),
        ({"audience": " "}, "directory.invalid_text", "audience"),
    ],
)
def test_a_wrong_caller_is_refused_by_name_and_field(
    changes: dict[str, Any], code: str, names: str
) -> None:
    error = refusal([dataclasses.replace(caller(), **changes)], [person("alice")])
    assert error.code == code
    assert names in str(error)
    assert error.advice


@pytest.mark.parametrize(
    ("changes", "code", "names"),
    [
        ({"id": "Bob"}, "directory.invalid_id", "person number 2: id"),
        ({"groups": frozenset({"Data Owners"})}, "directory.invalid_id", "groups"),
        ({"name": ""}, "directory.invalid_text", "name"),
        ({"name": "Bob\u202eecilA"}, "directory.invalid_text", "name"),
        ({"accounts": ("",)}, "directory.invalid_text", "accounts[0]"),
        ({"accounts": ("bob@x.org", " b@x.org")}, "directory.invalid_text", "accounts[1]"),
        ({"accounts": ("ALICE@example.com",)}, "directory.duplicate_account", '"alice"'),
        ({"accounts": ("alice",)}, "directory.duplicate_account", '"alice"'),
        ({"accounts": ("\uff41lice",)}, "directory.duplicate_account", '"alice"'),
        ({"id": "alice@example.com"}, "directory.duplicate_account", '"alice"'),
        ({"id": "alice"}, "directory.duplicate_id", '"alice" of tenant "acme" is there twice'),
    ],
)
def test_a_wrong_person_is_refused_by_name_and_field(
    changes: dict[str, Any], code: str, names: str
) -> None:
    alice = person("alice", accounts=("alice@example.com", "Alice@Example.com"))
    error = refusal([], [alice, dataclasses.replace(person("bob"), **changes)])
    assert error.code == code
    assert names in str(error)
    assert error.advice
    assert "example.com" not in error.message or changes.get("id") == "alice@example.com"


def test_two_callers_with_one_id_are_refused() -> None:
    assert refusal([caller(), caller()], [person("alice")]).code == "directory.duplicate_id"


def test_parents_lead_somewhere_and_not_too_far() -> None:
    line = [caller("c0")]
    line += [caller(f"c{n}", parent=f"c{n - 1}") for n in range(1, 9)]
    Directory.of(line, [person("alice")])
    too_deep = [*line, caller("c9", parent="c8")]
    assert refusal(too_deep, [person("alice")]).code == "directory.parent_depth"
    circle = [caller("a", parent="b"), caller("b", parent="c"), caller("c", parent="b")]
    error = refusal(circle, [person("alice")])
    assert error.code == "directory.parent_cycle"
    assert 'caller "a"' in str(error)


# --- what a caller may speak for ---


def test_a_caller_speaks_only_for_what_it_is_registered_for() -> None:
    agent = caller()
    directory = Directory.of([agent], [person("alice")])
    assert directory.scope_refusal(agent, context()) is None
    for wrong, code in (
        ({"actor": ("workload", "other-bot")}, "caller.actor_not_registered"),
        ({"actor": ("workload", "export-agent")}, "caller.actor_not_registered"),
        ({"actor": ("workload", "EXPORT-BOT")}, "caller.actor_not_registered"),
        ({"actor": ("person", "export-bot")}, "caller.actor_not_registered"),
        ({"environment": "dev"}, "caller.environment_not_registered"),
        ({"environment": ""}, "caller.environment_not_registered"),
        ({"resource": ("table", "hr/salaries")}, "caller.resource_not_registered"),
        ({"resource": ("view", "sales/2026")}, "caller.resource_not_registered"),
    ):
        reason = directory.scope_refusal(agent, context(**wrong))
        assert reason is not None
        assert reason.code == code
        for value in ("other-bot", "EXPORT-BOT", "salaries", "view"):
            assert value not in reason.message


def test_a_caller_that_is_gone_speaks_for_nothing() -> None:
    directory = Directory.of([caller()], [person("alice")])
    for gone in (caller("gone"), caller(tenant=OTHER)):
        with pytest.raises(UnauthenticatedError) as refused:
            directory.scope_refusal(gone, context())
        assert refused.value.code == "caller.not_registered"
        with pytest.raises(UnauthenticatedError):
            directory.requester_chain(gone, context())


def test_the_snapshot_judges_by_its_own_registration_not_the_callers_copy() -> None:
    directory = Directory.of([caller()], [person("alice")])
    inflated = caller(environments=("dev",), actors=("root-bot",))
    assert directory.scope_refusal(inflated, context(environment="dev")) is not None


@pytest.mark.parametrize(
    ("pattern", "type", "id", "expected"),
    [
        ("table:sales/*", "table", "sales/2026/q1", True),
        ("table:sales/*", "table", "sales/", True),
        ("table:sales/*", "table", "sales", False),
        ("table:*", "table", "", True),
        ("table:*", "table", "a\nb", True),
        ("*:*", "a:b", "c", True),
        ("a:*", "a:b", "c", False),
        ("a:b:c", "a", "b:c", True),
        ("a:b:c", "a:b", "c", False),
        ("table:a*a", "table", "a", False),
        ("table:a*a", "table", "aa", True),
        ("table:a*b*c", "table", "a--b--b--c", True),
        ("table:a*b*c", "table", "ac", False),
        ("table:*b*b*", "table", "-b-", False),
        ("table:a?c", "table", "abc", False),
        ("table:[ab]", "table", "a", False),
        ("table:a.c", "table", "abc", False),
        ("Table:x", "table", "x", False),
    ],
)
def test_only_the_star_is_special_in_a_pattern(
    pattern: str, type: str, id: str, expected: bool
) -> None:
    assert Pattern.of(pattern).matches(type, id) is expected


@given(st.lists(st.text("ab*", max_size=4), min_size=1, max_size=4), st.text("ab", max_size=10))
def test_a_pattern_means_what_the_regular_expression_means(parts: list[str], text: str) -> None:
    glob = "*".join(parts)
    expression = ".*".join(map(re.escape, glob.split("*")))
    expected = re.fullmatch(expression, text, re.DOTALL) is not None
    assert Pattern.of(f"t:{glob}").matches("t", text) is expected


# --- people, and who is known ---


def test_a_stage_asks_for_registered_people_of_its_tenant_only() -> None:
    directory = Directory.of(
        [],
        [
            person("alice", "owners"),
            person("bob", "owners", "security"),
            person("carol"),
            person("mallory", "owners", tenant=OTHER),
        ],
    )
    stage = Stage(
        name="owner", groups=("owners", "none"), people=(PersonId("carol"), PersonId("zed"))
    )
    assert directory.eligible(ACME, stage) == {"alice", "bob", "carol"}
    assert directory.eligible(OTHER, stage) == {"mallory"}
    assert directory.eligible(TenantId("none"), stage) == frozenset()
    assert directory.groups_of(ACME, PersonId("bob")) == frozenset({"owners", "security"})
    assert directory.groups_of(ACME, PersonId("carol")) == frozenset()
    assert directory.groups_of(ACME, PersonId("mallory")) is None
    assert directory.person(OTHER, PersonId("mallory")) is not None
    assert directory.person(OTHER, PersonId("alice")) is None


def test_ids_are_known_but_accounts_names_and_other_tenants_are_not() -> None:
    directory = Directory.of(
        [caller()],
        [person("alice", "owners", accounts=("alice@example.com",)), person("zed", tenant=OTHER)],
    )
    for known in ("export-agent", "export-bot", "alice", "owners"):
        assert directory.is_known(ACME, known)
        assert not directory.is_known(OTHER, known)
    for data in ("alice@example.com", "Alice", "ALICE", "zed", "production", ""):
        assert not directory.is_known(ACME, data)


def test_tenants_may_use_the_same_ids_and_never_meet() -> None:
    mine, theirs = caller(), caller(tenant=OTHER, owners=(PersonId("zed"),))
    directory = Directory.of([mine, theirs], [person("alice"), person("zed", tenant=OTHER)])
    assert directory.tenants == {ACME, OTHER}
    assert directory.callers(ACME) == (mine,)
    assert directory.requester_chain(mine, context()).excluded == {"alice"}
    assert directory.requester_chain(theirs, context()).excluded == {"zed"}
    foreign = caller(owners=(PersonId("zed"),))
    assert refusal([foreign], [person("alice"), person("zed", tenant=OTHER)]).code == (
        "directory.unknown_person"
    )


# --- what changed ---


def test_a_change_is_told_in_ids_and_field_names_only() -> None:
    agent, alice, bob = caller(), person("alice"), person("bob", accounts=("bob@example.com",))
    token = new_token(SubjectKind.CALLER)
    old = Directory.of([agent, caller("gone")], [alice, bob], [login(agent, token)])
    new = Directory.of(
        [dataclasses.replace(agent, environments=("dev",)), caller("fresh")],
        [alice, dataclasses.replace(bob, name="Robert", accounts=()), person("carol")],
    )
    changes = diff(old, new)
    assert changes == {
        "acme": {
            "callers": {
                "added": ["fresh"],
                "removed": ["gone"],
                "changed": {"export-agent": ["environments", "token_sha256"]},
            },
            "people": {
                "added": ["carol"],
                "removed": [],
                "changed": {"bob": ["accounts", "name"]},
            },
        }
    }
    told = json.dumps(changes)
    for secret in (token_hash(token), "example.com", "Robert"):
        assert secret not in told


def test_a_revoked_token_alone_is_a_change_and_the_same_again_is_none() -> None:
    agent, alice = caller(), person("alice")
    one, two = new_token(SubjectKind.CALLER), new_token(SubjectKind.CALLER)
    both = Directory.of([agent], [alice], [login(agent, one, two)])
    left = Directory.of([agent], [alice], [login(agent, two)])
    assert diff(both, both) == {}
    assert diff(both, Directory.of([agent], [alice], [login(agent, one, two)])) == {}
    assert diff(both, left)[ACME]["callers"] == {
        "added": [],
        "removed": [],
        "changed": {"export-agent": ["token_sha256"]},
    }


def test_only_tenants_that_changed_are_told() -> None:
    alice, zed = person("alice"), person("zed", tenant=OTHER)
    assert diff(Directory.of([], [alice]), Directory.of([], [alice, zed])).keys() == {OTHER}
    assert diff(Directory.of([], [alice, zed]), Directory.of([], [alice])).keys() == {OTHER}
