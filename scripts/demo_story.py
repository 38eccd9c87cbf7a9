"""The demo: three processes, three credentials, one action from Check to proof.

The service, an AI agent and a person are separate processes with a credential
file each. With a terminal the story waits for a person to type one command in
another; with DEMO=auto, or without a terminal, that person's process is started
here. Any step that does not go as told ends the demo with exit code 1.

With `--s3` (`make demo-s3`) the log goes to a real store with Object Lock, MinIO on
loopback, and the story ends with its administrator failing to delete a record.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
HOME = ROOT / ".demo"
AUTO = os.environ.get("DEMO") == "auto" or not (sys.stdin.isatty() and sys.stdout.isatty())
BOLD, DIM, RED, GREEN, END = (
    ("\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[0m") if sys.stdout.isatty() else ("",) * 5
)
DECISION_S = 1800
STEP_S = 60

steps: list[str] = []
environment: dict[str, str] | None = None
"""Of the service and the auditor, where it is not this one."""


def main() -> int:
    """Play the story."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    with contextlib.ExitStack() as stack:
        bucket = stack.enter_context(Bucket.running()) if "--s3" in sys.argv[1:] else None
        play(bucket)
    return 0


def play(bucket: Bucket | None) -> None:
    """From the first setting to the last proof."""
    enrol()
    if bucket:
        bucket.use()
    service = start_service()
    agent = None
    try:
        agent = start_agent()
        story(agent)
        attacks(agent)
        finish(agent)
        stop(service)
        audit()
        if bucket:
            bucket.attack()
    finally:
        for process in (agent, service):
            if process and process.poll() is None:
                process.kill()
                process.wait()
    summary()


# --- a store that locks -------------------------------------------------------------


class Bucket:
    """A real store with Object Lock, and its administrator's credential."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._client = server.shared()
        self.records, self.tiles = server.buckets()

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Bucket]:
        """MinIO on loopback, gone afterwards with all its locks: its disk is ours."""
        title("A real store with Object Lock: MinIO on this machine")
        sys.path.insert(0, str(ROOT / "tests"))
        import s3_server  # noqa: PLC0415 - only here

        with s3_server.running(HOME / "minio") as server:
            say(f"it listens on {server.endpoint}; its administrator's key is made up for this run")
            yield cls(server)

    def use(self) -> None:
        """Publish there, and lock for a day."""
        global environment  # noqa: PLW0603 - all processes of the demo share it
        environment = {**os.environ, **self._server.environment}
        settings = HOME / "server" / "countersign.toml"
        text = settings.read_text("utf-8")
        for old, new in (
            ('sink = "local"', 'sink = "s3"'),
            ('durability = "durable"', 'durability = "locked"'),
            ('records_bucket = ""', f'records_bucket = "{self.records}"'),
            ('tiles_bucket = ""', f'tiles_bucket = "{self.tiles}"'),
            ('endpoint = ""', f'endpoint = "{self._server.endpoint}"'),
            ("retain_days = 913", "retain_days = 1"),
        ):
            expect(text.count(old) == 1, f"{old} is a setting")
            text = text.replace(old, new)
        settings.write_text(text, "utf-8")
        say("the log goes to two buckets; no permit leaves before its record is locked for a day")
        steps.append("the log is in a store with Object Lock (COMPLIANCE)")

    def attack(self) -> None:
        """As the store's administrator, with the SDK of AWS itself: delete a record."""
        title("The administrator of the store tries to delete a record")
        listed = self._client.list_object_versions(Bucket=self.records)["Versions"]
        first = next(each for each in listed if "/records/" in each["Key"])
        at = {"Bucket": self.records, "Key": first["Key"], "VersionId": first["VersionId"]}
        say(f"boto3: delete_object({first['Key']}, VersionId={first['VersionId'][:8]}…)")
        try:
            self._client.delete_object(**at, BypassGovernanceRetention=True)
        except self._client.exceptions.ClientError as error:
            say(f"{RED}refused{END}: {error.response['Error']['Message']}")
        head = self._client.head_object(**at)
        expect(head["ObjectLockMode"] == "COMPLIANCE", "the record is still locked")
        until = head["ObjectLockRetainUntilDate"]
        say(f"it is still there, locked until {until:%Y-%m-%d %H:%M} UTC")
        steps.append("refused: the store's own administrator deleting a record")


# --- the cast ---------------------------------------------------------------------


