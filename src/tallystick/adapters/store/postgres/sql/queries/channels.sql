-- name: channel
SELECT id, name, kind, state, fields, proves_payer, algorithm, sealed_key, created_at, earlier_key, earlier_until, key_since
FROM channel WHERE id = $1

-- name: channels
SELECT id, name, kind, state, fields, proves_payer, algorithm, sealed_key, created_at, earlier_key, earlier_until, key_since
FROM channel ORDER BY name

-- name: add_channel
INSERT INTO channel (id, name, kind, state, fields, proves_payer, algorithm, sealed_key, created_at, earlier_key,
  earlier_until, key_since)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT DO NOTHING

-- name: channel_name_taken
SELECT id FROM channel WHERE name = $1 AND id <> $2

-- name: replace_channel
UPDATE channel SET name = $2, kind = $3, state = $4, fields = $5, proves_payer = $6, algorithm = $7, sealed_key = $8,
  created_at = $9, earlier_key = $10, earlier_until = $11, key_since = $12
WHERE id = $1
