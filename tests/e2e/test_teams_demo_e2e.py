"""`make teams` by itself: the script that it runs, from nothing to the end of the story."""

from __future__ import annotations

import os
import re
import socket
import subprocess

import realparts
from service import PATIENCE_S

# As much as a slow machine takes for four processes, a review and an export.
STORY_S = 3 * PATIENCE_S


def played(**environment: str) -> subprocess.CompletedProcess[str]:
    """`DEMO=auto scripts/teams`, in a home of its own: somebody may be playing in the other."""
    return subprocess.run(
        [realparts.ROOT / "scripts" / "teams", ".artefacts/teams-demo"],
        env={"PATH": os.defpath, "DEMO": "auto", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STORY_S,
        check=False,
    )


def test_the_story_is_told_to_its_end() -> None:
    realparts.card_renderer()
    done = played(OPA=str(realparts.opa()))
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    for user in ("alice", "bob", "carol", "dave", "alice-guest"):
        assert re.search(rf"^  {user} +http://127\.0\.0\.1:\d+/\?user={user}$", told, re.MULTILINE)
    steps = (
        "bob presses approve; Teams is answered",
        "the agent is released: approved",
        "it claimed the approval, wrote 3 rows and reported",
        "refused: the same approval again",
        "every copy of the card says that it succeeded",
        "That was it.",
    )
    places = [told.find(step) for step in steps]
    assert -1 not in places, told
    assert places == sorted(places)
    assert done.stderr == ""


def test_a_wrong_port_is_told_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for port in ("http", "70000", str(taken.getsockname()[1])):
            done = played(TEAMS_PORT=port)
            assert done.returncode == 1
            assert "TEAMS_PORT: " in done.stderr
            assert "Traceback" not in done.stderr
            assert done.stdout == ""
