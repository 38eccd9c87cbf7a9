"""`policy impact` as an author types it: a log of real decisions against edited policies."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
from pathlib import Path

import pytest

import realparts
from countersign.audit.plan import compress, decompress
from impact_contexts import EMAILS, IBANS, PEOPLE, SECRETS
from impact_world import LOG_ID, past
from typed import types

COUNT = 40
SMALL = """
package countersign

decision := {"effect": "deny", "reasons": [r | some r in denials]} if count(denials) > 0

else := {"effect": "allow", "reasons": [{"code": "small.fine", "message": "fine"}]}
"""
KEYS = """
denials contains {"code": "small.key", "message": "no keys"} if input.context.action == "key.rotate"
"""
SMALL += KEYS
OWNED = """
denials contains {"code": "small.owned", "message": "whose is it"} if {
	input.context.resource.owner == ""
}
"""
MARIA = """
denials contains {"code": "small.maria", "message": "not hers"} if {
	input.context.resource.owner == "maria.gonzales@example.org"
}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A policy of a few lines, and the same with more of them."""
    root = tmp_path_factory.mktemp("policies")

    def written(more: str = "", *, less: str = "") -> Path:
        directory = root / f"policy-{len(list(root.iterdir()))}"
        directory.mkdir()
        (directory / "small.rego").write_text(SMALL.replace(less, "") + more)
        return directory

    return written


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, small):
    """A published log, and what is in it."""
    home = tmp_path_factory.mktemp("impact")
    made = asyncio.run(
        past(home, realparts.opa(), small(), count=COUNT, seed="cli", log=home / "log")
    )
    return home / "log" / LOG_ID, made


def impact(log: Path, bundle: Path, *options: object):
    return types("policy", "impact", "--bundle", bundle, "--log", log, *options)


def test_the_policy_that_decided_changes_nothing(recorded, small):
    log, made = recorded
    told = impact(
        log, small(), "--format", "json", "--fail-on", "changed", "--fail-on", "unreplayed"
    )
    assert told.code == 0, told.err
    found = told.json()
    assert found["changed"] == 0
    assert found["same"] + found["depends"] == len(made.decided) == found["replayed"]
    assert found["not_replayed"].get("other kind", 0) == len(made.records) - len(made.decided)
    assert found["depends"] == 0


def test_a_new_denial_is_told_by_action_and_rule_and_can_fail_a_build(recorded, small):
    log, made = recorded
    bundle = small(OWNED)
    raw = [each for each in made.decided if each.raw["context"]["resource"]["owner"] == ""]
    assert raw, "the corpus has contexts without an owner"
    told = impact(log, bundle, "--format", "json", "--fail-on", "changed")
    assert told.code == 3, told.err
    found = told.json()
    gained = {code for change in found["changes"] for code in change["reasons_gained"]}
    assert gained == {"small.owned"}
    assert 0 < found["changed"] <= len(raw)
    seqs = {each.record["seq"]: each.record["decision"] for each in raw}
    for change in found["changes"]:
        for example in change["examples"]:
            assert seqs[example["seq"]] == example["decision"]


def test_only_what_was_named_fails(recorded, small):
    log, _ = recorded
    looser = small("denials contains {} if false", less=KEYS)
    assert impact(log, looser, "--fail-on", "tightened").code == 0
    assert impact(log, looser, "--fail-on", "loosened").code == 3
    reworded = small(KEYS.replace("small.key", "small.keys"), less=KEYS)
    assert impact(log, reworded, "--fail-on", "changed").code == 3
    assert impact(log, reworded, "--fail-on", "changed", "--compare", "effect").code == 0


def test_what_it_prints_holds_nothing_that_was_masked(recorded, small):
    log, _ = recorded
    bundle = small(MARIA)
    for written in ("text", "json", "csv", "markdown"):
        told = impact(log, bundle, "--format", written, "--action", "db.*")
        assert told.code == 0, told.err
        for value in (*EMAILS, *IBANS, *PEOPLE, *SECRETS):
            assert value not in told.out + told.err


def test_what_depends_on_a_masked_field_names_it(recorded, small):
    log, made = recorded
    told = impact(log, small(MARIA), "--format", "json", "--fail-on", "depends")
    owners = [each.raw["context"]["resource"]["owner"] for each in made.decided]
    denied = [each for each in made.decided if each.record["effect"] == "deny"]
    assert told.code == 3
    found = told.json()
    assert {tuple(each["pointers"]) for each in found["depends_on"]} == {("/resource/owner",)}
    assert found["depends"] == sum(owner in EMAILS for owner in owners)
    assert found["changed"] == 0, "no record tells whose address it was"
    assert denied


def test_a_line_of_csv_for_each_decision_that_is_not_the_same(recorded, small):
    log, _ = recorded
    bundle = small(OWNED)
    counted = impact(log, bundle, "--format", "json").json()
    rows = list(csv.DictReader(io.StringIO(impact(log, bundle, "--format", "csv").out)))
    assert len(rows) == counted["changed"] + counted["depends"]
    assert {row["verdict"] for row in rows} <= {"changed", "depends"}
    assert [int(row["seq"]) for row in rows] == sorted(int(row["seq"]) for row in rows)
    for row in rows:
        assert bool(row["depends_on"]) == (row["verdict"] == "depends")


def test_a_sample_is_the_same_each_time_and_says_what_it_left_out(recorded, small):
    log, made = recorded
    options = ("--limit", 3, "--seed", 5, "--format", "json")
    bundle = small(OWNED)
    first = impact(log, bundle, *options).json()
    assert first == impact(log, bundle, *options).json()
    assert first["replayed"] == 3
    assert first["not_replayed"]["not in the sample"] == len(made.decided) - 3


def test_times_and_actions_choose(recorded, small):
    log, made = recorded
    times = sorted(each.record["time"] for each in made.decided)
    until = impact(
        log, small(), "--until", times[2], "--compare", "effect", "--format", "json"
    ).json()
    assert until["replayed"] == 2
    some = [each for each in made.decided if each.raw["context"]["action"] == "db.export"]
    chosen = impact(log, small(), "--action", "db.export", "--format", "json").json()
    assert chosen["replayed"] == len(some)


def test_where_there_is_no_log_nothing_passes(small, tmp_path):
    """A gate of CI that was pointed at the wrong directory must not be green."""
    (tmp_path / "records").mkdir()
    told = impact(tmp_path, small(), "--fail-on", "loosened")
    assert told.code not in {0, 3}
    assert "[audit.no_log]" in told.err
    assert "nothing was compared" in told.err


def test_a_time_that_ends_before_it_begins_is_wrong_usage(recorded, small):
    log, _ = recorded
    told = impact(log, small(), "--since", "7d", "--until", "9d")
    assert told.code == 2
    assert "--since, --until" in told.err


def test_what_a_record_names_and_is_gone_is_not_replayed_and_can_fail(recorded, small, tmp_path):
    log, _ = recorded
    copy = shutil.copytree(log, tmp_path / "copy")
    (segment,) = (copy / "records").rglob("*.jsonl.gz")
    lines = [
        json.loads(line) for line in decompress(segment.read_bytes(), 1 << 26).split(b"\n") if line
    ]
    first = next(line for line in lines if line["kind"] == "decision")
    first["clean"] = {"object": "0" * 64}
    del first["mask_report"]
    segment.write_bytes(compress(b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"))
    told = impact(copy, small(), "--limit", 1, "--format", "json", "--fail-on", "unreplayed")
    assert told.code == 3
    assert told.json()["not_replayed"]["what it names is gone"] == 1


def test_a_candidate_that_does_not_compile_is_a_sentence(recorded, tmp_path):
    log, _ = recorded
    (tmp_path / "broken.rego").write_text("package countersign\n\ndecision := ")
    told = impact(log, tmp_path)
    assert told.code == 1
    assert "policy.not_compiled" in told.err
    assert "Traceback" not in told.err
