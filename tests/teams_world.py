"""A service, a bot and a Teams around them, all real but Microsoft's part.

The service is a `countersign serve` process, the bot is a `countersign bot serve`
process with the settings and code of production; the cloud, the connector and the
clients are those of `simulators.teams`. alice owns the agent; carol and dave own
the data; bob is in security. alice has a twin who is a guest, eve is at home in
another tenant, and robot is no human.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from countersign.client import Context
from countersign.credentials import write_credential
from countersign.model import Account, Channel, ChannelId, Conversation, TenantId
from countersign.v1 import context_pb2, decisions_pb2, reviews_pb2
from countersign_bot.card.text import BREAK
from service import COMMAND, PATIENCE_S, Service, _free_port, context, watchdog
from simulators.teams.cloud import Cloud
from simulators.teams.feed import Message
from simulators.teams.teams import Teams

POLICY = Path(__file__).parent / "e2e" / "teams_policy"
CHANNEL = "data-approvals"
GROUPS = {"alice": "data-owners", "carol": "data-owners", "dave": "data-owners", "bob": "security"}
PRIVATE = 0o600


class Bot:
    """One bot process at a time, at one address."""

    def __init__(self, directory: Path, service: Service, cloud: Cloud, port: int) -> None:
        self.directory = directory
        self._cloud = cloud
        self.url = f"http://127.0.0.1:{port}/api/messages"
        self.process: subprocess.Popen[str] | None = None
        self._said = ""
        directory.mkdir()
        write_credential(directory / "bot.credential", service.credential("teams"))
        secret = directory / "secret"
        secret.touch(PRIVATE)
        secret.write_text(cloud.bot.secret or "")
        (directory / "bot.toml").write_text(
            f'tenants = ["{cloud.tenant_id}"]\n\n'
            f'[app]\nid = "{cloud.bot.app_id}"\ntenant = "{cloud.tenant_id}"\nsecret = "secret"\n\n'
            f'[listen]\naddress = "127.0.0.1:{port}"\n\n[service]\ncredential = "bot.credential"\n'
        )

    @property
    def environment(self) -> dict[str, str]:
        """All that the process inherits: the way to its cloud, and no more."""
        return self._cloud.environment()

    def start(self) -> Bot:
        """Start it and wait until it listens."""
        assert self.process is None
        with (self.directory / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                [COMMAND, "bot", "serve", "--config", "bot.toml"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout is not None
        with watchdog(self.process):
            line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait(PATIENCE_S)}:\n{self.said}"
        assert json.loads(line)["event"] == "ready"
        return self

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(how)
        with watchdog(self.process):
            code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self.process = None
        return code

    @property
    def said(self) -> str:
        """All it wrote so far."""
        return (self.directory / "stderr").read_text()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`countersign bot …` with its settings."""
        return subprocess.run(
            [COMMAND, "bot", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@dataclasses.dataclass
class Town:
    """Everything together, and what the stories say of it."""

    directory: Path
    service: Service
    cloud: Cloud
    teams: Teams
    bot: Bot
    tables: int = 0
    contexts: dict[str, Context] = dataclasses.field(default_factory=dict)
    """What was asked, by review."""

    def free_port(self) -> int:
        """One that nobody listens at."""
        return _free_port()

    # --- the agent ---

    def asks(self, action: str = "chat.one", **more: Any) -> str:
        """The agent asks; the review's id."""
        self.tables += 1
        wanted = context(action, f"t{self.tables}", **more)
        answer = self.service.line("agent").call(
            "Decisions.Check", decisions_pb2.CheckRequest(context=wanted.to_message())
        )
        review_id = str(answer.review.review_id)
        assert review_id, answer
        self.contexts[review_id] = wanted
        return review_id

    def state(self, review_id: str, reader: str = "carol") -> str:
        """Where a review stands, as its approvers read it."""
        review = self.review(review_id, reader)
        return review_state(review)

    def review(self, review_id: str, reader: str = "carol") -> reviews_pb2.Review:
        """The review as somebody reads it with a credential of their own."""
        found: reviews_pb2.Review = self.service.line(reader).call(
            "Reviews.Get", reviews_pb2.GetReviewRequest(review_id=review_id)
        )
        return found

    # --- cards ---

    def card(self, place: str, review_id: str, *words: str) -> Message:
        """The card of a review in somebody's chat or a channel, once it says all of this."""

        def found() -> Message | None:
            for message in reversed(self.teams.cards(place)):
                text = json.dumps(message.card, ensure_ascii=False).replace(BREAK, "")
                if review_id in text and all(word in text for word in words):
                    return message
            return None

        try:
            return self.teams.until(found, within_s=PATIENCE_S)  # type: ignore[return-value]
        except TimeoutError:
            shown = [reading(message.card) for message in self.teams.cards(place)]
            raise AssertionError(f"no card says {words}: {shown}\n{self.bot.said}") from None

    def presses(self, user: str, message: Message, verb: str, **inputs: Any) -> Any:
        """A click on what this user sees: their own view, where the card asks for one."""
        return self.teams.press(user, message, verb, card=self.view(user, message), **inputs)

    def view(self, user: str, message: Message) -> dict[str, Any]:
        """What this user sees in a message's place."""
        person = self.teams.feed.people[user]
        if person.mri not in message.card.get("refresh", {}).get("userIds", ()):
            return message.card
        answer = self.teams.refresh(user, message)
        return answer.value if answer.outcome.value == "card" else message.card


def review_state(review: reviews_pb2.Review) -> str:
    """`pending`, `approved`, …"""
    return context_pb2.ReviewState.Name(review.status.state).removeprefix("REVIEW_STATE_").lower()


def reading(card: Any) -> str:
    """All that a card says, one text after another."""
    return " | ".join(_texts(card))


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _texts(each)
    elif isinstance(part, dict):
        if isinstance(part.get("text"), str):
            yield part["text"].replace(BREAK, "")
        for name in ("body", "items", "columns", "inlines", "actions", "card"):
            yield from _texts(part.get(name))


@contextlib.contextmanager
def town(directory: Path) -> Iterator[Town]:
    """A town where everybody has the bot, and it runs."""
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(Cloud())
        service = stack.enter_context(Service(directory / "countersign", policy=POLICY))
        port = _free_port()
        teams = stack.enter_context(Teams(cloud, f"http://127.0.0.1:{port}/api/messages"))
        _enrol(service, teams)
        service.start()
        bot = Bot(directory / "bot", service, cloud, port).start()
        made = Town(directory, service, cloud, teams, bot)
        stack.callback(lambda: bot.process and bot.kill())
        for place in (*GROUPS, "alice-guest", CHANNEL):
            teams.install(place)
        yield made
        if sys.exc_info() == (None, None, None):
            assert "Traceback" not in bot.said, bot.said


def _enrol(service: Service, teams: Teams) -> None:
    issuer = f"teams:{teams.cloud.tenant_id}"
    for user, group in GROUPS.items():
        account = Account(issuer=issuer, subject=teams.feed.people[user].object_id)
        service.person(user, group, accounts=(account,))
    service.caller("agent", "alice")
    channel = Channel(
        tenant=TenantId("default"),
        id=ChannelId("teams"),
        issuers=(issuer,),
        conversations=(Conversation(name=CHANNEL, id=teams.feed.place(CHANNEL).id),),
    )
    service.tokens["teams"] = service._registers.add(channel)
