"""A store of the first schema, opened by a server of today.

The text is a dump of a file that the first schema's own server wrote. It does
not come from the migrations, so that changing an old step is noticed.
"""

from __future__ import annotations

import dataclasses
import sqlite3

import pytest

from countersign.model import AfterReview, Outcome, ReviewState
from countersign.store import sqlite_file
from countersign.store.queries import migrations
from countersign.store.sqlite import SqliteStore

START = 1_700_000_000_000_000
DAY_US = 24 * 3600 * 1_000_000
VERSION_1 = """
BEGIN TRANSACTION;
CREATE TABLE answer (
    n           INTEGER PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    content_mac TEXT    NOT NULL,
    body        TEXT    NOT NULL
) STRICT;
INSERT INTO "answer" VALUES(1,'acme','caller:agent','check','req-1',1700000000000000,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"said":"yes","n":9007199254740991}');
CREATE TABLE decision (
    n               INTEGER PRIMARY KEY,
    tenant          TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    caller          TEXT    NOT NULL,
    method          TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    effect          TEXT    NOT NULL,
    reasons         TEXT    NOT NULL,
    retryable       INTEGER NOT NULL,
    policy_revision TEXT    NOT NULL,
    commitment      TEXT    NOT NULL,
    salt            BLOB,
    review          TEXT,
    permit          TEXT,
    log_id          TEXT    NOT NULL,
    seq             INTEGER NOT NULL,
    leaf_hash       BLOB    NOT NULL,
    at              INTEGER NOT NULL,
    outcome         TEXT
) STRICT;
INSERT INTO "decision" VALUES(1,'acme','dec_1','agent','check','db.export','allow','[{"code":"export.staging","message":"staging is fine"}]',0,'rev-1','c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0',X'7373737373737373737373737373737373737373737373737373737373737373',NULL,NULL,'acme/log',0,X'6868686868686868686868686868686868686868686868686868686868686868',1700000000000000,NULL);
CREATE TABLE log (
    n         INTEGER PRIMARY KEY,
    tenant    TEXT    NOT NULL UNIQUE,
    log_id    TEXT    NOT NULL,
    size      INTEGER NOT NULL,
    published INTEGER NOT NULL DEFAULT 0,
    frontier  BLOB    NOT NULL DEFAULT x''
) STRICT;
INSERT INTO "log" VALUES(1,'acme','acme/log',1,0,X'');
CREATE TABLE object (
    n      INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    data   BLOB NOT NULL
) STRICT;
CREATE TABLE permit (
    n      INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    body   TEXT NOT NULL
) STRICT;
INSERT INTO "permit" VALUES(1,'acme','per_1','{"id":"per_1","tenant":"acme","caller":"agent","audience":"gateway","action":"db.export","commitment":"c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0","decision":"dec_1","review":null,"policy_revision":"rev-1","seq":3,"kid":"key-1","issued_at_s":1700000000,"expires_at_s":1700000300}');
CREATE TABLE record (
    n    INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    body BLOB    NOT NULL
) STRICT;
INSERT INTO "record" VALUES(1099511627776,1700000000000000,X'7B226B696E64223A226465636973696F6E222C226C6F675F6964223A2261636D652F6C6F67222C22736571223A302C2274696D65223A22323032332D31312D31345432323A31333A32302E3030303030305A227D');
CREATE TABLE review (
    n                INTEGER PRIMARY KEY,
    tenant           TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    caller           TEXT    NOT NULL,
    base_fingerprint TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    version          INTEGER NOT NULL,
    due_at           INTEGER,
    changed_at       INTEGER NOT NULL,
    body             TEXT    NOT NULL
) STRICT;
INSERT INTO "review" VALUES(1,'acme','rev_1','agent','base of rev_1','pending',1,1700003600000000,1700000000000000,'{"tenant":"acme","id":"rev_1","decision":"dec_1","caller":"agent","action":"db.export","state":"pending","version":1,"revision":1,"created_at":1700000000000000,"approve_by":1700003600000000,"commitment":"c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0","fingerprint":"f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0","base_fingerprint":"base of rev_1","requirement":{"stages":[{"name":"owner","groups":["owners"],"people":[],"quorum":1}],"must_show":[],"approve_within_s":3600,"use_within_s":300,"report_within_s":900,"claim_by":[],"channel":"","profiles":{"*":"reviewer"},"exclude":[],"require_reason":false,"min_assurance":"channel","durability":"durable"},"previews":{"reviewer":{"profile":"reviewer","context_json":"{}","facts_json":"{}","report_json":"{}","hash":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","reviewable":true}},"owners":["olga"],"excluded":["olga"],"reasons":[{"code":"export.production","message":"production export"}],"policy_revision":"rev-1","votes":[{"person":"peter","choice":"approve","stage":0,"revision":1,"profile":"reviewer","preview_hash":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","reason":"fine","assurance":"channel","at":1700000000000000}],"thread":[],"approved_at":null,"use_by":null,"closed_reasons":[],"superseded_by":null,"claimant":null,"permit":null,"report_by":null,"outcome":null}');
INSERT INTO "review" VALUES(2,'acme','rev_2','agent','base of rev_2','denied',1,NULL,1700000000000000,'{"tenant":"acme","id":"rev_2","decision":"dec_1","caller":"agent","action":"db.export","state":"denied","version":1,"revision":1,"created_at":1700000000000000,"approve_by":1700003600000000,"commitment":"c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0","fingerprint":"f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0","base_fingerprint":"base of rev_2","requirement":{"stages":[{"name":"owner","groups":["owners"],"people":[],"quorum":1}],"must_show":[],"approve_within_s":3600,"use_within_s":300,"report_within_s":900,"claim_by":[],"channel":"","profiles":{"*":"reviewer"},"exclude":[],"require_reason":false,"min_assurance":"channel","durability":"durable"},"previews":{"reviewer":{"profile":"reviewer","context_json":"{}","facts_json":"{}","report_json":"{}","hash":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","reviewable":true}},"owners":["olga"],"excluded":["olga"],"reasons":[{"code":"export.production","message":"production export"}],"policy_revision":"rev-1","votes":[{"person":"peter","choice":"approve","stage":0,"revision":1,"profile":"reviewer","preview_hash":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","reason":"fine","assurance":"channel","at":1700000000000000}],"thread":[],"approved_at":null,"use_by":null,"closed_reasons":[],"superseded_by":null,"claimant":null,"permit":null,"report_by":null,"outcome":null}');
CREATE TABLE store (
    n            INTEGER PRIMARY KEY CHECK (n = 1),
    key          BLOB    NOT NULL,
    last_instant INTEGER NOT NULL
) STRICT;
INSERT INTO "store" VALUES(1,X'6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B6B',1700000000000000);
CREATE UNIQUE INDEX decision_id ON decision (id, tenant);
CREATE UNIQUE INDEX review_id ON review (id, tenant);
CREATE UNIQUE INDEX review_open ON review (tenant, caller, base_fingerprint)
    WHERE state IN ('pending', 'info_requested', 'approved');
CREATE INDEX review_denied ON review (tenant, caller, base_fingerprint)
    WHERE state = 'denied';
CREATE INDEX review_state ON review (tenant, state);
CREATE INDEX review_due ON review (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX review_done ON review (changed_at) WHERE due_at IS NULL;
CREATE UNIQUE INDEX permit_id ON permit (id, tenant);
CREATE UNIQUE INDEX answer_key ON answer (request_id, subject, method, tenant);
CREATE UNIQUE INDEX object_name ON object (tenant, sha256);
COMMIT;
PRAGMA user_version = 1;
"""  # noqa: E501 - as the dump says it


