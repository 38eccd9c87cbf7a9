"""What is left of policy once everything but the unknowns is known.

OPA's compile API evaluates the entry point as far as it can without the unknowns.
If what is left, support rules included, mentions neither the input nor any rule
that was not worked out, no unknown can matter. Invariant 3: what is asked holds
sanitized records only, and goes to an OPA on this machine's loopback that this
command started. Called by `judging`.

`opa-python-client` drops an empty input and follows redirects; ours is never
empty, and our own OPA sends none.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

from opa_client.opa import OpaClient
from requests import RequestException

from countersign.model import JsonObject
from countersign.policy.bundle import ENTRYPOINT
from countersign.workbench.impact.unknowns import Path

_QUERY: Final = f"{ENTRYPOINT} = answer"
_TIMEOUT_S: Final = 10.0


class Compiler:
    """Asks one OPA on loopback; from any thread, each with a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._own = threading.local()

    def proves(self, document: JsonObject, unknowns: Iterable[Path]) -> bool:
        """Whether policy's answer surely depends on none of these places."""
        client = getattr(self._own, "client", None)
        if client is None:
            client = OpaClient(host="127.0.0.1", port=self._port, timeout=_TIMEOUT_S)
            self._own.client = client
        try:
            left = client.compile_query(
                query=_QUERY, input_data=document, unknowns=[reference(path) for path in unknowns]
            )
        except (RequestException, ValueError):
            return False  # nothing is proven; the trace will tell
        return isinstance(left, dict) and is_constant(left.get("result"))


def reference(path: Path) -> str:
    """A place of the input as Rego refers to it."""
    return "input" + "".join(f"[{json.dumps(step)}]" for step in path)


def is_constant(left: Any) -> bool:
    """Whether what is left to evaluate needs nothing more."""
    return isinstance(left, Mapping) and not _is_open(left)


def _is_open(term: Any) -> bool:
    if isinstance(term, Mapping):
        if term.get("type") == "ref" and isinstance(term.get("value"), list):
            return _leads_out(term["value"]) or any(map(_is_open, term["value"][1:]))
        if term.get("type") == "var" and term.get("value") in ("input", "data"):
            return True
        return any(map(_is_open, term.values()))
    return isinstance(term, list) and any(map(_is_open, term))


def _leads_out(steps: list[Any]) -> bool:
    """Into the input, or to a rule that was left as it is."""
    head = steps[0].get("value")
    if head == "input":
        return True
    return head == "data" and (len(steps) < 2 or steps[1].get("value") != "partial")
