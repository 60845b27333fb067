-- name: add_sign_up
INSERT INTO sign_up (id, epoch, sealed, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- name: sign_up (locked)
SELECT id, epoch, sealed, expires_at FROM sign_up WHERE id = $1

-- name: drop_sign_up
DELETE FROM sign_up WHERE id = $1

-- name: purge_sign_ups
-- The array is made once: see purge_capabilities.
DELETE FROM sign_up WHERE id = ANY (ARRAY(
  SELECT id FROM sign_up WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
