-- name: add_pin_key
INSERT INTO pin_key (name, channel_id, scheme, key_block, created_at, retired_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING

-- name: pin_key
SELECT name, channel_id, scheme, key_block, created_at, retired_at FROM pin_key WHERE name = $1

-- name: pin_keys_of
SELECT name, channel_id, scheme, key_block, created_at, retired_at FROM pin_key
WHERE channel_id = $1 AND retired_at IS NULL ORDER BY seq

-- name: pin_keys
SELECT name, channel_id, scheme, key_block, created_at, retired_at FROM pin_key ORDER BY seq

-- name: retire_pin_key
UPDATE pin_key SET retired_at = $1 WHERE name = $2 AND retired_at IS NULL

-- name: advance_pin_counter
INSERT INTO pin_counter (key_name, device, counter) VALUES ($1, $2, $3)
ON CONFLICT (key_name, device) DO UPDATE SET counter = excluded.counter WHERE excluded.counter > pin_counter.counter

-- name: add_pin_token
INSERT INTO pin_token (token, channel_id, issued_at, expires_at, part_id, payment_id, record)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING

-- name: pin_token (locked)
SELECT token, channel_id, issued_at, expires_at, part_id, payment_id, record FROM pin_token WHERE token = $1

-- name: use_pin_token
UPDATE pin_token SET part_id = $1, payment_id = $2
WHERE token = $3 AND channel_id = $4 AND part_id IS NULL AND expires_at > $5

-- name: bind_pin_token
UPDATE pin_token SET record = $1 WHERE token = $2 AND payment_id IS NOT NULL AND (record IS NULL OR record = $1)

-- name: purge_pin_tokens
DELETE FROM pin_token WHERE token IN
  (SELECT token FROM pin_token WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
