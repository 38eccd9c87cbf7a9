"""Where data goes: destinations read by an allow-list, all of them, in any order.

A destination is a URL of a known scheme, a bucket, a mail address or a dotted
host, written so that no two programs read another host out of it. Whatever else
stands there is `unreadable` and never internal; nothing is cut before it is
judged, nothing is dropped, and no other destination makes up for it.

Pure; called by `facts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from countersign.model import JsonObject, JsonValue

UNREADABLE: Final = "unreadable"
MULTIPLE: Final = "multiple"
MAX_TARGET: Final = 2048
MAX_SHOWN: Final = 20

_BUCKET_SCHEMES: Final = frozenset({"s3", "s3a", "s3n", "gs", "gcs", "az"})
_ACCOUNT_SCHEMES: Final = frozenset({"abfs", "abfss", "wasb", "wasbs"})
"""`container@account.host`: who owns the account is in the first label."""
_HOST_SCHEMES: Final = frozenset(
    """http https ws wss ftp ftps sftp ssh scp file smb nfs hdfs webhdfs tcp kafka amqp amqps mqtt
    redis rediss postgres postgresql mysql mongodb git rsync ldap ldaps syslog""".split()
)
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,20})://"
    r"(?:(?P<user>[A-Za-z0-9._~!$&'()*+=:%-]*)@)?"
    r"(?P<host>[A-Za-z0-9._-]+)(?P<port>:[0-9]{1,5})?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+=:@%/-]*)?"
    r"(?P<rest>[?#][A-Za-z0-9._~!$&'()*+=:@%/?#-]*)?"
)
_MAIL: Final = re.compile(r"(?i:mailto:)?[A-Za-z0-9._+-]{1,64}@([A-Za-z0-9._-]+)")
_BARE: Final = re.compile(
    r"([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~!$&'()*+=:@%/-]*)?"
)
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_-]{1,63}){0,20}"
)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,221}[a-z0-9]")
_DOTS: Final = re.compile(r"/\.{1,2}(?:/|\Z)")
_SECOND_LEVEL: Final = frozenset({"co", "com", "org", "net", "gov", "ac", "edu", "gob", "ne", "or"})


class Place(NamedTuple):
    """One destination. `name` is what a reviewer sees: bucket or registrable domain."""

    scheme: str
    name: str
    internal: bool


_UNREADABLE: Final = Place("", UNREADABLE, internal=False)


def facts(
    values: Iterable[JsonValue], internal_domains: Sequence[str], clean: Callable[[str], str]
) -> JsonObject | None:
    """All destinations as the worst that can be said of them."""
    targets = set(_targets(values))
    if not targets:
        return None
    found = [read(target, internal_domains) for target in targets]
    internal = all(place.internal for place in found)
    worst = [place for place in found if place.name == UNREADABLE] or [
        place for place in found if place.internal == internal
    ]
    domains = sorted({(place.internal, _shown(place.name, clean)) for place in found})
    names = list(dict.fromkeys(name for _, name in domains))
    facts: JsonObject = {
        "domain": _one({_shown(place.name, clean) for place in worst}),
        "scheme": clean(_one({place.scheme for place in worst})),
        "internal": internal,
        "count": len(targets),
        "domains": list(names[:MAX_SHOWN]),
        "unread": sum(place.name == UNREADABLE for place in found),
    }
    if len(names) > MAX_SHOWN:
        facts["more"] = len(names) - MAX_SHOWN
    return facts


def _shown(name: str, clean: Callable[[str], str]) -> str:
    """In lower case, unless the text rules mask it as it was written."""
    shown = clean(name)
    return name.lower() if shown == name else shown


def _one(names: set[str]) -> str:
    return next(iter(names)) if len(names) == 1 else MULTIPLE


def _targets(values: Iterable[JsonValue]) -> Iterator[str | None]:
    """Every text once; `None` for what is no text, a name inside it included."""
    for value in values:
        if isinstance(value, str):
            if value:
                yield value
        elif isinstance(value, list):
            yield from _targets(value)
        elif isinstance(value, dict):
            yield from _targets(value.values())
            if not all(_LABEL.fullmatch(key) for key in value):
                yield None
        elif value is not None:
            yield None


_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
"""A key that names a setting; a host or URL in its place has a dot or a colon."""


def read(target: str | None, internal_domains: Sequence[str]) -> Place:
    """One destination, or `unreadable` for what is not understood to its last character."""
    if target is None or len(target) > MAX_TARGET:
        return _UNREADABLE
    if url := _URL.fullmatch(target):
        return _read_url(url, internal_domains)
    if mail := _MAIL.fullmatch(target):
        return _host("mailto", mail.group(1), internal_domains)
    if bare := _BARE.fullmatch(target):
        return _host("", bare.group(1), internal_domains)
    return _UNREADABLE


_WEB_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})
"""Where a query goes to the host before it."""


def _read_url(url: re.Match[str], internal_domains: Sequence[str]) -> Place:
    scheme, user, host, path = url["scheme"].lower(), url["user"], url["host"], url["path"] or ""
    if scheme in _BUCKET_SCHEMES:
        # Programs differ in what they take for the bucket where anything but a path follows it,
        # and a path that climbs or is decoded can leave the bucket.
        odd = user is not None or url["port"] or url["rest"] or "%" in path or _DOTS.search(path)
        if odd or not _BUCKET.fullmatch(host):
            return _UNREADABLE._replace(scheme=scheme)
        # Anybody may take a bucket name with dots in it, a domain's included.
        return Place(scheme, host, internal="." not in host and host in internal_domains)
    if url["rest"] and scheme not in _WEB_SCHEMES:
        return _UNREADABLE._replace(scheme=scheme)  # options that can name another host
    if scheme in _ACCOUNT_SCHEMES:
        return _host(scheme, host, internal_domains, whole=True)
    if scheme in _HOST_SCHEMES:
        return _host(scheme, host, internal_domains)
    return _UNREADABLE


def _host(scheme: str, host: str, internal_domains: Sequence[str], *, whole: bool = False) -> Place:
    host = host.removesuffix(".")
    if not _HOST.fullmatch(host):
        return _UNREADABLE._replace(scheme=scheme)
    internal = is_internal(host.lower(), internal_domains)
    return Place(scheme, host if whole else registrable(host), internal)


def is_internal(host: str, domains: Sequence[str]) -> bool:
    """Whether a host is one of the domains or below one: whole labels only."""
    return any(host == domain or host.endswith("." + domain) for domain in domains)


def registrable(host: str) -> str:
    """The part of a name somebody registered, near enough for a reviewer."""
    labels = host.split(".")
    if len(labels) < 3 or labels[-1].isdigit():
        return host
    keep = 3 if len(labels[-1]) == 2 and labels[-2].lower() in _SECOND_LEVEL else 2
    return ".".join(labels[-keep:])