def enrol() -> None:
    """Settings, keys, policy; two people and one agent with a credential each."""
    title("Setting the stage: settings, keys, policy, three credentials")
    run("init", str(HOME / "server"))
    settings = HOME / "server" / "countersign.toml"
    text = settings.read_text("utf-8")
    for default, port in (("127.0.0.1:7443", free_port()), ("127.0.0.1:7444", free_port())):
        text = text.replace(default, f"127.0.0.1:{port}")
    text = text.replace("internal_domains = []", 'internal_domains = ["localhost"]')
    settings.write_text(text, "utf-8")
    config = ("--config", str(settings))
    alice = ("person", "add", "alice", "--name", "Alice Adams", "--group", "data-owners")
    run(*alice, *config, "--credential", credential("alice"))
    bob = ("person", "add", "bob", "--name", "Bob Brown", "--group", "data-owners")
    run(*bob, *config, "--credential", credential("bob"))
    agent = ("caller", "add", "export-agent", "--owner", "alice", "--resource", "table:*")
    run(*agent, *config, "--credential", credential("agent"))
    say("alice owns the agent; alice and bob are data owners; each has a credential file of 0600")


def start_service() -> subprocess.Popen[str]:
    """Process one: the service, with its own OPA, store and log."""
    log = (HOME / "server.log").open("w")
    config = str(HOME / "server" / "countersign.toml")
    process = subprocess.Popen(
        [BIN / "countersign", "serve", "--config", config],
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        text=True,
        start_new_session=True,
    )
    line = read_line(process, "the service")
    ready = json.loads(line)
    with urllib.request.urlopen(
        f"http://127.0.0.1:{ready['status_port']}/readyz", timeout=10
    ) as answer:
        expect(json.load(answer)["ready"], "the service says it is ready")
    say(f"process 1, the service, listens on 127.0.0.1:{ready['port']}")
    steps.append("service started with a real OPA, SQLite and a signed log")
    return process


