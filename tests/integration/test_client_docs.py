"""What the documentation shows is run as it stands, in order, against a server."""

import re
import threading
from pathlib import Path

import pytest

import countersign.client
from countersign.client import Credential
from countersign.client.testing import Rule
from countersign.credentials import SubjectKind, new_token, write_credential
from countersign.model import Effect
from simulators.decision_server import DecisionServer

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "reference" / "python-client.md"
TOKEN, BOT = new_token(SubjectKind.CALLER), new_token(SubjectKind.CHANNEL)
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server whose people approve everything, once asked why."""
    monkeypatch.chdir(tmp_path)
    with DecisionServer(TOKEN) as server:
        server.channel_token = BOT
        server.accounts["teams:contoso", "5f0c"] = "bob"
        server.point.rules.append(Rule(pattern="*", effect=Effect.NEEDS_APPROVAL))
        write_credential(
            tmp_path / "agent.credential", Credential(endpoint=server.endpoint, token=TOKEN)
        )
        write_credential(
            tmp_path / "bot.credential", Credential(endpoint=server.endpoint, token=BOT)
        )
        closing = threading.Event()

        def approve():
            while True:
                server.waiting.acquire()
                if closing.is_set():
                    return
                for review in list(server.point.reviews.values()):
                    if review.state.awaits_votes:
                        server.point.approve(review.id, "bob")

        people = threading.Thread(target=approve)
        people.start()
        yield server
        closing.set()
        server.waiting.release()
        people.join()


def test_the_page_runs(server):
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 13
    names = {"sign_in": lambda: JWT}
    for number, block in enumerate(blocks, start=1):
        if "review_id" in block and "PersonAssertion" in block:
            names["review_id"] = names["client"].check(names["asked"]).pending.review_id
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    names["client"].close()
    assert names["rows"] == 120
    assert [len(str(report.permit_id)) > 4 for report in server.point.reports] == [True] * 5
    proofs = [
        request.context.on_behalf_of[0].evidence
        for method, request in server.calls
        if method == "Check" and request.context.resource.id == "invoices"
    ]
    assert proofs == [JWT, ""]
    assert [request.type for request in server.point.logged] == ["tool.output", "agent.log"]
    assert server.point.held(names["review_id"]).approvals == {"bob"}


def test_the_packages_own_example_runs(server):
    example = re.search(r"\n\n((?:    .*\n|\n)+)", countersign.client.__doc__)
    exec(re.sub(r"^    ", "", example[1], flags=re.MULTILINE), {})
    assert [report.detail_json for report in server.point.reports] == [b'{"rows":120}']
    assert len([line for line in example[1].splitlines() if line.strip()]) <= 15


def test_every_error_is_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    for name in countersign.client.__all__:
        kind = getattr(countersign.client, name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert f"`{name}`" in text, name
