"""Places that policy comes from, for tests: bundles by real OPA, git repositories, a web server."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import realparts

PATH = f"/usr/local/bin:{os.defpath}"
ALLOW = 'package countersign\n\ndecision := {"effect": "allow"}\n'
DENY = 'package countersign\n\ndecision := {"effect": "deny"}\n'


def written(directory: Path, **files: str) -> Path:
    """A policy with these files; `__` stands for a slash, `_rego` for the ending."""
    for name, text in ({"main_rego": ALLOW} | files).items():
        path = directory / name.replace("__", "/").replace("_rego", ".rego").replace(
            "_json", ".json"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def opa(*arguments: str, cwd: Path) -> None:
    subprocess.run([realparts.opa(), *arguments], cwd=cwd, check=True, env={}, timeout=60)


def bundle(directory: Path, target: Path, *options: str, revision: str = "") -> Path:
    """What `opa build` makes of a directory."""
    named = ["--revision", revision] if revision else []
    opa("build", "--bundle", ".", *named, *options, "--output", str(target), cwd=directory)
    return target


def keys(directory: Path, name: str = "signing") -> tuple[Path, Path]:
    """A private RSA key and its public one; another name is another pair."""
    private, public = directory / f"{name}.pem", directory / f"{name}.pub.pem"
    for path, pem in zip((private, public), _pair(name), strict=True):
        path.write_bytes(pem)
    return private, public


@functools.cache
def _pair(name: str) -> tuple[bytes, bytes]:
    """Made once for each name: it takes a while."""
    openssl = str(realparts.program("openssl", package="openssl"))
    private = subprocess.check_output([openssl, "genrsa", "2048"], stderr=subprocess.DEVNULL)
    return private, subprocess.check_output([openssl, "pkey", "-pubout"], input=private)


def archive(*members: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    """A `.tar.gz` with exactly these entries."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def taken_apart(path: Path) -> dict[str, bytes]:
    """The files of an archive."""
    with tarfile.open(path) as tar:
        return {m.name.lstrip("/"): tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]


class Git:
    """A git repository with people who commit to it, on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.key: Path | None = None
        """Whoever signs the next commits."""
        self("init", "--quiet", "--initial-branch=main")

    def __call__(self, *arguments: str) -> str:
        settings = ["user.name=Ann", "user.email=ann@example.test", "gpg.format=ssh"]
        settings += ["commit.gpgSign=false", "protocol.file.allow=always"]
        options = [part for setting in settings for part in ("-c", setting)]
        return subprocess.run(
            [realparts.program("git", package="git"), *options, *arguments],
            cwd=self.path,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": PATH,
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
            },
        ).stdout.strip()

    def commit(self, message: str = "change", **files: str) -> str:
        """Write files (see `written`), commit all, and return the commit."""
        written(self.path, **files)
        self("add", "--all")
        signing = [f"-S{self.key}"] if self.key else []
        self("commit", "--quiet", "--allow-empty", *signing, "-m", message)
        return self.head

    @property
    def head(self) -> str:
        return self("rev-parse", "HEAD")


def ssh_key(directory: Path, name: str) -> Path:
    """A private ssh key; its public one has `.pub` behind."""
    keygen = str(realparts.program("ssh-keygen", package="openssh-client"))
    path = directory / name
    command = [keygen, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


def allowed(path: Path, **people: Path) -> Path:
    """An ALLOWED SIGNERS file of names and their keys."""
    lines = []
    for name, key in people.items():
        kind, text, *_ = key.with_name(f"{key.name}.pub").read_text().split()
        lines.append(f'{name}@example.test namespaces="git" {kind} {text}\n')
    path.write_text("".join(lines))
    return path


class Web:
    """A real HTTP server on loopback. `answer` makes each answer, and may be replaced."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.body = b""
        self.tag = ""
        self.answer: Callable[[BaseHTTPRequestHandler], None] = self.serve

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """The body, or 304 to whoever has its tag."""
        if self.tag and request.headers.get("If-None-Match") == self.tag:
            request.send_response(304)
            request.end_headers()
            return
        request.send_response(200)
        if self.tag:
            request.send_header("ETag", self.tag)
        request.send_header("Content-Length", str(len(self.body)))
        request.end_headers()
        request.wfile.write(self.body)

    @contextlib.contextmanager
    def running(self, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.requests.append((self.path, dict(self.headers)))
                with contextlib.suppress(OSError):  # whoever asked has gone
                    web.answer(self)

            do_POST = do_GET  # noqa: N815 - the name that its base asks for

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
