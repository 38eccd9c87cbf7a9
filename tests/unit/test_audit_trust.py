"""The trust file: what an auditor believes, read strictly."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_world import SIGNER, VKEY
from countersign.audit.cosignature import WitnessKey
from countersign.audit.trust import Trust, TrustedLog
from countersign.errors import ConfigurationError

WITNESS = str(WitnessKey(name="witness.example/w1", key=SIGNER.key.public_key()))
GOOD = f"""
format = "countersign/trust/v1"
[[logs]]
origin = "log.example/acme"
key = "{VKEY}"
witnesses = ["{WITNESS}"]
places = ["s3://log"]
"""


def test_what_is_written_is_read_back():
    log = TrustedLog(
        verifier=SIGNER.verifier,
        witnesses=(WitnessKey.parse(WITNESS),),
        places=('s3://bücket/"quoted"\\', "on paper"),
    )
    trust = Trust(logs=(log,))
    assert Trust.parse(trust.encode().encode()).encode() == trust.encode()
    read = Trust.parse(trust.encode().encode()).logs[0]
    assert (read.origin, read.places) == (log.origin, log.places)
    assert list(map(str, read.witnesses)) == [WITNESS]


def test_a_log_is_found_by_its_name_and_no_other_is():
    trust = Trust.parse(GOOD.encode())
    assert str(trust.find("log.example/acme").verifier) == VKEY
    assert str(trust.find(None).verifier) == VKEY
    with pytest.raises(ConfigurationError) as unknown:
        trust.find("log.example/other")
    assert unknown.value.code == "audit.not_trusted"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("trust/v1", "trust/v2", "format"),
        ("[[logs]]", "[logs]", "logs"),
        ("[[logs]]", "[[log]]", "logs"),
        ("witnesses", "wittnesses", "logs[0]"),
        ('key = "log', 'key = "lag', "logs[0].key"),
        ('key = "', 'kee = "', "logs[0]"),
        ('origin = "log.example/acme"', 'origin = "log.example/other"', "logs[0].origin"),
        ('["witness.example/w1+', '["witness.example/w2+', "logs[0].witnesses[0]"),
        ('["s3://log"]', '"s3://log"', "logs[0].places"),
        ('["s3://log"]', r'["\u001b[2J"]', "logs[0].places"),
        ("[[logs]]", "more = 1\n[[logs]]", "the file"),
        ("[[logs]]", "[[", "the file"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_names_the_place(old, new, field):
    assert old in GOOD
    with pytest.raises(ConfigurationError) as refused:
        Trust.parse(GOOD.replace(old, new, 1).encode())
    assert refused.value.code == "audit.trust_invalid"
    assert refused.value.message.startswith(f"--trust: {field}:")


def test_one_log_under_two_keys_is_refused():
    twice = GOOD + GOOD[GOOD.index("[[logs]]") :]
    with pytest.raises(ConfigurationError, match="twice"):
        Trust.parse(twice.encode())


@given(st.text(max_size=60), st.integers(0, len(GOOD)))
def test_nothing_read_as_a_trust_file_fails_otherwise(junk, at):
    with contextlib.suppress(ConfigurationError):
        Trust.parse((GOOD[:at] + junk + GOOD[at:]).encode("utf-8", "replace"))
