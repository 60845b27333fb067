-- name: add_page
INSERT INTO journal (page) VALUES ($1)

-- name: lock_sequence
SELECT audit_seq, audit_hash, event_seq FROM sequence_head WHERE one = 1 FOR UPDATE

-- name: try_lock_sequence
SELECT audit_seq, audit_hash, event_seq FROM sequence_head WHERE one = 1 FOR UPDATE SKIP LOCKED

-- name: take_pages
DELETE FROM journal WHERE n IN (SELECT n FROM journal ORDER BY n LIMIT $1) RETURNING n, page

-- name: add_links
INSERT INTO audit (seq, body, hash) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[])

-- name: add_events
INSERT INTO event (seq, payment_id, state, at, first, owner)
SELECT e.seq, e.payment_id, e.state, e.at, e.first = 1, p.owner
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS e (seq, payment_id, state, at, first)
LEFT JOIN payment AS p ON p.id = e.payment_id

-- name: move_sequence
UPDATE sequence_head SET audit_seq = $1, audit_hash = $2, event_seq = $3 WHERE one = 1

-- name: audit_head
SELECT audit_seq, audit_hash FROM sequence_head WHERE one = 1

-- name: audit_links
SELECT seq, body, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2

-- name: audit_links_about
SELECT seq, body, hash FROM audit WHERE position($1::bytea IN body) > 0 ORDER BY seq DESC LIMIT $2

-- name: add_checkpoint
INSERT INTO audit_checkpoint (seq, hash, at, signature) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- name: checkpoints
SELECT seq, hash, at, signature FROM audit_checkpoint WHERE seq > $1 ORDER BY seq LIMIT $2
