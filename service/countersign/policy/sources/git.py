"""A branch or tag of a git repository; its commit is the revision.

Nothing older or other than what was accepted is taken for newer: the accepted
commit must be in the history of the next one, unless `allow_rewrite`. Where
`signers` is given, the commit must be signed by one of them (ssh signatures, as
`git commit -S` with `gpg.format=ssh` makes); which ones of its ancestors too, says
`History`. A signature is judged by the file that the operator keeps here, never
by one in the repository. Blocking.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from countersign.errors import ConfigurationError
from countersign.exchange import url_problem
from countersign.policy.snapshot import Snapshot, is_policy
from countersign.policy.sources.program import ProgramError
from countersign.policy.sources.repository import (
    MAX_FILES,
    MAX_TREE_BYTES,
    Access,
    Entry,
    Repository,
)

MAX_COMMITS: Final = 2_000
"""How many commits are judged between two accepted ones."""
_FETCHED: Final = "refs/countersign/fetched"
_REF: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")
_NOT_IN_REF: Final = re.compile(r"\.\.|//|/\.|\.lock(/|$)|[./]$")
_FOLDER: Final = re.compile(r"[^\x00-\x1f\x7f:\\]{0,400}")
_SCP: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[!-~]+")


class History(enum.StrEnum):
    """Which commits must be signed."""

    TIP = "tip"
    """The one whose files are taken: its signer vouches for all of them."""
    EVERY = "every"
    """And every one since the last accepted commit, the first time its tip alone."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GitSettings:
    """Where policy is, and whose it must be."""

    url: str
    ref: str
    """A branch or tag, short or full (`refs/tags/v1`)."""
    base: Path
    """What a path as `url` starts at."""
    path: str = ""
    """The folder of the policy in the repository; empty: all of it."""
    signers: Path | None = None
    history: History = History.TIP
    allow_rewrite: bool = False
    user: str = "git"
    token: Callable[[], str] | None = None
    ca: Path | None = None
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    deadline_s: float = 60
    max_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        """Raises `ConfigurationError` when they will not do."""
        if not _REF.fullmatch(self.ref) or _NOT_IN_REF.search(self.ref):
            raise _wrong("ref is not the name of a branch or tag")
        folder = PurePosixPath(self.path)
        if not _FOLDER.fullmatch(self.path) or folder.is_absolute() or ".." in folder.parts:
            raise _wrong("path is not a folder of the repository, such as policy/prod")

    def access(self) -> Access:
        """How to reach it. Raises `ConfigurationError`."""
        url, transport = _address(self.url, self.base)
        if transport != "https" and (self.token or self.ca):
            raise _wrong("token and ca are for https alone; take them out")
        if transport != "ssh" and (self.ssh_key or self.known_hosts):
            raise _wrong("ssh_key and known_hosts are for ssh alone; take them out")
        return Access(
            url=url,
            transport="http" if url.startswith("http:") else transport,
            user=self.user,
            token=self.token,
            ca=self.ca,
            ssh_key=self.ssh_key,
            known_hosts=self.known_hosts,
        )


