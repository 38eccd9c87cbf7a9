"""Cards in a real browser, drawn by Microsoft's own renderer.

What is looked at is what a reviewer sees: that the renderer takes every card as
it is, that hostile words are drawn letter by letter, that buttons send handles.
Pictures are kept below `.artefacts/cards`.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, async_playwright

import realparts
from card_stories import (
    APPROVER,
    CONTEXT,
    REQUESTER,
    elements,
    handle,
    look,
    preview,
    review,
    stories,
    vote,
)
from countersign_bot.card import closed_card, gone_card, read, review_card, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARTEFACTS = realparts.ROOT / ".artefacts" / "cards"
PARTS = realparts.ROOT / "tests" / "simulators" / "teams" / "page"
SITE = "http://cards.test"
PAGE = """
<!doctype html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,">
<link rel="stylesheet" href="/parts/adaptivecards.css">
<link rel="stylesheet" href="/page/style.css"><link rel="stylesheet" href="/page/cards.css">
<style>body { display: block; padding: 16px; background: #f5f5f5 }
#card { box-sizing: border-box; width: min(520px, 100%); background: #fff }</style>
</head><body><div id="card" class="card"></div>
<script src="/parts/adaptivecards.min.js"></script>
<script type="module">
import { hostConfig } from "/page/host.js";
import { markdown } from "/page/markdown.js";
const AC = window.AdaptiveCards;
AC.AdaptiveCard.onProcessMarkdown = (text, result) => {
  result.outputHtml = markdown(text);
  result.didProcess = true;
};
window.sent = [];
window.show = (json, oldClient) => {
  const card = new AC.AdaptiveCard();
  const context = new AC.SerializationContext();
  const actions = new AC.CardObjectRegistry();
  AC.GlobalRegistry.populateWithDefaultActions(actions);
  if (oldClient) actions.unregister("Action.Execute");
  context.setActionRegistry(actions);
  card.hostConfig = new AC.HostConfig(hostConfig);
  card.onExecuteAction = (action) =>
    window.sent.push({ verb: action.verb ?? null, data: action.data });
  card.parse(json, context);
  const told = [...Array(context.eventCount).keys()].map((at) => context.getEventAt(at).message);
  told.push(...card.validateProperties().validationEvents.map((event) => event.message));
  document.getElementById("card").replaceChildren(card.render());
  return told;
};
document.body.dataset.ready = "yes";
</script></body></html>
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page():
    """One page for all: each card is drawn on a fresh load of it."""
    renderer = realparts.card_renderer()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=realparts.chromium(),
            args=["--disable-gpu", "--disable-quic", "--no-first-run"],
            # As root Chromium cannot have one.
            chromium_sandbox=os.geteuid() != 0,
        )
        opened = await browser.new_page(viewport={"width": 560, "height": 900})
        asked: list[str] = []
        await opened.route("**/*", lambda route: _serve(route, renderer, asked))
        yield opened
        await browser.close()
        assert not [url for url in asked if not url.startswith(SITE)], "a card fetched something"


async def _serve(route: Route, renderer: Path, asked: list[str]) -> None:
    url = urlsplit(route.request.url)
    asked.append(route.request.url)
    at = {"parts": renderer, "page": PARTS}.get(url.path.split("/")[1])
    if at is not None:
        await route.fulfill(path=at / url.path.split("/")[2])
    else:
        await route.fulfill(body=PAGE, content_type="text/html")


async def show(page: Page, card: dict[str, Any], *, old_client: bool = False) -> list[str]:
    """Draw a card on a fresh page: what the renderer has to say against it."""
    await page.goto(SITE)
    await page.wait_for_selector("body[data-ready]")
    return await page.evaluate("([card, old]) => show(card, old)", [card, old_client])


async def picture(page: Page, name: str) -> None:
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    await page.locator("#card").screenshot(path=ARTEFACTS / f"{name}.png")


def body(shown, view=APPROVER, language="en", **more):
    return review_card(shown, handle=handle(shown), view=view, look=look(language), **more).body


