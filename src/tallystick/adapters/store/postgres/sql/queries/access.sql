-- name: api_key (locked)
SELECT id, holder, role, scopes, live, digest, created_at, expires_at, revoked_at, mac FROM api_key WHERE id = $1

-- name: api_keys
SELECT id, holder, role, scopes, live, digest, created_at, expires_at, revoked_at, mac FROM api_key ORDER BY seq

-- name: put_api_key
INSERT INTO api_key (id, holder, role, scopes, live, digest, created_at, expires_at, revoked_at, mac)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, role = excluded.role, scopes = excluded.scopes,
  live = excluded.live, digest = excluded.digest, created_at = excluded.created_at, expires_at = excluded.expires_at,
  revoked_at = excluded.revoked_at, mac = excluded.mac

-- name: note_key_use
UPDATE api_key SET used_at = $1 WHERE id = $2 AND (used_at IS NULL OR used_at < $1)

-- name: key_uses
SELECT id, used_at FROM api_key WHERE used_at IS NOT NULL

-- name: proposal (locked)
SELECT record FROM proposal WHERE id = $1

-- name: proposals
SELECT record FROM proposal ORDER BY seq DESC LIMIT $1

-- name: add_proposal
INSERT INTO proposal (id, record, mac) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: replace_proposal
UPDATE proposal SET record = $1, mac = $2 WHERE id = $3 AND mac = $4
