"""How far a review has come: who decided what, what was asked and answered. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from countersign.v1 import reviews_pb2
from countersign_bot.card import state
from countersign_bot.card.page import Page, container, line, run
from countersign_bot.card.text import Clean
from countersign_bot.card.view import Element


def decision(page: Page, review: reviews_pb2.Review) -> Iterator[Element]:
    """Stages with those asked and their votes, who may not vote, who was not reached."""
    asks = state.of(review).asks
    # Earlier votes are no part of what a vote is about: they may be shortened.
    cut = page.cut
    kept = review.votes[-page.room.past_entries :]
    told: set[str] = set()
    for stage in review.stages:
        lines = _stage(page, stage, asks=asks)
        for vote in kept:
            if vote.stage == stage.name and stage.name not in told:
                lines += _vote(page, vote)
        told.add(stage.name)
        yield page.named([page.name(stage.name)], lines)
    for vote in kept:
        if vote.stage not in told:
            yield page.named([page.name(vote.stage)], [*_vote(page, vote)])
    if len(kept) < len(review.votes):
        left = len(review.votes) - len(kept)
        yield line(page.say("decision.earlier_votes", n=left, subtle=True))
    if asks and review.verified.excluded:
        yield page.row("decision.excluded", line(*page.texts(review.verified.excluded, past=True)))
    if review.unreached:
        lines = [line(*page.texts(review.unreached, past=True))]
        lines.append(line(page.say("decision.not_installed", color="Warning")))
        yield page.row("decision.unreached", *lines)
    page.cut = cut


def _stage(page: Page, stage: reviews_pb2.StageProgress, *, asks: bool) -> list[Element]:
    sign = "✓ " if stage.approvals >= stage.quorum else "○ "
    count = page.sentence("decision.quorum", stage.quorum, got=int(stage.approvals))
    lines = [line(run(Clean(sign)), *count)]
    if asks and stage.approvals < stage.quorum:
        groups = [page.text(group, bold=True) for group in stage.groups]
        named = _groups(page, groups)
        if stage.people:
            named += [run(Clean(", "))] if named else []
            named += page.texts(stage.people, bold=True)
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


def _groups(page: Page, groups: list[Element]) -> list[Element]:
    runs: list[Element] = []
    for group in groups[: page.room.entries]:
        runs += [run(Clean(", "))] if runs else []
        runs += page.sentence("decision.group", name=group)
    return runs


def _vote(page: Page, vote: reviews_pb2.VoteView) -> Iterator[Element]:
    approves = vote.vote == reviews_pb2.VOTE_APPROVE
    key = "approved" if approves else "denied"
    if vote.break_glass:
        key = "broke_glass"
    color = "Good" if approves and vote.counts and not vote.break_glass else ""
    color = color or ("Attention" if vote.counts else "")
    sign = "✓ " if approves else "✕ "
    key_who = "vote.for" if vote.delegated_by else "vote.by"
    who = page.sentence(key_who, who=vote.person_id, whom=vote.delegated_by)
    told = page.say(f"vote.{key}", color=color, bold=True)
    yield line(
        run(Clean(sign), color=color, bold=True),
        *who,
        run(Clean(" ")),
        told,
        run(Clean(" ")),
        dict(page.clock(vote.cast_at), isSubtle=True),
        *([] if vote.counts else [run(Clean(" ")), page.say("vote.void", color="Warning")]),
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
            told = line(page.say("thread.answered", bold=True), run(Clean(" ")), at)
            answer = _quoted(page, exchange.answer, counts=True)
            yield container([told, *answer], style="emphasis", spacing="Small")
        else:
            yield line(page.say("thread.open", color="Warning", bold=True), spacing="Small")
