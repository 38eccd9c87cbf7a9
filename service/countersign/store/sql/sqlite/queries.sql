-- The statements of the SQLite backend. `?` in the order the text shows.

-- name: read_store
SELECT key, last_instant FROM store;

-- name: create_store
INSERT INTO store (n, key, last_instant) VALUES (1, ?, ?);

-- name: set_clock
UPDATE store SET last_instant = ?;

-- name: log
SELECT n, log_id, size FROM log WHERE tenant = ?;

-- name: create_log
INSERT INTO log (tenant, log_id, size) VALUES (?, ?, ?) RETURNING n;

-- name: set_log_size
UPDATE log SET size = ? WHERE n = ?;

-- name: log_state
SELECT size, published, frontier FROM log WHERE tenant = ?;

-- name: backlog
SELECT count(*), coalesce(sum(length(record.body)), 0), min(record.at)
FROM log JOIN record
    ON record.n >= log.n * 1099511627776 + log.published
    AND record.n < log.n * 1099511627776 + log.size
WHERE log.tenant = ?;

-- name: mark_published
-- Only ever forward, and never past what is committed.
UPDATE log SET published = ?1, frontier = ?2
WHERE tenant = ?3 AND published <= ?1 AND size >= ?1;

-- name: tenants
SELECT tenant FROM log ORDER BY n;

-- name: append_record
INSERT INTO record (n, at, body) VALUES (?, ?, ?);

-- name: records
-- 1099511627776 is 2^40, see the table.
SELECT record.n - log.n * 1099511627776, record.body, record.at
FROM log JOIN record
    ON record.n >= log.n * 1099511627776 + ?1
    AND record.n < log.n * 1099511627776 + ?1 + ?2
WHERE log.tenant = ?3
ORDER BY record.n;

