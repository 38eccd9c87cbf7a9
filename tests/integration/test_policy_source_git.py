"""A branch or tag by real git: what is read, what is run, and which history is believed."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
from pathlib import Path

import pytest

import realparts
from countersign.errors import ConfigurationError
from countersign.policy.bundle import build
from countersign.policy.sources.git import GitSettings, GitSource
from policy_places import DENY, PATH, Git, Web

TOKEN = "s3cr3t-t0ken"


@pytest.fixture
def git(tmp_path):
    return Git(tmp_path / "repo")


@pytest.fixture
def at(git, tmp_path):
    """The source of that repository; another one with the same cache each time."""

    def made(cache: str = "cache", **settings) -> GitSource:
        given = {"url": str(git.path), "ref": "main", "base": tmp_path} | settings
        return GitSource(GitSettings(**given), tmp_path / cache)

    return made


def refused(source: GitSource, known: str = "") -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        source.fetch(known)
    assert caught.value.advice
    assert TOKEN not in str(caught.value)
    return caught.value


def test_a_commit_is_the_revision_and_its_folder_the_policy(git, at):
    commit = git.commit(
        prod__main_rego=DENY,
        prod__main_test_rego="package countersign_test\n",
        prod__main_cases_yaml="",
        prod__a__data_json="{}",
        staging__x_rego="package x\n",
    )
    git.path.joinpath("prod", "notes.md").write_text("words")
    source = at(path="prod")
    snapshot = source.fetch("")
    assert (snapshot.revision, snapshot.version, snapshot.signed_by) == (commit, commit, "")
    named = {"main.rego", "main_test.rego", "a/data.json"}
    assert {str(path) for path in snapshot.files} == named
    assert snapshot.origin == f"git {git.path} main in prod"
    assert build(realparts.opa(), snapshot).revision == commit
    assert source.fetch(commit) is None


def test_a_new_commit_is_found_and_only_that(git, at):
    first = git.commit()
    source = at()
    source.accept(source.fetch(""))
    second = git.commit(main_rego=DENY)
    found = source.fetch(first)
    assert found.revision == second
    assert DENY.encode() in found.files.values()
    git("checkout", "--quiet", "-b", "other")
    git.commit("elsewhere")
    assert source.fetch(second) is None


def test_a_tag_is_followed_to_its_commit(git, at):
    first = git.commit()
    git("tag", "--annotate", "-m", "first", "v1")
    git.commit(main_rego=DENY)
    source = at(ref="v1")
    assert source.fetch("").revision == first
    assert source.fetch(first) is None
    assert at(ref="refs/tags/v1").fetch("").revision == first


def test_a_name_of_a_branch_and_a_tag_must_be_given_in_full(git, at):
    git.commit()
    git("tag", "main")
    assert "in full" in refused(at()).message
    assert at(ref="refs/heads/main").fetch("")
    assert "no branch or tag" in refused(at(ref="gone")).message


# --- history ---


def test_a_branch_that_lost_what_was_accepted_is_refused(git, at):
    old = git.commit()
    accepted = git.commit(main_rego=DENY)
    source = at()
    source.accept(source.fetch(""))
    git("reset", "--quiet", "--hard", old)
    error = refused(source, accepted)
    assert error.code == "policy.history_rewritten"
    assert old in error.message
    assert accepted in error.message
    other = git.commit("another history")
    assert other in refused(source, accepted).message
    assert refused(at()).code == "policy.history_rewritten"  # after a restart, too
    git("reset", "--quiet", "--hard", accepted)
    later = git.commit()
    assert at().fetch("").revision == later


def test_a_rewrite_that_is_meant_becomes_what_is_accepted(git, at):
    old = git.commit()
    git.commit(main_rego=DENY)
    source = at()
    source.accept(source.fetch(""))
    git("reset", "--quiet", "--hard", old)
    once = at(allow_rewrite=True)
    once.accept(once.fetch(""))
    assert at().fetch("").revision == old


def test_rolling_back_here_opens_no_way_for_another_history(git, at):
    source = at()
    git.commit()
    first = source.fetch("")
    source.accept(first)
    git.commit(main_rego=DENY)
    source.accept(source.fetch(first.version))
    source.accept(first)  # an operator rolls back
    git("reset", "--quiet", "--hard", first.revision)
    git.commit("another history")
    assert refused(source).code == "policy.history_rewritten"


def test_another_ref_has_a_history_of_its_own(git, at):
    git.commit()
    git("tag", "v1")
    git.commit(main_rego=DENY)
    source = at()
    source.accept(source.fetch(""))
    assert at(ref="v1").fetch("")


# --- what a repository cannot do ---


def test_nothing_in_the_repository_or_around_it_is_run(git, at, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch {ran}\n"
    home = tmp_path / "home"
    home.mkdir()
    (home / "hook").write_text(script)
    (home / "hook").chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {home}\n\tfsmonitor = {home}/hook\n"
        f'[filter "x"]\n\tsmudge = {home}/hook\n\tprocess = {home}/hook\n'
        f"[credential]\n\thelper = {home}/hook\n"
    )
    for name in ("post-checkout", "reference-transaction", "post-update", "pre-auto-gc"):
        os.link(home / "hook", home / name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(home))
    git.path.joinpath(".gitattributes").write_text("*.rego filter=x export-ignore ident\n")
    git.commit(main_rego="# $Id$\n" + DENY)
    snapshot = at().fetch("")
    assert b"# $Id$" in next(iter(snapshot.files.values()))
    assert not ran.exists()


@pytest.mark.parametrize("name", ["extra.rego", "data.json"])
def test_a_link_in_the_place_of_a_rule_is_refused(git, at, name):
    git.commit()
    git.path.joinpath(name).symlink_to("/etc/passwd")
    git.commit()
    assert name in refused(at()).message


def test_a_link_to_something_else_is_no_part_of_a_policy(git, at):
    git.path.joinpath("README").symlink_to("/etc/passwd")
    git.commit()
    assert {str(path) for path in at().fetch("").files} == {"main.rego"}


def test_another_repository_inside_is_refused_and_not_fetched(git, at, tmp_path):
    inner = Git(tmp_path / "inner")
    inner.commit()
    git.commit()
    git("submodule", "--quiet", "add", str(inner.path), "vendored")
    git.commit()
    error = refused(at())
    assert "another repository" in error.message
    assert "vendored" in error.message


def test_a_folder_that_is_not_there_or_has_no_rego_is_named(git, at):
    git.commit(empty__data_json="{}")
    assert "no Rego" in refused(at(path="empty")).message
    error = refused(at(path="gone"))
    assert error.code == "policy.unreadable"
    assert git.head in error.message
    assert "has no folder gone: " in error.message
    assert "policy.git.path" in error.advice


def test_a_tree_without_bound_is_not_read(git, at, monkeypatch):
    git.commit(a__x_rego="package a\n", b__x_rego="package b\n")
    from countersign.policy.sources import git as module

    for name in ("MAX_FILES", "MAX_TREE_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, 2)
            assert "more than" in refused(at()).message
    assert at().fetch("")


def test_a_repository_without_bound_is_not_fetched(git, at, tmp_path):
    git.path.joinpath("large.bin").write_bytes(os.urandom(3 << 20))
    git.commit()
    assert "wrote more than 1048576 bytes" in refused(at(max_bytes=1 << 20)).message
    left = [path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert max(left) < 10_000
    assert at(max_bytes=8 << 20).fetch("")


def test_what_a_killed_run_left_is_cleared_away(git, at, tmp_path):
    git.commit()
    assert at().fetch("")
    [pack] = (tmp_path / "cache").glob("git-*/objects/pack")
    (pack / "tmp_pack_x").write_bytes(b"half")
    git.commit(main_rego=DENY)
    assert at().fetch("")
    assert list(pack.glob("tmp_*")) == []


def test_others_can_put_nothing_into_the_cache(git, at, tmp_path):
    git.commit()
    assert at().fetch("")
    [cached] = (tmp_path / "cache").iterdir()
    for folder in (tmp_path / "cache", cached):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder.chmod(0o720)
        assert refused(at()).code == "policy.cache_invalid"
        folder.chmod(0o700)


def test_a_cache_that_was_begun_is_gone_on_with(git, at, tmp_path):
    commit = git.commit()
    assert at().fetch("")
    [cached] = (tmp_path / "cache").iterdir()
    (cached / "HEAD").unlink()
    (cached / "config").unlink()
    assert at().fetch("").revision == commit


def test_a_server_that_never_answers_is_given_up(at):
    def wait(request):
        request.rfile.read()  # until whoever asked has gone

    with Web().running() as web:
        web.answer = wait
        assert "did not finish in 0.5 s" in refused(at(url=web.url, deadline_s=0.5)).message


# --- addresses ---


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch ran'",
        "file::/x",
        "--upload-pack=touch ran",
        "-oProxyCommand=touch ran",
        "ssh://-oProxyCommand=x/y",
        "git://host/repo.git",
        "http://host.example/repo.git",
        "ftp://host/repo.git",
        f"https://bob:{TOKEN}@host/repo.git",
        f"https://{TOKEN}@host/repo.git",
        f"https://host/repo.git?token={TOKEN}",
        f"ssh://bob:{TOKEN}@host/repo.git",
        "https://",
        "",
    ],
)
def test_an_address_that_could_run_or_tell_something_is_refused(at, url):
    with pytest.raises(ConfigurationError) as caught:
        at(url=url)
    assert caught.value.code == "policy.source_invalid"
    assert "policy.git.url" in caught.value.message
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        *(
            {"ref": ref}
            for ref in ("", "-x", "--all", "a..b", "a b", "x.lock", "@{1}", "x^", "x:y", "a/")
        ),
        *({"path": path} for path in ("/etc", "../x", "a/../b", "a:b", "a\nb")),
        {"token": lambda: TOKEN},
        {"ca": Path("ca.pem")},
        {"ssh_key": Path("key")},
        {"known_hosts": Path("hosts")},
    ],
)
def test_a_setting_that_will_not_do_is_named(at, settings):
    with pytest.raises(ConfigurationError) as caught:
        at(**settings)
    assert f"policy.git.{next(iter(settings))}" in caught.value.message.replace(
        "token and ca", "token and policy.git.ca"
    ).replace("ssh_key and known_hosts", "ssh_key and policy.git.known_hosts")


@pytest.mark.parametrize("url", ["git@127.0.0.1:repo.git", "ssh://git@127.0.0.1:9/repo.git"])
def test_ssh_asks_nobody_and_trusts_no_unknown_server(at, tmp_path, url):
    realparts.program("ssh", package="openssh-client")
    known = tmp_path / "known hosts"
    known.write_text("")
    source = at(url=url, known_hosts=known, deadline_s=20)
    assert refused(source).code == "policy.unreachable"
    assert source.origin.startswith(f"git {url}")


def test_a_local_path_starts_at_the_settings(git, at, tmp_path):
    git.commit()
    assert at(url="repo").fetch("").origin == f"git {tmp_path}/repo main"


# --- over HTTP, by git's own server ---


def served(git: Git, request) -> None:
    """What `git http-backend` answers; it is a CGI program."""
    backend = Path(git("--exec-path")) / "git-http-backend"
    path, _, query = request.path.partition("?")
    length = int(request.headers.get("Content-Length") or 0)
    done = subprocess.run(
        [str(backend)],
        input=request.rfile.read(length),
        capture_output=True,
        timeout=30,
        check=True,
        env={
            "PATH": PATH,
            "GIT_PROJECT_ROOT": str(git.path.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
        },
    ).stdout
    head, _, body = done.partition(b"\r\n\r\n")
    request.send_response(200)
    for line in head.decode().split("\r\n"):
        request.send_header(*line.split(": ", 1))
    request.end_headers()
    request.wfile.write(body)


def test_over_http_the_token_is_sent_and_stands_nowhere(git, at, tmp_path):
    commit = git.commit()
    said = "Basic " + base64.b64encode(f"robot:{TOKEN}".encode()).decode()

    def answer(request):
        if request.headers.get("Authorization") == said:
            served(git, request)
        else:
            request.send_error(401)

    with Web().running() as web:
        web.answer = answer
        url = f"{web.url}/repo"
        assert at(url=url, user="robot", token=lambda: TOKEN).fetch("").revision == commit
        assert "policy.unreachable" in str(refused(at(url=url, cache="other")))
        wrong = at(url=url, cache="other", token=lambda: "wr0ng-t0ken")
        assert "wr0ng" not in str(refused(wrong))
    for path in (tmp_path / "cache").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_a_redirect_is_not_followed(git, at):
    git.commit()
    with Web().running() as web, Web().running() as other:
        other.answer = lambda request: served(git, request)

        def redirect(request):
            request.send_response(302)
            request.send_header("Location", f"{other.url}{request.path}")
            request.end_headers()

        web.answer = redirect
        refused(at(url=f"{web.url}/repo", token=lambda: TOKEN))
        assert other.requests == []
        assert at(url=f"{other.url}/repo").fetch("")