class GitSource:
    """A `Source` over a branch or tag."""

    def __init__(self, settings: GitSettings, cache: Path) -> None:
        """`cache` is a directory of our own. Raises `ConfigurationError`."""
        self._settings = settings
        self._access = settings.access()
        name = hashlib.sha256(self._access.url.encode()).hexdigest()[:16]
        self._repository = Repository(
            cache / f"git-{name}", deadline_s=settings.deadline_s, max_bytes=settings.max_bytes
        )
        ref = hashlib.sha256(settings.ref.encode()).hexdigest()[:16]
        self._accepted = f"refs/countersign/accepted/{ref}"

    @property
    def origin(self) -> str:
        folder = f" in {self._settings.path}" if self._settings.path else ""
        return f"git {self._access.url} {self._settings.ref}{folder}"

    def fetch(self, known: str) -> Snapshot | None:
        """See `Source`."""
        try:
            self._repository.prepare()
            name, object_id = self._tip()
            if self._repository.find(object_id) == known != "":
                return None
            self._repository.fetch(self._access, name, _FETCHED)
            commit = self._repository.commit(_FETCHED)
        except ProgramError as error:
            raise self._unreachable(str(error)) from None
        except OSError as error:
            raise self._unreachable(f"git cannot be run: {error.strerror}") from error
        if commit == known:
            return None
        try:
            return self._judged(commit)
        except (ProgramError, OSError) as error:
            raise self._refused(commit, f"cannot be read: {error}") from None

    def accept(self, snapshot: Snapshot) -> None:
        """See `Source`. An older one, rolled back to, does not open the way for another history."""
        try:
            earlier = self._repository.find(self._accepted)
            commit = self._repository.find(snapshot.revision)
            if not commit:
                return
            older = bool(earlier) and self._repository.descends(earlier, commit)
            if older and not self._settings.allow_rewrite:
                return
            self._repository.point(self._accepted, commit)
        except (ProgramError, OSError) as error:
            raise self._unreachable(f"the accepted commit cannot be noted: {error}") from None

    def kept(self) -> Snapshot | None:
        """See `Source`: nothing; whoever keeps it stands around this one."""
        return None

    def again(self, version: str, evidence: bytes) -> Snapshot:
        """See `Remote`: from the cache, each object of which is held against its name first."""
        del evidence
        try:
            self._repository.prepare()
            self._repository.check()
            if not self._repository.find(version):
                raise self._refused(version, "is not in the cache any more")
            return self._read(version, self._signed(version, ""))
        except (ProgramError, OSError) as error:
            raise self._refused(version, f"cannot be read from the cache: {error}") from None

    def recall(self, version: str, evidence: bytes) -> None:
        """See `Remote`: nothing, since the cache has the accepted commit."""

    def _tip(self) -> tuple[str, str]:
        """The full name of the ref, and the object that it is now."""
        ref = self._settings.ref
        names = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        found = self._repository.advertised(self._access, names)
        if not found:
            raise self._unreachable(f"there is no branch or tag {ref}")
        if len(found) > 1:
            raise self._unreachable(f"{ref} is a branch and a tag; give policy.git.ref in full")
        return next(iter(found.items()))

    def _judged(self, commit: str) -> Snapshot:
        earlier = self._repository.find(self._accepted)
        if earlier and not self._settings.allow_rewrite:
            self._require_later(commit, earlier)
        return self._read(commit, self._signed(commit, earlier))

    def _read(self, commit: str, signed_by: str) -> Snapshot:
        return Snapshot(
            files=self._files(commit),
            revision=commit,
            version=commit,
            origin=self.origin,
            signed_by=signed_by,
        )

    def _require_later(self, commit: str, earlier: str) -> None:
        if self._repository.descends(commit, earlier):
            return
        raise ConfigurationError(
            "policy.history_rewritten",
            f"{self.origin} is at {commit}, whose history does not hold {earlier}, accepted before",
            advice="Put the branch back, or merge what was accepted into it. If the rewrite is "
            "meant, start once with policy.git.allow_rewrite = true.",
        )

    def _signed(self, commit: str, earlier: str) -> str:
        """Who signed the tip; empty when nobody has to."""
        signers = self._settings.signers
        if signers is None:
            return ""
        _read_signers(signers)
        commits = [commit]
        if self._settings.history is History.EVERY and earlier:
            commits = self._repository.between(earlier, commit, at_most=MAX_COMMITS + 1) or commits
            if len(commits) > MAX_COMMITS:
                raise self._refused(commit, f"has more than {MAX_COMMITS} commits since {earlier}")
        name = ""
        for each in commits:
            try:
                name = self._repository.signer(each, signers)
            except ProgramError as error:
                where = f"commit {each} of {self.origin}"
                raise ConfigurationError(
                    "policy.signature_invalid",
                    f"{where} is not signed by anybody in {signers}: {error}",
                    advice="Sign it (git commit --amend -S, with gpg.format=ssh) and push it, or "
                    "add the signer's key to that file.",
                ) from None
        return name

    def _files(self, commit: str) -> dict[PurePosixPath, bytes]:
        try:
            entries = self._repository.entries(commit, self._settings.path)
        except ProgramError as error:
            if not self._settings.path:
                raise
            raise self._refused(
                commit, f"has no folder {self._settings.path}: {error}; see policy.git.path"
            ) from None
        wanted = [entry for entry in entries if self._wanted(commit, entry)]
        if len(wanted) > MAX_FILES or sum(entry.size for entry in wanted) > MAX_TREE_BYTES:
            limits = f"{MAX_FILES} files or {MAX_TREE_BYTES} bytes"
            raise self._refused(commit, f"has more than {limits} of policy")
        if not any(entry.path.suffix == ".rego" for entry in wanted):
            raise self._refused(commit, "has no Rego file; does policy.git.path name its folder?")
        return self._repository.contents(wanted)

    def _wanted(self, commit: str, entry: Entry) -> bool:
        if entry.plain:
            return is_policy(entry.path)
        if entry.mode == "160000" or is_policy(entry.path):
            raise self._refused(
                commit, f"has a link or another repository at {_shown(entry.path)}; give the files"
            )
        return False

    def _refused(self, commit: str, problem: str) -> ConfigurationError:
        return ConfigurationError(
            "policy.unreadable",
            f"commit {commit} of {self.origin} {problem}",
            advice="Correct it in a later commit, or policy.git.path if that is wrong; "
            "the active policy is untouched.",
        )

    def _unreachable(self, problem: str) -> ConfigurationError:
        return ConfigurationError(
            "policy.unreachable",
            f"{self.origin}: {problem}",
            advice="See that policy.git.url and ref name it, that its server answers, and that "
            "the credentials named under [policy.git] may read it.",
        )


def _address(url: str, base: Path) -> tuple[str, str]:
    """The address for git, and what kind of transport it is. Raises `ConfigurationError`."""
    if _SCP.fullmatch(url):
        return url, "ssh"
    if "://" not in url and "::" not in url and url and not url.startswith("-"):
        return str((base / url).absolute()), "file"
    parts = urlsplit(url)
    if parts.scheme in ("https", "http"):
        problem = url_problem(url)
        if problem or parts.query:
            raise _wrong(f"url {problem or 'must have no query'}; a token goes into token")
        return url, "https"
    plain = re.fullmatch(r"[!-~]+", url) and not parts.query and not parts.fragment
    host = parts.hostname or ""
    if parts.scheme == "ssh" and plain and host and not host.startswith("-"):
        if parts.password is None:
            return url, "ssh"
        raise _wrong("url must hold no password; ssh uses ssh_key")
    raise _wrong("url is none of https://host/repo.git, ssh://user@host/repo.git, and a path here")


def _read_signers(path: Path) -> bytes:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _wrong(f"signers: {path} cannot be read: {error.strerror}") from None
    if not text.strip():
        raise _wrong(f"signers: {path} is empty: nobody could sign")
    return text


def _shown(path: PurePosixPath) -> str:
    return ascii(str(path))[:200]


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError(
        "policy.source_invalid",
        f"policy.git.{problem}",
        advice="docs/reference/policy-sources.md has an example of each.",
    )