def written_by_version_1(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(VERSION_1)
    connection.close()


class Wall:
    """Time that passes when the test says so."""

    now = START

    def __call__(self):
        return self.now


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
async def store(tmp_path, wall):
    written_by_version_1(tmp_path / "store.db")
    store = await SqliteStore.open(
        tmp_path / "store.db", log_id_of=lambda tenant: f"{tenant}/log", clock=wall
    )
    yield store
    await store.close()


async def test_everything_of_the_first_schema_is_still_there(store):
    review = await store.review("acme", "rev_1")
    assert (review.state, review.requester, review.after_review) == (
        ReviewState.PENDING,
        None,
        None,
    )
    assert (await store.review("acme", "rev_2")).state is ReviewState.DENIED
    decision = await store.decision("acme", "dec_1")
    assert (decision.salt, decision.rows, decision.amount) == (b"s" * 32, 0, 0)
    assert (await store.permit("acme", "per_1")).kid == "key-1"
    assert store.key == b"k" * 32
    assert store.now() == START
    assert await store.next_due() == START + 3600 * 1_000_000
    assert (await store.recent("acme", "agent", "db.export"))["day"] == {
        "checks": 1,
        "allow": 1,
        "deny": 0,
        "needs_approval": 0,
        "claimed": 0,
        "rows": 0,
        "amount": 0,
    }
    assert [record.seq for record in await store.records("acme", 0, 10)] == [0]
    assert (await store.apply(lambda tx: tx.append("acme", {"kind": "next"}))).seq == 1


async def test_old_rows_take_what_the_new_schema_knows(store, wall):
    old = await store.review("acme", "rev_1")
    changed = dataclasses.replace(
        old,
        version=2,
        state=ReviewState.LAPSED,
        requester="ann",
        after_review=AfterReview(person="peter", at=START),
    )
    decision = dataclasses.replace(await store.decision("acme", "dec_1"), outcome=Outcome.FAILED)

    def command(tx):
        assert tx.count_open_reviews_of_tenant("acme") == 1
        assert tx.count_open_reviews_behind("acme", "ann") == 0
        tx.put_review(changed)
        tx.put_decision(decision)

    await store.apply(command)
    assert await store.after_reviews("acme") == [changed]
    assert await store.decision("acme", "dec_1") == decision
    await store.mark_published("acme", 1, (b"r" * 32,), [])
    wall.now = START + 60 * DAY_US
    await store.sweep(store.now())
    assert await store.review("acme", "rev_1") == changed, "it is owed"
    assert await store.review("acme", "rev_2") is None


async def test_the_people_of_an_old_store_are_as_old_as_its_book(store):
    await store.apply(lambda tx: tx.put_proofs("acme", {"ann": ["p1"]}))
    assert await store.apply(lambda tx: tx.proof_since("acme", "ann", "p1")) == 0
    assert await store.delegations("acme") == []
    assert await store.last_used("acme") == {}


def _shape(connection):
    """What the schema says of every table and index, however it came about."""
    names = connection.execute("SELECT type, name, tbl_name FROM sqlite_schema ORDER BY name")
    shape = names.fetchall()
    for _, name, _ in list(shape):
        columns = connection.execute("SELECT * FROM pragma_table_xinfo(?)", [name])
        indexed = connection.execute("SELECT * FROM pragma_index_xinfo(?)", [name])
        shape.append((name, columns.fetchall(), indexed.fetchall()))
    return shape


def test_a_migrated_store_has_the_schema_of_a_new_one(tmp_path):
    written_by_version_1(tmp_path / "old.db")
    shapes = []
    for name in ("old.db", "new.db"):
        connection = sqlite_file.connect(tmp_path / name)
        sqlite_file.migrate(connection, migrations("sqlite"))
        shapes.append(_shape(connection))
        connection.close()
    assert shapes[0] == shapes[1]
