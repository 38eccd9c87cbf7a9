"""The demo's story where people decide it: in Teams, played on this machine.

A service with a fresh home, the bot in its production configuration, an agent, and
around them the cloud and the Teams of `tests/simulators/teams`, which is not Microsoft's.
Open the pages it prints, be somebody, and decide. It goes on until Ctrl-C; with
DEMO=auto, or without a terminal, bob decides by himself and the story ends. TEAMS_PORT
says where the pages are; any free port, unless set.
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
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import demo_story as demo

ROOT = demo.ROOT
sys.path.insert(0, str(ROOT / "tests"))

from simulators.teams.cloud import Cloud  # noqa: E402 - after the path to it
from simulators.teams.feed import Message  # noqa: E402
from simulators.teams.page_server import PageServer  # noqa: E402
from simulators.teams.teams import Teams  # noqa: E402

HOME = ROOT / (sys.argv[1] if len(sys.argv) > 1 else ".teams")
"""Made anew each time; in the checkout."""
RENDERER = ROOT / ".tools" / "teams" / "node_modules" / "adaptivecards" / "dist"
CHANNEL = "data-approvals"
PEOPLE = {"alice": "data-owners", "bob": "data-owners", "carol": "data-owners", "dave": "security"}
FOREVER_S = 30 * 86_400
MAX_PORT = 65_535


def main() -> int:
    """Play until somebody has had enough."""
    demo.HOME = HOME
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    signal.signal(signal.SIGTERM, _stop)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        port = pages_port()
        cloud = stack.enter_context(Cloud())
        address = f"127.0.0.1:{demo.free_port()}"
        teams = stack.enter_context(Teams(cloud, f"http://{address}/api/messages"))
        demo.enrol()
        enrol(teams)
        stack.callback(end, demo.start_service())
        stack.callback(end, start_bot(cloud, address))
        pages = stack.enter_context(PageServer(teams, RENDERER, port=port))
        install(teams)
        show(pages)
        play(teams)
    print(
        f"\nThat was it. Settings, registers, policy, both logs, export: {HOME.relative_to(ROOT)}/."
    )
    return 0


def pages_port() -> int:
    """TEAMS_PORT, or 0 for any; looked at before anything is started."""
    text = os.environ.get("TEAMS_PORT", "0")
    if not text.isdecimal() or int(text) > MAX_PORT:
        demo.broken(f"TEAMS_PORT: must be a port, 0 to {MAX_PORT}; 0 is any that is free")
    with socket.socket() as probe:
        # As a server does it: what was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            demo.broken(f"TEAMS_PORT: {text}: {error.strerror}. Name another, or leave it out")
    return int(text)


# --- the cast ---------------------------------------------------------------------


def enrol(teams: Teams) -> None:
    """Four people with a Teams account each, and the bot's channel."""
    config = ("--config", str(HOME / "server" / "countersign.toml"))
    issuer = f"teams:{teams.cloud.tenant_id}"
    for user, group in PEOPLE.items():
        person = teams.feed.people[user]
        known = ("--replace",) if user in ("alice", "bob") else ()
        command = ("person", "add", user, "--name", person.name, "--group", group, *known)
        account = ("--account", f"{issuer} {person.object_id}")
        at = () if known else ("--credential", demo.credential(user))
        demo.run(*command, *account, *at, *config)
    place = f"{CHANNEL}={teams.feed.place(CHANNEL).id}"
    add = ("channel", "add", "teams", "--issuer", issuer, "--conversation", place)
    demo.run(*add, "--credential", demo.credential("bot"), *config)
    demo.say("alice, bob, carol (data owners) and dave (security) have Teams accounts")


def start_bot(cloud: Cloud, address: str) -> subprocess.Popen[str]:
    """The bot, as it runs in production: settings, a secret, and a proxy to its cloud."""
    secret = HOME / "bot-secret"
    secret.touch(0o600)
    secret.write_text(cloud.bot.secret or "", "utf-8")
    settings = HOME / "bot.toml"
    settings.write_text(
        f'tenants = ["{cloud.tenant_id}"]\n\n'
        f'[app]\nid = "{cloud.bot.app_id}"\ntenant = "{cloud.tenant_id}"\nsecret = "bot-secret"\n\n'
        f'[listen]\naddress = "{address}"\n\n[service]\ncredential = "bot.credential"\n',
        "utf-8",
    )
    process = run_bot(settings, cloud.environment())
    demo.say(f"process 2, the bot, listens on {address}, with its production configuration")
    return process


