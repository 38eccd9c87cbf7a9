"""The HTTP we speak to OPA, byte by byte and without a socket."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from countersign.policy.wire import Answer, AnswerReader, WireError, get, post, post_head

MOST = 1000


def read(data: bytes, cuts=()) -> Answer | None:
    reader = AnswerReader(MOST)
    answer = None
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        answer = reader.feed(data[start:end])
    return answer


def outcome(data: bytes, cuts=()) -> str:
    try:
        answer = read(data, cuts)
    except WireError:
        return "refused"
    return "incomplete" if answer is None else f"{answer.status} {answer.body!r} {answer.reusable}"


COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: today\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n002\r\nlo\r\n0\r\n\r\n"


def test_requests_have_one_framing():
    assert get("/health") == b"GET /health HTTP/1.1\r\nHost: opa\r\n\r\n"
    assert post(post_head("/x"), b"{}") == (
        b"POST /x HTTP/1.1\r\nHost: opa\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize("data", [COUNTED, CHUNKED])
def test_an_answer_is_the_same_however_it_is_cut(data):
    whole = read(data)
    assert whole == Answer(status=200, body=b"hello", reusable=True)
    for cut in range(1, len(data)):
        assert read(data, [cut]) == whole
    assert read(data, range(1, len(data))) == whole


@pytest.mark.parametrize("data", [COUNTED, CHUNKED])
def test_a_cut_off_answer_is_no_answer(data):
    for end in range(len(data)):
        assert outcome(data[:end]) == "incomplete"


def test_the_body_stays_out_of_what_is_shown():
    assert "hello" not in repr(read(COUNTED))


def test_a_server_that_closes_is_not_asked_again():
    assert outcome(COUNTED.replace(b"Date: today", b"Connection: close")) == "200 b'hello' False"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
        b"x" * 16 * 1024,
    ],
)
def test_anything_else_is_refused(data):
    assert outcome(data) == "refused"


@pytest.mark.parametrize(
    "chunks",
    [
        b"g\r\n",
        b"-1\r\n",
        b"0x1\r\n",
        b"1;x=y\r\n",
        b"\r\n",
        b"0" * 16,
        b"3e9\r\n",
        b"1f4\r\n" + b"x" * 500 + b"\r\n1f5\r\n",
        b"1\r\nxy\r\n",
        b"0\r\nTrailer: 1\r\n\r\n",
        b"0\r\n\r\nmore",
    ],
)
def test_malformed_chunks_are_refused(chunks):
    assert outcome(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) == "refused"


PIECES = (
    *(b"HTTP/1.1 200 OK\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"\r\n", b"\r", b"\n", b"0", b"3", b"0\r\n\r\n", b"abc", b":", b" ", b"\x00", b"f" * 9),
)


@given(
    data=st.binary(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join),
    cuts=st.sets(st.integers(1, 299)),
)
@example(data=CHUNKED + b"\r", cuts={len(CHUNKED)})
def test_arbitrary_bytes_give_an_answer_or_a_refusal_whatever_the_cuts(data, cuts):
    inside = sorted(cut for cut in cuts if cut < len(data))
    assert outcome(data, inside) == outcome(data)
