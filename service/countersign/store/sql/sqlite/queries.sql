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
    salt, review, permit, log_id, seq, leaf_hash, at, outcome
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: replace_decision
UPDATE decision SET
    caller = ?3, method = ?4, action = ?5, effect = ?6, reasons = ?7, retryable = ?8,
    policy_revision = ?9, commitment = ?10, salt = ?11, review = ?12, permit = ?13, log_id = ?14,
    seq = ?15, leaf_hash = ?16, at = ?17, outcome = ?18
WHERE tenant = ?1 AND id = ?2;

-- name: decision
SELECT tenant, id, caller, method, action, effect, reasons, retryable, policy_revision, commitment,
    salt, review, permit, log_id, seq, leaf_hash, at, outcome
FROM decision WHERE tenant = ? AND id = ?;

-- name: decisions_since
-- Rows are in order of time, so the scan from the end stops at the first older one.
SELECT tenant, caller, action, method, effect, at / 60000000 AS minute, count(*)
FROM decision
WHERE n > coalesce((SELECT n FROM decision WHERE at < ? ORDER BY n DESC LIMIT 1), 0)
GROUP BY minute, tenant, caller, action, method, effect
ORDER BY minute;

-- name: insert_review
INSERT INTO review (
    tenant, id, caller, base_fingerprint, state, version, due_at, changed_at, body
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: replace_review
-- Exactly the previous version, or nothing.
UPDATE review SET
    caller = ?3, base_fingerprint = ?4, state = ?5, version = ?6, due_at = ?7, changed_at = ?8,
    body = ?9
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
-- Closed, waiting for nothing, and every record of its time is published: the
-- first unpublished record of the tenant is younger than the review's last change.
DELETE FROM review WHERE n IN (
    SELECT review.n FROM review
        LEFT JOIN log ON log.tenant = review.tenant
        LEFT JOIN record ON record.n = log.n * 1099511627776 + log.published
    WHERE review.due_at IS NULL AND review.changed_at <= ?
        AND review.state NOT IN ('pending', 'info_requested', 'approved')
        AND (record.at IS NULL OR record.at > review.changed_at)
    LIMIT ?
);
