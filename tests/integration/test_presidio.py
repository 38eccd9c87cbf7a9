"""Real Presidio in its child: what it finds, what it may not do, what becomes of it."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import presidio_world
from countersign.errors import ConfigurationError
from countersign.recognizers import Pool, Settings
from countersign.sanitize import Sanitizer

ROOT = Path(__file__).parents[2]
SLOW = "x" * 4000
"""Takes the pattern `(x+x+)+y` longer than anybody lives."""
PATTERNS = ("ZIP_CODE", "PROJECT", "EMAIL_ADDRESS", "SLOW")


@pytest.fixture(scope="module")
def modelled(tmp_path_factory):
    directory = tmp_path_factory.mktemp("model")
    presidio_world.trained(directory)
    return presidio_world.written(directory, presidio_world.MODEL)


@pytest.fixture
def patterns(tmp_path):
    return presidio_world.written(tmp_path, presidio_world.REGISTRY)


class Asking:
    """A pool for one test, and what it was told of each question."""

    def __init__(self, file: Path, entities=PATTERNS, **settings) -> None:
        self.outcomes: list[str] = []
        self._settings = Settings(file=file, entities=tuple(entities), **settings)

    async def __aenter__(self) -> Pool:
        self.pool = await Pool.start(self._settings, on_asked=self.outcomes.append)
        return self.pool

    async def __aexit__(self, *_error) -> None:
        await self.pool.stop()


async def until(true) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - another process gets there
            await asyncio.sleep(0.01)


def found(answer):
    """As text and rule."""
    return {
        text: [(text.encode()[span.start : span.end].decode(), span.rule) for span in spans]
        for text, spans in answer.items()
    }


# --- what it finds --------------------------------------------------------------------


async def test_a_model_given_by_path_finds_a_name_it_never_saw(modelled):
    texts = ["gorsachius asked for the export", "restart the service on monday"]
    async with Asking(modelled, ["PERSON"], deadline_s=5) as pool:
        first, second = found(await pool.recognize(texts)).values()
        assert ("gorsachius", "presidio.PERSON") in first
        assert second == []
        own = Sanitizer(recognizers=pool.recognizers)
        text = "gorsachius asked for the export"
        shown = own.text(text, await pool.recognize(own.asks_of_text(text)))
        assert shown == "[PERSON] asked for the export"


async def test_patterns_words_and_context_are_as_presidio_users_write_them(patterns):
    texts = ["the zip code is 12345", "there are 12345 rows", "ask Bluebird, ö ada@example.co.uk"]
    async with Asking(patterns, deadline_s=5) as pool:
        answer = found(await pool.recognize(texts))
    assert answer[texts[0]] == [("12345", "presidio.ZIP_CODE")]
    assert answer[texts[1]] == []  # no context word
    assert answer[texts[2]] == [
        ("Bluebird", "presidio.PROJECT"),
        ("ada@example.co.uk", "presidio.EMAIL_ADDRESS"),
    ]


async def test_only_what_is_wanted_is_looked_for(patterns):
    async with Asking(patterns, ["PROJECT"], deadline_s=5) as pool:
        answer = await pool.recognize(["bluebird at ada@example.com"])
        assert found(answer) == {"bluebird at ada@example.com": [("bluebird", "presidio.PROJECT")]}


async def test_the_example_of_the_documentation_works(modelled):
    text = (ROOT / "docs/sanitizer.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(supported_languages.*?)```", text, re.DOTALL)
    (wanted,) = re.findall(r'^entities = (\["PERSON", .*\])$', text, re.MULTILINE)
    file = modelled.with_name("example.yaml")
    file.write_text(example.replace("models/en_core_web_md", "model"), "utf-8")
    texts = ["gorsachius asked for the export", "about Blue Harvest", "NINO AA 12 34 56 C"]
    async with Asking(file, json.loads(wanted), deadline_s=5) as pool:
        answer = found(await pool.recognize(texts))
    assert ("gorsachius", "presidio.PERSON") in answer[texts[0]]
    assert ("Blue Harvest", "presidio.PROJECT") in answer[texts[1]]
    assert ("AA 12 34 56 C", "presidio.UK_NINO") in answer[texts[2]]


# --- who is late ----------------------------------------------------------------------


async def test_a_text_that_takes_too_long_is_not_passed_over(patterns, caplog):
    caplog.set_level(logging.DEBUG)
    asking = Asking(patterns, deadline_s=1)
    async with asking as pool:
        before = pool.pid
        own = Sanitizer(recognizers=pool.recognizers)
        text = f"mail {SLOW} to bluebird"
        assert own.text(text, await pool.recognize([text])) == "[UNEXAMINED]"
        assert asking.outcomes == ["late"]
        await until(lambda: pool.ready and pool.pid != before)
        assert found(await pool.recognize(["bluebird"])) == {
            "bluebird": [("bluebird", "presidio.PROJECT")]
        }
    assert "started anew" in caplog.text
    assert "xxxx" not in caplog.text
    assert "bluebird" not in caplog.text


async def test_half_a_character_costs_nobody_the_child(patterns):
    asking = Asking(patterns, deadline_s=5)
    async with asking as pool:
        before = pool.pid
        text = "x \ud800 \U0001f41f bluebird"
        answer = await pool.recognize([text, "bluebird"])
        (span,) = answer[text]
        assert text.encode("utf-8", "replace")[span.start : span.end] == b"bluebird"
        assert answer["bluebird"]
        assert pool.pid == before


async def test_a_text_on_which_a_recognizer_fails_is_as_if_nobody_had_looked(modelled):
    """spaCy refuses texts of a million characters."""
    async with Asking(modelled, ["PERSON"], deadline_s=10) as pool:
        before = pool.pid
        own = Sanitizer(recognizers=pool.recognizers)
        long = "a " * 600_000
        answer = await pool.recognize([long, "nobody may see this"])
        assert long not in answer
        assert own.text("nobody may see this", answer) == "nobody may see this"
        assert pool.pid == before


async def test_while_there_is_no_child_everybody_is_told_at_once(patterns):
    asking = Asking(patterns, deadline_s=30)
    async with asking as pool:
        waiting = asyncio.create_task(pool.recognize([SLOW]))
        behind = asyncio.create_task(pool.recognize(["bluebird"]))
        await asyncio.sleep(0)
        os.kill(pool.pid, signal.SIGKILL)
        assert await waiting is None
        assert await behind is None
        assert await pool.recognize(["bluebird"]) is None
        assert asking.outcomes == ["down"] * 3
        await until(lambda: pool.ready)
        assert await pool.recognize(["bluebird"])


async def test_whoever_gives_up_waiting_does_not_cost_the_others_their_child(patterns):
    async with Asking(patterns, deadline_s=30) as pool:
        before = pool.pid
        leaving = asyncio.create_task(pool.recognize(["bluebird"]))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await pool.recognize(["bluebird"])
        assert pool.pid == before


async def test_a_stopped_child_is_late_and_a_new_one_comes(patterns):
    asking = Asking(patterns, deadline_s=1)
    async with asking as pool:
        before = pool.pid
        os.kill(before, signal.SIGSTOP)
        assert await pool.recognize(["bluebird"]) is None
        await until(lambda: pool.ready and pool.pid != before)
        assert await pool.recognize(["bluebird"])


async def test_a_file_that_changed_is_not_taken_by_a_new_child(patterns):
    asking = Asking(patterns, deadline_s=5)
    async with asking as pool:
        patterns.write_text(patterns.read_text().replace("bluebird", "blackbird"))
        os.kill(pool.pid, signal.SIGKILL)
        assert await pool.recognize(["bluebird"]) is None
        patterns.write_text(patterns.read_text().replace("blackbird", "bluebird"))
        await until(lambda: pool.ready)
        assert await pool.recognize(["bluebird"])


# --- what it may not do ---------------------------------------------------------------


def open_files(pid):
    return [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]


async def test_nothing_is_fetched_and_nothing_is_written(patterns, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    async with Asking(patterns, deadline_s=5) as pool:
        answer = await pool.recognize(["write to ada@example.co.uk"])
        assert found(answer)["write to ada@example.co.uk"]  # its suffix was known without a fetch
        assert not [each for each in open_files(pool.pid) if each.startswith("socket:")]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.getaddrinfo('example.com', 443)",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "socket.socket().bind(('127.0.0.1', 0))",
    ],
)
def test_whatever_runs_in_the_child_reaches_nobody(attempt):
    program = (
        "import socket, sys\n"
        "from countersign.recognizers import worker\n"
        f"sys.addaudithook(worker._no_network)\n{attempt}\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert "no network here" in ran.stderr


@pytest.mark.parametrize(
    ("text", "entities", "said"),
    [
        (presidio_world.REGISTRY, ["PERSON"], "nothing in the file looks for PERSON"),
        ("x: 1\n", ["PERSON"], "x: unknown key"),
        ("", ["PERSON"], "neither nlp_configuration nor recognizer_registry"),
        (presidio_world.MODEL, ["PERSON"], "model is neither a folder nor installed"),
        (":\n  - [", ["PERSON"], "is no YAML (line"),
        (
            presidio_world.MODEL.replace("name: model", "name: en_core_web_sm"),
            ["PERSON"],
            "en_core_web_sm is neither a folder nor installed; nothing is downloaded",
        ),
        (presidio_world.REGISTRY.replace("EmailR", "NoSuchR"), ["X1"], "NoSuchRecognizer"),
    ],
)
async def test_a_file_that_cannot_work_is_refused_with_the_reason(tmp_path, text, entities, said):
    file = presidio_world.written(tmp_path, text)
    with pytest.raises(ConfigurationError, match="Presidio: ") as refused:
        await Pool.start(Settings(file=file, entities=tuple(entities)))
    assert said in str(refused.value)
    assert "Traceback" not in str(refused.value)


async def test_a_server_that_is_killed_leaves_no_child(patterns, tmp_path):
    """The child ends with the process that made it, even in the middle of a text."""
    program = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from countersign.recognizers import Pool, Settings\n"
        "async def main():\n"
        "    pool = await Pool.start(\n"
        "        Settings(file=Path(sys.argv[1]), entities=('SLOW',), deadline_s=10))\n"
        "    print(pool.pid, flush=True)\n"
        "    await pool.recognize(['x' * 4000])\n"
        "asyncio.run(main())\n"
    )
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(patterns), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    child = int(await server.stdout.readline())
    server.kill()
    await server.wait()
    await until(lambda: not Path(f"/proc/{child}").exists() or _is_dead(child))


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