def start_agent() -> subprocess.Popen[str]:
    """Process two: the agent."""
    process = subprocess.Popen(
        [BIN / "python", ROOT / "scripts" / "demo_agent.py", credential("agent"), HOME / "exports"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    say("process 2, the agent, wants to export a customer table from production")
    return process


# --- the story --------------------------------------------------------------------


def story(agent: subprocess.Popen[str]) -> None:
    """Check, review, approve, await, claim, act, report."""
    title("The agent asks first: Check")
    asked = hear(agent, "checked")
    expect(asked["effect"] == "needs_approval", "policy wants a person to decide")
    for reason in asked["reasons"]:
        say(f"NEEDS APPROVAL: {reason['message']} [{reason['code']}]")
    review = asked["review"]
    steps.append("Check answered NEEDS_APPROVAL; personal data masked")

    title("What bob, a data owner, sees (process 3, his own credential)")
    card = run("review", "show", review, "--credential", credential("bob"))
    print(card, flush=True)
    for secret in asked["seeded"]:
        expect(secret not in card, "no personal data is on the card")
    command = approve_command(card)
    if AUTO:
        say(f"bob types: {command}")
        run(*command.split()[1:])
    else:
        print(f"{BOLD}Now be bob. In another terminal, in this directory, type:{END}\n")
        print(f"  .venv/bin/{command}\n", flush=True)
        say("the agent is waiting in Await ...")
        if shutil.which("npm"):
            say("(rather click? `make teams` plays this in a browser)")

    title("The agent is released, claims the approval, acts and reports")
    expect(hear(agent, "approved", DECISION_S)["state"] == "approved", "the review is approved")
    steps.append("a second person approved what they saw; Await released the agent")
    claimed = hear(agent, "claimed")
    say(f"Claim returned permit {claimed['permit']}, valid until {claimed['expires_at']}")
    steps.append("Claim spent the approval once and returned a signed permit")
    acted = hear(agent, "acted")
    written = Path(acted["file"])
    expect(written.is_file() and acted["rows"] > 0, "the export file is really there")
    file = written.relative_to(ROOT)
    say(f"the agent wrote {acted['rows']} rows to {file} and reported SUCCEEDED")
    steps.append(f"the agent acted: it wrote {file}; its outcome is on record")
    global reviewed  # noqa: PLW0603 - the one thing later acts need
    reviewed = review


reviewed = ""


def attacks(agent: subprocess.Popen[str]) -> None:
    """What must not work, each refused with its reason."""
    title("What must not work")
    refused(hear(agent, "second claim"), "review.claimed", "a second claim of the same approval")
    another = hear(agent, "checked again")["review"]
    command = (
        "review", "approve", another, "--credential", credential("alice"), "--preview",
        preview_of(another, "alice"),
    )  # fmt: skip
    result = attempt(*command)
    expect(result.returncode != 0, "self-approval fails")
    expect("vote.self_approval" in result.stderr, "self-approval is refused for that reason")
    words = first_line(result.stderr)
    say(f"{RED}refused{END}: alice, who owns the agent, approving for it: {words}")
    steps.append("refused: the requester approving for themselves (vote.self_approval)")
    tell(agent, "decide")
    refused(hear(agent, "decided"), "caller.not_a_person", "the agent's own credential in Decide")
    bob = ("--credential", credential("bob"), "--preview", preview_of(another, "bob"))
    run("review", "approve", another, *bob)
    refused(hear(agent, "changed claim"), "claim.mismatch", "a claim with one argument changed")


def finish(agent: subprocess.Popen[str]) -> None:
    """The agent withdraws what it no longer wants and ends."""
    expect(hear(agent, "done")["state"] == "cancelled", "the agent withdrew its second request")
    expect(agent.wait(STEP_S) == 0, "the agent ended well")


def audit() -> None:
    """The log proves itself, and tells the story to an auditor."""
    title("The auditor: is the log whole, and what happened?")
    config = ("--config", str(HOME / "server" / "countersign.toml"))
    print(run("audit", "verify", *config), flush=True)
    steps.append("`countersign audit verify` proved the log")
    print(run("audit", "show", reviewed, *config), flush=True)
    steps.append("`countersign audit show` told the story")


def summary() -> None:
    """What was seen."""
    title("What you have seen")
    for step in steps:
        print(f"  {GREEN}✓{END} {step}")
    print(
        f"\nEverything is in {HOME.relative_to(ROOT)}/: settings, registers, policy, log, export."
    )


# --- pieces -----------------------------------------------------------------------


def credential(who: str) -> str:
    """The credential file of one of the three, relative to the checkout."""
    return str((HOME / f"{who}.credential").relative_to(ROOT))


def run(*arguments: str) -> str:
    """Run the command; its output, or the end of the demo."""
    result = attempt(*arguments)
    if result.returncode != 0:
        broken(f"countersign {' '.join(arguments[:2])} failed:\n{result.stdout}{result.stderr}")
    return result.stdout


def attempt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command and see."""
    return subprocess.run(
        [BIN / "countersign", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=STEP_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def approve_command(card: str) -> str:
    """The exact command that the card prints."""
    for line in card.splitlines():
        if line.strip().startswith("countersign review approve"):
            return line.strip()
    broken("the card offers no command that approves")


def preview_of(review: str, who: str) -> str:
    """The preview hash that this person is shown."""
    shown = run("review", "show", review, "--credential", credential(who))
    for line in shown.splitlines():
        words = line.split()
        if words[:1] == ["preview"]:
            return words[1]
    broken("the card names no preview")


def refused(event: dict[str, Any], code: str, what: str) -> None:
    """An attempt of the agent's that must have been refused for that reason."""
    expect(event["refused"] == code, f"{what} is refused with {code}, not {event['refused']}")
    say(f"{RED}refused{END}: {what}: {event['message']} [{code}]")
    steps.append(f"refused: {what} ({code})")


def hear(agent: subprocess.Popen[str], event: str, timeout_s: float = STEP_S) -> dict[str, Any]:
    """The agent's next line, which must be that event."""
    told: dict[str, Any] = json.loads(read_line(agent, "the agent", timeout_s))
    if told["event"] != event:
        broken(f"expected the agent to say {event!r}, it said {told}")
    return told


def tell(agent: subprocess.Popen[str], word: str) -> None:
    """Let the agent go on."""
    assert agent.stdin is not None
    agent.stdin.write(word + "\n")
    agent.stdin.flush()


def read_line(process: subprocess.Popen[str], who: str, timeout_s: float = STEP_S) -> str:
    """One line of a process, within a time."""
    assert process.stdout is not None

    def late(_signal: int, _frame: object) -> NoReturn:
        broken(f"{who} said nothing for {timeout_s:.0f} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(int(timeout_s))
    line = process.stdout.readline()
    signal.alarm(0)
    if not line:
        log = HOME / "server.log"
        broken(f"{who} ended early.\n{log.read_text('utf-8') if log.exists() else ''}")
    return line


def stop(service: subprocess.Popen[str]) -> None:
    """End the service as an operator would."""
    service.send_signal(signal.SIGTERM)
    expect(service.wait(STEP_S) == 0, "the service drained and ended with exit code 0")


def free_port() -> int:
    """A port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def expect(condition: object, what: str) -> None:
    """End the demo unless this is so."""
    if not condition:
        broken(f"expected: {what}")


def broken(why: str) -> NoReturn:
    """The demo did not go as told."""
    print(f"\n{RED}demo: {why}{END}", file=sys.stderr)
    raise SystemExit(1)


def first_line(text: str) -> str:
    """The first line, without the command's own prefix."""
    return text.splitlines()[0].removeprefix("countersign: ")


def title(text: str) -> None:
    """A heading."""
    print(f"\n{BOLD}{text}{END}", flush=True)


def say(text: str) -> None:
    """One line of the story."""
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
