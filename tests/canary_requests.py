"""Canaries in whatever is well formed: contexts, texts of people, evidence, activity, commands.

Each of `PARTS` is one chapter, and tells the service all it can of its sort.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import grpc

from canaries import IN_TEXT, Canary, sentinel
from canary_story import Story, clicked
from countersign.client import Context, Resource
from countersign.client.context import External
from countersign.model import new_id
from countersign.v1 import activity_pb2, context_pb2, decisions_pb2, reviews_pb2
from service import COMMAND

LEAVES: Final[dict[str, Callable[[Canary], Any]]] = {
    "an argument": lambda c: f"please see {c.text} before noon",
    "a nested argument": lambda c: {"deep": [{"deeper": {"note": c.text}}]},
    "a list": lambda c: ["first", c.text, "last"],
    "a key": lambda c: {c.text: 1},
    "JSON in a string": lambda c: json.dumps({"note": [c.text]}),
    "a statement": lambda c: f"SELECT id FROM customers WHERE note = '{c.text}'",
    "a comment of a statement": lambda c: f"SELECT id FROM customers -- {c.text}",
    "a command": lambda c: f"notify --wait 5 --note '{c.text}' now",
    "settings": lambda c: f"mode: fast\nnote: {c.text}\nttl: 30\n",
    "an environment": lambda c: [f"NOTE={c.text}", "MODE=fast"],
    "a header": lambda c: {"X-Note": c.text, "Accept": "text/plain"},
    "an address": lambda c: f"https://api.example.com/find?q={quote(c.text, safe='')}",
    "base64": lambda c: base64.b64encode(c.text.encode()).decode(),
    "hex": lambda c: c.text.encode().hex(),
}
"""Ways in which a value stands in arguments; each is sent once in every effect."""


def arguments(story: Story, leaf: str) -> dict[str, Any]:
    """One canary of each kind, each in a leaf of this sort, and the leaf's sentinel."""
    make = LEAVES[leaf]
    told = {f"item{n}": make(canary) for n, canary in enumerate(story.canaries.each(leaf))}
    return {**told, "about": sentinel(leaf)}


def contexts_of_every_sort(story: Story) -> None:
    """Each leaf in each effect; the reviews end in every way, in turn."""
    ways = (
        story.claimed,
        story.denied,
        story.answered,
        story.mismatched,
        story.cancelled,
        story.revoked,
    )
    for at, leaf in enumerate(LEAVES):
        for action in ("canary.allow", "canary.deny"):
            answer = story.asks(story.context(action, arguments=arguments(story, leaf)))
            assert answer.effect != context_pb2.EFFECT_NEEDS_APPROVAL
        wanted = story.context("canary.approve", arguments=arguments(story, leaf))
        ways[at % len(ways)](story.opened(wanted), wanted)
    for action in ("canary.allow", "canary.deny", "canary.approve"):
        numbers = {
            key: int("".join(filter(str.isdigit, story.canaries.plant(kind, "a number").value)))
            for key, kind in (("n", "card"), ("m", "card"), ("phone", "phone"), ("mobile", "phone"))
        }
        names = {
            key: story.canaries.plant("name", "a name field").value
            for key in ("full_name", "customer_name", "patientName", "last_name")
        }
        story.asks(story.context(action, arguments={"a": numbers, "b": names}))


def envelopes(story: Story) -> None:
    """What stands around the arguments, where it may be any text."""
    for action in ("canary.allow", "canary.deny", "canary.approve"):
        for kind in IN_TEXT:
            plant = lambda place, kind=kind: story.canaries.plant(kind, place).text  # noqa: E731
            wanted = Context(
                action=action,
                actor="agent",
                environment="production",
                resource=Resource(
                    "table",
                    f"of/{plant('a resource id')}",
                    owner=plant("a resource owner"),
                    attributes={"to": plant("an attribute"), plant("a key of attributes"): 1},
                ),
                reason=f"{sentinel('a reason')} {plant('a reason')}",
                session=f"{sentinel('a session')} {plant('a session')}",
                on_behalf_of=[External(plant("a principal"))],
            )
            answer = story.asks(wanted, labels={"a": f"{sentinel('a label')} {plant('a label')}"})
            if answer.HasField("review"):
                for who in ("bob", "carol"):
                    story.looks(who, answer.review.review_id)


