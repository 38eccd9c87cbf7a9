"""Read the SQL that lies beside each backend.

SQL is never built from strings: every statement stands in a `.sql` file under a
`-- name:` heading, every step of the schema in a numbered file of its own. Used
by the backends when they are imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final

_HEADING: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)


def named_queries(backend: str) -> Mapping[str, str]:
    """The statements of `sql/<backend>/queries.sql` by name, comments removed."""
    text = _folder(backend).joinpath("queries.sql").read_text(encoding="utf-8")
    _, *parts = _HEADING.split(text)
    names, bodies = parts[::2], parts[1::2]
    return {name: _COMMENT.sub("", body).strip() for name, body in zip(names, bodies, strict=True)}


def migrations(backend: str) -> Sequence[str]:
    """The schema's steps in order; the first makes version 1 out of nothing."""
    files = _folder(backend).joinpath("migrations").iterdir()
    steps = sorted((file for file in files if file.name.endswith(".sql")), key=lambda f: f.name)
    return [step.read_text(encoding="utf-8") for step in steps]


def _folder(backend: str) -> resources.abc.Traversable:
    return resources.files("countersign.store").joinpath("sql", backend)
