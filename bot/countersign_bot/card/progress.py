"""How far a review has come: why it is asked, who decided what, what was said. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from countersign.v1 import reviews_pb2
from countersign_bot.card import state
from countersign_bot.card.page import Page, line, run
from countersign_bot.card.text import Clean
from countersign_bot.card.view import Element


def why(page: Page, review: reviews_pb2.Review) -> Iterator[Element]:
    """Why policy wants a person."""
    kept = review.reasons[: page.room.entries]
    for reason in kept:
        lines = page.long(reason.message)
        code = page.text(reason.code, subtle=True, size="Small")
        if len(lines) == 1:
            lines[0]["inlines"] += [run(Clean("  ")), code]
        else:
            lines.append(line(code))
        yield from lines
    if len(kept) < len(review.reasons):
        page.cut = True
        yield line(page.say("cut.more", n=len(review.reasons) - len(kept), color="Warning"))


def decision(page: Page, review: reviews_pb2.Review) -> Iterator[Element]:
    """Stages with those asked, votes with their reasons, who was not reached."""
    asks = state.of(review).asks
    for stage in review.stages:
        yield page.named([page.text(stage.name, subtle=True)], _stage(page, stage, asks=asks))
    # Earlier votes are no part of what a vote is about: they may be shortened.
    cut = page.cut
    for vote in review.votes[-page.room.entries :]:
        yield from _vote(page, vote)
    if len(review.votes) > page.room.entries:
        left = len(review.votes) - page.room.entries
        yield line(page.say("decision.earlier_votes", n=left, subtle=True))
    if review.unreached:
        lines = [line(*page.texts(review.unreached), spacing="None")]
        lines.append(line(page.say("decision.not_installed", color="Warning")))
        yield page.row("decision.unreached", *lines)
    page.cut = cut


def _stage(page: Page, stage: reviews_pb2.StageProgress, *, asks: bool) -> list[Element]:
    sign = "✓ " if stage.approvals >= stage.quorum else "○ "
    count = page.sentence("decision.quorum", stage.quorum, got=int(stage.approvals))
    lines = [line(run(Clean(sign)), *count)]
    if asks and stage.approvals < stage.quorum:
        groups = [page.text(group, bold=True) for group in stage.groups]
        named = [*_between(page, "decision.group", groups), *_people(page, stage.people)]
        if named:
            lines.append(line(page.say("decision.asked", subtle=True), *named))
        if stage.HasField("escalates_at"):
            told = page.sentence(
                "decision.escalates",
                style={"subtle": True},
                when=[page.clock(stage.escalates_at)],
            )
            lines.append(line(*told))
    return lines


def _between(page: Page, key: str, groups: list[Element]) -> list[Element]:
    runs: list[Element] = []
    for group in groups[: page.room.entries]:
        if runs:
            runs.append(run(Clean(", ")))
        runs += page.sentence(key, name=group)
    return runs


def _people(page: Page, people: object) -> list[Element]:
    listed = [str(each) for each in people]  # type: ignore[attr-defined]
    if not listed:
        return []
    return [run(Clean(" ")), *page.texts(listed, bold=True)]


def _vote(page: Page, vote: reviews_pb2.VoteView) -> Iterator[Element]:
    approves = vote.vote == reviews_pb2.VOTE_APPROVE
    key = "approved" if approves else "denied"
    if vote.break_glass:
        key = "broke_glass"
    color = "Good" if approves and vote.counts and not vote.break_glass else ""
    color = color or ("Attention" if vote.counts else "")
    sign = "✓ " if approves else "✕ "
    who = page.sentence(
        "vote.for" if vote.delegated_by else "vote.by",
        who=vote.person_id,
        **({"whom": vote.delegated_by} if vote.delegated_by else {}),
    )
    told = page.say(f"vote.{key}", color=color, bold=True)
    yield line(
        run(Clean(sign), color=color, bold=True),
        *who,
        run(Clean(" ")),
        told,
        run(Clean(" ")),
        dict(page.clock(vote.cast_at), isSubtle=True),
        *([] if vote.counts else [run(Clean(" ")), page.say("vote.void", color="Warning")]),
        spacing="Small",
    )
    if vote.reason:
        yield from _quoted(page, vote.reason, counts=False)


def _quoted(page: Page, words: str, *, counts: bool) -> list[Element]:
    lines = page.long(words, counts=counts, italic=True)
    if lines:
        lines[0]["inlines"].insert(0, run(Clean("“")))
        lines[-1]["inlines"].append(run(Clean("”")))
    return [dict(each, spacing="None") for each in lines]


def thread(page: Page, review: reviews_pb2.Review) -> Iterator[Element]:
    """Questions and answers, the latest last; the agent's answers are its own words."""
    kept = review.thread[-page.room.entries :]
    if len(kept) < len(review.thread):
        page.cut = True
        left = len(review.thread) - len(kept)
        yield line(page.say("thread.earlier", n=left, color="Warning"))
    for exchange in kept:
        asked = page.sentence("thread.asked", who=exchange.asked_by)
        at = dict(page.clock(exchange.asked_at), isSubtle=True)
        yield line(*asked, run(Clean(" ")), at, spacing="Small")
        yield from _quoted(page, exchange.question, counts=True)
        if exchange.answer:
            at = dict(page.clock(exchange.answered_at), isSubtle=True)
            told = page.say("thread.answered", bold=True)
            yield line(told, run(Clean(" ")), at, spacing="Small")
            yield from _quoted(page, exchange.answer, counts=True)
        else:
            yield line(page.say("thread.open", color="Warning", bold=True), spacing="Small")
