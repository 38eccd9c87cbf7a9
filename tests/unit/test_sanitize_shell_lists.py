"""Secrets in commands that are lists of words, or that an object holds in parts."""

import contextlib
import json
import time

import pytest

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer, shell_lists
from countersign.sanitize.bounds import TooMuchError
from countersign.sanitize.survey import Survey

SANITIZER = Sanitizer()
SECRET = "hunter2hunter2"
LOGIN = f"bob:{SECRET}"
IN_JSON = '["aaaaa","bbbbb","ccccc"]'


def previewed(arguments):
    context = ActionContext(
        actor=Principal(type="agent", id="a"),
        on_behalf_of=(),
        action="shell.run",
        resource=Resource(type="host", id="h", owner="o", attributes={}),
        environment="test",
        arguments=arguments,
        reason="",
        session="",
    )
    found = SANITIZER.detect(context, known=lambda _: False)
    clean = SANITIZER.clean(context, found, policy_mask=[], tag_key=b"k" * 32)
    assert found.complete
    assert found.guarded == 0
    return clean.context["arguments"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": ["mysql", f"-p{SECRET}", "-P", 3306]},
        {"command": ["curl", "-u", LOGIN, None]},
        {"command": ["mysql", True, 1.5, f"-p{SECRET}"]},
        {"command": ["curl", ["-u", LOGIN]]},
        {"cmd": [["curl", "-u", LOGIN], ["ls"]]},
        {"commands": [["redis-cli", "-a", SECRET], "ls"]},
        {"script": ["curl", "-u", LOGIN]},
        {"run": ["curl", "-u", LOGIN]},
        {"steps": [["/usr/bin/sshpass", "-p", SECRET, "ssh", "h"]]},
        {"steps": {"one": {"two": ["docker", "exec", "db", "mysql", f"-p{SECRET}"]}}},
        {"steps": ["vault", "kv", "put", "secret/mysql", f"any={SECRET}"]},
        {"columns": ["a"], "rows": [["mysql", f"-p{SECRET}"]]},
        {"x": ["fetch", "--user", LOGIN]},
        {"x": ["http", "--auth", LOGIN]},
        {"x": ["C:\\bin\\MySQL.exe", f"-p{SECRET}"]},
        {"command": ["mysql -u root", f"-p{SECRET}"]},
        {"command": ["curl -u", LOGIN]},
        {"command": json.dumps(["curl", "-u", LOGIN])},
        {"command": json.dumps({"command": ["mysql"], "args": [f"-p{SECRET}"]})},
        {"command": ["mysql"], "args": [f"-p{SECRET}"]},
        {"args": [f"-p{SECRET}"], "command": ["sudo", "mysql"]},
        {"command": "curl", "args": ["-u", LOGIN]},
        {"command": "curl", "args": [["-u", LOGIN]]},
        {"command": "cd /x && curl", "args": ["-u", LOGIN]},
        {"command": "docker exec db mysql", "args": [f"-p{SECRET}"]},
        {"command": "curl", "args": json.dumps(["-u", LOGIN])},
        {"command": "mysql", "args": f"-p{SECRET} db"},
        {"command": "curl", "args": {"-u": LOGIN}},
        {"command": "mysql", "a": "curl", "b": "redis-cli", "args": [f"-p{SECRET}"]},
        {"entrypoint": ["mysql"], "command": [f"-p{SECRET}"]},
        {"Entrypoint": ["sh"], "Cmd": ["mysql", f"-p{SECRET}"]},
        {"path": "/usr/bin/mysql", "options": [f"-p{SECRET}"]},
        {"path": "mysql", "options": f"-p{SECRET}"},
        {"spec": {"containers": [{"command": ["mysql"], "args": ["-h", "db", f"-p{SECRET}"]}]}},
        {"command": ["curl", "-u", LOGIN, "-d", IN_JSON, "https://h.example/x"]},
        {"command": ["curl", "-u", LOGIN, "-d", '{"rows":["aaaaa","bbbbb","ccccc"]}']},
        {"command": ["mysql", f"-p{SECRET}", "-e", IN_JSON]},
        {"command": ["sshpass", "-p", SECRET, IN_JSON, IN_JSON]},
        {"command": ["redis-cli", "-a", SECRET, IN_JSON]},
    ],
)
def test_a_secret_is_masked_however_a_command_is_written(arguments):
    for shown in (previewed(arguments), SANITIZER.detail(arguments)):
        assert SECRET not in json.dumps(shown)
        assert "[SECRET]" in json.dumps(shown)


def test_nothing_but_the_secret_is_masked():
    words = ["curl", "-u", LOGIN, "-d", IN_JSON, "https://h.example/x"]
    masked = [*words[:2], "[SECRET]", *words[3:]]
    assert previewed({"command": words}) == {"command": masked}


@pytest.mark.parametrize("secret", [123456789, 1234, "ab1"])
def test_short_secrets_and_numbers_are_masked(secret):
    command = ["sshpass", "-p", secret, "ssh", "h"]
    assert previewed({"command": command}) == {"command": [*command[:2], "[SECRET]", *command[3:]]}


def test_a_secret_that_is_json_is_masked_whole():
    assert previewed({"command": ["sshpass", "-p", IN_JSON]}) == {
        "command": ["sshpass", "-p", "[SECRET]"]
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": ["docker", "run", "-p", "8080:80", "-u", "1000:1000", "nginx"]},
        {"command": ["mysql"], "args": ["-e", "status", "-P", 3306]},
        {"tools": ["git", "docker", "curl"]},
        {"provider": "aws", "services": ["secrets", "rds"]},
        {"engine": "vault", "labels": ["kv", "tier=gold"]},
        {"name": "curl", "version": "8", "files": ["-a", "-b"]},
        {"command": ["sshpass", "-p", None]},
        {"command": ["kubectl", "create", "cm", "mysql", "--from-literal=mode=fast"]},
    ],
)
def test_what_is_no_secret_stays(arguments):
    assert SANITIZER.detail(arguments) == arguments
    assert previewed(arguments) == arguments


def test_a_command_that_cannot_be_read_is_masked_whole(monkeypatch):
    def fail(_):
        raise ValueError

    monkeypatch.setattr(shell_lists.shell_secrets, "of_words", fail)
    assert SANITIZER.detail({"command": ["curl", "-u", LOGIN]}) == {"command": ["[UNREADABLE]"] * 3}


def test_programs_beside_lists_are_counted():
    items = {f"p{index}": "mysql" for index in range(200)}
    survey = Survey()
    survey.add({**items, "args": ["-a"] * 300}, None)
    with pytest.raises(TooMuchError):
        shell_lists.mark(survey)


@pytest.mark.parametrize(
    "value",
    [
        ["mysql"] * 4_900,
        [["mysql", "-pX"]] * 1_400,
        [[["curl"], "-u"]] * 4_000,
        ["mysql", *["a=b"] * 8_000],
        [{"command": ["mysql"], "args": ["-h"]}] * 1_000,
    ],
)
def test_long_lists_cost_linear_time(value):
    survey = Survey()
    survey.add({"x": value}, None)
    start = time.process_time()
    with contextlib.suppress(TooMuchError):
        shell_lists.mark(survey)
    assert time.process_time() - start < 1, "a generous bound: it takes a fifth of this"
