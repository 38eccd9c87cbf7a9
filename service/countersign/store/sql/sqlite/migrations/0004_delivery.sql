-- How reviews reach people: where bots can write, and which message shows what.

CREATE TABLE endpoint (
    tenant  TEXT NOT NULL,
    channel TEXT NOT NULL,
    issuer  TEXT NOT NULL,  -- empty: a conversation
    subject TEXT NOT NULL,
    body    TEXT NOT NULL,  -- JSON of the whole endpoint
    PRIMARY KEY (tenant, channel, issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE card (
    n       INTEGER PRIMARY KEY,
    tenant  TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    review  TEXT    NOT NULL,
    channel TEXT    NOT NULL,
    issuer  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    due_at  INTEGER,        -- when there is something to do, if there is
    body    TEXT    NOT NULL  -- JSON of the whole card
) STRICT;
CREATE UNIQUE INDEX card_id ON card (id, tenant);
CREATE UNIQUE INDEX card_place ON card (tenant, review, channel, issuer, subject);
CREATE INDEX card_address ON card (tenant, channel, issuer, subject);
CREATE INDEX card_due ON card (tenant, channel, due_at) WHERE due_at IS NOT NULL;

-- The version of a review that whoever should have a card has one for.
ALTER TABLE review ADD COLUMN planned INTEGER NOT NULL DEFAULT 0;
UPDATE review SET planned = version;
CREATE INDEX review_unplanned ON review (tenant, n) WHERE planned < version;

-- A review that is forgotten takes its cards along.
CREATE TRIGGER review_forgotten AFTER DELETE ON review BEGIN
    DELETE FROM card WHERE tenant = OLD.tenant AND review = OLD.id;
END;

PRAGMA user_version = 4;
