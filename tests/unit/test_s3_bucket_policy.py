"""The policies as AWS will read them: compared with files that people read in review."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from countersign.audit.s3.bucket_policy import (
    Rules,
    auditor,
    document,
    records_statements,
    same,
    tiles_statements,
    writer,
)

GOLDEN = Path(__file__).parent / "s3_policies"
RULES = Rules(
    records="acme-records", tiles="acme-tiles", mode="COMPLIANCE", days=2557, max_days=3660
)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("records", document(records_statements(RULES))),
        ("tiles", document(tiles_statements(RULES))),
        ("writer", writer(RULES)),
        ("auditor", auditor(RULES)),
    ],
)
def test_a_policy_is_the_one_that_was_reviewed(name, policy):
    assert policy == json.loads((GOLDEN / f"{name}.json").read_text())
    names = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(names)) == len(names)


def test_a_bucket_takes_what_is_locked_for_exactly_its_days():
    by_name = {each["Sid"]: each for each in records_statements(RULES)}
    remaining = "s3:object-lock-remaining-retention-days"
    # Of N days asked for a moment ago, N - 1 whole ones remain.
    assert by_name["NotTooShort"]["Condition"] == {"NumericLessThan": {remaining: "2556"}}
    assert by_name["NotTooLong"]["Condition"] == {"NumericGreaterThan": {remaining: "3660"}}


def test_what_keeps_the_policy_comes_last():
    assert records_statements(RULES)[-1]["Sid"] == "SettingsStay"


def test_nobody_is_allowed_what_is_denied():
    denied = {
        action
        for statement in records_statements(RULES)
        if "Condition" not in statement
        for action in statement["Action"]
    }
    assert "s3:DeleteObjectVersion" in denied
    for policy in (writer(RULES), auditor(RULES)):
        for statement in policy["Statement"]:
            if "acme-records" in statement["Resource"]:
                assert not denied & set(statement["Action"])


def test_without_tls_no_rule_shuts_the_endpoint_out():
    plain = Rules(records="r", tiles="t", mode="GOVERNANCE", days=1, max_days=1, tls=False)
    assert "TlsOnly" not in {each["Sid"] for each in records_statements(plain)}
    assert tiles_statements(plain) == []


def test_a_statement_is_known_again_in_the_words_of_a_store():
    for mine in records_statements(RULES):
        told = {name: [value] if isinstance(value, str) else value for name, value in mine.items()}
        told |= {"Sid": mine["Sid"], "Effect": "Deny", "Principal": {"AWS": ["*"]}}
        told["Action"] = list(reversed(mine["Action"]))
        assert same(mine, told)
        assert not same(mine, told | {"Action": mine["Action"][:-1]})
        assert not same(mine, told | {"Effect": "Allow"})
