-- Who is proven to be behind a review, what is owed after a broken glass, whose
-- standing is lent to whom, and since when a way in is whose.

ALTER TABLE decision ADD COLUMN rows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decision ADD COLUMN amount INTEGER NOT NULL DEFAULT 0;

ALTER TABLE review ADD COLUMN requester TEXT;      -- who is proven to be behind it
ALTER TABLE review ADD COLUMN owed_since INTEGER;  -- the glass was broken then; open
-- With the state, so that counting reads nothing but the index.
CREATE INDEX review_behind ON review (tenant, requester, state) WHERE requester IS NOT NULL;
CREATE INDEX review_owed ON review (tenant, owed_since) WHERE owed_since IS NOT NULL;
DROP INDEX review_done;
CREATE INDEX review_done ON review (changed_at) WHERE due_at IS NULL AND owed_since IS NULL;

CREATE TABLE delegation (
    n         INTEGER PRIMARY KEY,
    tenant    TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    delegator TEXT    NOT NULL,
    delegate  TEXT    NOT NULL,
    starts_at INTEGER NOT NULL,
    over_at   INTEGER NOT NULL,  -- its end, or when it was taken back before
    body      TEXT    NOT NULL   -- JSON of the whole delegation
) STRICT;
CREATE UNIQUE INDEX delegation_id ON delegation (id, tenant);
CREATE INDEX delegation_to ON delegation (tenant, delegate, over_at);
CREATE INDEX delegation_from ON delegation (tenant, delegator, over_at);
CREATE INDEX delegation_over ON delegation (tenant, over_at);

-- The rows of these are small: the key that people know is the row.

-- Tenants whose proofs were taken over once; kept for ever.
CREATE TABLE book (
    tenant TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE proof (
    tenant TEXT    NOT NULL,
    person TEXT    NOT NULL,
    proof  TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    PRIMARY KEY (tenant, person, proof)
) STRICT, WITHOUT ROWID;

-- When a proof, of whomever, was last used.
CREATE TABLE used (
    tenant TEXT    NOT NULL,
    proof  TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (tenant, proof)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
