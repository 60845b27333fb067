-- name: attach
INSERT INTO attachment (payment_id, metadata, return_url) VALUES ($1, $2, $3)

-- name: attachment
SELECT metadata, return_url FROM attachment WHERE payment_id = $1

-- One statement for each index, because a partial one is taken only when the statement repeats the index's own condition.

-- name: payments_of
SELECT seq, id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment
WHERE owner = $1
  AND opened_at >= coalesce($3::bigint, 0) AND opened_at < coalesce($4::bigint, 9223372036854775807)
  AND (opened_at, seq)
    < (coalesce((SELECT opened_at FROM payment WHERE seq = $2::bigint), 9223372036854775807), coalesce($2, 9223372036854775807))
ORDER BY opened_at DESC, seq DESC LIMIT $5

-- name: waiting_payments_of
SELECT seq, id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment
WHERE owner = $1 AND state = $6 AND fate IS NULL
  AND opened_at >= coalesce($3::bigint, 0) AND opened_at < coalesce($4::bigint, 9223372036854775807)
  AND (opened_at, seq)
    < (coalesce((SELECT opened_at FROM payment WHERE seq = $2::bigint), 9223372036854775807), coalesce($2, 9223372036854775807))
ORDER BY opened_at DESC, seq DESC LIMIT $5

-- name: moving_payments_of
SELECT seq, id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment
WHERE owner = $1 AND state = $6 AND state IN ('joined', 'delivering', 'unknown', 'inquiry', 'manual')
  AND opened_at >= coalesce($3::bigint, 0) AND opened_at < coalesce($4::bigint, 9223372036854775807)
  AND (opened_at, seq)
    < (coalesce((SELECT opened_at FROM payment WHERE seq = $2::bigint), 9223372036854775807), coalesce($2, 9223372036854775807))
ORDER BY opened_at DESC, seq DESC LIMIT $5

-- name: ended_payments_of
SELECT seq, id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment
WHERE owner = $1 AND state = $6
  AND state IN ('declined', 'reversed', 'refused', 'undelivered', 'cancelled', 'expired')
  AND opened_at >= coalesce($3::bigint, 0) AND opened_at < coalesce($4::bigint, 9223372036854775807)
  AND (opened_at, seq)
    < (coalesce((SELECT opened_at FROM payment WHERE seq = $2::bigint), 9223372036854775807), coalesce($2, 9223372036854775807))
ORDER BY opened_at DESC, seq DESC LIMIT $5

-- name: approved_payments_of
SELECT seq, id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
  contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac
FROM payment
WHERE owner = $1 AND state = $6
  AND opened_at >= coalesce($3::bigint, 0) AND opened_at < coalesce($4::bigint, 9223372036854775807)
  AND (opened_at, seq)
    < (coalesce((SELECT opened_at FROM payment WHERE seq = $2::bigint), 9223372036854775807), coalesce($2, 9223372036854775807))
ORDER BY opened_at DESC, seq DESC LIMIT $5

-- name: hasten
UPDATE payment SET expires_at = $2 WHERE id = $1 AND fate IS NULL AND expires_at > $2

-- name: add_receipt
INSERT INTO receipt (part_id, payment_id, token) VALUES ($1, $2, $3)

-- name: receipts
SELECT part_id, token FROM receipt WHERE payment_id = $1 ORDER BY seq

-- name: add_refund
INSERT INTO refund (id, payment_id, part_id, receipt, amount, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: refunds
SELECT id, payment_id, part_id, receipt, amount, reason, at FROM refund WHERE payment_id = $1 ORDER BY seq
