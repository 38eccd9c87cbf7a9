"""The keys of one log over time: each signs its own sizes, and a stranger none."""

import asyncio
import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_world import LOG_ID, SIGNER, MemorySource, publish, publisher
from countersign.audit.logkeys import LogKeys, Retired
from countersign.audit.note import Checkpoint, Note, Signer, sign
from countersign.audit.state import State
from countersign.audit.trust import Trust, TrustedLog
from countersign.audit.verify import verify
from countersign.audit.witness.request import Request
from countersign.audit.witness.rules import judge
from countersign.errors import ConfigurationError, LogError


def key(number):
    return Signer(name=LOG_ID, key=Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


FIRST, SECOND, THIRD, STRANGER = key(1), key(2), key(3), key(9)
KEYS = LogKeys(
    current=THIRD.verifier,
    retired=(
        Retired(verifier=FIRST.verifier, until=10),
        Retired(verifier=SECOND.verifier, until=20),
    ),
)


def checkpoint(size, *signers):
    text = Checkpoint(origin=LOG_ID, size=size, root=bytes(32)).text()
    return sign(text, signers).encode()


@pytest.mark.parametrize(
    ("size", "good"),
    [(1, FIRST), (10, FIRST), (11, SECOND), (20, SECOND), (21, THIRD), (9_999, THIRD)],
)
def test_each_key_signs_its_own_sizes_and_no_other(size, good):
    assert KEYS.open(checkpoint(size, good)).size == size
    assert KEYS.signer(Note.parse(checkpoint(size, STRANGER, good)), size) == good.verifier
    for signer in (FIRST, SECOND, THIRD):
        if signer is good:
            continue
        with pytest.raises(LogError) as error:
            KEYS.open(checkpoint(size, signer))
        assert error.value.code == "log.signature_invalid"
        assert signer.verifier.key_id.hex() in error.value.message


def test_an_unknown_key_is_refused_and_named():
    with pytest.raises(LogError) as error:
        KEYS.open(checkpoint(21, STRANGER))
    assert error.value.code == "log.signature_invalid"
    assert f"unknown {STRANGER.verifier.key_id.hex()}" in error.value.message


def test_keys_that_cannot_be_one_logs_are_refused():
    other = Signer(name="log.example/other", key=FIRST.key)
    for retired in (
        (Retired(verifier=THIRD.verifier, until=1),),
        (Retired(verifier=FIRST.verifier, until=1), Retired(verifier=FIRST.verifier, until=2)),
        (Retired(verifier=FIRST.verifier, until=2), Retired(verifier=SECOND.verifier, until=1)),
        (Retired(verifier=other.verifier, until=1),),
    ):
        with pytest.raises(LogError):
            LogKeys(current=THIRD.verifier, retired=retired)
        trusted = TrustedLog(verifier=THIRD.verifier, retired=retired)
        with pytest.raises(ConfigurationError, match="retired"):
            Trust.parse(Trust(logs=(trusted,)).encode().encode())


def test_a_trust_file_tells_them_and_is_read_back():
    trusted = TrustedLog(verifier=KEYS.current, retired=KEYS.retired)
    assert Trust.parse(Trust(logs=(trusted,)).encode().encode()).find(None).keys == KEYS


@pytest.mark.parametrize(
    "retired",
    [
        *("{}", '["x"]', '[{key = "x"}]', "[{key = 1, until = 1}]", "[{key = KEY, until = -1}]"),
        *("[{key = KEY, until = true}]", "[{key = KEY, until = 1, since = 0}]"),
    ],
)
def test_a_trust_file_with_something_else_is_refused(retired):
    text = Trust(logs=(TrustedLog(verifier=THIRD.verifier),)).encode()
    text = text.replace("retired = []", f"retired = {retired}")
    text = text.replace("= KEY", f'= "{FIRST.verifier}"')
    with pytest.raises(ConfigurationError, match=r"logs\[0\].retired"):
        Trust.parse(text.encode())


# --- a log that goes on under another key -------------------------------------------


async def grown(root, source, signer, keys):
    """Published by a process with this key, which knows those."""
    writer = publisher(source, root, signer=signer, keys=keys)
    await writer.start()
    await writer.close()


@pytest.fixture
def rotated(tmp_path):
    """A log of 15 records: ten under one key, five under the next."""
    source = MemorySource(10)
    asyncio.run(publish(source, tmp_path))
    source.add(5)
    asyncio.run(grown(tmp_path, source, SECOND, SIGNER.verifier))
    return tmp_path / LOG_ID


CHANGED = LogKeys(current=SECOND.verifier, retired=(Retired(verifier=SIGNER.verifier, until=10),))


def test_it_is_whole_under_both_keys_and_of_a_stranger_under_one(rotated):
    result = verify(rotated, CHANGED)
    assert result.ok, result.findings
    for alone, other in ((SIGNER, SECOND), (SECOND, SIGNER)):
        found = verify(rotated, str(alone.verifier))
        assert not found.ok
        told = " ".join(finding.message for finding in found.findings)
        assert f"unknown {other.verifier.key_id.hex()}" in told


def test_the_wrong_size_of_the_change_is_no_change(rotated):
    for until in (9, 15):
        keys = LogKeys(
            current=SECOND.verifier, retired=(Retired(verifier=SIGNER.verifier, until=until),)
        )
        assert not verify(rotated, keys).ok


def test_a_verification_goes_on_over_the_change(tmp_path):
    source = MemorySource(10)
    asyncio.run(publish(source, tmp_path))
    before = verify(tmp_path / LOG_ID, str(SIGNER.verifier)).state
    assert before is not None
    source.add(5)
    asyncio.run(grown(tmp_path, source, SECOND, SIGNER.verifier))
    state = State.parse(before.encode(), CHANGED)
    result = verify(tmp_path / LOG_ID, CHANGED, earlier=state)
    assert result.ok, result.findings
    assert result.resumed_at == 10
    with pytest.raises(ConfigurationError):
        State.parse(dataclasses.replace(before, key=str(THIRD.verifier)).encode(), CHANGED)


def test_the_service_itself_goes_on_only_from_keys_it_knows(tmp_path):
    source = MemorySource(10)
    asyncio.run(publish(source, tmp_path))
    with pytest.raises(LogError) as error:
        asyncio.run(grown(tmp_path, source, SECOND, SECOND.verifier))
    assert error.value.code == "log.signature_invalid"
    assert SIGNER.verifier.key_id.hex() in error.value.message


def test_a_witness_takes_each_size_from_its_own_key():
    def status(size, signer):
        note = Note.parse(checkpoint(size, signer))
        head = Checkpoint.parse(note.text)
        refusal = judge(Request(old=0, proof=(), note=note, head=head), KEYS, None)
        return 200 if refusal is None else int(refusal.status)

    assert status(10, FIRST) == status(11, SECOND) == status(21, THIRD) == 200
    assert status(11, FIRST) == status(10, THIRD) == status(21, STRANGER) == 403
