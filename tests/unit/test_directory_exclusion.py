"""Two people: whoever is behind a request does not decide on it (invariant 6)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from countersign.directory import Chain, Directory
from countersign.model import (
    ActionContext,
    Caller,
    CallerId,
    Person,
    PersonId,
    Principal,
    Resource,
    TenantId,
)

ACME = TenantId("acme")
OTHER = TenantId("other")


def caller(
    id: str,
    *,
    owners: str,
    users: str = "",
    actors: str = "",
    parent: str | None = None,
    tenant: TenantId = ACME,
) -> Caller:
    return Caller(
        tenant=tenant,
        id=CallerId(id),
        actors=tuple(actors.split()) or (f"{id}-bot",),
        environments=("production",),
        resources=("*:*",),
        owners=tuple(map(PersonId, owners.split())),
        users=tuple(map(PersonId, users.split())),
        parent=CallerId(parent) if parent else None,
    )


def person(id: str, *accounts: str, tenant: TenantId = ACME) -> Person:
    return Person(
        tenant=tenant, id=PersonId(id), name=id, groups=frozenset({"owners"}), accounts=accounts
    )


SUB = caller("sub", owners="olga", users="uma", parent="mid")
MID = caller("mid", owners="mike", users="mona", parent="top")
TOP = caller("top", owners="tess", users="tom")
SIDE = caller("side", owners="sid", users="sue", actors="side-bot shared-bot")
TWIN = caller("twin", owners="tina", actors="shared-bot", parent="top")
FOREIGN = caller("foreign", owners="fred", actors="foreign-bot side-bot", tenant=OTHER)
PEOPLE = [
    *(
        person(name)
        for name in ["olga", "uma", "mike", "mona", "tess", "tom", "sid", "sue", "tina"]
    ),
    person("bob", "Bob@Example.com", "oid-4711", "Jos\u00e9"),
    person("fred", "bob@example.com", tenant=OTHER),
]
DIRECTORY = Directory.of([SUB, MID, TOP, SIDE, TWIN, FOREIGN], PEOPLE)
REGISTERED = {"olga", "uma", "mike", "mona", "tess", "tom"}


def chain(
    *principals: tuple[str, str],
    by: Caller = SUB,
    actor: tuple[str, str] = ("workload", "sub-bot"),
    owner: str = "",
) -> Chain:
    return DIRECTORY.requester_chain(
        by,
        ActionContext(
            actor=Principal(type=actor[0], id=actor[1]),
            on_behalf_of=tuple(Principal(type=kind, id=name) for kind, name in principals),
            action="db.export",
            resource=Resource(type="table", id="t", owner=owner, attributes={}),
            environment="production",
            arguments={},
            reason="",
            session="",
        ),
    )


def test_owners_and_users_of_the_caller_and_all_its_parents_are_excluded() -> None:
    found = chain()
    assert found.excluded == REGISTERED
    assert found.owners == ("olga",)
    assert found.unresolved == ()


def test_what_the_registry_alone_says_can_be_asked_by_id() -> None:
    assert DIRECTORY.registered_chain(ACME, SUB.id) == REGISTERED
    assert DIRECTORY.registered_chain(OTHER, SUB.id) == frozenset()
    assert DIRECTORY.registered_chain(ACME, CallerId("gone")) == frozenset()
    assert DIRECTORY.caller(ACME, SUB.id) is SUB
    assert DIRECTORY.caller(OTHER, SUB.id) is None


def test_parents_do_not_answer_for_their_sub_agents() -> None:
    assert chain(by=TOP, actor=("workload", "top-bot")).excluded == {"tess", "tom"}


def test_a_named_person_is_excluded_by_id_and_by_any_account() -> None:
    for name in ("bob", "Bob@Example.com", "BOB@EXAMPLE.COM", "oid-4711", "Jose\u0301", "BOB"):
        found = chain(("person", name))
        assert found.excluded == REGISTERED | {"bob"}
        assert found.unresolved == ()


def test_a_person_named_as_something_else_is_excluded_all_the_same() -> None:
    for kind in ("workload", "external", "person", "anything"):
        assert "bob" in chain((kind, "bob@example.com")).excluded
        assert "bob" in chain(actor=(kind, "bob")).excluded


def test_a_person_nobody_knows_is_pointed_at() -> None:
    found = chain(("person", "bob"), ("person", "zed"), ("external", "zed"), ("person", ""))
    assert found.unresolved == ("/on_behalf_of/1", "/on_behalf_of/3")
    assert chain(actor=("person", "zed")).unresolved == ("/actor",)


def test_a_type_nobody_knows_must_name_a_person_too() -> None:
    assert chain(("Person", "zed"), ("", "zed")).unresolved == (
        "/on_behalf_of/0",
        "/on_behalf_of/1",
    )


def test_a_workload_named_as_a_person_is_still_a_person_nobody_knows() -> None:
    found = chain(("person", "side"))
    assert found.unresolved == ("/on_behalf_of/0",)
    assert found.excluded == REGISTERED | {"sid", "sue"}


def test_those_behind_a_named_workload_are_excluded_with_its_parents() -> None:
    assert chain(("workload", "side")).excluded == REGISTERED | {"sid", "sue"}
    assert chain(("workload", "Side-Bot")).excluded == REGISTERED | {"sid", "sue"}
    both = chain(("workload", "shared-bot"), by=SIDE, actor=("workload", "side-bot"))
    assert both.excluded == {"sid", "sue", "tina", "tess", "tom"}


def test_an_actor_shared_with_another_caller_brings_its_people_along() -> None:
    found = chain(by=TWIN, actor=("workload", "shared-bot"))
    assert found.excluded == {"tina", "tess", "tom", "sid", "sue"}


def test_names_resolve_within_the_tenant_only() -> None:
    found = chain(("external", "fred"), ("workload", "foreign-bot"), ("person", "fred"))
    assert found.excluded == REGISTERED
    assert found.unresolved == ("/on_behalf_of/2",)
    assert chain(("workload", "side-bot")).excluded == REGISTERED | {"sid", "sue"}


def test_the_owner_of_the_resource_is_not_a_requester() -> None:
    assert chain(owner="bob").excluded == REGISTERED
    assert "bob" in chain(("person", "bob"), owner="bob").excluded


KNOWN = ["bob", "BOB", "bob@example.com", "oid-4711", "sid", "sue", "tina", "owners"]
NAMES = st.sampled_from([*KNOWN, "side", "side-bot", "shared-bot", "top", "zed"])
TYPES = st.sampled_from(["person", "workload", "external", "Person", ""])
PRINCIPALS = st.lists(st.tuples(TYPES, NAMES | st.text(max_size=8)), max_size=6)
CALLERS = st.sampled_from([SUB, MID, TOP, SIDE, TWIN])


@given(CALLERS, PRINCIPALS, PRINCIPALS)
def test_what_a_caller_asserts_never_shrinks_the_exclusion(
    by: Caller, some: list[tuple[str, str]], more: list[tuple[str, str]]
) -> None:
    silent, less, all_ = (chain(*named, by=by) for named in ([], some, some + more))
    assert {*by.owners, *by.users} <= silent.excluded <= less.excluded <= all_.excluded
    assert set(less.unresolved) <= set(all_.unresolved)
    assert chain(*more, *some, by=by).excluded == all_.excluded


@given(CALLERS, PRINCIPALS, st.data())
def test_the_type_a_principal_is_given_as_changes_nobodys_exclusion(
    by: Caller, named: list[tuple[str, str]], data: st.DataObject
) -> None:
    renamed = [(data.draw(TYPES), name) for _, name in named]
    assert chain(*renamed, by=by).excluded == chain(*named, by=by).excluded


@given(PRINCIPALS)
def test_a_named_person_is_excluded_or_pointed_at_never_passed_over(
    named: list[tuple[str, str]],
) -> None:
    people = [("person", name) for _, name in named]
    found = chain(*people)
    for index, principal in enumerate(people):
        pointed = f"/on_behalf_of/{index}" in found.unresolved
        alone = chain(principal)
        assert pointed == bool(alone.unresolved)
        assert pointed or alone.excluded <= found.excluded
