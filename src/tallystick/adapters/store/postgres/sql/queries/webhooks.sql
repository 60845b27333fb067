-- name: endpoint (locked)
SELECT id, channel_id, url, sealed, created_at, state, reason FROM webhook_endpoint WHERE id = $1

-- name: endpoints
SELECT id, channel_id, url, sealed, created_at, state, reason FROM webhook_endpoint ORDER BY seq

-- name: put_endpoint
INSERT INTO webhook_endpoint (id, channel_id, url, sealed, created_at, state, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET
  url = excluded.url, sealed = excluded.sealed, state = excluded.state, reason = excluded.reason

-- name: add_webhook
INSERT INTO webhook (id, seq, endpoint_id, subject, type, body, first_at, due_at, state, tries, last)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING

-- name: webhook (locked)
SELECT id, seq, endpoint_id, subject, type, body, first_at, due_at, state, tries, last FROM webhook WHERE id = $1

-- name: endpoints_with_due
SELECT id FROM webhook_endpoint AS e
WHERE EXISTS (SELECT 1 FROM webhook WHERE endpoint_id = e.id AND state = 'waiting' AND due_at <= $1)

-- name: due_webhooks
SELECT id, seq, endpoint_id, subject, type, body, first_at, due_at, state, tries, last FROM webhook
WHERE endpoint_id = $1 AND state = 'waiting' AND due_at <= $2 ORDER BY due_at, n LIMIT $3

-- name: change_webhook
UPDATE webhook SET state = $1, tries = $2, last = $3, first_at = $4, due_at = $5 WHERE id = $6 AND state = $7 AND due_at = $8

-- name: drop_webhook
DELETE FROM webhook WHERE id = $1

-- name: bury_webhooks
UPDATE webhook SET state = 'dead', last = $1 WHERE endpoint_id = $2 AND state = 'waiting'

-- name: dead_webhooks
SELECT id, seq, endpoint_id, subject, type, body, first_at, due_at, state, tries, last FROM webhook
WHERE state = 'dead' ORDER BY n DESC LIMIT $1

-- name: purge_webhooks
-- The array is made once: rows chosen by a subquery that is run for each row would pass the limit.
DELETE FROM webhook WHERE state = 'dead' AND n = ANY (ARRAY(
  SELECT n FROM webhook WHERE state = 'dead' AND first_at < $1 ORDER BY n LIMIT $2 FOR UPDATE SKIP LOCKED
))