def many_at_once(story: Story) -> None:
    """Batches, some items of which cannot be read, and some of which policy has no answer to."""
    for leaf in LEAVES:
        items = [
            decisions_pb2.CheckRequest(
                context=story.context(action, arguments=arguments(story, leaf)).to_message()
            )
            for action in ("canary.allow", "canary.deny", "canary.approve", "canary.unknown")
        ]
        unread = decisions_pb2.CheckRequest(context=items[0].context)
        unread.context.arguments_json = json.dumps(story.text("an argument")).encode()[:-1]
        batch = decisions_pb2.BatchCheckRequest(items=[*items, unread])
        results = story.done("agent", "Decisions.BatchCheck", batch).results
        outcomes = [result.WhichOneof("outcome") for result in results]
        assert outcomes == [*["answer"] * 4, "error"], results


def evidence_tokens(story: Story) -> None:
    for token in (
        story.evidence("evidence"),
        story.evidence("evidence that is old", ends_in_s=-3600),
        story.evidence("evidence of nobody", who="nobody"),
        f"{story.evidence('evidence that is forged')}x",
        story.canaries.plant("JWT", "evidence of no issuer").value,
    ):
        wanted = story.context("canary.approve")
        request = decisions_pb2.CheckRequest(context=wanted.to_message())
        request.context.on_behalf_of.add(type="person", id="mallory", evidence=token)
        story.tells("agent", "Decisions.Check", request)


def of_time(story: Story) -> list[tuple[str, int]]:
    """Reviews that nobody decides, and approvals that nobody uses, in time."""
    told = [arguments(story, "an argument") for _ in range(2)]
    quick = story.opened(story.context("canary.quick", arguments=told[0]))
    brief = story.opened(story.context("canary.brief", arguments=told[1]))
    story.votes("bob", brief)
    return [
        (quick, context_pb2.REVIEW_STATE_EXPIRED),
        (brief, context_pb2.REVIEW_STATE_LAPSED),
    ]


def acts_of_people(story: Story) -> None:
    """Delegation, break-glass and what follows, a batch, and clicks in a chat."""
    until = datetime.now(UTC) + timedelta(hours=1)
    lend = reviews_pb2.DelegateRequest(
        delegate_id="dave",
        ends_at=until,  # type: ignore[arg-type]  # protobuf takes a datetime
        reason=story.text("a delegation"),
        request_id=new_id("req"),
    )
    lent = story.done("bob", "Reviews.Delegate", lend)
    story.done("bob", "Reviews.ListDelegations", reviews_pb2.ListDelegationsRequest())
    end = reviews_pb2.EndDelegationRequest(
        delegation_id=lent.delegation_id, request_id=new_id("req")
    )
    story.done("bob", "Reviews.EndDelegation", end)

    review_id = story.opened(story.context("canary.urgent"))
    glass = reviews_pb2.BreakGlassRequest(
        **story.as_shown("bob", review_id), reason=story.text("a broken glass")
    )
    story.done("bob", "Reviews.BreakGlass", glass)
    owed = reviews_pb2.ListReviewsRequest(after_reviews=True)
    story.done("carol", "Reviews.List", owed)
    close = reviews_pb2.CloseAfterReviewRequest(
        review_id=review_id,
        justified=True,
        note=story.text("an after-review"),
        request_id=new_id("req"),
    )
    story.done("carol", "Reviews.CloseAfterReview", close)

    review_id = story.opened(story.context("canary.urgent"))
    shown = story.as_shown("bob", review_id)
    batch = reviews_pb2.BatchDecideRequest(
        request_id=shown.pop("request_id"),
        items=[reviews_pb2.BatchItem(**shown)],
        reason=story.text("the reason of a batch"),
    )
    (result,) = story.done("bob", "Reviews.BatchDecide", batch).results
    assert result.HasField("review")

    for canary in story.canaries.each("a message reference"):
        review_id = story.opened(story.context("canary.approve"))
        ballot = reviews_pb2.DecideRequest(
            **story.as_shown("bob", review_id), vote=reviews_pb2.VOTE_APPROVE
        )
        ballot.person.CopyFrom(clicked(ref=f"{sentinel(canary.place)} {canary.text}"))
        story.done("bot", "Reviews.Decide", ballot)