-- name: put_decision
INSERT INTO decision (
    tenant, id, caller, method, action, effect, reasons, retryable, policy_revision, commitment,
    salt, review, permit, log_id, seq, leaf_hash, at, outcome, rows, amount
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: replace_decision
UPDATE decision SET
    caller = ?3, method = ?4, action = ?5, effect = ?6, reasons = ?7, retryable = ?8,
    policy_revision = ?9, commitment = ?10, salt = ?11, review = ?12, permit = ?13, log_id = ?14,
    seq = ?15, leaf_hash = ?16, at = ?17, outcome = ?18, rows = ?19, amount = ?20
WHERE tenant = ?1 AND id = ?2;

-- name: decision
SELECT tenant, id, caller, method, action, effect, reasons, retryable, policy_revision, commitment,
    salt, review, permit, log_id, seq, leaf_hash, at, outcome, rows, amount
FROM decision WHERE tenant = ? AND id = ?;

-- name: decisions_since
-- Rows are in order of time, so the scan from the end stops at the first older one.
-- total() adds in doubles: exact for as long as a sum does not saturate, and where
-- sum() would overflow it does not.
SELECT tenant, caller, action, method, effect, at / 60000000 AS minute, count(*),
    total(rows), total(amount)
FROM decision
WHERE n > coalesce((SELECT n FROM decision WHERE at < ? ORDER BY n DESC LIMIT 1), 0)
GROUP BY minute, tenant, caller, action, method, effect
ORDER BY minute;

-- name: insert_review
INSERT INTO review (
    tenant, id, caller, base_fingerprint, state, version, due_at, changed_at, body, requester,
    owed_since
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: replace_review
-- Exactly the previous version, or nothing.
UPDATE review SET
    caller = ?3, base_fingerprint = ?4, state = ?5, version = ?6, due_at = ?7, changed_at = ?8,
    body = ?9, requester = ?10, owed_since = ?11
WHERE tenant = ?1 AND id = ?2 AND version = ?6 - 1;

-- name: review
SELECT body FROM review WHERE tenant = ? AND id = ?;

-- name: open_review
SELECT body FROM review
WHERE tenant = ? AND caller = ? AND base_fingerprint = ?
    AND state IN ('pending', 'info_requested', 'approved');

-- name: count_open_reviews
SELECT count(*) FROM review
WHERE tenant = ? AND caller = ? AND state IN ('pending', 'info_requested', 'approved');

-- name: count_open_reviews_behind
SELECT count(*) FROM review
WHERE tenant = ? AND requester = ? AND state IN ('pending', 'info_requested', 'approved');

-- name: count_open_reviews_of_tenant
SELECT count(*) FROM review
WHERE tenant = ? AND state IN ('pending', 'info_requested', 'approved');

-- name: replan_waiting
UPDATE review SET planned = 0 WHERE tenant = ? AND id IN (
    SELECT review FROM card
    WHERE tenant = ? AND channel = ? AND issuer = ? AND subject = ?
    AND due_at IS NULL AND json_extract(body, '$.trouble') = 'not_installed'
);

-- name: last_denied
SELECT body FROM review
WHERE tenant = ? AND caller = ? AND base_fingerprint = ? AND state = 'denied'
ORDER BY n DESC LIMIT 1;

-- name: reviews_first
-- The keys are sorted before any body is read.
SELECT body FROM review WHERE n IN (
    SELECT n FROM review
    WHERE tenant = ? AND state IN (SELECT value FROM json_each(?))
    ORDER BY n DESC LIMIT ?
) ORDER BY n DESC;

-- name: reviews_after
SELECT body FROM review WHERE n IN (
    SELECT n FROM review
    WHERE tenant = ?1 AND state IN (SELECT value FROM json_each(?2))
        AND n < (SELECT n FROM review WHERE tenant = ?1 AND id = ?3)
    ORDER BY n DESC LIMIT ?4
) ORDER BY n DESC;

-- name: after_reviews
SELECT body FROM review WHERE tenant = ? AND owed_since IS NOT NULL ORDER BY owed_since, n;

-- name: due
SELECT tenant, id FROM review WHERE due_at <= ? ORDER BY due_at LIMIT ?;

-- name: next_due
SELECT min(due_at) FROM review WHERE due_at IS NOT NULL;

-- name: put_permit
INSERT INTO permit (tenant, id, body) VALUES (?, ?, ?);

-- name: permit
SELECT body FROM permit WHERE tenant = ? AND id = ?;

-- name: remember
INSERT INTO answer (tenant, subject, method, request_id, at, content_mac, body)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: forget_expired
DELETE FROM answer
WHERE tenant = ? AND subject = ? AND method = ? AND request_id = ? AND at <= ?;

-- name: answer
SELECT content_mac, body FROM answer
WHERE tenant = ? AND subject = ? AND method = ? AND request_id = ? AND at > ?;

-- name: proof_since
SELECT since FROM proof WHERE tenant = ? AND person = ? AND proof = ?;

-- name: proofs
SELECT person, proof FROM proof WHERE tenant = ?;

-- name: open_book
INSERT INTO book (tenant) VALUES (?) ON CONFLICT DO NOTHING;

-- name: add_proof
INSERT INTO proof (tenant, person, proof, since) VALUES (?, ?, ?, ?);

-- name: forget_proof
DELETE FROM proof WHERE tenant = ? AND person = ? AND proof = ?;

-- name: note_used
INSERT INTO used (tenant, proof, at) VALUES (?, ?, ?)
ON CONFLICT (tenant, proof) DO UPDATE SET at = excluded.at WHERE excluded.at > at;

-- name: last_used
SELECT proof, at FROM used WHERE tenant = ?;

-- name: note
SELECT body FROM note WHERE name = ?;

-- name: put_note
INSERT INTO note (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body;

-- name: put_delegation
INSERT INTO delegation (tenant, id, delegator, delegate, starts_at, over_at, body)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, tenant) DO UPDATE SET
    delegator = excluded.delegator, delegate = excluded.delegate,
    starts_at = excluded.starts_at, over_at = excluded.over_at, body = excluded.body;

-- name: delegation
SELECT body FROM delegation WHERE tenant = ? AND id = ?;

-- name: delegations
SELECT body FROM delegation WHERE tenant = ? AND over_at > ? ORDER BY n;

-- name: delegations_to
SELECT body FROM delegation
WHERE tenant = ?1 AND delegate = ?2 AND over_at > ?3 AND starts_at <= ?3
ORDER BY n;

-- name: count_delegations
SELECT count(*) FROM delegation WHERE tenant = ? AND delegator = ? AND over_at > ?;

-- name: put_endpoint
INSERT INTO endpoint (tenant, channel, issuer, subject, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, channel, issuer, subject) DO UPDATE SET body = excluded.body;

-- name: endpoint
SELECT body FROM endpoint WHERE tenant = ? AND channel = ? AND issuer = ? AND subject = ?;

-- name: endpoints
SELECT body FROM endpoint WHERE tenant = ? AND channel = ? ORDER BY issuer, subject;

-- name: put_card
INSERT INTO card (tenant, id, review, channel, issuer, subject, due_at, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, tenant) DO UPDATE SET due_at = excluded.due_at, body = excluded.body;

-- name: card
SELECT body FROM card WHERE tenant = ? AND id = ?;

-- name: cards_of
SELECT body FROM card WHERE tenant = ? AND review = ? ORDER BY n;

-- name: due_cards
SELECT body FROM card WHERE tenant = ? AND channel = ? AND due_at <= ? ORDER BY due_at, n LIMIT ?;

-- name: next_card_due
SELECT min(due_at) FROM card WHERE tenant = ? AND channel = ? AND due_at IS NOT NULL;

-- name: unplanned
SELECT body FROM review WHERE tenant = ? AND planned < version ORDER BY n LIMIT ?;

-- name: planned
UPDATE review SET planned = version WHERE tenant = ? AND id = ? AND version = ?;

-- name: replan
UPDATE review SET planned = 0
WHERE tenant = ? AND state IN ('pending', 'info_requested', 'approved');

-- name: put_object
INSERT INTO object (tenant, sha256, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: objects
SELECT sha256, data FROM object WHERE tenant = ? ORDER BY n LIMIT ?;

-- name: delete_object
DELETE FROM object WHERE tenant = ? AND sha256 = ?;

-- name: sweep_answers
-- Oldest rows first: n follows time.
DELETE FROM answer
WHERE n IN (SELECT n FROM answer ORDER BY n LIMIT ?) AND at <= ?;

-- name: sweep_records
DELETE FROM record WHERE n IN (
    SELECT record.n FROM log JOIN record
        ON record.n >= log.n * 1099511627776
        AND record.n < log.n * 1099511627776 + log.published
    WHERE log.tenant = ? AND record.at <= ?
    ORDER BY record.n LIMIT ?
);

-- name: sweep_reviews
-- Closed, waiting for nothing, owing no after-review, and every record of its time is published: the
-- first unpublished record of the tenant is younger than the review's last change.
DELETE FROM review WHERE n IN (
    SELECT review.n FROM review
        LEFT JOIN log ON log.tenant = review.tenant
        LEFT JOIN record ON record.n = log.n * 1099511627776 + log.published
    WHERE review.due_at IS NULL AND review.owed_since IS NULL AND review.changed_at <= ?
        AND review.state NOT IN ('pending', 'info_requested', 'approved')
        AND (record.at IS NULL OR record.at > review.changed_at)
    LIMIT ?
);

-- name: sweep_delegations
DELETE FROM delegation WHERE n IN (
    SELECT n FROM delegation WHERE tenant = ? AND over_at <= ? LIMIT ?
);
