-- name: remember_nonce
INSERT INTO nonce (sender, nonce, until) VALUES ($1, $2, $3)

-- name: stored_answer
SELECT fingerprint, body FROM answer WHERE sender = $1 AND key = $2

-- name: keep_answer
INSERT INTO answer (sender, key, fingerprint, body, until) VALUES ($1, $2, $3, $4, $5)

-- name: purge_nonces
DELETE FROM nonce WHERE (sender, nonce) IN (SELECT sender, nonce FROM nonce WHERE until <= $1 ORDER BY until LIMIT $2
  FOR UPDATE SKIP LOCKED)

-- name: purge_answers
DELETE FROM answer WHERE (sender, key) IN (SELECT sender, key FROM answer WHERE until <= $1 ORDER BY until LIMIT $2
  FOR UPDATE SKIP LOCKED)
