"""A bundle from a real web server: what it may answer, and what it may not."""

from __future__ import annotations

import socket
import ssl

import pytest

from certificates import Authority
from countersign.errors import ConfigurationError
from countersign.policy.sources.bundle import BundleSource
from countersign.policy.sources.http import HttpPlace
from policy_places import DENY, Web, bundle, written

TOKEN = "s3cr3t-t0ken"


@pytest.fixture
def web():
    with Web().running() as server:
        yield server


def place(url: str, **options) -> HttpPlace:
    given = {"token": None, "ca": None, "deadline_s": 10, "max_bytes": 1 << 20}
    return HttpPlace(url, **(given | options))


def refused(at: HttpPlace, tag: str = "") -> str:
    with pytest.raises(ConfigurationError) as caught:
        at.get(tag)
    assert caught.value.advice
    assert TOKEN not in str(caught.value)
    return caught.value.message


def test_what_has_not_changed_is_not_sent_again(web, tmp_path):
    policy, path = written(tmp_path / "p"), tmp_path / "b.tar.gz"
    web.body, web.tag = bundle(policy, path, revision="1").read_bytes(), '"one"'
    files = BundleSource(place(f"{web.url}/b.tar.gz"), None)
    first = files.fetch("")
    assert (first.revision, first.origin) == ("1", f"bundle {web.url}/b.tar.gz")
    assert files.fetch(first.version) is None
    assert [headers.get("If-None-Match") for _, headers in web.requests] == [None, '"one"']
    web.body, web.tag = bundle(written(policy, main_rego=DENY), path).read_bytes(), '"two"'
    second = files.fetch(first.version)
    assert second.files != first.files
    # Whoever still knows the first is not told "nothing new" by the tag of the second.
    assert files.fetch(first.version).version == second.version


def test_without_an_etag_the_content_is_compared(web, tmp_path):
    web.body = bundle(written(tmp_path / "p"), tmp_path / "b.tar.gz").read_bytes()
    files = BundleSource(place(web.url), None)
    first = files.fetch("")
    assert files.fetch(first.version) is None
    assert all("If-None-Match" not in headers for _, headers in web.requests)


def test_a_304_that_nobody_asked_for_is_no_answer(web):
    web.answer = lambda request: (request.send_response(304), request.end_headers())
    assert "304" in refused(place(web.url))


def test_a_token_goes_to_the_named_server_and_no_further(web):
    with Web().running() as other:

        def redirect(request):
            request.send_response(302)
            request.send_header("Location", f"{other.url}/elsewhere")
            request.end_headers()

        web.answer = redirect
        assert "redirects" in refused(place(web.url, token=lambda: TOKEN))
        assert [headers["Authorization"] for _, headers in web.requests] == [f"Bearer {TOKEN}"]
        assert other.requests == []


def test_a_token_is_asked_for_each_time(web):
    told = iter(["first", "second"])
    at = place(web.url, token=lambda: next(told))
    at.get("")
    at.get("")
    sent = [headers["Authorization"] for _, headers in web.requests]
    assert sent == ["Bearer first", "Bearer second"]


def test_nothing_of_this_machine_goes_along(web, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login bob password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    place(web.url).get("")
    [(_, headers)] = web.requests
    assert set(headers) == {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}


@pytest.mark.parametrize("status", [204, 206, 401, 403, 404, 500])
def test_any_other_answer_is_named_by_its_number(web, status):
    def answer(request):
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()

    web.answer = answer
    assert str(status) in refused(place(web.url, token=lambda: TOKEN))


def test_one_that_is_too_large_late_or_cut_is_refused(web):
    web.body = bytes(2001)
    assert "max_bytes" in refused(place(web.url, max_bytes=2000))

    def cut(request):
        request.send_response(200)
        request.send_header("Content-Length", "99")
        request.end_headers()
        request.wfile.write(b"half")
        request.close_connection = True

    web.answer = cut
    assert "not whole" in refused(place(web.url))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "within 0.2 s" in refused(place(f"http://127.0.0.1:{port}", deadline_s=0.2))
    assert "cannot be reached" in refused(place(f"http://127.0.0.1:{port}"))


def test_over_tls_only_a_trusted_server_is_heard(tmp_path):
    authority, other = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    certificate, key = authority.issue("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with Web().running(tls) as web:
        web.body = b"bundle"
        assert place(web.url, ca=authority.file).get("").archive == b"bundle"
        for ca in (None, other.file):
            assert "certificate is not trusted" in refused(place(web.url, ca=ca))
        assert len(web.requests) == 1
    (tmp_path / "empty.pem").write_text("no certificate")
    for name in ("empty.pem", "gone.pem"):
        assert "policy.bundle.ca" in refused(place(web.url, ca=tmp_path / name))


@pytest.mark.parametrize(
    "url",
    [
        f"https://bob:{TOKEN}@policy.example/b.tar.gz",
        f"https://{TOKEN}@policy.example/b.tar.gz",
        "http://policy.example/b.tar.gz",
        "ftp://policy.example/b.tar.gz",
        "policy.example/b.tar.gz",
        "https:///b.tar.gz",
        "",
    ],
)
def test_an_address_that_will_not_do_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigurationError) as caught:
        place(url)
    assert caught.value.code == "policy.source_invalid"
    assert "policy.bundle.url" in caught.value.message
    assert TOKEN not in str(caught.value)


def test_a_secret_in_the_query_is_sent_and_never_shown(web):
    at = place(f"{web.url}/b.tar.gz?sig={TOKEN}")
    assert TOKEN not in at.origin
    web.answer = lambda request: request.send_error(403)
    refused(at)
    assert web.requests[0][0] == f"/b.tar.gz?sig={TOKEN}"