def run_bot(settings: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """`countersign bot serve`, ready."""
    with (HOME / "bot.log").open("w") as log:
        process = subprocess.Popen(
            [demo.BIN / "countersign", "bot", "serve", "--config", settings],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **environment},
            text=True,
            start_new_session=True,
        )
    line = demo.read_line(process, f"the bot (see {HOME / 'bot.log'})")
    demo.expect(json.loads(line)["event"] == "ready", "the bot says it is ready")
    return process


def install(teams: Teams) -> None:
    """Put the bot where reviews go."""
    for place in (*PEOPLE, CHANNEL):
        teams.install(place)


def show(pages: PageServer) -> None:
    """Where to look."""
    demo.title("Teams, on this machine")
    for user in (*PEOPLE, "alice-guest"):
        print(f"  {user:<12} {pages.page(user)}", flush=True)


def end(process: subprocess.Popen[str]) -> None:
    """Stop a process as an operator would."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(demo.STEP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- the story --------------------------------------------------------------------


def play(teams: Teams) -> None:
    """One request after another."""
    while True:
        agent = start_agent()
        try:
            story(agent, teams)
        finally:
            agent.kill()
            agent.wait()
        if demo.AUTO:
            return
        try:
            input(f"\n{demo.BOLD}Enter: another request. Ctrl-C: the end.{demo.END} ")
        except EOFError:
            return


def start_agent() -> subprocess.Popen[str]:
    """One request, in a process with the agent's own credential."""
    agent = ROOT / "scripts" / "teams_agent.py"
    return subprocess.Popen(
        [demo.BIN / "python", agent, demo.credential("agent"), HOME / "exports"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def story(agent: subprocess.Popen[str], teams: Teams) -> None:
    """The agent asks, people decide in Teams, and the agent does as they decided."""
    demo.title("An agent wants to export a table of customers")
    seen = {message.id for place in (CHANNEL, "bob") for message in teams.cards(place)}
    asked = demo.hear(agent, "checked")
    demo.expect(asked["effect"] == "needs_approval", "policy wants a person to decide")
    demo.say(f"policy wants a person to decide: a card appears in #{CHANNEL}")
    if demo.AUTO:
        decide(teams, seen, "approve")
    else:
        demo.say("open the pages above. Be bob or carol: approve, deny, or ask; the agent answers")
        demo.say("be alice, who owns the agent: she has no say. Be her guest account and try")
    state = demo.hear(agent, "decided", FOREVER_S)["state"]
    demo.say(f"the agent is released: {state}")
    if state != "approved":
        demo.expect(not demo.AUTO, "the review is approved")
        return
    acted = demo.hear(agent, "acted")
    demo.say(f"it claimed the approval, wrote {acted['rows']} rows and reported")
    again = demo.hear(agent, "again")
    demo.say(f"{demo.RED}refused{demo.END}: the same approval again: {again['message']}")
    told(teams, "succeeded")


def decide(teams: Teams, seen: set[str], verb: str) -> None:
    """What bob does with the new card, wherever he sees it."""

    def new() -> Message | None:
        cards = (each for place in (CHANNEL, "bob") for each in teams.cards(place))
        return next((each for each in cards if each.id not in seen), None)

    card = until(teams, new)
    for _ in range(demo.STEP_S):
        answer = teams.press("bob", card, verb)
        if answer.outcome.value != "message":
            break
        demo.say(f"bob presses {verb} and reads: {answer.value}")
        time.sleep(1)  # as a person would
    demo.expect(answer.outcome.value == "card", f"bob's click is answered ({answer.body[:200]})")
    demo.say(f"bob presses {verb}; Teams is answered within {answer.took_s * 1000:.0f} ms")


def told(teams: Teams, word: str) -> None:
    """Every copy of the card comes to tell the end of the story."""
    began = time.monotonic()

    def all_tell() -> bool:
        cards = [message for place in (CHANNEL, *PEOPLE) for message in teams.cards(place)[:1]]
        return all(word in json.dumps(each.card).lower() for each in cards)

    until(teams, all_tell)
    demo.say(f"every copy of the card says that it {word}, {time.monotonic() - began:.1f} s later")


def until(teams: Teams, condition: Callable[[], Any]) -> Any:
    """Wait for what is seen in Teams."""
    try:
        return teams.until(condition, within_s=demo.STEP_S)
    except TimeoutError:
        demo.broken(f"nothing of the kind was seen in Teams; see {HOME / 'bot.log'}")


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
