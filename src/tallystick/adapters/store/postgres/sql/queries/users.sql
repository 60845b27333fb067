-- name: add_user
INSERT INTO payer (id, name_digest, salt, kdf, verifier, wrapped_key, sealed_contact, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING

-- name: user (locked)
SELECT id, name_digest, salt, kdf, verifier, wrapped_key, sealed_contact, created_at FROM payer WHERE id = $1

-- name: users_named (locked)
SELECT id, name_digest, salt, kdf, verifier, wrapped_key, sealed_contact, created_at
FROM payer WHERE name_digest = ANY($1::bytea[])

-- name: replace_contact
UPDATE payer SET sealed_contact = $1 WHERE id = $2

-- name: count_try
INSERT INTO password_try (user_id, began_at, tries) VALUES ($1, $2, 1)
ON CONFLICT (user_id) DO UPDATE SET
  tries = CASE WHEN password_try.began_at + $3::bigint <= $2 THEN 1 ELSE password_try.tries + 1 END,
  began_at = CASE WHEN password_try.began_at + $3::bigint <= $2 THEN $2 ELSE password_try.began_at END
RETURNING tries

-- name: clear_tries
DELETE FROM password_try WHERE user_id = $1

-- name: put_credential
INSERT INTO credential (user_id, institution, sealed, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (institution, user_id) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at

-- name: credential
SELECT sealed, created_at FROM credential WHERE institution = $1 AND user_id = $2

-- name: enrol
INSERT INTO numbered (institution, user_id, period) VALUES ($1, $2, '') ON CONFLICT DO NOTHING

-- name: due_numbers (taken)
SELECT user_id, period FROM numbered WHERE institution = $1 AND period < $2 AND (period, user_id) > ($3, $4)
ORDER BY period, user_id LIMIT $5

-- name: note_number
UPDATE numbered SET period = $3 WHERE institution = $1 AND user_id = $2 AND period < $3

-- name: count_numbers
SELECT (SELECT count(*) FROM numbered WHERE institution = $1 AND period >= $2),
  (SELECT count(*) FROM numbered WHERE institution = $1 AND period < $2)

-- name: use_code
INSERT INTO code_used (user_id, step) VALUES ($1, $2)
ON CONFLICT (user_id) DO UPDATE SET step = excluded.step WHERE code_used.step < excluded.step
