-- name: add_capability
INSERT INTO capability (id, payment_id, kind, sealed_key, issued_at, expires_at, state, session, session_key, device,
  network, started_at, until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT DO NOTHING

-- name: capability (locked)
SELECT id, payment_id, kind, sealed_key, issued_at, expires_at, state, session, session_key, device, network, started_at,
  until
FROM capability WHERE id = $1

-- name: page_session (locked)
SELECT id, payment_id, kind, sealed_key, issued_at, expires_at, state, session, session_key, device, network, started_at,
  until
FROM capability WHERE session = $1

-- name: capabilities_of
SELECT id, payment_id, kind, sealed_key, issued_at, expires_at, state, session, session_key, device, network, started_at,
  until
FROM capability WHERE payment_id = $1 ORDER BY seq

-- name: replace_capability
UPDATE capability SET state = $1, session = $2, session_key = $3, device = $4, network = $5, started_at = $6, until = $7
WHERE id = $8 AND state = $9

-- name: purge_capabilities
-- The array is made once: rows chosen by a subquery that is run for each row would pass the limit.
DELETE FROM capability WHERE id = ANY (ARRAY(
  SELECT id FROM capability WHERE expires_at <= $1 AND coalesce(until, 0) <= $1
  ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
