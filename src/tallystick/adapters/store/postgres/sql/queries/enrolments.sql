-- name: add_enrolment
INSERT INTO enrolment (id, uri, hosts, digest, created_at, state, wrong, expires_at, csr, key, chain)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING

-- name: enrolment (locked)
SELECT id, uri, hosts, digest, created_at, state, wrong, expires_at, csr, key, chain FROM enrolment WHERE id = $1

-- name: enrolments
SELECT id, uri, hosts, digest, created_at, state, wrong, expires_at, csr, key, chain FROM enrolment ORDER BY seq

-- name: replace_enrolment
UPDATE enrolment SET state = $1, wrong = $2, expires_at = $3, csr = $4, key = $5, chain = $6 WHERE id = $7 AND state = $8

-- name: purge_enrolments
DELETE FROM enrolment WHERE expires_at <= $1
