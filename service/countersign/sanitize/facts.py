"""Facts: what is known of a masked action, computed from raw, free of its values.

Every fact is a number's bucket, a keyword, or a name that passed the text
rules. They keep a masked review meaningful and are what policy may lean on;
nothing here is taken from the agent's own description.

No fact says what the mask hides: a name of a program, option, table or right is
shown where it can be read in the masked values as well, or else it is `[OTHER]`.

Facts are an allow-list: what is not fully understood says so (`other`,
`unreadable`, `[OTHER]`, a count under `unread`) and only raises the bar. No
value is dropped or cut before it is judged, none makes up for another, and the
order of keys means nothing: more arguments never make a fact weaker. A
statement that cannot be read yields no `sql` fact, so `must_show:
facts:sql.…` fails.

Pure; called by `detect` with the fields the survey collected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from countersign.model import JsonObject, JsonValue
from countersign.sanitize import infra, keys, money, places, readable, shell, sql
from countersign.sanitize.quantities import Measure, Quantity, counted

if TYPE_CHECKING:
    from countersign.sanitize.survey import Field

FIELDS: Final[dict[str, str]] = {
    name: fact
    for fact, names in {
        "rows": """rows rowcount numrows limit rowlimit maxrows records recordcount maxrecords count
            expectedrows estimatedrows expectedcount estimatedcount""",
        "bytes": "bytes size sizebytes filesize contentlength totalbytes numbytes estimatedbytes",
        "destination": """destination dest destinationuri destinationurl target targeturl targeturi
            url uri endpoint webhook webhookurl callbackurl uploadurl bucket to exportto sendto
            outputlocation outputuri destinations targets urls uris endpoints webhooks buckets""",
        "sql": "sql statement sqlquery sqlstatement statements",
        "query": "query queries",
        "shell": "command cmd shellcommand commandline argv",
        "commands": "commands script scripts",
        "shell_more": "args arguments arg env environ environmentvariables",
        "columns": "columns fields columnnames select projection includefields selectedcolumns",
        "added": """rolesadded addroles addedroles grant grants role roles permission permissions
            permissionsadded addpermissions privileges scopes addscopes""",
        "removed": """rolesremoved removeroles removedroles revoke revokes permissionsremoved
            removepermissions revokedroles removescopes""",
        "terraform": "resourcechanges",
        "k8s_manifest": "manifest manifests",
        "k8s_metadata": "metadata",
        "k8s_version": "apiversion",
        "k8s_kind": "kind",
        "k8s_verb": "verb",
        "k8s_namespace": "namespace namespaces",
    }.items()
    for name in names.split()
}
"""Names of argument keys, written together, to the fact they feed; for amounts see `money`."""
_MAX_FIELD: Final = 40

_MAX_NAMES: Final = 20
_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}(?:\.[A-Za-z_][A-Za-z0-9_$]{0,62}){0,3}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")
"""A column by its own name; one of `row.name` may be a whole row, or a function of it."""
_GRANT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:/*-]{0,79}")


def field_of(name: str) -> str | None:
    """The fact that an argument of this name feeds."""
    if len(name) >= _MAX_FIELD:
        return None
    return FIELDS.get(name.lower().replace("_", "").replace("-", "")) or money.fact_of(name)


class Measures(NamedTuple):
    """How much, before it becomes buckets."""

    rows: Measure | None
    bytes: Measure | None
    amount: Measure | None

    @property
    def quantity(self) -> Quantity:
        """What this context adds to the sums of `Store.recent`."""
        return Quantity(
            rows=self.rows.most if self.rows else 0,
            amount=self.amount.most if self.amount else 0,
        )


def measure(fields: Sequence[Field], *, objects: int) -> Measures:
    """The quantities of one context; `objects` is the length of its longest list of objects."""
    return Measures(
        rows=counted([field.value for field in fields if field.fact == "rows"], objects),
        bytes=counted([field.value for field in fields if field.fact == "bytes"], 0),
        amount=money.moved(fields),
    )


def build(
    fields: Sequence[Field],
    statements: Sequence[sql.Statement],
    measures: Measures,
    *,
    internal_domains: Sequence[str],
    clean: Callable[[str], str],
) -> JsonObject:
    """All facts of one context. `clean` masks a name by the text rules."""
    facts: JsonObject = {
        name: found.fact() for name, found in measures._asdict().items() if found is not None
    }
    by_fact: dict[str, list[JsonValue]] = {}
    for field in fields:
        by_fact.setdefault(field.fact, []).append(field.value)
    shown = readable.only(fields, clean)
    # A destination's domain is told where its mask hides who it is for.
    told = readable.spared([each for each in fields if each.fact == "destination"], clean)
    if found := places.facts(by_fact.get("destination", []), internal_domains, told):
        facts["destination"] = found
    if statements:
        facts["sql"] = _sql(statements, _unread_statements(fields), shown)
    if commands := _shell(by_fact, shown):
        facts["shell"] = commands
    if grants := _grants(by_fact, shown):
        facts["grants"] = grants
    if plans := by_fact.get("terraform"):
        facts["terraform"] = infra.terraform(plans, shown)
    if (cluster := infra.kubernetes(fields, shown)) is not None:
        facts["kubernetes"] = cluster
    facts.update(_columns(fields, statements))
    return facts


def _lower(name: str, clean: Callable[[str], str]) -> str:
    """The name in lower case, unless the text rules mask it as it was written."""
    shown = clean(name)
    return name.lower() if shown == name else shown


# --- statements --------------------------------------------------------------


def _sql(
    statements: Sequence[sql.Statement], unread: int, clean: Callable[[str], str]
) -> JsonObject:
    """One statement as it is; several as the worst that can be said of them."""
    first = statements[0]
    several = len(statements) > 1 or unread > 0
    tables = sorted({_lower(table, clean) for each in statements for table in each.tables})
    facts: JsonObject = {
        "verb": sql.MULTIPLE if several else first.verb,
        "tables": list(tables[:_MAX_NAMES]),
        "predicate": sql.OTHER if several else first.predicate,
        "all_columns": any(statement.all_columns for statement in statements),
        "calls": unread > 0 or any(statement.calls for statement in statements),
        "statements": sum(statement.statements for statement in statements) + unread,
    }
    if len(tables) > _MAX_NAMES:
        facts["tables_more"] = len(tables) - _MAX_NAMES
    if not several and first.limit is not None:
        facts["limit"] = first.limit
    return facts


def _unread_statements(fields: Sequence[Field]) -> int:
    """Texts beside the statements that were read which may be run as well."""
    unread = 0
    for field in fields:
        if field.fact not in {"sql", "query"}:
            continue
        unread += sum(leaf.parsed is not None for leaf in field.leaves)
        for leaf in readable.leaves(field.value):
            plain = isinstance(leaf, str) and len(leaf) >= readable.SHORTEST
            is_query = field.fact == "query" and isinstance(leaf, str)
            if not plain or (is_query and not sql.begins_statement(str(leaf))):
                unread += leaf != ""
    return unread


# --- commands ----------------------------------------------------------------


def _shell(by_fact: dict[str, list[JsonValue]], clean: Callable[[str], str]) -> JsonObject | None:
    lines, items, unread = _lines(by_fact)
    if not lines and not unread:
        return None
    read = [shell.read(line) for line in lines] + [shell.read_item(item) for item in items]
    programs = dict.fromkeys(name for each in read for name in each.programs)
    if unread or not programs:
        programs[shell.OTHER] = None
    # What a decoy would push out of sight stands first.
    order = sorted(programs, key=shell.is_reader) if len(programs) > _MAX_NAMES else list(programs)
    worst = next((name for name in order if not shell.is_reader(name)), order[0])
    flags = sorted({flag for each in read for flag in each.flags})
    facts: JsonObject = {
        "program": clean(worst),
        "programs": [*dict.fromkeys(clean(name) for name in order[:_MAX_NAMES])],
        "flags": [*dict.fromkeys(clean(flag) for flag in flags[:_MAX_NAMES])],
        "reads": not unread and bool(read) and all(each.reads for each in read),
    }
    for name, found in (("programs_more", order), ("flags_more", flags)):
        if len(found) > _MAX_NAMES:
            facts[name] = len(found) - _MAX_NAMES
    return facts


def _lines(
    by_fact: dict[str, list[JsonValue]],
) -> tuple[list[str | list[str]], list[str], int]:
    """Command lines and argument vectors in an order of their own, items, what is neither.

    An item of an argument vector with blanks in it may be a whole command as well.
    """
    commands = sorted(by_fact.get("shell", []), key=_ordered)
    several = sorted(by_fact.get("commands", []), key=_ordered)
    lines: list[str | list[str]] = []
    items: list[str] = []
    unread = 0
    for value in commands:
        if isinstance(value, str):
            lines.append(value)
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            vector = [item for item in value if isinstance(item, str)]
            lines.append(vector)
            if any(" " in item for item in vector):
                items += vector
        else:
            unread += 1
            lines += [text for text in readable.leaves(value) if isinstance(text, str)]
    for value in several:
        flat = isinstance(value, list) and all(isinstance(item, str) for item in value)
        unread += not (isinstance(value, str) or flat)
        lines += [text for text in readable.leaves(value) if isinstance(text, str)]
    if lines or unread:
        unread += len(by_fact.get("shell_more", []))
    return lines, items, unread


def _ordered(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True)


# --- rights ------------------------------------------------------------------


def _grants(by_fact: dict[str, list[JsonValue]], clean: Callable[[str], str]) -> JsonObject:
    """Roles and permissions given and taken away; `OTHER` for what is no plain name."""
    facts: JsonObject = {}
    for change in ("added", "removed"):
        plain: set[str] = set()
        for value in by_fact.get(change, []):
            for name in [value] if not isinstance(value, list) else value:
                is_plain = isinstance(name, str) and _GRANT.fullmatch(name) is not None
                plain.add(clean(str(name)) if is_plain else shell.OTHER)
        if plain:
            shown = sorted(plain, key=lambda name: (name != shell.OTHER, name))
            facts[change] = list(shown[:_MAX_NAMES])
            if len(shown) > _MAX_NAMES:
                facts[f"{change}_more"] = len(shown) - _MAX_NAMES
    return facts


# --- which columns are touched -----------------------------------------------


def column_classes(names: Sequence[str]) -> dict[str, int]:
    """Data classes that a list of column names touches, and by how many columns."""
    counts: dict[str, int] = {}
    for name in names:
        rule = keys.rule_of(name)
        for data_class in rule.kind.classes if rule is not None else ():
            counts[data_class] = counts.get(data_class, 0) + 1
    return counts


def _columns(fields: Sequence[Field], statements: Sequence[sql.Statement]) -> JsonObject:
    """`columns` of the lists that can be read, `columns_unread` for all that is in doubt.

    A list and a query, or two lists, are in doubt: nobody knows which one is used.
    """
    names: list[str] = []
    touched: list[str] = []
    unread = 0
    sources = 0
    for field in fields:
        if field.fact == "columns":
            sources += 1
            listed, doubtful = _listed(field.value)
            names += listed
            touched += [part for text in doubtful for part in _COLUMN.findall(text)]
            unread += len(doubtful)
        elif field.fact in {"sql", "query"}:
            sources += 1
    for statement in statements:
        names += statement.columns
        unread += statement.all_columns or statement.calls or not statement.plain
    unread += max(sources, len(statements), 1) - 1
    facts: JsonObject = {}
    if names or touched:
        classes = dict(sorted(column_classes([*names, *touched]).items()))
        facts["columns"] = {"total": len(names), **classes}
    if facts or unread or statements:
        facts["columns_unread"] = unread
    return facts


def _listed(value: JsonValue) -> tuple[list[str], list[str]]:
    """Plain names of a list, and one text for everything in it or instead of it that is none."""
    if not isinstance(value, list):
        return [], [" ".join(_texts(value))]
    plain = [item for item in value if isinstance(item, str) and _NAME.fullmatch(item)]
    others = [item for item in value if not (isinstance(item, str) and _NAME.fullmatch(item))]
    if not value:
        return [], [""]  # none named may well mean all
    return plain, [" ".join(_texts(item)) for item in others]


def _texts(value: JsonValue) -> Iterator[str]:
    """The texts in it, names of keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
