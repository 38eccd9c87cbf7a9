"""Two people: whoever is behind a request does not decide on it (invariant 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.credentials import SubjectKind
from countersign.directory import Chain, Directory, Login
from countersign.model import (
    Account,
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


def person(id: str, *aliases: str, tenant: TenantId = ACME, account: str = "") -> Person:
    return Person(
        tenant=tenant,
        id=PersonId(id),
        name=id,
        groups=frozenset({"owners"}),
        accounts=(Account(issuer="https://login.example", subject=account),) if account else (),
        aliases=aliases,
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
    person("bob", "Bob@Example.com", "Jos\u00e9", account="OID-4711"),
    person("fred", "bob@example.com", tenant=OTHER),
]
DIRECTORY = Directory.of([SUB, MID, TOP, SIDE, TWIN, FOREIGN], PEOPLE)
REGISTERED = {"olga", "uma", "mike", "mona", "tess", "tom"}


def chain(
    *principals: tuple[str, str],
    by: Caller = SUB,
    actor: tuple[str, str] = ("workload", "sub-bot"),
    owner: str = "",
    proven: str | None = None,
    directory: Directory | None = None,
) -> Chain:
    return (directory or DIRECTORY).requester_chain(
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
        PersonId(proven) if proven else None,
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


def test_whoever_shares_an_accounts_subject_is_excluded_with_its_owner() -> None:
    people = [
        person("bob", account="4711"),
        Person(
            tenant=ACME,
            id=PersonId("eve"),
            name="Eve",
            groups=frozenset(),
            accounts=(Account(issuer="teams:contoso", subject="4711"),),
        ),
        *(person(name) for name in sorted(REGISTERED)),
    ]
    directory = Directory.of([SUB, MID, TOP], people)
    assert chain(("person", "4711"), directory=directory).excluded == REGISTERED | {"bob", "eve"}


def test_whoever_was_shown_a_token_of_the_line_could_drive_it() -> None:
    def excluded(name: str, caller: str) -> frozenset[PersonId]:
        login = Login(
            tenant=ACME,
            kind=SubjectKind.CALLER,
            subject=caller,
            token_sha256=("ab" * 32,),
            shown_to=((name, PersonId("bob")),),
        )
        directory = Directory.of([SUB, MID, TOP, SIDE, TWIN], PEOPLE, [login])
        assert directory.registered_chain(ACME, SUB.id) == chain(directory=directory).excluded
        spared = chain(directory=directory, proven="uma").excluded
        assert ("bob" in spared) == ("bob" in chain(directory=directory).excluded)
        return chain(directory=directory).excluded

    assert excluded("ab" * 6, "sub") == REGISTERED | {"bob"}
    assert excluded("ab" * 6, "top") == REGISTERED | {"bob"}
    assert excluded("cd" * 6, "sub") == REGISTERED
    assert excluded("ab" * 6, "side") == REGISTERED


# --- proof ---

OWNERS = {"olga", "mike", "tess"}


@pytest.mark.parametrize("who", ["uma", "mona", "tom"])
def test_proof_by_a_user_of_the_line_spares_its_other_users_and_no_owner(who: str) -> None:
    assert chain(proven=who).excluded == OWNERS | {who}
    assert DIRECTORY.registered_chain(ACME, SUB.id, PersonId(who)) == OWNERS | {who}


def test_proof_by_an_owner_spares_the_users_too() -> None:
    assert chain(proven="mike").excluded == OWNERS


@pytest.mark.parametrize("who", ["bob", "sue", "nobody"])
def test_proof_by_somebody_else_spares_nobody_and_adds_them(who: str) -> None:
    assert chain(proven=who).excluded == REGISTERED | {who}
    assert DIRECTORY.registered_chain(ACME, SUB.id, PersonId(who)) == REGISTERED | {who}
    assert DIRECTORY.registered_chain(ACME, CallerId("gone"), PersonId(who)) == {who}


def test_the_line_named_again_brings_nobody_back() -> None:
    for name in ("sub", "sub-bot", "SUB-BOT", "mid", "top-bot"):
        assert chain(("workload", name), proven="uma").excluded == OWNERS | {"uma"}


def test_proof_says_nothing_of_another_caller_by_the_actors_name_or_named_besides() -> None:
    shared = chain(by=SIDE, actor=("workload", "shared-bot"), proven="sue")
    assert shared.excluded == {"sid", "sue", "tina", "tess", "tom"}
    assert chain(("workload", "side"), proven="uma").excluded == OWNERS | {"uma", "sid", "sue"}
    sub_agent = chain(("workload", "sub"), by=TOP, actor=("workload", "top-bot"), proven="tom")
    assert sub_agent.excluded == REGISTERED


def test_proof_spares_nobody_who_is_named() -> None:
    assert chain(("person", "mona"), proven="uma").excluded == OWNERS | {"uma", "mona"}
    assert chain(("workload", "mona"), proven="uma").excluded == OWNERS | {"uma", "mona"}


def test_the_owner_of_the_resource_is_not_a_requester() -> None:
    assert chain(owner="bob").excluded == REGISTERED
    assert "bob" in chain(("person", "bob"), owner="bob").excluded


KNOWN = ["bob", "BOB", "bob@example.com", "oid-4711", "sid", "sue", "tina", "owners"]
NAMES = st.sampled_from([*KNOWN, "side", "side-bot", "shared-bot", "top", "zed"])
TYPES = st.sampled_from(["person", "workload", "external", "Person", ""])
PRINCIPALS = st.lists(st.tuples(TYPES, NAMES | st.text(max_size=8)), max_size=6)
CALLERS = st.sampled_from([SUB, MID, TOP, SIDE, TWIN])
PROVEN = st.none() | st.sampled_from([each.id for each in PEOPLE if each.tenant == ACME])


@given(CALLERS, PRINCIPALS, PRINCIPALS, PROVEN)
def test_what_a_caller_asserts_never_shrinks_the_exclusion(
    by: Caller,
    some: list[tuple[str, str]],
    more: list[tuple[str, str]],
    proven: str | None,
) -> None:
    silent, less, all_ = (chain(*named, by=by, proven=proven) for named in ([], some, some + more))
    registered = {*by.owners} if proven else {*by.owners, *by.users}
    assert registered <= silent.excluded <= less.excluded <= all_.excluded
    assert set(less.unresolved) <= set(all_.unresolved)
    assert chain(*more, *some, by=by, proven=proven).excluded == all_.excluded


@given(CALLERS, PRINCIPALS, PROVEN.filter(bool), NAMES)
def test_proof_spares_at_most_the_users_of_the_callers_own_line(
    by: Caller, named: list[tuple[str, str]], proven: str, actor: str
) -> None:
    def found(who: str | None) -> Chain:
        return chain(*named, by=by, actor=("workload", actor), proven=who)

    asserted, with_proof = found(None), found(proven)
    spared = asserted.excluded - with_proof.excluded
    line = [by]
    while line[-1].parent:
        line.append({"mid": MID, "top": TOP}[line[-1].parent])
    assert with_proof.excluded - asserted.excluded <= {proven}
    assert proven in with_proof.excluded
    assert with_proof.unresolved == asserted.unresolved
    for caller in line:
        assert not spared & set(caller.owners)
    if proven not in {who for each in line for who in (*each.owners, *each.users)}:
        assert not spared
    assert spared <= {who for each in line for who in each.users}
    people = {each.id: each for each in PEOPLE if each.tenant == ACME}
    for _, name in named:
        assert name not in people or name not in spared


# --- Mallory, who drives the caller and would like to approve what it asks ---

MALLORY = Person(
    tenant=ACME,
    id=PersonId("mallory"),
    name="Mallory",
    groups=frozenset({"owners"}),
    accounts=(
        Account(issuer="https://login.example", subject="00uMallory"),
        Account(issuer="teams:contoso", subject="9d6c-object-id"),
    ),
    aliases=("mallory@example.com", "Mall\u00f3ry"),
)
HERS = caller("hers", owners="olga", users="mallory uma", parent="top", actors="hers-bot")
BELOW = caller("below", owners="sid", users="sue", parent="hers")
HER_WORLD = Directory.of([HERS, BELOW, TOP, SIDE, TWIN], [*PEOPLE, MALLORY])
HER_NAMES = [
    *("mallory", "MALLORY", "mallory@example.com", "Mallory@Example.COM", "mailto:mallory"),
    *("00uMallory", "00umallory", "9d6c-object-id", "Mallo\u0301ry", " mallory ", "mal\u200blory"),
]
HER_TRICKS = st.lists(
    st.tuples(
        TYPES,
        st.sampled_from(HER_NAMES)
        | st.sampled_from(["mallroy", "below", "below-bot", "hers", "top-bot", "side", "bob", ""])
        | st.text(max_size=12),
    ),
    max_size=5,
)
ACTORS = st.sampled_from(["hers-bot", "below-bot", "side-bot", "mallory", "bob", "nobody"])


@given(HER_TRICKS, st.sampled_from([HERS, BELOW]), TYPES, ACTORS)
def test_whatever_mallory_names_she_does_not_approve_what_her_caller_asks(
    named: list[tuple[str, str]], by: Caller, kind: str, actor: str
) -> None:
    found = chain(*named, by=by, actor=(kind, actor), directory=HER_WORLD)
    assert "mallory" in found.excluded


@given(HER_TRICKS, HER_TRICKS, st.sampled_from(HER_NAMES), TYPES)
def test_somebody_elses_proof_does_not_spare_mallory_when_she_is_named(
    before: list[tuple[str, str]], behind: list[tuple[str, str]], name: str, kind: str
) -> None:
    named = [*before, (kind, name), *behind]
    found = chain(
        *named, by=HERS, actor=("workload", "hers-bot"), proven="uma", directory=HER_WORLD
    )
    assert "mallory" in found.excluded


def test_mallorys_own_proof_excludes_mallory() -> None:
    found = chain(by=HERS, actor=("workload", "hers-bot"), proven="mallory", directory=HER_WORLD)
    assert found.excluded == {"olga", "tess", "mallory"}


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
