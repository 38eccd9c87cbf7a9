"""How a policy here differs from what an OPA serves. Pure; called by the command line."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from countersign.errors import ConfigurationError
from countersign.policy.snapshot import Snapshot
from countersign.workbench.serving import Served
from countersign.workbench.strict_yaml import YamlError
from countersign.workbench.strict_yaml import read as read_yaml

_DATA: Final = ("data.json", "data.yaml", "data.yml")
_MISSING: Final = object()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One policy whose text is another."""

    file: str
    id: str
    """What the OPA calls it."""
    lines: tuple[str, ...]
    """As a unified diff, from what is served to what is here."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """From what is served to what is here."""

    added: tuple[str, ...]
    """Files here that are not served."""
    removed: tuple[str, ...]
    """Policies served that are not here."""
    changed: tuple[Changed, ...]
    data: tuple[str, ...]
    """Documents that differ, each as a sentence without values."""
    same: int
    revision: str
    served: Mapping[str, str]
    """Revisions by the name of the bundle."""

    @property
    def any(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.data)


def documents(policy: Snapshot) -> dict[tuple[str, ...], Any]:
    """The data files of a policy, by the path they are loaded at.

    Raises `ConfigurationError` for one that cannot be read.
    """
    found: dict[tuple[str, ...], Any] = {}
    for file, content in policy.compiled().items():
        if file.name in _DATA:
            try:
                value = json.loads(content) if file.suffix == ".json" else read_yaml(content).value
            except (ValueError, YamlError) as error:
                raise ConfigurationError(
                    "policy.data_invalid", f"{file} cannot be read: {error}"
                ) from None
            found[file.parent.parts] = value
    return found


def compare(policy: Snapshot, served: Served) -> Difference:
    """Compare a policy with what is served. Tests are never served, and left out."""
    here = {
        str(file): content.decode("utf-8", "replace")
        for file, content in policy.compiled().items()
        if file.suffix == ".rego"
    }
    ids = _matched(here, served.policies)
    there = {name for name in served.policies if not name.endswith("_test.rego")}
    changed = [
        Changed(file=file, id=name, lines=tuple(_lines(file, served.policies[name], here[file])))
        for file, name in sorted(ids.items())
        if served.policies[name] != here[file]
    ]
    return Difference(
        added=tuple(sorted(set(here) - set(ids))),
        removed=tuple(sorted(there - set(ids.values()))),
        changed=tuple(changed),
        data=tuple(_in_data(documents(policy), served.data)),
        same=len(ids) - len(changed),
        revision=policy.revision,
        served=served.revisions,
    )


def _matched(here: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """File to id. An id is a path that ends as the file does, below the bundle's name.

    The longest files choose first, so that `a/b.rego` is not taken for `b.rego`.
    """
    free, found = set(there), {}
    for file in sorted(here, key=lambda name: (-len(PurePosixPath(name).parts), name)):
        fitting = [name for name in free if f"/{name}".endswith(f"/{file}")]
        same = [name for name in fitting if there[name] == here[file]]
        if fitting:
            found[file] = min(same or fitting, key=lambda name: (len(name), name))
            free.discard(found[file])
    return found


def _lines(file: str, before: str, after: str) -> Iterator[str]:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"served/{file}", f"here/{file}", lineterm="", n=1
    )
    yield from lines


def _in_data(
    here: Mapping[tuple[str, ...], Any], there: Mapping[tuple[str, ...], Any]
) -> Iterator[str]:
    for path, value in sorted(here.items()):
        name = ".".join(("data", *path))
        served = there.get(path, _MISSING)
        if not isinstance(value, dict) or not isinstance(served, dict):
            if served != value:
                yield f"{name}: is not served" if served is _MISSING else f"{name}: differs"
            continue
        for key in sorted(value):
            if key not in served:
                yield f"{name}.{key}: is not served"
            elif served[key] != value[key]:
                yield f"{name}.{key}: differs"
