"""How the client behaves towards servers that are not quite OPA.

The server here is a script: for each connection, what to answer to each
request. It speaks over a real Unix socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import PolicyError
from countersign.policy.client import OpaClient, value_of
from countersign.policy.wire import Answer

SECRET = "kim@example.org"
INPUT = b'{"context":"kim@example.org"}'
CLOSE = object()
SILENCE = object()
HELD = object()


def answer(body: bytes, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


ALLOW = answer(b'{"result":{"effect":"allow"}}')


class Script:
    """Each connection follows the next list of steps, the last list for ever."""

    def __init__(self, *connections):
        self.connections = list(connections)
        self.requests: list[bytes] = []
        self.accepted = 0
        self.silent = asyncio.Event()
        self.release = asyncio.Event()
        self.lost = asyncio.Event()
        self.ended = asyncio.Event()

    async def serve(self, reader, writer):
        steps = self.connections[min(self.accepted, len(self.connections) - 1)]
        self.accepted += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for step in steps:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                self.requests.append(await reader.readexactly(length))
                if step is HELD:
                    self.silent.set()
                    await self.release.wait()
                    writer.write(ALLOW)
                elif step is SILENCE:
                    self.silent.set()
                    await reader.read()
                    self.lost.set()
                elif step is not CLOSE:
                    writer.write(step)
        self.ended.set()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def client_of(script: Script, *, max_connections: int = 4):
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "s"))
        server = await asyncio.start_unix_server(script.serve, path)
        client = OpaClient(path, max_connections=max_connections)
        try:
            yield client
        finally:
            client.close()
            server.close()


async def refusal(client: OpaClient, deadline_s: float = 5) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        await client.decide(INPUT, deadline_s=deadline_s)
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.detail}"
    return caught.value


async def test_input_is_sent_as_it_is_and_the_connection_is_kept():
    script = Script([ALLOW, ALLOW])
    async with client_of(script) as client:
        for _ in range(2):
            assert await client.decide(INPUT, deadline_s=5) == {"effect": "allow"}
    assert script.requests == [b'{"input":{"context":"kim@example.org"}}'] * 2
    assert script.accepted == 1


async def test_a_redirect_is_never_followed():
    script = Script([answer(b"", "307 Temporary Redirect", "Location: http://elsewhere/\r\n")])
    async with client_of(script) as client:
        error = await refusal(client)
    assert error.code == "policy.unavailable"
    assert error.detail == "OPA answered with status 307"
    assert len(script.requests) == 1


async def test_a_connection_closed_while_idle_is_replaced_once():
    script = Script([ALLOW, CLOSE], [ALLOW])
    async with client_of(script) as client:
        for _ in range(2):
            assert await client.decide(INPUT, deadline_s=5) == {"effect": "allow"}
    assert script.accepted == 2


async def test_a_fresh_connection_that_closes_is_not_tried_again():
    script = Script([CLOSE])
    async with client_of(script) as client:
        error = await refusal(client)
    assert error.code == "policy.unavailable"
    assert error.retryable
    assert script.accepted == 1


async def test_an_answer_that_broke_off_is_not_asked_for_again():
    script = Script([ALLOW, ALLOW[:20]], [ALLOW])
    async with client_of(script) as client:
        await client.decide(INPUT, deadline_s=5)
        # The script ends after its last step, so the connection ends inside the answer.
        error = await refusal(client)
    assert error.detail == "the connection to OPA broke within an answer"
    assert len(script.requests) == 2


async def test_the_deadline_closes_the_connection():
    script = Script([SILENCE])
    async with client_of(script) as client:
        error = await refusal(client, deadline_s=0.05)
        await asyncio.wait_for(script.lost.wait(), 5)
    assert (error.code, error.retryable) == ("policy.unavailable", True)
    assert error.detail == "OPA did not answer by the deadline"


async def test_whoever_gives_up_closes_the_connection_and_frees_its_slot():
    script = Script([SILENCE], [ALLOW])
    async with client_of(script, max_connections=1) as client:
        asking = asyncio.create_task(client.decide(INPUT, deadline_s=60))
        await asyncio.wait_for(script.silent.wait(), 5)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(script.lost.wait(), 5)
        assert await client.decide(INPUT, deadline_s=5) == {"effect": "allow"}


async def test_waiting_for_a_busy_connection_ends_at_the_deadline():
    script = Script([SILENCE])
    async with client_of(script, max_connections=1) as client:
        first = asyncio.create_task(client.decide(INPUT, deadline_s=60))
        await asyncio.wait_for(script.silent.wait(), 5)
        error = await refusal(client, deadline_s=0.05)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert error.detail == "all connections to OPA were busy until the deadline"


async def test_probes_do_not_wait_for_a_busy_connection():
    script = Script([SILENCE], [ALLOW])
    async with client_of(script, max_connections=1) as client:
        busy = asyncio.create_task(client.decide(INPUT, deadline_s=60))
        await asyncio.wait_for(script.silent.wait(), 5)
        assert await client.healthy(deadline_s=5)
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


async def test_a_closed_client_finishes_what_it_was_asked_and_keeps_no_connection():
    script = Script([HELD, SILENCE])
    async with client_of(script) as client:
        asking = asyncio.create_task(client.decide(INPUT, deadline_s=60))
        await asyncio.wait_for(script.silent.wait(), 5)
        client.close()
        script.release.set()
        assert await asking == {"effect": "allow"}
        await client.drain(deadline_s=5)
        await asyncio.wait_for(script.ended.wait(), 5)


async def test_an_answer_beyond_the_bound_is_refused():
    script = Script([answer(b" " * (1024 * 1024 + 1))])
    async with client_of(script) as client:
        error = await refusal(client)
    assert error.detail == "OPA's answer is not the HTTP we know: the body is too long"


async def test_bytes_nobody_asked_for_end_the_connection():
    script = Script([ALLOW + ALLOW], [ALLOW])
    async with client_of(script) as client:
        error = await refusal(client)
        assert error.code == "policy.unavailable"
        assert await client.decide(INPUT, deadline_s=5) == {"effect": "allow"}


async def test_nobody_listening_is_unavailable_at_once():
    client = OpaClient("/nonexistent/socket", max_connections=1)
    error = await refusal(client, deadline_s=60)
    assert (error.code, error.detail) == ("policy.unavailable", "OPA is not listening")
    assert not await client.healthy(deadline_s=60)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_an_answer_that_is_no_object_is_unavailable(body):
    with pytest.raises(PolicyError) as caught:
        value_of(Answer(status=200, body=body, reusable=True))
    assert caught.value.code == "policy.unavailable"
    assert caught.value.__context__ is None, "a chained JSONDecodeError would hold the answer"


def test_no_result_is_undefined():
    with pytest.raises(PolicyError) as caught:
        value_of(Answer(status=200, body=b"{}", reusable=True))
    assert (caught.value.code, caught.value.retryable) == ("policy.undefined", False)


def test_a_conflict_is_told_by_code_and_place_without_the_values_opa_quotes():
    body = {
        "code": "internal_error",
        "errors": [
            {
                "code": "eval_conflict_error",
                "message": f"rule produced conflicting values: {SECRET}",
                "location": {"file": "/export.rego", "row": 8, "col": 1},
            }
        ],
    }
    with pytest.raises(PolicyError) as caught:
        value_of(Answer(status=500, body=json.dumps(body).encode(), reusable=True))
    assert (caught.value.code, caught.value.retryable) == ("policy.invalid", False)
    assert caught.value.detail == (
        "export.rego:8: eval_conflict_error: two rules gave different values"
    )


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"errors":3}', b'{"errors":[{"code":"eval_cancel_error"}]}', b'{"errors":[1]}'],
)
def test_a_fault_of_opa_itself_may_be_retried(body):
    with pytest.raises(PolicyError) as caught:
        value_of(Answer(status=500, body=body, reusable=True))
    assert (caught.value.code, caught.value.retryable) == ("policy.unavailable", True)


@given(status=st.sampled_from([200, 307, 400, 500]), body=st.binary(max_size=200))
def test_any_body_is_a_value_or_a_typed_refusal(status, body):
    with contextlib.suppress(PolicyError):
        value_of(Answer(status=status, body=body, reusable=True))
