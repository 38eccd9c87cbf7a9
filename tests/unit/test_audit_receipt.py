"""Receipts: what is signed, by which key, and what is refused."""

import asyncio
import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_world import LOG_ID, PROMPT, SIGNER, TENANT, MemorySource, publisher
from countersign.audit.local import LocalSink
from countersign.audit.merkle import leaf_hash
from countersign.audit.note import Signer, Verifier, sign
from countersign.audit.promises import Standing, judge, split
from countersign.audit.published import PublishedLogs
from countersign.audit.receipt import Receipt, key_name
from countersign.errors import LogError
from countersign.model import SECOND_US, RecordRef

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
OWN = Signer(name=key_name(LOG_ID), key=KEY)
RECEIPT = Receipt(log_id=LOG_ID, seq=7, leaf_hash=bytes(32), include_by_s=1_795_000_000)


def test_it_comes_back_as_it_was_signed():
    note = RECEIPT.sign(OWN)
    assert Receipt.open(note, OWN.verifier) == RECEIPT
    assert note.startswith(f"countersign/receipt/v1\n{LOG_ID}\n7\n".encode())
    assert RECEIPT.sign(OWN) == note


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n7\n", b"\n8\n"),
        (b"1795000000", b"1795999999"),
        (LOG_ID.encode() + b"\n7", b"log.example/other\n7"),
        (b"receipt/v1", b"receipt/v2"),
        (b"AAAA", b"BAAA"),
    ],
)
def test_nothing_in_it_can_be_changed(old, new):
    note = RECEIPT.sign(OWN).replace(old, new, 1)
    with pytest.raises(LogError) as refused:
        Receipt.open(note, OWN.verifier)
    assert refused.value.code == "log.signature_invalid"


@pytest.mark.parametrize(
    "changed",
    [{"seq": -1}, {"include_by_s": -1}, {"leaf_hash": b"x"}, {"log_id": "log.example/other"}],
)
def test_even_a_signed_one_must_make_sense(changed):
    with pytest.raises(LogError) as refused:
        Receipt.open(dataclasses.replace(RECEIPT, **changed).sign(OWN), OWN.verifier)
    assert refused.value.code == "log.receipt_invalid"


def test_no_checkpoint_and_no_other_note_is_one():
    for text in ("a\n", f"{LOG_ID}\n7\n{'A' * 43}=\n", f"countersign/receipt/v1\n{LOG_ID}\n7\n"):
        with pytest.raises(LogError) as refused:
            Receipt.open(sign(text, [OWN]).encode(), OWN.verifier)
        assert refused.value.code == "log.receipt_invalid"
    with pytest.raises(LogError):
        Receipt.open(RECEIPT.sign(SIGNER), SIGNER.verifier)  # the log's key signs none


class Service:
    """A log of some records, and who gives receipts for them."""

    def __init__(self, tmp_path, count):
        self.source = MemorySource(count)
        sink = LocalSink(tmp_path)
        self.publisher = publisher(self.source, tmp_path, sink=sink, settings=PROMPT)
        self.logs = PublishedLogs(
            self.publisher,
            sink,
            self.source,
            lambda _tenant: SIGNER,
            receipt_key=KEY,
            include_within_s=60.5,
        )

    def record(self, seq):
        leaf = leaf_hash(self.source.rows[seq].body)
        return RecordRef(log_id=LOG_ID, seq=seq, leaf_hash=leaf)


async def test_it_is_given_for_what_is_committed_published_or_not(tmp_path):
    service = Service(tmp_path, 5)
    record = service.record(3)
    note = await service.logs.receipt(TENANT, record)
    verifier = Verifier.parse(service.logs.receipt_key(TENANT))
    found = Receipt.open(note, verifier)
    assert (found.log_id, found.seq, found.leaf_hash) == (LOG_ID, 3, record.leaf_hash)
    assert found.include_by_s == service.source.now() // SECOND_US + 61


async def test_it_is_given_when_the_store_has_let_go_of_the_record(tmp_path):
    service = Service(tmp_path, 300)
    await service.publisher.start()
    await asyncio.wait_for(service.publisher.published(TENANT, 299), 10)
    record = service.record(7)

    async def none(_tenant, _first, _limit):
        return ()

    service.source.records = none
    assert await service.logs.receipt(TENANT, record)
    assert await service.logs.receipt(TENANT, dataclasses.replace(record, seq=8)) is None
    await service.publisher.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": 4},
        {"seq": 5},
        {"seq": -1},
        {"seq": 2**63 - 1},
        {"leaf_hash": bytes(32)},
        {"leaf_hash": b""},
        {"log_id": "log.example/other"},
        {"log_id": ""},
    ],
)
async def test_nothing_is_promised_that_is_not_so(tmp_path, changed):
    service = Service(tmp_path, 5)
    asked = dataclasses.replace(service.record(3), **changed)
    assert await service.logs.receipt(TENANT, asked) is None


@pytest.mark.parametrize(
    ("size", "leaf", "now_s", "standing"),
    [
        (8, bytes(32), 0, Standing.KEPT),
        (8, bytes([1]) * 32, 0, Standing.OMITTED),
        (7, b"", RECEIPT.include_by_s + 1, Standing.OMITTED),
        (7, b"", RECEIPT.include_by_s, Standing.PENDING),
    ],
)
def test_a_promise_is_kept_only_by_its_own_record(size, leaf, now_s, standing):
    found = judge(RECEIPT.sign(OWN), OWN.verifier, size, lambda _seq: leaf, now_s=now_s)
    assert (found.standing, found.seq) == (standing, 7)


def test_receipts_one_after_the_other_are_taken_apart():
    first, second = (dataclasses.replace(RECEIPT, seq=seq).sign(OWN) for seq in (7, 8))
    assert list(split(first + b"\n" + second)) == [first, second]
    assert list(split(b"nothing")) == [b"nothing\n"]
