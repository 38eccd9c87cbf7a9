"""Agents, people and auditors at the real command, against a real service."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countersign.credentials import Credential, write_credential
from service import Service, eventually

COMMAND = Path(sys.executable).parent / "countersign"
FRUITLESS = "rev_" + "0" * 32


class Desk:
    """A directory beside a service, in which somebody types commands."""

    def __init__(self, service: Service, directory: Path) -> None:
        self.service = service
        self.directory = directory
        for subject in service.tokens:
            write_credential(directory / f"{subject}.credential", service.credential(subject))

    def types(self, *arguments: str, as_: str = "", config: bool = False) -> Typed:
        more = ["--credential", f"{as_}.credential"] if as_ else []
        more += ["--config", str(self.service.directory / "countersign.toml")] if config else []
        return typed(*arguments, *more, cwd=self.directory)

    def writes(self, name: str, content: Any) -> str:
        text = content if isinstance(content, str) else json.dumps(content)
        (self.directory / name).write_text(text)
        return name

    def checked(self, table: str) -> str:
        """A pending review of an export of this table; its context is TABLE.json."""
        asked = self.types(
            "check", self.writes(f"{table}.json", export(table)), "--json", as_="agent"
        )
        assert asked.code == 4, asked
        return str(asked.json()["review"])

    def preview(self, review: str) -> str:
        shown = self.types("review", "show", review, "--json", as_="bob").json()
        (preview,) = shown["previews"].values()
        return str(preview["hash"])


class Typed:
    """What a command answered."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        assert "Traceback" not in self.err, self.err

    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}{self.err}"


