"""Who is calling, what a caller may speak for, and who is known."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.credentials import (
    SubjectKind,
    new_token,
    proof_of_account,
    proof_of_mtls,
    proof_of_token,
    token_hash,
)
from countersign.directory import CredentialName, Directory, Group, Login, diff
from countersign.enrolment import MAX_NESTED_GROUPS, Pattern
from countersign.errors import ConfigurationError, UnauthenticatedError
from countersign.model import (
    Account,
    ActionContext,
    Caller,
    CallerId,
    Channel,
    ChannelId,
    Person,
    PersonId,
    Principal,
    Resource,
    Stage,
    TenantId,
)

ACME = TenantId("acme")
OTHER = TenantId("other")
LOGIN = "https://login.example"


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


def person(id: str, *groups: str, tenant: TenantId = ACME, **facts: Any) -> Person:
    return Person(
        tenant=tenant, id=PersonId(id), name=id.title(), groups=frozenset(groups), **facts
    )


def account(subject: str, issuer: str = LOGIN) -> Account:
    return Account(issuer=issuer, subject=subject)


def channel(id: str = "teams", **changes: Any) -> Channel:
    plain = Channel(tenant=ACME, id=ChannelId(id), issuers=("teams:contoso",))
    return dataclasses.replace(plain, **changes)


KINDS = {
    Caller: SubjectKind.CALLER,
    Person: SubjectKind.PERSON,
    Channel: SubjectKind.CHANNEL,
}


def login(
    subject: Caller | Person | Channel, *tokens: str, mtls: str | None = None, **more: Any
) -> Login:
    return Login(
        tenant=subject.tenant,
        kind=KINDS[type(subject)],
        subject=subject.id,
        token_sha256=tuple(map(token_hash, tokens)),
        mtls_subject=mtls,
        **more,
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


def refusal(
    callers: list[Caller], people: list[Person], *logins: Login, **more: Any
) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        Directory.of(callers, people, logins, **more)
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


def test_a_channel_is_known_by_its_own_credentials_and_by_no_other() -> None:
    agent, alice, teams = caller(), person("alice"), channel()
    token, hers = new_token(SubjectKind.CHANNEL), new_token(SubjectKind.PERSON)
    directory = Directory.of(
        [agent],
        [alice],
        [login(teams, token, mtls="teams.bot.test"), login(alice, hers)],
        [teams, channel(tenant=OTHER)],
    )
    assert directory.channel_by_token(token_hash(token)) is teams
    assert directory.channel_by_mtls("teams.bot.test") is teams
    assert directory.channels(ACME) == (teams,)
    assert directory.channel_by_token(token_hash(hers)) is None
    assert directory.person_by_token(token_hash(token)) is None
    assert directory.caller_by_token(token_hash(token)) is None
    assert directory.tenants == {ACME, OTHER}


@pytest.mark.parametrize(
    ("changes", "code", "names"),
    [
        ({"id": "Teams"}, "directory.invalid_id", "channel number 1: id"),
        ({"tenant": ""}, "directory.invalid_id", "channel number 1: tenant"),
        ({"issuers": ()}, "directory.empty_scope", "issuers is empty"),
        ({"issuers": ("ok", " ")}, "directory.invalid_text", "issuers[1]"),
    ],
)
def test_a_wrong_channel_is_refused_by_name_and_field(
    changes: dict[str, Any], code: str, names: str
) -> None:
    error = refusal([], [], channels=[channel(**changes)])
    assert error.code == code
    assert names in str(error)
    assert refusal([], [], channels=[channel()] * 2).code == "directory.duplicate_id"


def test_a_login_by_jwt_is_exact_and_leads_to_one_tenant() -> None:
    agent, alice = caller(), person("alice", accounts=(account("00u1"),))
    twin = person("alison", tenant=OTHER, accounts=(account("00u1"),))
    directory = Directory.of(
        [agent, caller(tenant=OTHER, owners=("alison",))],
        [alice, twin],
        [login(agent, jwt=(account("machine"),))],
    )
    assert directory.person_by_login(LOGIN, "00u1", (ACME,)) is alice
    assert directory.person_by_login(LOGIN, "00u1", (OTHER,)) is twin
    assert directory.person_by_login(LOGIN, "00u1", (TenantId("none"),)) is None
    assert directory.person_by_login(LOGIN, "00u1", (ACME, OTHER)) is None
    for issuer, subject in (
        (LOGIN, "00U1"), (LOGIN, "00u1 "), (f"{LOGIN}/", "00u1"), (LOGIN, "alice"),
        (LOGIN, "machine"), ("", ""),
    ):  # fmt: skip
        assert directory.person_by_login(issuer, subject, (ACME,)) is None
    assert directory.caller_by_login(LOGIN, "machine", (ACME, OTHER)) is agent
    assert directory.caller_by_login(LOGIN, "machine", (OTHER,)) is None
    assert directory.caller_by_login(LOGIN, "00u1", (ACME,)) is None
    assert directory.person_by_account(ACME, account("00u1")) is alice
    assert directory.person_by_account(OTHER, account("machine")) is None


def test_an_account_is_one_subjects_within_a_tenant_machines_included() -> None:
    alice = person("alice", accounts=(account("00u1"),))
    as_hers = login(caller(), jwt=(account("00u1"),))
    error = refusal([caller()], [alice], as_hers)
    assert error.code == "directory.duplicate_credential"
    assert "00u1" not in str(error)
    both = [login(caller(name), jwt=(account("m"),)) for name in ("one", "two")]
    error = refusal([caller("one"), caller("two")], [alice], *both)
    assert error.code == "directory.duplicate_credential"
    error = refusal([caller()], [alice], login(caller(), jwt=(account("\n"),)))
    assert (error.code, "jwt[0].subject" in str(error)) == ("directory.invalid_text", True)
    Directory.of([caller()], [alice], [login(caller(), jwt=(account("00u1", "https://x"),))])


def test_every_way_in_has_a_name_and_a_proof() -> None:
    token, certificate = new_token(SubjectKind.PERSON), "spiffe://acme/alice"
    alice, bob = person("alice", accounts=(account("00u1"),)), person("bob")
    agent = caller(clients=("agent-app",))
    directory = Directory.of(
        [agent],
        [alice, bob],
        [login(alice, token, mtls=certificate), login(agent, jwt=(account("machine"),))],
    )
    sha256 = token_hash(token)
    hers = directory.credentials(ACME, SubjectKind.PERSON, "alice")
    assert [(way.kind, way.name, way.proof) for way in hers] == [
        ("token", sha256[:12], proof_of_token(sha256)),
        ("mtls", certificate, proof_of_mtls(certificate)),
        ("jwt", f"{LOGIN} 00u1", proof_of_account(LOGIN, "00u1")),
    ]
    assert directory.proofs(ACME) == {
        "alice": frozenset(way.proof for way in hers),
        "bob": frozenset(),
    }
    assert directory.proofs(OTHER) == {}
    (machine,) = directory.credentials(ACME, SubjectKind.CALLER, "export-agent")
    assert machine.proof == proof_of_account(LOGIN, "machine")
    assert directory.credentials(ACME, SubjectKind.CHANNEL, "alice") == ()
    assert directory.is_client(ACME, "agent-app")
    assert not directory.is_client(OTHER, "agent-app")
    assert not directory.is_client(ACME, "")


def test_it_is_remembered_who_was_shown_a_token_while_it_works() -> None:
    token, gone = new_token(SubjectKind.PERSON), new_token(SubjectKind.PERSON)
    alice, mallory = person("alice"), PersonId("mallory")
    seen = tuple((token_hash(each)[:12], mallory) for each in (token, gone))
    directory = Directory.of([], [alice], [login(alice, token, shown_to=seen)])
    assert directory.shown_to(ACME, proof_of_token(token_hash(token))) == mallory
    assert directory.shown_to(ACME, proof_of_token(token_hash(gone))) is None
    assert directory.shown_to(OTHER, proof_of_token(token_hash(token))) is None


def test_tokens_whose_hashes_begin_alike_are_told_apart() -> None:
    alice, one, other = person("alice"), "ab" * 32, "ab" * 31 + "cd"
    shown = ((one, PersonId("mallory")),)
    only = Login(
        tenant=ACME,
        kind=SubjectKind.PERSON,
        subject="alice",
        token_sha256=(one, other),
        shown_to=shown,
    )
    directory = Directory.of([], [alice], [only])
    assert directory.shown_to(ACME, proof_of_token(one)) == "mallory"
    assert directory.shown_to(ACME, proof_of_token(other)) is None


def test_who_made_which_way_in_is_found_out_once_a_subject(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    credentials = Directory.credentials

    def counted(
        self: Directory, tenant: TenantId, kind: SubjectKind, id: str
    ) -> Sequence[CredentialName]:
        asked.append(id)
        return credentials(self, tenant, kind, id)

    monkeypatch.setattr(Directory, "credentials", counted)
    alice = person("alice", accounts=tuple(account(f"a{n}") for n in range(20)))
    proofs = [proof_of_account(one.issuer, one.subject) for one in alice.accounts]
    shown = tuple((proof.partition(":")[2], PersonId("mallory")) for proof in proofs)
    directory = Directory.of([], [alice, person("bob")], [login(alice, shown_to=shown)])
    assert asked == ["alice"]
    assert [directory.shown_to(ACME, proof) for proof in proofs] == ["mallory"] * 20


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
        ({"clients": ("ok", "\n")}, "directory.invalid_text", "clients[1]"),
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
        ({"aliases": ("",)}, "directory.invalid_text", "aliases[0]"),
        ({"aliases": ("bob@x.org", " b@x.org")}, "directory.invalid_text", "aliases[1]"),
        ({"aliases": ("ALICE@example.com",)}, "directory.duplicate_account", '"alice"'),
        ({"aliases": ("alice",)}, "directory.duplicate_account", '"alice"'),
        ({"aliases": ("\uff41lice",)}, "directory.duplicate_account", '"alice"'),
        ({"accounts": (account(""),)}, "directory.invalid_text", "accounts[0].subject"),
        ({"accounts": (account("x", " i"),)}, "directory.invalid_text", "accounts[0].issuer"),
        ({"accounts": (account("00u1"),)}, "directory.duplicate_account", '"alice"'),
        ({"id": "alice@example.com"}, "directory.duplicate_account", '"alice"'),
        ({"id": "alice"}, "directory.duplicate_id", '"alice" of tenant "acme" is there twice'),
    ],
)
def test_a_wrong_person_is_refused_by_name_and_field(
    changes: dict[str, Any], code: str, names: str
) -> None:
    alice = person(
        "alice",
        aliases=("alice@example.com", "Alice@Example.com"),
        accounts=(account("00u1"), account("alice@example.com")),
    )
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
    for wrong, field in (
        ({"actor": ("workload", "other-bot")}, "/actor"),
        ({"actor": ("workload", "export-agent")}, "/actor"),
        ({"actor": ("workload", "EXPORT-BOT")}, "/actor"),
        ({"actor": ("person", "export-bot")}, "/actor"),
        ({"environment": "dev"}, "/environment"),
        ({"environment": ""}, "/environment"),
        ({"resource": ("table", "hr/salaries")}, "/resource"),
        ({"resource": ("view", "sales/2026")}, "/resource"),
    ):
        reason = directory.scope_refusal(agent, context(**wrong))
        assert reason is not None
        assert reason.code == "context.not_permitted"
        assert reason.message.startswith(f"{field}: ")
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


def nested(*groups: tuple[str, str], people: list[Person] | None = None) -> Directory:
    entries = [Group(tenant=ACME, id=name, includes=tuple(of.split())) for name, of in groups]
    return Directory.of([], people or [], groups=entries)


def test_members_of_an_included_group_are_members_of_this_one() -> None:
    directory = nested(
        ("approvers", "owners security"),
        ("all", "approvers ops"),
        people=[
            person("alice", "owners"),
            person("bob", "ops", "owners"),
            person("carol", "approvers"),
            person("dave"),
            person("zed", "owners", tenant=OTHER),
        ],
    )
    assert directory.groups_of(ACME, PersonId("alice")) == {"owners", "approvers", "all"}
    assert directory.groups_of(ACME, PersonId("bob")) == {"ops", "owners", "approvers", "all"}
    assert directory.groups_of(ACME, PersonId("carol")) == {"approvers", "all"}
    assert directory.groups_of(ACME, PersonId("dave")) == frozenset()
    assert directory.groups_of(OTHER, PersonId("zed")) == {"owners"}
    alice = directory.person(ACME, PersonId("alice"))
    assert alice is not None
    assert alice.groups == {"owners"}
    for group, members in (
        ("approvers", {"alice", "bob", "carol"}),
        ("all", {"alice", "bob", "carol"}),
        ("owners", {"alice", "bob"}),
        ("security", set()),
    ):
        assert directory.eligible(ACME, Stage(name="s", groups=(group,))) == members
    assert directory.eligible(OTHER, Stage(name="s", groups=("approvers",))) == frozenset()


def test_a_wider_group_lends_nothing_to_the_narrower_ones_in_it() -> None:
    directory = nested(("all", "owners"), people=[person("alice", "all")])
    assert directory.groups_of(ACME, PersonId("alice")) == {"all"}
    assert directory.eligible(ACME, Stage(name="s", groups=("owners",))) == frozenset()


@pytest.mark.parametrize(
    ("groups", "code", "names"),
    [
        ([("a", "a")], "directory.group_cycle", 'group "a"'),
        ([("a", "b"), ("b", "c"), ("c", "a")], "directory.group_cycle", "circle"),
        ([("x", "a"), ("a", "b"), ("b", "a")], "directory.group_cycle", "circle"),
        ([("a", "B")], "directory.invalid_id", 'group "a" of tenant "acme": includes[0]'),
        ([("A", "")], "directory.invalid_id", "group number 1: id"),
        ([("a", ""), ("a", "b")], "directory.duplicate_id", 'group "a"'),
    ],
)
def test_groups_that_include_each_other_wrongly_are_refused(
    groups: list[tuple[str, str]], code: str, names: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        nested(*groups)
    assert refused.value.code == code
    assert names in str(refused.value)


@pytest.mark.parametrize("backwards", [False, True])
def test_groups_nest_so_deep_and_no_deeper_in_whatever_order_they_stand(backwards: bool) -> None:
    line = [(f"g{n}", f"g{n + 1}") for n in range(MAX_NESTED_GROUPS)]
    order = -1 if backwards else 1
    deepest = person("alice", f"g{MAX_NESTED_GROUPS}")
    assert len(nested(*line[::order], people=[deepest]).groups_of(ACME, deepest.id) or ()) == 9
    line.append((f"g{MAX_NESTED_GROUPS}", "g9"))
    with pytest.raises(ConfigurationError) as refused:
        nested(*line[::order])
    assert refused.value.code == "directory.group_depth"


def test_many_ways_to_one_group_are_walked_once() -> None:
    wide = " ".join(f"l1-{n}" for n in range(30))
    layers = [("top", wide)]
    for level in range(1, MAX_NESTED_GROUPS):
        below = " ".join(f"l{level + 1}-{n}" for n in range(30))
        layers += [(f"l{level}-{n}", below) for n in range(30)]
    nested(*layers)


def test_a_name_resolves_to_the_one_person_who_goes_by_it() -> None:
    directory = Directory.of(
        [],
        [
            person("bob", aliases=("bob@example.com",), accounts=(account("00u1"),)),
            person("eve", accounts=(account("bob", "https://x"), account("00u2"))),
            person("zed", accounts=(account("00u2", "https://x"),)),
        ],
    )
    for name in ("bob", "BOB@example.com", "00u1", "00U1"):
        assert directory.resolve(ACME, name) == "bob"
        assert directory.resolve(OTHER, name) is None
    assert directory.resolve(ACME, "00u2") is None
    assert directory.resolve(ACME, "nobody") is None


def test_ids_are_known_but_accounts_names_and_other_tenants_are_not() -> None:
    alice = person("alice", "owners", aliases=("alice@example.com",), accounts=(account("00u1"),))
    directory = Directory.of(
        [caller(clients=("agent-app",))],
        [alice, person("zed", tenant=OTHER)],
        channels=[channel()],
        groups=[Group(tenant=ACME, id="approvers", includes=("owners", "security"))],
    )
    groups = ("owners", "approvers", "security")
    for known in ("export-agent", "export-bot", "alice", "teams", *groups):
        assert directory.is_known(ACME, known)
        assert not directory.is_known(OTHER, known)
    data = ("alice@example.com", "00u1", "Alice", "ALICE", "zed", "production", "agent-app", "")
    for unknown in data:
        assert not directory.is_known(ACME, unknown)


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


def test_a_change_is_told_in_full_where_it_is_neither_personal_nor_secret() -> None:
    agent, alice, bob = caller(), person("alice"), person("bob", aliases=("bob@example.com",))
    token = new_token(SubjectKind.CALLER)
    approvers = Group(tenant=ACME, id="approvers", includes=("owners",))
    old = Directory.of(
        [agent, caller("gone")], [alice, bob], [login(agent, token)], [channel()], [approvers]
    )
    new = Directory.of(
        [dataclasses.replace(agent, environments=("dev",), parent="fresh"), caller("fresh")],
        [
            alice,
            dataclasses.replace(
                bob,
                name="Robert",
                aliases=(),
                accounts=(account("00u2"),),
                groups=frozenset({"security", "owners"}),
            ),
            person("carol"),
        ],
        channels=[channel(issuers=("teams:fabrikam",)), channel("console")],
        groups=[dataclasses.replace(approvers, includes=("owners", "security"))],
    )
    changes = diff(old, new)
    assert changes == {
        "acme": {
            "callers": {
                "added": ["fresh"],
                "removed": ["gone"],
                "changed": {
                    "export-agent": {
                        "environments": {"old": ["staging", "production"], "new": ["dev"]},
                        "parent": {"old": None, "new": "fresh"},
                        "token_sha256": {},
                    }
                },
            },
            "people": {
                "added": ["carol"],
                "removed": [],
                "changed": {
                    "bob": {
                        "name": {},
                        "groups": {"old": [], "new": ["owners", "security"]},
                        "accounts": {},
                        "aliases": {},
                    }
                },
            },
            "channels": {
                "added": ["console"],
                "removed": [],
                "changed": {
                    "teams": {"issuers": {"old": ["teams:contoso"], "new": ["teams:fabrikam"]}}
                },
            },
            "groups": {
                "added": [],
                "removed": [],
                "changed": {
                    "approvers": {"includes": {"old": ["owners"], "new": ["owners", "security"]}}
                },
            },
        }
    }
    told = json.dumps(changes)
    for secret in (token_hash(token), "example.com", "Robert", "00u2"):
        assert secret not in told


def test_no_field_of_a_subject_is_told_unless_it_is_said_to_be_harmless() -> None:
    harmless = set(
        "tenant id actors environments resources owners users parent audience clients "
        "groups issuers includes conversations".split()
    )
    withheld = set("name accounts aliases token_sha256 mtls_subject jwt shown_to".split())
    withheld |= {"kind", "subject"}
    fields = {
        field.name
        for kind in (Caller, Person, Channel, Group, Login)
        for field in dataclasses.fields(kind)
    }
    assert fields == harmless | withheld
    alice = dataclasses.replace(person("alice"), name="Alice Before")
    before = Directory.of([caller()], [alice], [login(alice, mtls="alice@before.example")])
    alice = dataclasses.replace(person("alice"), name="Alice After")
    after = Directory.of(
        [caller()],
        [alice],
        [login(caller(), jwt=(account("after"),), shown_to=(("0a", PersonId("after")),))],
    )
    changed = diff(before, after)[ACME]
    assert changed["people"]["changed"] == {"alice": {"name": {}, "mtls_subject": {}}}
    assert changed["callers"]["changed"] == {"export-agent": {"jwt": {}, "shown_to": {}}}


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
        "changed": {"export-agent": {"token_sha256": {}}},
    }


def test_only_tenants_that_changed_are_told() -> None:
    alice, zed = person("alice"), person("zed", tenant=OTHER)
    assert diff(Directory.of([], [alice]), Directory.of([], [alice, zed])).keys() == {OTHER}
    assert diff(Directory.of([], [alice, zed]), Directory.of([], [alice])).keys() == {OTHER}
