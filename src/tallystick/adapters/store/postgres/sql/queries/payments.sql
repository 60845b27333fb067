-- name: payment (locked)
SELECT id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment WHERE id = $1

-- name: open_payment (locked)
SELECT id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment WHERE element_digest = ANY($1::bytea[]) AND policy = $2 AND fate IS NULL

-- name: add_payment
INSERT INTO payment (id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state,
  fate, contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT DO NOTHING

-- name: open_with_part
INSERT INTO payment (id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state,
  fate, contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)

-- name: note_part
UPDATE payment SET state = 'half', ordered = $1, contested = $2, expires_at = $3 WHERE id = $4 AND fate IS NULL

-- name: decide_fate
UPDATE payment SET fate = $2, state = $2, updated_at = $3 WHERE id = $1 AND fate IS NULL

-- name: advance
UPDATE payment SET state = $1, back_end = $2, response_code = $3, reason = $4, updated_at = $5
WHERE id = $6 AND state = $7 AND fate = 'joined'

-- name: claim_joined
UPDATE payment SET updated_at = $2 WHERE id IN (
  SELECT id FROM payment WHERE state = 'joined' AND updated_at <= $1 ORDER BY updated_at, seq LIMIT $3
  FOR UPDATE SKIP LOCKED)
RETURNING id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac

-- name: expired_payments (taken)
SELECT id FROM payment WHERE fate IS NULL AND expires_at <= $1 ORDER BY expires_at, seq LIMIT $2

-- name: moving_payments
SELECT id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment WHERE state = $1 AND state IN ('joined', 'delivering', 'unknown', 'inquiry', 'manual')
ORDER BY updated_at, seq LIMIT $2

-- name: waiting_payments
SELECT id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment WHERE state = $1 AND fate IS NULL ORDER BY updated_at, seq LIMIT $2

-- name: payments_in
SELECT id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment WHERE state = $1 ORDER BY updated_at, seq LIMIT $2

-- name: recent_payments
SELECT id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment ORDER BY seq DESC LIMIT $1
