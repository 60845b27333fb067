-- name: claim
SELECT digest, institution, payment_id, user_id FROM claim
WHERE digest = ANY($1::bytea[]) AND kind = $2 AND element_institution IS NOT DISTINCT FROM $3::text
  AND valid_from <= $4 AND $4 < valid_until

-- name: hold_slot
INSERT INTO claim_slot (digest, until) VALUES ($1, $2)
ON CONFLICT (digest) DO UPDATE SET until = greatest(claim_slot.until, excluded.until)

-- name: claim_taken
SELECT 1 FROM claim
WHERE digest = ANY($1::bytea[]) AND kind = $2 AND element_institution IS NOT DISTINCT FROM $3::text
  AND valid_from < $8 AND $7 < valid_until
  AND NOT (institution IS NOT DISTINCT FROM $4::text AND payment_id IS NOT DISTINCT FROM $5::text
    AND user_id IS NOT DISTINCT FROM $6::text)
LIMIT 1

-- name: issue_claim
INSERT INTO claim (digest, kind, element_institution, institution, payment_id, user_id, valid_from, valid_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: shorten_claims
UPDATE claim SET valid_until = $3 WHERE user_id = $1 AND institution = $2 AND kind = $4 AND valid_until > $3

-- name: purge_claims
DELETE FROM claim WHERE seq IN (SELECT seq FROM claim WHERE valid_until < $1 ORDER BY valid_until LIMIT $2 FOR UPDATE SKIP LOCKED)

-- name: purge_slots
DELETE FROM claim_slot WHERE digest IN (SELECT digest FROM claim_slot WHERE until < $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)
