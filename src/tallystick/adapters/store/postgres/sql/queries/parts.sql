-- name: add_part
INSERT INTO part (id, payment_id, channel_id, certificate, fields, received_at, rival, epoch, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: part
SELECT id, payment_id, channel_id, certificate, fields, received_at, rival FROM part WHERE id = $1

-- name: part_facts
SELECT id, payment_id, channel_id, certificate, fields, received_at, rival FROM part WHERE payment_id = $1 ORDER BY seq

-- name: sealed_parts
SELECT id, payment_id, channel_id, certificate, fields, received_at, rival, epoch, sealed
FROM part WHERE payment_id = $1 AND sealed IS NOT NULL ORDER BY seq

-- name: mark_rivals
UPDATE part SET rival = NOT rival WHERE payment_id = $1 AND rival <> (id = ANY($2::text[]))

-- name: drop_part
UPDATE part SET sealed = NULL, fields = '[]' WHERE id = $1

-- name: erase_parts
UPDATE part SET sealed = NULL WHERE payment_id = $1 AND sealed IS NOT NULL

-- name: parts_of_open
SELECT t.id, t.payment_id, t.channel_id, t.certificate, t.fields, t.received_at, t.rival, t.epoch, t.sealed
FROM payment AS p JOIN part AS t ON t.payment_id = p.id
WHERE p.element_digest = ANY($1::bytea[]) AND p.policy = $2 AND p.fate IS NULL AND t.sealed IS NOT NULL ORDER BY t.seq
