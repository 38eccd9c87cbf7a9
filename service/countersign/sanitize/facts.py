"""Facts: what is known of a masked action, computed from raw, free of its values.

Every fact is a number's bucket, a keyword, or a name that passed the text
rules. They keep a masked review meaningful and are what policy may lean on;
nothing here is taken from the agent's own description. A statement that cannot
be read yields no `sql` fact, so `must_show: facts:sql.…` fails.

Pure; called by `detect` with the fields the survey collected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from countersign.model import JsonObject, JsonValue
from countersign.sanitize import keys, shell

if TYPE_CHECKING:
    from countersign.sanitize.sql import Statement
    from countersign.sanitize.survey import Field

FIELDS: Final[dict[str, str]] = {
    name: fact
    for fact, names in {
        "rows": """rows rowcount numrows limit rowlimit maxrows records recordcount maxrecords count
            expectedrows estimatedrows expectedcount estimatedcount""",
        "bytes": "bytes size sizebytes filesize contentlength totalbytes numbytes estimatedbytes",
        "destination": """destination dest destinationuri destinationurl target targeturl targeturi
            url uri endpoint webhook webhookurl callbackurl uploadurl bucket to exportto sendto
            outputlocation outputuri""",
        "sql": "sql statement sqlquery sqlstatement statements",
        "query": "query queries",
        "shell": "command cmd shellcommand commandline script argv commands",
        "columns": "columns fields columnnames select projection includefields selectedcolumns",
        "added": """rolesadded addroles addedroles grant grants role roles permission permissions
            permissionsadded addpermissions privileges scopes addscopes""",
        "removed": """rolesremoved removeroles removedroles revoke revokes permissionsremoved
            removepermissions revokedroles removescopes""",
    }.items()
    for name in names.split()
}
"""Names of argument keys, written together, to the fact they feed."""

_BUCKETS: Final = (
    (1_000_000, "1M+"),
    (100_000, "100k-1M"),
    (10_000, "10k-100k"),
    (1_000, "1k-10k"),
    (100, "100-999"),
    (10, "10-99"),
    (1, "1-9"),
    (0, "0"),
)
_MAX_NAMES: Final = 20
# Names and hosts only: everything matched here is cut to a bounded length first.
_MAX_NAME: Final = 256
_MAX_TARGET: Final = 2048
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.$-]{0,63}")
_GRANT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:/*-]{0,79}")
_HOST: Final = re.compile(r"(?i)[a-z0-9][a-z0-9_-]{0,62}(?:\.[a-z0-9_-]{1,63}){0,10}")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}")
_MAIL: Final = re.compile(r"(?:mailto:)?[^\s@/]+@([^\s@/]+)")
_AUTHORITY_END: Final = re.compile(r"[/\\?#]")
_SECOND_LEVEL: Final = frozenset({"co", "com", "org", "net", "gov", "ac", "edu", "gob", "ne", "or"})
_BUCKET_SCHEMES: Final = frozenset(
    {"s3", "s3a", "s3n", "gs", "gcs", "az", "abfs", "abfss", "wasbs"}
)


def bucket(number: float) -> JsonObject:
    """The power of ten a count falls into."""
    for least, name in _BUCKETS:
        if number >= least:
            return {"at_least": least, "bucket": name}
    return {"at_least": 0, "bucket": "0"}


def build(
    fields: Sequence[Field],
    statements: Sequence[Statement],
    *,
    objects: int,
    internal_domains: Sequence[str],
    clean: Callable[[str], str],
) -> JsonObject:
    """All facts of one context. `clean` masks a name by the text rules."""
    facts: JsonObject = {}
    by_fact: dict[str, list[JsonValue]] = {}
    for field in fields:
        by_fact.setdefault(field.fact, []).append(field.value)
    rows = [*_numbers(by_fact.get("rows", [])), *([objects] if objects else [])]
    if rows:
        facts["rows"] = bucket(max(rows))
    if sizes := _numbers(by_fact.get("bytes", [])):
        facts["bytes"] = bucket(max(sizes))
    if found := _destination(by_fact.get("destination", []), internal_domains, clean):
        facts["destination"] = found
    if statements:
        facts["sql"] = _sql(statements, clean)
    if commands := by_fact.get("shell"):
        facts.update(_shell(commands, clean))
    if grants := _grants(by_fact, clean):
        facts["grants"] = grants
    if columns := _columns(by_fact.get("columns", []), statements):
        facts["columns"] = columns
    return facts


def _lower(name: str, clean: Callable[[str], str]) -> str:
    """The name in lower case, unless the text rules mask it as it was written."""
    shown = clean(name)
    return name.lower() if shown == name else shown


def _numbers(values: Sequence[JsonValue]) -> list[float]:
    """Counts as numbers or as digits; a list counts its items."""
    found: list[float] = []
    for value in values:
        if isinstance(value, list):
            found.append(len(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(value)
        elif isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
            found.append(int(value))
    return found


# --- where data goes ---------------------------------------------------------


def _destination(
    values: Sequence[JsonValue], internal_domains: Sequence[str], clean: Callable[[str], str]
) -> JsonObject | None:
    """The first destination; internal only if every one of them is."""
    texts = [text for value in values for text in _strings(value)][:100]
    found = [place for text in texts if (place := _place(text)) is not None]
    if not found:
        return None
    scheme, host = found[0]
    internal = all(is_internal(host.lower(), internal_domains) for _, host in found)
    domain = host if scheme in _BUCKET_SCHEMES else registrable(host)
    return {
        "domain": _lower(domain, clean),
        "scheme": clean(scheme),
        "internal": internal,
        "count": len(found),
    }


def _strings(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str)]
    if isinstance(value, dict):
        return [text for item in value.values() if isinstance(item, str) for text in [item]]
    return []


def _place(text: str) -> tuple[str, str] | None:
    """Scheme and host. A host nobody should trust reads as `unreadable`.

    The authority ends at the first slash, backslash, `?` or `#`, as browsers read it, and the
    host begins after its last `@`: what looks internal before it is a user.
    """
    text = text.strip()[:_MAX_TARGET]
    scheme, separator, rest = text.partition("://")
    if separator:
        known = _SCHEME.fullmatch(scheme[:_MAX_NAME]) is not None
        authority = _AUTHORITY_END.split(rest, maxsplit=1)[0]
        host = _host(authority.rpartition("@")[2]) if known else UNREADABLE_HOST
        return scheme.lower() if known else "", host
    if "@" in text and (mail := _MAIL.fullmatch(text)):
        return "mailto", _host(mail.group(1))
    host = _host(_AUTHORITY_END.split(text, maxsplit=1)[0].rpartition("@")[2])
    return ("", host) if host != UNREADABLE_HOST and "." in host else None


UNREADABLE_HOST: Final = "unreadable"


def _host(authority: str) -> str:
    host = authority.partition(":")[0].removesuffix(".")
    return host if len(host) < _MAX_NAME and _HOST.fullmatch(host) else UNREADABLE_HOST


def is_internal(host: str, domains: Sequence[str]) -> bool:
    """Whether a host is one of the domains or below one: whole labels only."""
    if host == UNREADABLE_HOST:
        return False
    return any(host == domain or host.endswith("." + domain) for domain in domains)


def registrable(host: str) -> str:
    """The part of a name somebody registered, near enough for a reviewer."""
    labels = host.split(".")
    if len(labels) < 3 or labels[-1].isdigit():
        return host
    keep = 3 if len(labels[-1]) == 2 and labels[-2].lower() in _SECOND_LEVEL else 2
    return ".".join(labels[-keep:])


# --- statements, commands, grants --------------------------------------------


def _sql(statements: Sequence[Statement], clean: Callable[[str], str]) -> JsonObject:
    """One statement as it is; several as the worst that can be said of them."""
    first = statements[0]
    several = len(statements) > 1
    tables = sorted({table for statement in statements for table in statement.tables})
    facts: JsonObject = {
        "verb": "multiple" if several else first.verb,
        "tables": [_lower(table, clean) for table in tables[:_MAX_NAMES]],
        "predicate": "other" if several else first.predicate,
        "all_columns": any(statement.all_columns for statement in statements),
        "statements": sum(statement.statements for statement in statements),
    }
    if not several and first.limit is not None:
        facts["limit"] = first.limit
    return facts


def _shell(commands: Sequence[JsonValue], clean: Callable[[str], str]) -> JsonObject:
    programs: dict[str, None] = {}
    flags: set[str] = set()
    for command in commands:
        if isinstance(command, list):
            vector = [item for item in command if isinstance(item, str)]
            # A list is one argument vector, or a list of whole commands.
            lines: list[str | list[str]] = [vector]
            if any(" " in item for item in vector[:1]):
                lines = list(vector)
        else:
            lines = [command] if isinstance(command, str) else []
        for line in lines:
            read = shell.read(line)
            programs.update(dict.fromkeys(read.programs))
            flags.update(read.flags)
    if not programs:
        return {}
    names: list[JsonValue] = [clean(name) for name in list(programs)[:_MAX_NAMES]]
    return {
        "shell": {
            "program": names[0],
            "programs": names,
            "flags": [clean(flag) for flag in sorted(flags)[:_MAX_NAMES]],
        }
    }


def _grants(by_fact: dict[str, list[JsonValue]], clean: Callable[[str], str]) -> JsonObject:
    """Roles and permissions given and taken away, where they are plain names."""
    facts: JsonObject = {}
    for change in ("added", "removed"):
        names = {text for value in by_fact.get(change, []) for text in _strings(value)}
        if names:
            plain = {clean(name) if _is_plain(name) else shell.OTHER for name in names}
            shown: list[JsonValue] = list(sorted(plain)[:_MAX_NAMES])
            facts[change] = shown
    return facts


def _is_plain(name: str) -> bool:
    return len(name) < _MAX_NAME and _GRANT.fullmatch(name) is not None


# --- which columns are touched -----------------------------------------------


def column_classes(names: Sequence[str]) -> dict[str, int]:
    """Data classes that a list of column names touches, and by how many columns."""
    counts: dict[str, int] = {}
    for name in names:
        rule = keys.rule_of(name)
        for data_class in rule.kind.classes if rule is not None else ():
            counts[data_class] = counts.get(data_class, 0) + 1
    return counts


def column_names(values: Sequence[JsonValue], statements: Sequence[Statement]) -> list[str]:
    """Names in column lists and between SELECT and FROM: schema, not data."""
    listed = [text for value in values if isinstance(value, list) for text in _strings(value)]
    plain = [n for n in listed[:1000] if len(n) < _MAX_NAME and _IDENTIFIER.fullmatch(n)]
    for statement in statements:
        plain += statement.columns
    return plain


def _columns(values: Sequence[JsonValue], statements: Sequence[Statement]) -> JsonObject | None:
    names = column_names(values, statements)
    if not names:
        return None
    return {"total": len(names), **dict(sorted(column_classes(names).items()))}
