"""`explain`: one evaluation by a real OPA, with its trace.

The input may be raw: it is written to no file, only to OPA's standard input, and
OPA is a process of ours that ends with the answer. Blocking; called by the
command line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from countersign import canonical
from countersign.errors import ConfigurationError
from countersign.model import JsonObject
from countersign.policy.snapshot import Snapshot
from countersign.policy.syntax import parse
from countersign.workbench.explaining import Evaluated, Explanation
from countersign.workbench.explaining import explain as explained
from countersign.workbench.opa_command import workplace

_QUERY: Final = (
    "decision := [d | d := data.countersign.decision]; rules := [r | r := data.countersign.rules]"
)


def explain(
    opa: Path, policy: Snapshot, question: JsonObject, *, unknown: tuple[str, ...] = ()
) -> Explanation:
    """Explain a policy's answer. Raises `ConfigurationError` when it does not compile or fails."""
    compiled = policy.compiled()
    with workplace(opa, compiled) as place:
        done = place.run(
            "eval",
            *place.allowed,
            *("--bundle", ".", "--stdin-input", "--format", "json", "--explain", "full"),
            *("--disable-indexing", "--disable-early-exit", _QUERY),
            given=canonical.encode(question).decode(),
        )
    told = done.json()
    if done.code != 0 or not isinstance(told, dict) or not told.get("result"):
        raise ConfigurationError(
            "policy.not_explained",
            f"policy gives no answer that could be explained: {_words(told)}",
            advice="`countersign policy check` says what is wrong with it.",
        )
    found = told["result"][0]["bindings"]
    return explained(
        Evaluated(
            revision=policy.revision,
            modules=parse(opa, compiled),
            events=told["explanation"],
            decision=next(iter(found["decision"]), None),
            contributions=next(iter(found["rules"]), None),
            question=question,
            unknown=unknown,
        )
    )


def _words(told: Any) -> str:
    """OPA's codes and places: its messages quote values."""
    errors = told.get("errors", []) if isinstance(told, dict) else []
    said = []
    for error in errors:
        location = error.get("location") or {}
        said.append(f"{location.get('file', '')}:{location.get('row', '')} {error.get('code')}")
    return "; ".join(said) or "OPA failed"


def as_json(found: Explanation) -> Any:
    """The same for scripts."""
    return json.loads(json.dumps(found, default=_plain))


def _plain(value: Any) -> Any:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