def typed(*arguments: str, cwd: Path) -> Typed:
    return Typed(
        subprocess.run(
            [COMMAND, *arguments],
            cwd=cwd,
            env={"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    )


def export(table: str) -> dict[str, Any]:
    return {
        "action": "db.export",
        "actor": "agent",
        "environment": "production",
        "resource": {"type": "table", "id": table},
        "arguments": {
            "columns": ["id", "email"],
            "destination": "s3://analytics-exports/file.csv",
            "row_count": 5000,
        },
        "reason": "for ann.smith@example.org",
    }


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    base = tmp_path_factory.mktemp("cli")
    with Service(base / "service") as service:
        service.configure({"sanitizer.internal_domains": ["analytics-exports"]})
        service.person("alice", "data-owners")
        service.person("bob", "data-owners")
        service.caller("agent", "alice")
        (base / "desk").mkdir()
        service.start()
        yield Desk(service, base / "desk")


# --- the whole way ----------------------------------------------------------------


def test_an_action_goes_all_the_way_by_hand(desk: Desk) -> None:
    context = desk.writes("way.json", export("way"))
    asked = desk.types("check", context, "--save", "way.pending", as_="agent")
    assert asked.code == 4
    assert asked.out.startswith("NEEDS APPROVAL\n")
    assert "countersign await way.pending" in asked.out
    review = re.search(r"rev_[0-9a-f]{32}", asked.out)[0]
    assert stat.S_IMODE((desk.directory / "way.pending").stat().st_mode) == 0o600

    early = desk.types("claim", "way.pending", context, as_="agent")
    assert early.code == 4
    assert "countersign await way.pending" in early.err

    card = desk.types("review", "show", review, as_="bob").out
    command = re.search(rf"countersign (review approve {review} --preview [0-9a-f]{{16}})", card)
    assert desk.types(*command[1].split(), as_="bob").out == "Approved. The review is APPROVED.\n"

    awaited = desk.types("await", "way.pending", "--timeout-s", "20", as_="agent")
    assert awaited.code == 0
    assert awaited.out.startswith("APPROVED\n")

    claimed = desk.types("claim", "way.pending", context, "--json", as_="agent")
    assert claimed.code == 0
    assert set(claimed.json()) == {"decision", "effect", "expires_at", "permit", "token"}
    again = desk.types("claim", review, context, as_="agent")
    assert again.code == 3
    assert "[review.claimed]" in again.err

    permit = claimed.json()["permit"]
    reported = desk.types("report", permit, "--detail", '{"rows": 5000}', as_="agent")
    assert (reported.code, reported.out.splitlines()[0]) == (0, "Recorded: succeeded")

    eventually(lambda: "outcome" in desk.types("audit", "show", review, config=True).out)
    told = desk.types("audit", "show", review, config=True)
    assert told.code == 0
    kinds = re.findall(r"^#\d+ .*  (\S+)$", told.out, re.MULTILINE)
    assert kinds == ["decision", "review.created", "claim", "vote", "claim", "claim", "outcome"]


def test_check_says_what_was_decided_to_scripts(desk: Desk) -> None:
    review = desk.checked("scripted")
    again = desk.types("check", "scripted.json", "--json", as_="agent").json()
    assert set(again) == {"decision", "effect", "policy_revision", "reasons", "review", "seq"}
    assert (again["effect"], again["review"]) == ("needs_approval", review)
    assert again["reasons"] == [{"code": "export.personal", "message": "export of personal data"}]


def test_allow_is_0_and_deny_is_3(desk: Desk) -> None:
    ordinary = export("allowed")
    ordinary["arguments"]["columns"] = ["id", "plan"]
    ordinary["reason"] = ""
    allowed = desk.types("check", desk.writes("allowed.json", ordinary), as_="agent")
    assert (allowed.code, allowed.out.splitlines()[0]) == (0, "ALLOW")
    foreign = desk.writes("foreign.json", {**export("foreign"), "actor": "somebody"})
    denied = desk.types("check", foreign, as_="agent")
    assert (denied.code, denied.out.splitlines()[0]) == (3, "DENY")
    assert "[context.not_permitted]" in denied.out


def test_a_denial_ends_in_3_everywhere(desk: Desk) -> None:
    review = desk.checked("refused")
    denied = desk.types(
        "review", "deny", review, "--preview", desk.preview(review), "--reason", "no", as_="bob"
    )
    assert denied.out == "Denied. The review is DENIED.\n"
    assert desk.types("await", review, as_="agent").code == 3
    assert desk.types("claim", review, "refused.json", as_="agent").code == 3
    plain = desk.types("claim", review, "refused.json", "--json", as_="agent")
    assert plain.code == 3
    assert plain.json()["effect"] == "deny"
    assert plain.json()["reasons"][0]["code"] == "review.denied"


def test_a_wait_that_ends_undecided_is_4(desk: Desk) -> None:
    review = desk.checked("slow")
    assert desk.types("await", review, "--timeout-s", "0", as_="agent").code == 4
    looked = desk.types("await", review, "--timeout-s", "0", "--json", as_="agent")
    assert looked.code == 4
    assert looked.json()["state"] == "pending"


def test_another_context_is_not_the_approved_one(desk: Desk) -> None:
    review = desk.checked("bound")
    desk.types("review", "approve", review, "--preview", desk.preview(review), as_="bob")
    other = export("bound")
    other["arguments"]["row_count"] = 5001
    claimed = desk.types("claim", review, desk.writes("other.json", other), as_="agent")
    assert claimed.code == 3
    assert "[claim.mismatch]" in claimed.err
    assert desk.types("claim", review, "bound.json", as_="agent").code == 0


# --- people -----------------------------------------------------------------------


def test_the_card_masks_speaks_in_words_and_says_who_cannot(desk: Desk) -> None:
    review = desk.checked("card")
    card = desk.types("review", "show", review, as_="bob").out
    assert "ann.smith" not in card
    assert "rows: 1k to 10k (at least 1,000)" in card
    assert "destination: analytics-exports (s3), inside the organisation" in card
    assert "columns: 2, of which 1 contact, 1 personal" in card
    assert "may not vote alice" in card
    assert card.index("Verified by Countersign") < card.index("Asserted by the agent")
    own = desk.types("review", "show", review, as_="alice").out
    assert "you cannot approve" in own
    assert "countersign review approve" not in own
    listed = desk.types("review", "list", as_="bob").out
    assert re.search(
        rf"^{review}  PENDING +agent db.export table card in production$", listed, re.MULTILINE
    )


def test_a_vote_names_what_was_read(desk: Desk) -> None:
    review = desk.checked("read")
    blind = desk.types("review", "approve", review, as_="bob")
    assert blind.code == 1
    assert "[vote.preview_missing]" in blind.err
    assert f"countersign review show {review}" in blind.err
    for wrong in ("0" * 16, desk.preview(review)[:7]):
        refused = desk.types("review", "approve", review, "--preview", wrong, as_="bob")
        assert refused.code == 1
        assert "[vote.preview_mismatch]" in refused.err
    assert desk.types("await", review, "--timeout-s", "0", as_="agent").code == 4


def test_a_question_is_answered_at_the_terminal(desk: Desk) -> None:
    review = desk.checked("asked")
    asked = desk.types("review", "ask", review, "Which quarter?", as_="bob")
    assert asked.out == "Asked. The review is INFO REQUESTED.\n"
    waiting = desk.types("await", review, "--timeout-s", "0", as_="agent")
    assert waiting.code == 4
    question = re.search(r"Which quarter\? \[(qst_[0-9a-f]{32})\]", waiting.out)[1]
    answered = desk.types("answer", review, question, "The third.", as_="agent")
    assert (answered.code, answered.out.splitlines()[0]) == (0, "PENDING")
    assert "The third." in desk.types("review", "show", review, as_="bob").out


def test_an_approval_can_be_taken_back_and_a_request_withdrawn(desk: Desk) -> None:
    review = desk.checked("back")
    desk.types("review", "approve", review, "--preview", desk.preview(review), as_="bob")
    revoked = desk.types("review", "revoke", review, "--reason", "too early", as_="bob")
    assert revoked.out == "Revoked. The review is REVOKED.\n"
    assert desk.types("claim", review, "back.json", as_="agent").code == 3
    other = desk.checked("withdrawn")
    cancelled = desk.types("cancel", other, "--reason", "changed my mind", as_="agent")
    assert (cancelled.code, cancelled.out.splitlines()[0]) == (0, "CANCELLED")


def test_nobody_decides_with_the_wrong_kind_of_credential(desk: Desk) -> None:
    machine = desk.types("review", "list", as_="agent")
    assert machine.code == 1
    assert "[caller.not_a_person]" in machine.err
    person = desk.types("check", desk.writes("p.json", export("p")), as_="bob")
    assert person.code == 1
    assert "[person.not_a_caller]" in person.err
    unknown = desk.types("review", "show", FRUITLESS, as_="bob")
    assert unknown.code == 1
    assert "[review.not_found]" in unknown.err


# --- what goes wrong before anything is asked ---------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"action": ', "wrong.json: is not JSON: syntax error at line 1"),
        ('{"action": "a.b", "action": "c.d"}', "wrong.json: /action: is given twice"),
        ("[]", "wrong.json: must be a JSON object"),
        ({**export("t"), "table": "t"}, "has a key that is none of: action, actor"),
        ({**export("t"), "resource": "t"}, "resource: must be an object with type and id"),
        ({**export("t"), "resource": {"name": "t"}}, "resource: has a key that is none of"),
        ({**export("t"), "on_behalf_of": "alice"}, "on_behalf_of: must be a list of principals"),
        ({**export("t"), "on_behalf_of": None}, "on_behalf_of: must be a list of principals"),
        ({**export("t"), "on_behalf_of": ["alice"]}, "on_behalf_of[0]: must be {"),
        ({**export("t"), "actor": {"type": ["person"], "id": "a"}}, "actor: must be {"),
        ({**export("t"), "environment": 5}, "environment: must be a string"),
        ({**export("t"), "action": "DROP"}, "action: must be dotted lower-case words"),
        ({**export("t"), "arguments": {"n": 2**53 + 1}}, "/arguments/n: is a number that"),
    ],
)
def test_a_context_that_cannot_be_taken_names_file_and_place(
    desk: Desk, content: Any, said: str
) -> None:
    refused = desk.types("check", desk.writes("wrong.json", content), as_="agent")
    assert refused.code == 1
    assert "countersign: wrong.json: " in refused.err
    assert said in refused.err
    assert "DROP" not in refused.err


def test_what_cannot_be_read_is_named_with_the_remedy(desk: Desk) -> None:
    context = desk.writes("fine.json", export("fine"))
    missing = desk.types("check", "none.json", as_="agent")
    assert (missing.code, missing.err.splitlines()[0]) == (
        1,
        "countersign: none.json: No such file or directory [context.unreadable]",
    )
    nobody = desk.types("check", context)
    assert "Give --credential FILE or set COUNTERSIGN_CREDENTIAL" in nobody.err
    assert "[credential.unreadable]" in desk.types("check", context, as_="nobody").err
    exposed = desk.directory / "exposed.credential"
    shutil.copy(desk.directory / "agent.credential", exposed)
    exposed.chmod(0o644)
    assert "Run: chmod 600 exposed.credential" in desk.types("check", context, as_="exposed").err
    detail = desk.types("report", "pmt_1", "--detail", "{", as_="agent")
    assert detail.code == 2
    assert "--detail: is not JSON" in detail.err


def test_a_service_that_is_away_is_said_so(desk: Desk) -> None:
    nowhere = Credential(endpoint="127.0.0.1:1", token=desk.service.tokens["bob"])
    write_credential(desk.directory / "away.credential", nowhere)
    away = desk.types("review", "list", as_="away")
    assert away.code == 1
    assert "[unavailable]" in away.err
    assert "`countersign serve` starts it" in away.err


# --- auditors ---------------------------------------------------------------------


def test_an_auditor_verifies_a_copy_and_finds_what_was_done_to_it(
    desk: Desk, tmp_path: Path
) -> None:
    log = desk.service.log_directory()
    desk.checked("audited")
    seq = desk.types("check", "audited.json", "--json", as_="agent").json()["seq"]
    eventually(lambda: newest(log) > seq)
    whole = desk.types("audit", "verify", config=True)
    assert whole.code == 0
    assert whole.out.startswith("VERIFIED: log countersign.local/default\n")
    assert "the store of size" in whole.out

    key = tmp_path / "log.vkey"
    key.write_text(desk.types("audit", "key", config=True).out)
    kept = tmp_path / "kept"
    shutil.copy(log / "checkpoint", kept)
    copy = tmp_path / "copy"
    shutil.copytree(log, copy)
    with_copy = ("audit", "verify", "--log", str(copy), "--key", str(key))
    plain = desk.types(*with_copy, "--json", "--checkpoint", str(kept))
    assert plain.code == 0
    assert plain.json()["ok"] is True
    assert any("remembered checkpoint" in anchor for anchor in plain.json()["anchors"])

    edited = edit_a_record(copy)
    found = desk.types(*with_copy)
    assert found.code == 1
    assert found.out.startswith("NOT VERIFIED")
    assert f"record.edited: record {edited}:" in found.out

    without_end(log, shorter := tmp_path / "shorter")
    cut = ("audit", "verify", "--log", str(shorter), "--key", str(key))
    assert desk.types(*cut).code == 0, "nothing in a shorter copy alone tells that it is shorter"
    truncated = desk.types(*cut, "--checkpoint", str(kept))
    assert truncated.code == 1
    assert "log.truncated" in truncated.out


def newest(log: Path) -> int:
    """How many records the published checkpoint covers."""
    return int((log / "checkpoint").read_text().splitlines()[1])


def edit_a_record(copy: Path) -> int:
    segment = min(copy.glob("records/*/*/*.jsonl.gz"))
    first, *rest = gzip.decompress(segment.read_bytes()).splitlines(keepends=True)
    segment.write_bytes(gzip.compress(first.replace(b'"kind":"', b'"kind":"x', 1) + b"".join(rest)))
    return int(json.loads(first)["seq"])


def without_end(log: Path, copy: Path) -> None:
    """The log as it was at its first checkpoint."""
    shutil.copytree(log, copy)
    first, *later = sorted((copy / "checkpoints").iterdir())
    size = int(first.name)
    shutil.copy(first, copy / "checkpoint")
    for path in later:
        path.unlink()
    for path in copy.glob("records/*/*/*.jsonl.gz"):
        if int(path.name[:20]) >= size:
            path.unlink()
    for path in copy.glob("tile/**/*.p/*"):
        if int(path.name) > size:
            path.unlink()


def test_audit_options_that_cannot_be_used_say_why(desk: Desk, tmp_path: Path) -> None:
    log = str(desk.service.log_directory())
    key = desk.service.log_key()
    for arguments, said in (
        (("--log", log), "[audit.key_missing]"),
        (("--log", str(tmp_path / "no"), "--key", key), "[audit.no_log]"),
        (("--log", log, "--key", "nofile.vkey"), "--key: nofile.vkey: No such file"),
        (("--log", log, "--key", "a+b+c"), "[log.key_invalid]"),
        (("--log", log, "--key", key, "--checkpoint", "none"), "--checkpoint: none: No such"),
        (
            ("--log", log, "--key", key, "--checkpoint", desk.writes("note", "no")),
            "[audit.checkpoint_invalid]",
        ),
    ):
        refused = desk.types("audit", "verify", *arguments)
        assert refused.code == 2, "1 would say that the log was tampered with"
        assert said in refused.err
    assert "[audit.no_log]" in desk.types("audit", "verify", "--tenant", "x", config=True).err


def test_records_are_shown_by_subject_and_by_number(desk: Desk) -> None:
    review = desk.checked("shown")
    eventually(lambda: desk.types("audit", "show", review, config=True).code == 0)
    told = desk.types("audit", "show", review, "--json", config=True).json()
    assert review in json.dumps(told)
    record = desk.types("audit", "show", "0", config=True)
    assert record.json()["seq"] == 0
    for nothing in ("999999", FRUITLESS):
        missing = desk.types("audit", "show", nothing, config=True)
        assert missing.code == 1
    assert "[audit.no_log]" in desk.types("audit", "show", "0", "--log", "none").err


def test_json_holds_json_and_hex(desk: Desk) -> None:
    review = desk.checked("hex")
    shown = desk.types("review", "show", review, "--json", as_="bob").json()
    preview = shown["previews"]["reviewer"]
    assert preview["context"]["action"] == "db.export"
    assert preview["facts"]["rows"]["at_least"] == 1000
    assert preview["mask_report"]["total"] == {"EMAIL": 1}
    assert re.fullmatch(r"[0-9a-f]{64}", preview["hash"])
    assert re.fullmatch(r"[0-9a-f]{64}", shown["commitment"])
