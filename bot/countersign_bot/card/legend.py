"""What the card does not show, and by which names it is known. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from countersign.v1 import reviews_pb2
from countersign_bot.card.handle import Handle
from countersign_bot.card.page import DEMANDED, Page, line, run
from countersign_bot.card.text import Clean
from countersign_bot.card.view import Element

_SMALL: dict[str, Any] = {"size": "Small", "subtle": True}


def masked(page: Page, report: Mapping[str, Any]) -> Element:
    """What is hidden, by kind and count."""
    return {**page.row("masked.label", *_masked(page, report)), "spacing": "Medium"}


def _masked(page: Page, report: Mapping[str, Any]) -> Iterator[Element]:
    total = report.get("total")
    counts = {
        str(kind): count
        for kind, count in (total if isinstance(total, dict) else {}).items()
        if isinstance(count, int)
    }
    if not counts:
        yield line(page.say("masked.nothing"))
    else:
        runs: list[Element] = []
        for kind, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
            runs += [run(Clean(", "))] if runs else []
            runs += _kind(page, kind, count)
        yield line(*runs)
    if report.get("cut"):
        yield line(page.say("masked.cut", color="Attention"))


def _kind(page: Page, kind: str, count: int) -> list[Element]:
    if page.words.has(f"masked.kind.{kind}"):
        return [page.say(f"masked.kind.{kind}", n=count)]
    return [run(Clean(f"{page.words.number(count)} ")), page.text(kind)]


def names(
    page: Page, review: reviews_pb2.Review, report: Mapping[str, Any], handle: Handle
) -> Iterator[Element]:
    """Rule set, preview, policy and review, small: for looking things up."""
    kept = page.cut  # a long name of one of these hides nothing of the action
    told = [
        ("names.ruleset", str(report.get("ruleset", ""))),
        ("names.preview", f"{handle.preview_hash[:16]} {handle.profile}".strip()),
        ("names.policy", review.policy_revision[:64]),
        ("names.review", review.status.review_id),
    ]
    runs: list[Element] = []
    for key, value in told:
        if value:
            runs += [run(Clean("  ·  "), **_SMALL)] if runs else []
            runs += [page.say(key, **_SMALL), run(Clean(" "), **_SMALL)]
            # The review's id is copied into commands, so it is one word to the last sign.
            own = key == "names.review"
            shown = page.command(value, **_SMALL) if own else page.text(value, mono=True, **_SMALL)
            runs.append(shown)
    page.cut = kept
    if review.must_show:
        yield line(run(Clean(f"{DEMANDED} "), **_SMALL), page.say("names.demanded", **_SMALL))
    yield line(*runs, spacing="Small")
