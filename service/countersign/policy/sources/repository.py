"""A private bare git repository into which a source fetches, and from which it reads.

The real git does the work, and does nothing but that: no hooks, submodules, filters,
checkouts, replaced objects, helpers, prompts or settings of this machine; only the
transport of the address, no redirect, every object checked as it arrives. Files
are read as git has them. Blocking; the caller wraps `ProgramError`.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import fcntl
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from countersign.policy.sources.cache import make_private
from countersign.policy.sources.program import ProgramError, run

MAX_FILES: Final = 10_000
MAX_TREE_BYTES: Final = 64 << 20
_PATH: Final = f"/usr/local/bin:{os.defpath}"
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.followRedirects=false",
    "http.proxy=",
    # Ended by the deadline as a rule; by these where this process is gone before it.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "protocol.version=2",
    "gpg.program=/bin/false",
    "gpg.openpgp.program=/bin/false",
    "gpg.x509.program=/bin/false",
    "gpg.format=ssh",
    "gpg.minTrustLevel=fully",
)
_OF_A_REPOSITORY: Final = ("HEAD", "config", "objects", "refs")
_ID: Final = re.compile(r"[0-9a-f]{40,64}")
_PLAIN: Final = frozenset({"100644", "100755"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a remote repository is reached."""

    url: str
    transport: str
    """What git calls it: `https`, `ssh`, `file`."""
    user: str = ""
    token: Callable[[], str] | None = None
    ca: Path | None = None
    ssh_key: Path | None = None
    known_hosts: Path | None = None

    def environment(self) -> dict[str, str]:
        """The variables that git needs to reach it. A token is in no command line."""
        found = {"GIT_ALLOW_PROTOCOL": self.transport}
        if self.transport == "ssh":
            found["GIT_SSH_COMMAND"] = self._ssh()
        if self.ca is not None:
            found["GIT_SSL_CAINFO"] = str(self.ca)
        if self.token is not None:
            said = base64.b64encode(f"{self.user}:{self.token()}".encode()).decode()
            found |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {said}",
            }
        return found

    def _ssh(self) -> str:
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no"]
        options += ["ConnectTimeout=30", "ServerAliveInterval=15"]
        if self.known_hosts is not None:
            options += [f"UserKnownHostsFile={_quoted(self.known_hosts)}"]
            options += ["GlobalKnownHostsFile=/dev/null"]
        if self.ssh_key is not None:
            options += ["IdentitiesOnly=yes", f"IdentityFile={_quoted(self.ssh_key)}"]
        return shlex.join(["ssh", "-F", "/dev/null", *(f"-o{option}" for option in options)])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a tree."""

    path: PurePosixPath
    mode: str
    object_id: str
    size: int

    @property
    def plain(self) -> bool:
        """Whether it is a file: no link, no other repository."""
        return self.mode in _PLAIN


class Repository:
    """The cache of one remote. Whatever is in it came through `fetch`."""

    def __init__(self, directory: Path, *, deadline_s: float, max_bytes: int) -> None:
        self._directory = directory
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes

    def prepare(self) -> None:
        """Make it unless it is there. Raises `ProgramError`, `OSError`, `ConfigurationError`."""
        make_private(self._directory.parent)
        make_private(self._directory)
        if not all((self._directory / name).exists() for name in _OF_A_REPOSITORY):
            with self._alone():
                self._git("init", "--quiet", "--bare", "--template=", ".")

    def advertised(self, access: Access, names: Sequence[str]) -> dict[str, str]:
        """What the remote has under these full names: their objects."""
        told = self._git("ls-remote", "--quiet", "--", access.url, *names, access=access)
        lines = (line.split("\t") for line in told.decode("utf-8", "replace").splitlines())
        found = {line[1]: line[0] for line in lines if len(line) == 2 and _ID.fullmatch(line[0])}
        return {name: found[name] for name in names if name in found}

    def fetch(self, access: Access, name: str, target: str) -> None:
        """Take what the remote has under a full name, with its history, as `target`."""
        arguments = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
        with self._alone():
            self._clear()
            try:
                self._git("fetch", *arguments, "--", access.url, f"+{name}:{target}", access=access)
            finally:
                self._clear()

    def commit(self, name: str) -> str:
        """The commit that a name or object leads to. Raises `ProgramError` if there is none."""
        told = self._git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
        return told.decode("ascii").strip()

    def find(self, name: str) -> str:
        """The same; empty if there is none."""
        try:
            return self.commit(name)
        except ProgramError:
            return ""

    def point(self, name: str, commit: str) -> None:
        """Make a reference of our own name a commit."""
        self._git("update-ref", name, commit)

    def check(self) -> None:
        """See that every object here is what its name says. Raises `ProgramError`."""
        self._git("fsck", "--full", "--no-dangling", "--no-progress")

    def descends(self, commit: str, earlier: str) -> bool:
        """Whether a commit has an earlier one in its history."""
        return not self._git("rev-list", "--max-count=1", earlier, f"^{commit}", "--").strip()

    def between(self, earlier: str, commit: str, *, at_most: int) -> list[str]:
        """Commits in the history of one and not of the other, oldest first."""
        listed = self._git(
            "rev-list", "--reverse", f"--max-count={at_most}", commit, f"^{earlier}", "--"
        )
        return listed.decode("ascii").split()

    def entries(self, commit: str, folder: str) -> list[Entry]:
        """The files of a commit below a folder, by their paths there.

        Raises `ProgramError` if there is no such folder.
        """
        told = self._git("ls-tree", "-r", "-z", "--long", "--full-tree", f"{commit}:{folder}")
        return [_entry(line) for line in told.split(b"\0") if line]

    def contents(self, entries: Sequence[Entry]) -> dict[PurePosixPath, bytes]:
        """The bytes of files, unfiltered."""
        asked = "".join(f"{entry.object_id}\n" for entry in entries).encode()
        told, at, found = self._git("cat-file", "--batch", asked=asked), 0, {}
        for entry in entries:
            head = told.index(b"\n", at) + 1
            found[entry.path] = told[head : head + entry.size]
            at = head + entry.size + 1
        return found

    def signer(self, commit: str, signers: Path) -> str:
        """Who signed a commit, as the ALLOWED SIGNERS call them. Raises `ProgramError`."""
        settings = ["-c", f"gpg.ssh.allowedSignersFile={signers}"]
        if b"\ngpgsig" not in self._git("cat-file", "commit", commit):
            raise ProgramError("it has no signature")
        self._git("verify-commit", commit, settings=settings)
        told = self._git(
            "log", "--no-walk", "--format=%G?%x00%GS%x00%GF", commit, "--", settings=settings
        )
        verdict, name, key = told.decode("utf-8", "replace").strip("\n").split("\0")
        if verdict != "G":
            raise ProgramError("it is not signed by one of them")
        return f"{name} ({key})"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process fetches into it."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _clear(self) -> None:
        """Remove what a fetch that failed or was killed had begun."""
        for path in (self._directory / "objects").glob("*/tmp_*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def _git(
        self,
        *arguments: str,
        access: Access | None = None,
        settings: Sequence[str] = (),
        asked: bytes = b"",
    ) -> bytes:
        common = [part for setting in _SETTINGS for part in ("-c", setting)]
        return run(
            ["git", *common, *settings, *arguments],
            cwd=self._directory,
            environment={**self._environment(), **(access.environment() if access else {})},
            deadline_s=self._deadline_s,
            max_bytes=self._max_bytes,
            asked=asked,
        )

    def _environment(self) -> Mapping[str, str]:
        return {
            "PATH": _PATH,
            "LC_ALL": "C",
            "HOME": "/nonexistent",
            "GIT_DIR": str(self._directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "none",
        }


def _entry(line: bytes) -> Entry:
    head, _, name = line.partition(b"\t")
    mode, _, object_id, size = head.decode("ascii").split()
    return Entry(
        path=PurePosixPath(os.fsdecode(name)),
        mode=mode,
        object_id=object_id,
        size=int(size) if size.isdigit() else 0,
    )


def _quoted(path: Path) -> str:
    """A path as ssh reads it in an option: spaces part words there, and % begins a token."""
    return f'"{path}"'.replace("%", "%%")