def watching(story: Story) -> None:
    """The reviews that are open, as whoever watches gets them."""
    open_ones = story.done("bob", "Reviews.List", reviews_pb2.ListReviewsRequest(page_size=200))
    watched = story.service.reviewer("bob").watch()
    for _ in open_ones.reviews:
        story.heard.append(("a watched review", next(watched).SerializeToString()))
    watched.close()


def activity(story: Story) -> None:
    for place, send in (
        ("logged text", lambda told: activity_pb2.Content(text=told)),
        ("logged JSON", lambda told: activity_pb2.Content(json=json.dumps([told]).encode())),
    ):
        log = activity_pb2.LogRequest(
            type="tool.output",
            content=send(story.text(place)),
            session=story.text("the session of an activity")[:200],
            request_id=new_id("req"),
        )
        story.done("agent", "Activity.Log", log)
    for leaf, make in LEAVES.items():
        for canary in story.canaries.each(f"{leaf}, sanitized"):
            content = activity_pb2.Content(json=json.dumps([make(canary)]).encode())
            ask = activity_pb2.SanitizeRequest(content=content)
            story.done("agent", "Activity.Sanitize", ask)
    text = activity_pb2.Content(text=story.text("sanitized text"))
    answer = story.done("agent", "Activity.Sanitize", activity_pb2.SanitizeRequest(content=text))
    assert sentinel("sanitized text") in answer.content.text


def killed_while_it_is_told(story: Story) -> None:
    """A Check is committed and not answered; the next process answers it."""
    service = story.service
    service.kill()
    service.start(fault="check.committed")
    wanted = story.context("canary.approve", arguments=arguments(story, "an argument"))
    request = decisions_pb2.CheckRequest(context=wanted.to_message(), request_id="cut-off")
    assert story.wrong("agent", "Decisions.Check", request).code is grpc.StatusCode.UNAVAILABLE
    service.killed_itself()
    service.start()
    story.reconnects()
    answer = story.done("agent", "Decisions.Check", request)
    story.claimed(str(answer.review.review_id), wanted)


def commands(story: Story) -> None:
    """The same by the command, whose output is kept."""
    service = story.service
    told = story.canaries
    wanted = story.context(
        "canary.approve", arguments={"note": told.text("an argument")}, reason=told.text("a reason")
    )
    path = service.directory.parent / "context.json"
    path.write_bytes(wanted.canonical_bytes)

    def types(*words: str, as_: str) -> str:
        done = service.types(*words, as_=as_)
        story.heard.append((f"the output of {' '.join(words[:2])}", done.stdout.encode()))
        story.heard.append((f"the output of {' '.join(words[:2])}", done.stderr.encode()))
        return done.stdout

    asked = json.loads(types("check", str(path), "--json", as_="agent"))
    review_id = asked["review"]
    types("review", "list", as_="bob")
    types("review", "show", review_id, as_="bob")
    types("review", "show", review_id, "--json", as_="carol")
    types("review", "ask", review_id, told.text("a question"), as_="bob")
    path.write_text(told.text("a context file that is no JSON"))
    types("check", str(path), as_="agent")
    types("review", "show", told.plant("e-mail", "a word of a command").value, as_="bob")
    types("cancel", review_id, "--reason", told.text("a withdrawal"), as_="agent")
    path.unlink()
    for words in (
        ("audit", "show", review_id, "--log", str(service.log_directory())),
        ("audit", "show", review_id, "--log", str(service.log_directory()), "--json"),
        ("audit", "verify", "--log", str(service.log_directory()), "--key", service.log_key()),
    ):
        plainly(story, *words)


def plainly(story: Story, *words: str) -> None:
    """A command that takes no credential."""
    done = subprocess.run(
        [COMMAND, *words],
        cwd=story.service.directory.parent,
        env={"COLUMNS": "200"},
        capture_output=True,
        check=False,
    )
    story.heard.append((f"the output of {' '.join(words[:2])}", done.stdout + done.stderr))


PARTS: Final = (
    contexts_of_every_sort,
    envelopes,
    many_at_once,
    evidence_tokens,
    acts_of_people,
    watching,
    activity,
    killed_while_it_is_told,
    commands,
)
