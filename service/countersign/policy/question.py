"""The question policy is asked: the type of the document that `input` is.

`flow.judge` builds it, and a test holds what it really sends to this type. The
JSON Schema that `opa check --schema` finds typos with, the reference of the
input and the inputs a candidate is tried with all come from here. Pure; called
by `schema` and `probing`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

_CLOSED: Final = ConfigDict(extra="forbid", strict=True)


class _Strict(TypedDict):
    __pydantic_config__ = _CLOSED  # type: ignore[misc]


Count = Annotated[int, Field(ge=0)]
Texts = list[str]
Open = Annotated[dict[str, Any], Field(description="Any JSON, raw.")]


class Principal(_Strict):
    """Somebody or something, as the caller says."""

    type: Annotated[Literal["person", "workload", "external"], Field(description="What it is.")]
    id: Annotated[str, Field(description="Who it is.")]


class Resource(_Strict):
    """What is acted on."""

    type: Annotated[str, Field(description="Such as `table`.")]
    id: Annotated[str, Field(description="Matches a pattern registered for the caller.")]
    owner: Annotated[str, Field(description="As the caller says. May be empty.")]
    attributes: Open


class Context(_Strict):
    """What is about to happen, as the caller says."""

    action: Annotated[str, Field(description="Dotted verb: `db.export`.")]
    actor: Annotated[Principal, Field(description="The agent.")]
    arguments: Open
    environment: Annotated[str, Field(description="One of those registered for the caller.")]
    on_behalf_of: Annotated[
        list[Principal], Field(description="The principals behind the actor, nearest first.")
    ]
    reason: Annotated[str, Field(description="Why, in the agent's words.")]
    resource: Annotated[Resource, Field(description="What is acted on.")]
    session: Annotated[str, Field(description="The caller's correlation id. May be empty.")]


class Quantity(_Strict):
    """The exact numbers behind the facts `rows` and `amount`; 0 where nothing is stated."""

    rows: Annotated[Count, Field(description="Rows.")]
    amount: Annotated[Count, Field(description="Money in whole units.")]


class Measure(_Strict):
    """How much, as a power of ten."""

    at_least: Annotated[Count, Field(description="A power of ten, or 0.")]
    bucket: Annotated[str, Field(description="In words: `1k-10k`.")]
    unread: NotRequired[Annotated[Count, Field(description="How many could not be read.")]]


class Destination(_Strict):
    """Where it goes: the worst that can be said of all destinations."""

    domain: Annotated[str, Field(description="Registrable domain or bucket of the worst.")]
    scheme: Annotated[str, Field(description="Of that one; empty without one.")]
    internal: Annotated[bool, Field(description="Whether all are read, and inside.")]
    count: Annotated[Count, Field(description="Distinct destinations.")]
    domains: Annotated[Texts, Field(description="All of them, at most 20.")]
    unread: Annotated[Count, Field(description="How many are unreadable.")]
    more: NotRequired[Annotated[Count, Field(description="How many are not listed.")]]


class Sql(_Strict):
    """What a statement does."""

    verb: Annotated[str, Field(description="`select`, `update`, …, `other`, `multiple`.")]
    tables: Annotated[Texts, Field(description="Every table, at most 20.")]
    predicate: Annotated[
        str, Field(description="`by_key`, `range`, `none`, `always_true`, `other`.")
    ]
    all_columns: Annotated[bool, Field(description="`*`, or a table's name as a column.")]
    calls: Annotated[bool, Field(description="A function beyond the plain ones.")]
    statements: Annotated[Count, Field(description="How many.")]
    tables_more: NotRequired[Annotated[Count, Field(description="How many are not listed.")]]
    limit: NotRequired[Annotated[Count, Field(description="Of `LIMIT n` and the like.")]]


class Shell(_Strict):
    """What a command runs."""

    program: Annotated[str, Field(description="The first that is no known reader.")]
    programs: Annotated[Texts, Field(description="Every program, at most 20.")]
    flags: Annotated[Texts, Field(description="Options without their values, at most 20.")]
    reads: Annotated[bool, Field(description="Understood to its last character, and only reads.")]
    programs_more: NotRequired[Annotated[Count, Field(description="How many are not listed.")]]
    flags_more: NotRequired[Annotated[Count, Field(description="How many are not listed.")]]


class Grants(_Strict):
    """Rights given and taken away."""

    added: NotRequired[Annotated[Texts, Field(description="Given, at most 20.")]]
    added_more: NotRequired[Annotated[Count, Field(description="How many are not listed.")]]
    removed: NotRequired[Annotated[Texts, Field(description="Taken away, at most 20.")]]
    removed_more: NotRequired[Annotated[Count, Field(description="How many are not listed.")]]


class Terraform(_Strict):
    """What the resource changes of a plan come to."""

    plans: Annotated[Count, Field(description="How many plans.")]
    unread: Annotated[Count, Field(description="What is no resource change.")]
    create: Annotated[Count, Field(description="Resources created.")]
    update: Annotated[Count, Field(description="Resources changed in place.")]
    replace: Annotated[Count, Field(description="Resources destroyed and made again.")]
    delete: Annotated[Count, Field(description="Resources destroyed.")]
    other: Annotated[Count, Field(description="Resources something else is done to.")]
    types: Annotated[Texts, Field(description="Types of what changes, at most 20.")]
    types_more: NotRequired[Annotated[Count, Field(description="How many are not listed.")]]
    destroyed: Annotated[Texts, Field(description="Types of what does not stay, at most 20.")]
    destroyed_more: NotRequired[Annotated[Count, Field(description="How many are not listed.")]]


class Kubernetes(_Strict):
    """What is asked of a cluster."""

    objects: Annotated[Count, Field(description="Kinds that are named.")]
    unread: Annotated[Count, Field(description="Manifests that could not be read.")]
    verb: NotRequired[Annotated[str, Field(description="`apply`, …, `other`, `multiple`.")]]
    kinds: Annotated[Texts, Field(description="Kinds of objects, at most 20.")]
    kinds_more: NotRequired[Annotated[Count, Field(description="How many are not listed.")]]
    namespaces: Annotated[
        Texts,
        Field(description="Classes: `default`, `named`, `system`, `unstated`, `unreadable`."),
    ]


class Facts(_Strict):
    """What is known of a context without its values. Any of them may be absent."""

    rows: NotRequired[Measure]
    bytes: NotRequired[Measure]
    amount: NotRequired[Measure]
    destination: NotRequired[Destination]
    sql: NotRequired[Sql]
    shell: NotRequired[Shell]
    grants: NotRequired[Grants]
    terraform: NotRequired[Terraform]
    kubernetes: NotRequired[Kubernetes]
    columns: NotRequired[
        Annotated[
            dict[str, Count],
            Field(description="`total`, and how many columns touch each data class."),
        ]
    ]
    columns_unread: NotRequired[Annotated[Count, Field(description="What is in doubt.")]]


class Findings(_Strict):
    """What the sanitizer saw in the raw context."""

    entities: Annotated[dict[str, Count], Field(description="Type of find to count.")]
    classes: Annotated[Texts, Field(description="Data classes, sorted.")]
    facts: Annotated[Facts, Field(description="What is known without values.")]
    complete: Annotated[bool, Field(description="`false`: something could not be examined.")]
    quantity: Annotated[Quantity, Field(description="What this adds to `recent`.")]
    ner: NotRequired[
        Annotated[str, Field(description="How recognizers beside the rules fared; absent: none.")]
    ]


class Verified(_Strict):
    """What the service knows."""

    tenant: Annotated[str, Field(description="From the credential.")]
    caller: Annotated[str, Field(description="The authenticated client that asked.")]
    owners: Annotated[Texts, Field(description="Person ids, from the registration.")]
    users: Annotated[Texts, Field(description="Person ids, from the registration.")]
    parent: Annotated[str | None, Field(description="The caller that drives this one.")]
    person: Annotated[str | None, Field(description="Whom a verified token proves.")]
    claimant: Annotated[str | None, Field(description="At Claim, who is about to execute.")]


class Vote(_Strict):
    """One approval that counts."""

    person: Annotated[str, Field(description="Person id.")]
    choice: Annotated[Literal["approve", "deny"], Field(description="What they decided.")]
    delegated_by: NotRequired[
        Annotated[str | None, Field(description="Whose right they voted with, or null.")]
    ]
    break_glass: NotRequired[Annotated[bool, Field(description="Approved alone, in an emergency.")]]
    assurance: Annotated[Literal["channel", "person"], Field(description="Who says who voted.")]
    groups: Annotated[Texts, Field(description="Of the person, today.")]
    at: Annotated[str, Field(description="RFC 3339, UTC.")]


class Approval(_Strict):
    """At Claim the approval whose votes are to be spent; null at Check."""

    review: Annotated[str, Field(description="Id of the review.")]
    revision: Annotated[int, Field(description="The revision the votes are for.", ge=1)]
    approved_at: Annotated[str | None, Field(description="RFC 3339, UTC.")]
    votes: Annotated[list[Vote], Field(description="Those that count.")]


class Counts(_Strict):
    """Of this caller and action, within one window."""

    checks: Annotated[Count, Field(description="Checks.")]
    allow: Annotated[Count, Field(description="Checks that were allowed.")]
    deny: Annotated[Count, Field(description="Checks that were denied.")]
    needs_approval: Annotated[Count, Field(description="Checks that asked people.")]
    claimed: Annotated[Count, Field(description="Claims allowed.")]
    rows: Annotated[Count, Field(description="Sum over what was let through.")]
    amount: Annotated[Count, Field(description="Sum over what was let through.")]


class Recent(_Strict):
    """How much this caller did of this action."""

    hour: Counts
    day: Counts


class Question(_Strict):
    """The whole input document. There is no other clock than `time`."""

    context: Context
    findings: Findings
    verified: Verified
    approval: Annotated[
        Approval | None, Field(description="At Claim, the votes that are to be spent; else null.")
    ]
    recent: Recent
    time: Annotated[
        str, Field(description="When this is decided: RFC 3339, UTC, six fractional digits.")
    ]


QUESTION: Final = TypeAdapter(Question)
