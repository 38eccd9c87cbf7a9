"""A candidate is tried before it decides: generated questions, each answer held to the contract.

Invariant 2: a policy that answers what the contract does not allow, gives no
answer or takes too long is found here and not by an agent. Invariant 3: what is
said of it names the rule and the contract, never a value of a question. Called
by `activation` and by the author's tools.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import itertools
import json
import re
import tarfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from countersign.errors import PolicyError
from countersign.policy import blame, generated, syntax
from countersign.policy.client import OpaClient
from countersign.policy.contract import decode

Probe = Callable[[OpaClient], Awaitable[Sequence[str]]]
"""Tries the policy that an OPA serves; each sentence is one reason not to activate it."""

MAX_BREACHES: Final = 20
_INVALID: Final = "policy.invalid"
_UNDEFINED: Final = "policy.undefined"
_MALFORMED: Final = "policy.rule_invalid"
_PACKAGE: Final = re.compile(r"rule package (\w+) contributes")
_AT_ONCE: Final = 2
_MAX_SAME: Final = 3
"""How many questions may be too slow: the rest would only take time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """How a candidate is tried."""

    questions: int = 300
    seed: int = 0
    deadline_s: float = 1.0
    """Of one question."""
    max_s: float | None = 20.0
    """Of all of them; those left then are not asked. None: as long as it takes."""
    strict: bool = True
    """For authors: no answer, and a late one, are breaches too. Else no answer is the
    denial it is, and a late one is raised."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One way in which a policy breaks the contract."""

    place: str
    """`pay.rego:41`, relative to the policy's root; empty where nothing can be told."""
    words: str

    def __str__(self) -> str:
        return f"{self.place} {self.words}".strip()


def prober(
    opa: Path,
    files: Mapping[PurePosixPath, bytes],
    settings: ProbeSettings | None = None,
) -> Probe:
    """A probe of the policy that these files (without tests) are."""

    async def probe(client: OpaClient) -> Sequence[str]:
        found = await breaches(client, opa, files, settings or ProbeSettings())
        return [str(breach) for breach in found]

    return probe


async def probe(
    client: OpaClient, opa: Path, archive: bytes, *, deadline_s: float
) -> Sequence[str]:
    """Breaches of a candidate, by the bundle it was built into: before it is activated.

    One question at a time, so that a client that counts the processor counts its own.
    Raises `PolicyError` when an answer did not come in time.
    """
    files = await asyncio.to_thread(files_of, archive)
    settings = ProbeSettings(deadline_s=deadline_s, max_s=None, strict=False)
    return [str(found) for found in await breaches(client, opa, files, settings)]


def files_of(archive: bytes) -> dict[PurePosixPath, bytes]:
    """The Rego in a bundle that we built."""
    files: dict[PurePosixPath, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name.endswith(".rego") else None
            if content is not None:
                files[PurePosixPath(member.name.lstrip("/"))] = content.read()
    return files


async def breaches(
    client: OpaClient,
    opa: Path,
    files: Mapping[PurePosixPath, bytes],
    settings: ProbeSettings,
) -> list[Breach]:
    """How the policy that an OPA serves breaks the contract, each way once.

    Raises `ConfigurationError` when a file cannot be parsed, `PolicyError`
    `policy.unavailable` when OPA itself is gone.
    """
    modules = await asyncio.to_thread(syntax.parse, opa, files)
    rules = tuple(itertools.chain.from_iterable(module.rules for module in modules))
    words = generated.vocabulary(modules)
    tried = _Tried(client, rules, settings)
    asked = generated.questions(words, count=settings.questions, seed=settings.seed)
    try:
        async with asyncio.timeout(settings.max_s), asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE if settings.strict else 1):
                _ = group.create_task(tried.all(asked))
    except TimeoutError:
        tried.found.setdefault(
            f"its answers to {settings.questions} questions take longer than {settings.max_s} s", ""
        )
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None
    return [Breach(place=place, words=said) for said, place in tried.found.items()][:MAX_BREACHES]


class _Tried:
    """What came out so far."""

    def __init__(
        self, client: OpaClient, rules: Sequence[syntax.Rule], settings: ProbeSettings
    ) -> None:
        self._client = client
        self._rules = rules
        self._settings = settings
        self._slow = 0
        self.found: dict[str, str] = {}
        """Words to place."""

    async def all(self, questions: Iterator[dict[str, Any]]) -> None:
        for question in questions:
            if len(self.found) >= MAX_BREACHES or self._slow >= _MAX_SAME:
                return
            await self._one(question)

    async def _one(self, question: dict[str, Any]) -> None:
        sent = json.dumps(question, sort_keys=True).encode()
        deadline_s = self._settings.deadline_s
        try:
            value = await self._client.decide(sent, deadline_s=deadline_s)
        except PolicyError as error:
            await self._failed(error, question["context"]["action"])
            return
        try:
            decision = decode(value, "")
        except PolicyError as error:
            await self._wrong(error.detail.splitlines(), value, sent)
            return
        for reason in decision.reasons:
            if reason.code == _MALFORMED and (named := _PACKAGE.search(reason.message)):
                self._malformed(named[1])

    async def _failed(self, error: PolicyError, action: str) -> None:
        """No answer: policy's own fault, too late, or OPA's."""
        if error.code == _UNDEFINED:
            if self._settings.strict:
                self._say("decision: must be defined for every input", self._entry())
        elif error.code == _INVALID:
            for line in error.detail.splitlines():
                place, _, words = line.rpartition(": ")
                self._say(f"evaluation: {words}", place.rpartition(": ")[0] or place)
        elif self._settings.strict and await self._client.healthy(
            deadline_s=self._settings.deadline_s
        ):
            self._slow += 1
            self._say(
                f"takes longer than {self._settings.deadline_s:g} s to answer on {action}",
                self._entry(action),
            )
        else:
            raise error

    async def _wrong(self, lines: Sequence[str], value: object, sent: bytes) -> None:
        if all(line in self.found for line in lines):
            return
        contributions: object = None
        with contextlib.suppress(PolicyError):  # then the line is told without a rule
            contributions = await self._client.contributions(
                sent, deadline_s=self._settings.deadline_s
            )
        for line in lines:
            self._say(line, blame.place(line, value, contributions, self._rules))

    def _malformed(self, name: str) -> None:
        """The library could not read what a rule package gave, and so refuses everything."""
        package = f"{syntax.RULES}{name}"
        rules = [r for r in self._rules if r.package == package]
        given = [r for r in rules if r.name in syntax.CONTRIBUTIONS] or rules
        words = f"package {package}: contributes something malformed, so every request is denied"
        self._say(words, given[0].place if given else "")

    def _entry(self, action: str = "") -> str:
        """Where rules about this action begin, else where the decision is made."""
        rules = [
            rule
            for rule in self._rules
            for path, texts in rule.paths
            if path == ("context", "action") and action in texts
        ] or [r for r in self._rules if (r.package, r.name) == ("countersign", "decision")]
        return rules[0].place if rules else ""

    def _say(self, words: str, place: str) -> None:
        self.found.setdefault(words, place)