async def test_the_renderer_takes_every_card_as_it_is(page):
    cards = {"closed": closed_card(look()).body, "replaced": gone_card(look("de")).body}
    for name, shown in stories().items():
        cards[name] = body(shown, viewers=["29:carol"])
        cards[f"{name}-de"] = body(shown, language="de", viewers=["29:carol"])
    cards["pending-requester"] = body(stories()["pending"], REQUESTER)
    cards["ran-requester"] = body(stories()["ran"], REQUESTER)
    for name, card in cards.items():
        assert await show(page, card) == [], name
        headings = await page.get_by_role("heading").all_inner_texts()
        assert headings, name
        drawn = " ".join((await page.locator("#card").inner_text()).split())
        for element, _ in elements(card["body"]):
            if element["type"] == "TextRun":
                assert " ".join(element["text"].split()) in drawn, (name, element["text"])
        await picture(page, name)


MOST_PIXELS_APART = 20
"""Edges of letters are not always smoothed alike."""
HOSTILE = {
    "markdown": "[approve](https://evil.example) **bold** _it_ `code` # heading",
    "mention": "<at>Everyone</at> please",
    "html": '<img src="https://evil.example/x.png"><b>bold</b>&amp;<script>alert(1)</script>',
    "date": "until {{DATE(2030-01-01T00:00:00Z, SHORT)}} and {{TIME(2030-01-01T00:00:00Z)}}",
    "bidi": "invoice_\u202egnp.exe",
    "zero-width": "pay\u200b\u2060pal\ufeff",
    "emoji": "\U0001f600" * 200,
    "marks": "Z" + "\u0301" * 200 + "algo",
    "tags": "hi\U000e0068\U000e0069",
    "control": "a\x00\x1b[31mred\x7f",
    "right to left": "\u05e2\u05de\u05e8 (approved) \u05d1",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_words_are_drawn_letter_by_letter(page, name):
    """Pixel for pixel what the spelled-out words look like as plain text, wherever they stand."""
    raw = HOSTILE[name]
    context = {**CONTEXT, "reason": raw, "arguments": {raw: raw}, "session": raw}
    shown = review(
        shown=preview(context), must_show=[], votes=[vote(raw, reason=raw)], unreached=[raw]
    )
    assert await show(page, body(shown, notice=raw)) == []
    (told,) = text.shown(raw, max_chars=4000, max_lines=9).lines
    bare = f"(run) => run.textContent.replaceAll('{text.BREAK}', '')"
    runs = [
        run
        for run in await page.locator("#card .ac-textRun").all()
        if told in await run.evaluate(bare)
    ]
    assert len(runs) >= 7
    assert await page.locator("#card :is(a, img, b, at, script, strong, em, h1, code)").count() == 0
    linked = "all => all.map((each) => each.href ?? each.src ?? '').join(' ')"
    assert "evil.example" not in await page.eval_on_selector_all("#card *", linked)
    drawn = page.locator("#card")
    await picture(page, f"hostile-{name.replace(' ', '-')}")
    before = await drawn.screenshot()
    for run in runs:
        await run.evaluate("(run) => { run.textContent = run.textContent; }")
    assert await _pixels_apart(page, before, await drawn.screenshot()) <= MOST_PIXELS_APART


async def test_the_comparison_sees_markup_where_there_is_some(page):
    """The same words in a TextBlock, where no card of ours would put them."""
    card = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "x"}]}
    for raw in (HOSTILE["markdown"], HOSTILE["date"]):
        card["body"][0]["text"] = raw
        assert await show(page, card) == []
        drawn = page.locator("#card")
        before = await drawn.screenshot()
        block = page.locator("#card .ac-textBlock")
        await block.evaluate("(block, raw) => { block.textContent = raw; }", raw)
        assert await _pixels_apart(page, before, await drawn.screenshot()) > MOST_PIXELS_APART


async def _pixels_apart(page: Page, one: bytes, other: bytes) -> int:
    """How many pixels of two pictures are plainly of another colour."""
    pictures = [base64.b64encode(each).decode() for each in (one, other)]
    return await page.evaluate(
        """async (pictures) => {
          const pixels = async (picture) => {
            const image = new Image();
            image.src = `data:image/png;base64,${picture}`;
            await image.decode();
            const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
            canvas.drawImage(image, 0, 0);
            return canvas.getImageData(0, 0, image.width, image.height).data;
          };
          const [one, other] = await Promise.all(pictures.map(pixels));
          if (one.length !== other.length) return Math.max(one.length, other.length);
          let apart = 0;
          for (let at = 0; at < one.length; at += 4) {
            if ([0, 1, 2].some((of) => Math.abs(one[at + of] - other[at + of]) > 64)) apart += 1;
          }
          return apart;
        }""",
        pictures,
    )


