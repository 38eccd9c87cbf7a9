"""Credentials by the shape their providers give them: the rules of gitleaks.

The data file beside this package is written by `scripts/gitleaks-rules` and read
once, at import. Entropy is judged as gitleaks does; placeholders and allow-lists
are not, except that what is masked already is no find.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any, Final

from countersign.sanitize import checks_secrets, kinds
from countersign.sanitize.rules.rule import Rule

_FILE: Final = importlib.resources.files("countersign.sanitize") / "data" / "gitleaks.json"
_WIDE: Final = frozenset({"generic-api-key"})
"""Any key of any name: of its values only those with a digit are secrets."""


def _rule(data: dict[str, Any]) -> Rule:
    known = checks_secrets.mixed if data["id"] in _WIDE else checks_secrets.provided
    return Rule(
        id=f"gitleaks.{data['id']}",
        kind=kinds.SECRET,
        pattern=data["pattern"],
        keywords=tuple(data["keywords"]),
        check=functools.partial(known, min_entropy=float(data.get("entropy", 0))),
    )


_DATA: Final = json.loads(_FILE.read_text(encoding="utf-8"))
VERSION: Final = str(_DATA["version"])
RULES: Final = tuple(_rule(data) for data in _DATA["rules"])
