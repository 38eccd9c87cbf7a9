"""What we ask of one OPA, and what its answers mean.

Invariant 2: an undefined result, an evaluation error and a server that is gone
are three different `PolicyError`s. Invariant 3: OPA quotes values in its error
messages (a conflict names both results), so only error codes and places in the
author's files are passed on. Called by `child` (probes) and `opa` (decisions).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from countersign.errors import PolicyError
from countersign.policy import batching
from countersign.policy.pool import Pool, unavailable
from countersign.policy.wire import Answer, get, post, post_head

_DECISION: Final = post_head("/v1/data/countersign/decision")
_RULES: Final = post_head("/v1/data/countersign/rules")
_MEASURED: Final = post_head("/v1/data/countersign/decision?metrics=true")
_HEALTH: Final = get("/health")
# A document that nobody defines: costs no evaluation, and carries the provenance.
_PROVENANCE: Final = get("/v1/data/countersign_revision_probe?provenance=true")
_AUTHOR_ERRORS: Final = {
    "eval_builtin_error": "a built-in function refused its operands",
    "eval_conflict_error": "two rules gave different values",
    "eval_type_error": "an operand has the wrong type",
    "eval_with_merge_error": "a with keyword could not be applied",
}
_FILE: Final = re.compile(r"[\w./-]{1,200}")


class OpaClient:
    """Speaks to the OPA behind one socket. Probes have a connection of their own."""

    def __init__(self, socket_path: str, *, max_connections: int) -> None:
        self._pool = Pool(socket_path, max_connections=max_connections)
        self._probes = Pool(socket_path, max_connections=1)

    async def decide(self, input_json: bytes, *, deadline_s: float) -> object:
        """The value of `data.countersign.decision` for that input document.

        `input_json` is canonical JSON, sent as it is. Raises `PolicyError`.
        """
        request = post(_DECISION, b'{"input":%b}' % input_json)
        return value_of(await self._pool.request(request, deadline_s=deadline_s))

    async def decide_many(
        self, inputs: Sequence[bytes], *, deadline_s: float
    ) -> list[batching.Outcome[object]]:
        """What `decide` gives for each of them, in their order; its errors as values."""

        async def together(
            inputs: Sequence[bytes], within_s: float
        ) -> list[batching.Outcome[object]] | None:
            try:
                answer = await self._pool.request(batching.request_of(inputs), deadline_s=within_s)
            except PolicyError:
                return None
            return batching.values_of(answer, len(inputs))

        async def alone(item: bytes, within_s: float) -> object:
            return await self.decide(item, deadline_s=within_s)

        with self._pool.held():  # a replaced OPA answers for the whole batch before it ends
            return await batching.asked(
                inputs, together=together, alone=alone, deadline_s=deadline_s
            )

    async def contributions(self, input_json: bytes, *, deadline_s: float) -> object:
        """What each rule package contributes, by name; for authors. Raises `PolicyError`."""
        request = post(_RULES, b'{"input":%b}' % input_json)
        return value_of(await self._pool.request(request, deadline_s=deadline_s))

    async def timers(self, input_json: bytes, *, deadline_s: float) -> dict[str, int]:
        """OPA's own timers of one decision, in nanoseconds; for authors. Raises `PolicyError`."""
        request = post(_MEASURED, b'{"input":%b}' % input_json)
        answer = await self._pool.request(request, deadline_s=deadline_s)
        if answer.status != 200:
            _ = value_of(answer)  # says what is wrong
        metrics = _object(_parse(answer), "metrics")
        return {name: value for name, value in metrics.items() if isinstance(value, int)}

    async def healthy(self, *, deadline_s: float) -> bool:
        """Whether `/health` says so in time."""
        try:
            answer = await self._probes.request(_HEALTH, deadline_s=deadline_s)
        except PolicyError:
            return False
        return answer.status == 200

    async def revision(self, *, deadline_s: float) -> str:
        """The revision of the one bundle OPA serves, in OPA's own words."""
        answer = await self._probes.request(_PROVENANCE, deadline_s=deadline_s)
        bundles = _object(_parse(answer), "provenance", "bundles")
        revisions = [_object(bundles, name).get("revision") for name in bundles]
        if len(revisions) != 1 or not isinstance(revisions[0], str):
            raise unavailable("OPA does not serve exactly one bundle with a revision")
        return revisions[0]

    async def drain(self, *, deadline_s: float) -> None:
        """Wait until every decision asked for is answered, or the deadline."""
        await self._pool.drain(deadline_s=deadline_s)

    def close(self) -> None:
        self._pool.close()
        self._probes.close()


def value_of(answer: Answer) -> object:
    """The decision in an answer of OPA's data API. Raises `PolicyError`."""
    if answer.status == 500:
        raise _evaluation_error(answer)
    if answer.status != 200:
        raise unavailable(f"OPA answered with status {answer.status}")
    document = _parse(answer)
    if "result" not in document:
        raise batching.undefined()
    return document["result"]


def _evaluation_error(answer: Answer) -> PolicyError:
    """Tell the author's mistakes from OPA's faults."""
    errors = _parse(answer).get("errors")
    known = [e for e in errors if _code(e)] if isinstance(errors, list) else []
    if not known:
        return unavailable("OPA failed while it evaluated")
    return PolicyError(
        "policy.invalid",
        "policy failed while it was evaluated",
        retryable=False,
        detail="\n".join(f"{_place(e)}{_code(e)}: {_AUTHOR_ERRORS[_code(e)]}" for e in known),
    )


def _code(error: Any) -> str:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and code in _AUTHOR_ERRORS else ""


def _place(error: dict[str, Any]) -> str:
    location = error.get("location")
    if not isinstance(location, dict):
        return ""
    file, row = location.get("file"), location.get("row")
    if not isinstance(file, str) or not _FILE.fullmatch(file) or not isinstance(row, int):
        return ""
    return f"{file.lstrip('/')}:{row}: "


def _parse(answer: Answer) -> dict[str, Any]:
    document = None
    with contextlib.suppress(ValueError, RecursionError):  # raised below: these hold the body
        document = json.loads(answer.body)
    if not isinstance(document, dict):
        raise unavailable("OPA's answer is not a JSON object")
    return document


def _object(document: dict[str, Any], *path: str) -> dict[str, Any]:
    for step in path:
        inner = document.get(step)
        if not isinstance(inner, dict):
            raise unavailable(f"OPA's answer has no {path[-1]}")
        document = inner
    return document
