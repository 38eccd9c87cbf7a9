"""The demo's story in Microsoft's Agents Playground, clicked through by a browser.

Runs in a network namespace of its own (`scripts/teams-playground`). The playground
sends no tokens, so the bot runs in its development mode, on loopback. What is shown: the
playground takes what the bot sends, and what it sends is what the bot expects.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from typing import Any, Final

import demo_story as demo
import teams_story as story
from playwright.sync_api import Page, expect, sync_playwright

from simulators.teams.cloud import TENANT_ID
from simulators.teams.people import CAST, Person

ROOT = demo.ROOT
HOME = ROOT / ".teams"
PLAYGROUND = ROOT / ".tools" / "playground" / "node_modules" / "@microsoft" / "m365agentsplayground"
PICTURES = ROOT / ".artefacts" / "playground"
PORT: Final = 56151  # nobody else is in this namespace
CHANNEL_ID: Final = "19:d2c4b6a80e1f4c3a9b5d7e6f80a1b2c3@thread.tacv2"
PATIENCE_MS: Final = 60_000
BOB: Final = next(person for person in CAST if person.user == "bob")


def main() -> int:
    """Play it once."""
    demo.HOME = story.HOME = HOME
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        demo.enrol()
        enrol()
        stack.callback(story.end, demo.start_service())
        bot = f"127.0.0.1:{demo.free_port()}"
        stack.callback(story.end, start_bot(bot))
        stack.callback(story.end, start_playground(bot))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--disable-gpu", "--disable-background-networking"],
            chromium_sandbox=False,
        )
        stack.callback(browser.close)
        page = browser.new_page(viewport={"width": 1280, "height": 1100})
        page.set_default_timeout(PATIENCE_MS)
        play(page, stack)
    demo.say(f"pictures are in {PICTURES.relative_to(ROOT)}/")
    return 0


def enrol() -> None:
    """The accounts of `make teams`, and the bot's channel."""
    config = ("--config", str(HOME / "server" / "countersign.toml"))
    account = f"teams:{TENANT_ID} {BOB.object_id}"
    command = ("person", "add", "bob", "--name", BOB.name, "--group", "data-owners", "--replace")
    demo.run(*command, "--account", account, *config)
    add = ("channel", "add", "teams", "--issuer", f"teams:{TENANT_ID}")
    place = ("--conversation", f"{story.CHANNEL}={CHANNEL_ID}")
    demo.run(*add, *place, "--credential", demo.credential("bot"), *config)


def start_bot(address: str) -> subprocess.Popen[str]:
    """The bot without an app id: who is in this namespace is believed."""
    settings = HOME / "bot.toml"
    settings.write_text(
        f'tenants = ["{TENANT_ID}"]\ndevelopment = true\n\n'
        f'[listen]\naddress = "{address}"\n\n[service]\ncredential = "bot.credential"\n',
        "utf-8",
    )
    return story.run_bot(settings, {})


def start_playground(bot: str) -> subprocess.Popen[str]:
    """Microsoft's part, with people of ours; ready when it says where it listens."""
    place = HOME / "playground"
    place.mkdir()
    # JSON is YAML.
    (place / ".m365agentsplayground.yml").write_text(json.dumps(settings()), "utf-8")
    process = subprocess.Popen(
        [shutil.which("node") or "node", PLAYGROUND / "cli.js", "-c", "msteams",
         "-e", f"http://{bot}/api/messages", "-p", str(PORT), "--disable-telemetry",
         "--service-url", f"http://127.0.0.1:{PORT}/_connector"],
        cwd=place,
        env=dict(os.environ) | {"BROWSER": "none"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    told = (place / "output.log").open("w")
    for line in process.stdout:
        told.write(line)
        if "Listening on" in line:
            demo.expect(str(PORT) in line, f"it listens on {PORT}")
            break
    # Whoever reads no more would stop it once the pipe is full.
    threading.Thread(target=shutil.copyfileobj, args=(process.stdout, told), daemon=True).start()
    demo.expect(process.poll() is None, f"the playground runs (see {place}/output.log)")
    demo.say(f"Microsoft's playground listens on {PORT}, in this namespace only")
    return process


def settings() -> dict[str, Any]:
    """Its configuration: bob looks at it."""
    return {
        "version": "0.1.1",
        "tenantId": TENANT_ID,
        "bot": {"id": "28:countersign", "name": "Countersign"},
        "currentUser": user(BOB),
        # Five others, it wants: with fewer or more, or him among them, it never listens.
        "users": [user(each) for each in CAST if each is not BOB and not each.application],
        "personalChat": {"id": "a:1bob"},
        "groupChat": {"id": "19:group@unq.gbl.spaces", "name": "Group Chat"},
        "team": {
            "id": "19:team@thread.tacv2",
            "name": "Data",
            "aadGroupId": "7e6d5c4b-3a29-4817-8605-f4e3d2c1b0a9",
            "channels": [{"id": CHANNEL_ID, "name": story.CHANNEL}],
        },
    }


def user(person: Person) -> dict[str, str]:
    """One account, as its configuration names it."""
    member = person.member
    names = ("id", "name", "aadObjectId", "givenName", "surname", "email")
    told = {name: member[name] for name in names}
    return told | {"userPrincipleName": member["userPrincipalName"]}  # so it is spelt there


def play(page: Page, stack: contextlib.ExitStack) -> None:
    """Open the channel, see the card, approve it, see the end."""
    demo.title("In Microsoft's playground, as bob")
    page.goto(f"http://127.0.0.1:{PORT}")
    page.get_by_role("treeitem", name=re.compile(story.CHANNEL)).click()
    expect(page.get_by_text("appear here").first).to_be_visible(timeout=PATIENCE_MS)
    demo.say("the bot was installed there, and said so")
    agent = story.start_agent()
    stack.callback(agent.kill)
    demo.hear(agent, "checked")
    approve = page.get_by_role("button", name="Approve")
    approve.wait_for()
    page.screenshot(path=PICTURES / "asked.png")
    demo.say("the card is shown")
    approve.click()
    demo.expect(demo.hear(agent, "decided")["state"] == "approved", "the review is approved")
    demo.say("bob's click approved it")
    expect(page.get_by_text("succeeded").first).to_be_visible(timeout=PATIENCE_MS)
    page.screenshot(path=PICTURES / "done.png")
    demo.say("the same card tells the end")


if __name__ == "__main__":
    sys.exit(main())
