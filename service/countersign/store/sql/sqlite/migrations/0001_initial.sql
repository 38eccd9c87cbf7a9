-- Every table has a plain integer key `n` that follows the order of insertion, so
-- that large rows are only ever appended; the ids people see are unique indexes.

-- One row: what belongs to the store itself.
CREATE TABLE store (
    n            INTEGER PRIMARY KEY CHECK (n = 1),
    key          BLOB    NOT NULL,  -- for keyed hashes; 32 random bytes
    last_instant INTEGER NOT NULL   -- the clock of the newest commit
) STRICT;

-- One row a tenant; kept for ever. `size` is the next sequence number.
CREATE TABLE log (
    n         INTEGER PRIMARY KEY,
    tenant    TEXT    NOT NULL UNIQUE,
    log_id    TEXT    NOT NULL,
    size      INTEGER NOT NULL,
    published INTEGER NOT NULL DEFAULT 0,
    frontier  BLOB    NOT NULL DEFAULT x''  -- 32-byte subtree roots, left to right
) STRICT;

-- n = log.n * 2^40 + seq: one tree holds every log, each in its own order.
CREATE TABLE record (
    n    INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    body BLOB    NOT NULL
) STRICT;

CREATE TABLE decision (
    n               INTEGER PRIMARY KEY,
    tenant          TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    caller          TEXT    NOT NULL,
    method          TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    effect          TEXT    NOT NULL,
    reasons         TEXT    NOT NULL,  -- JSON
    retryable       INTEGER NOT NULL,
    policy_revision TEXT    NOT NULL,
    commitment      TEXT    NOT NULL,
    salt            BLOB,              -- clearing it is forgetting
    review          TEXT,
    permit          TEXT,
    log_id          TEXT    NOT NULL,
    seq             INTEGER NOT NULL,
    leaf_hash       BLOB    NOT NULL,
    at              INTEGER NOT NULL,
    outcome         TEXT
) STRICT;
CREATE UNIQUE INDEX decision_id ON decision (id, tenant);

CREATE TABLE review (
    n                INTEGER PRIMARY KEY,
    tenant           TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    caller           TEXT    NOT NULL,
    base_fingerprint TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    version          INTEGER NOT NULL,
    due_at           INTEGER,           -- its next timer
    changed_at       INTEGER NOT NULL,
    body             TEXT    NOT NULL   -- JSON of the whole review
) STRICT;
CREATE UNIQUE INDEX review_id ON review (id, tenant);
CREATE UNIQUE INDEX review_open ON review (tenant, caller, base_fingerprint)
    WHERE state IN ('pending', 'info_requested', 'approved');
CREATE INDEX review_denied ON review (tenant, caller, base_fingerprint)
    WHERE state = 'denied';
CREATE INDEX review_state ON review (tenant, state);
CREATE INDEX review_due ON review (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX review_done ON review (changed_at) WHERE due_at IS NULL;

CREATE TABLE permit (
    n      INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    body   TEXT NOT NULL  -- JSON of the claims, without the salt
) STRICT;
CREATE UNIQUE INDEX permit_id ON permit (id, tenant);

-- What was answered to a request id.
CREATE TABLE answer (
    n           INTEGER PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    content_mac TEXT    NOT NULL,
    body        TEXT    NOT NULL  -- JSON
) STRICT;
CREATE UNIQUE INDEX answer_key ON answer (request_id, subject, method, tenant);

-- Bytes that records name by hash, until they are published.
CREATE TABLE object (
    n      INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    data   BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX object_name ON object (tenant, sha256);

PRAGMA user_version = 1;