async def test_names_from_right_to_left_turn_nothing_round_beside_them(page):
    shown = review(votes=[vote("\u05e2\u05de\u05e8 \u05d1\u05df")])
    assert await show(page, body(shown)) == []
    at = await page.evaluate(
        """() => {
          const runs = [...document.querySelectorAll("#card span")];
          const left = (words) => runs.find((run) => run.textContent.includes(words))
            .getBoundingClientRect().left;
          return [left("\u05e2\u05de\u05e8"), left("approved"), left("13:57")];
        }"""
    )
    assert at == sorted(at)


async def test_an_override_is_spelled_not_obeyed(page):
    context = {**CONTEXT, "reason": "invoice\u202egnp.exe"}
    assert await show(page, body(review(shown=preview(context)))) == []
    at = await page.evaluate(
        """() => {
          const run = [...document.querySelectorAll("#card span")]
            .find((each) => each.textContent.includes("gnp.exe"));
          const node = run.firstChild, from = node.data.indexOf("gnp.exe");
          return [...Array(7).keys()].map((step) => {
            const range = document.createRange();
            range.setStart(node, from + step);
            range.setEnd(node, from + step + 1);
            return range.getBoundingClientRect().left;
          });
        }"""
    )
    assert at == sorted(at)
    assert len(set(at)) == 7


async def test_a_denial_needs_words_and_sends_them_with_the_handle(page):
    shown = review()
    assert await show(page, body(shown)) == []
    await page.get_by_role("button", name="Deny").click()
    await page.get_by_role("button", name="Deny").last.click()
    await page.get_by_text("Say why, so that it can be put right.").wait_for()
    assert await page.evaluate("sent") == []
    await page.get_by_label("Why not?").fill("not without legal")
    await picture(page, "denying")
    await page.get_by_role("button", name="Deny").last.click()
    (sent,) = await page.evaluate("sent")
    click = read(sent["data"], verb=sent["verb"])
    assert (click.verb, click.text, click.handle) == ("deny", "not without legal", handle(shown))


UNKNOWN = {'Unknown action type "Action.Execute". Fallback will be used if present.'}


@pytest.mark.parametrize("old_client", [False, True])
async def test_one_click_approves_in_old_clients_too(page, old_client):
    shown = review()
    told = await show(page, body(shown), old_client=old_client)
    assert {*told} == (UNKNOWN if old_client else set())
    names = await page.get_by_role("button").all_inner_texts()
    assert names == ["Approve", "Deny", "Ask"]
    await page.get_by_role("button", name="Approve").click()
    (sent,) = await page.evaluate("sent")
    assert sent["verb"] == (None if old_client else "approve")
    assert read(sent["data"], verb=sent["verb"]).handle == handle(shown)


OUT_OF_PLACE = """() => [...document.querySelectorAll("#card .ac-textRun")].filter((run) => {
  const place = run.closest(".ac-richTextBlock") ?? run.parentElement;
  const edge = place.parentElement.getBoundingClientRect().right + 1;
  return [...run.getClientRects()].some((drawn) => drawn.right > edge);
}).map((run) => run.textContent)"""
"""Runs that are drawn beyond the part of the card they stand in."""


async def test_a_card_fits_a_phone(page):
    await page.set_viewport_size({"width": 340, "height": 700})
    for name in ("revision-2", "unreviewable", "person"):
        long = {**CONTEXT, "arguments": {"url": "https://" + "a" * 300, "k" * 90: "v"}}
        shown = stories()[name]
        assert await show(page, body(shown, language="de")) == []
        assert await page.evaluate(OUT_OF_PLACE) == []
        await picture(page, f"phone-{name}")
        assert await show(page, body(review(shown=preview(long), must_show=[]))) == []
        assert await page.evaluate(OUT_OF_PLACE) == []
