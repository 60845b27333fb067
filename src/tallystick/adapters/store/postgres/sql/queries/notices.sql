-- name: add_notice
INSERT INTO notice (id, medium, sealed, created_at, due_at, attempts, urgent) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: due_notices (taken)
SELECT id, medium, sealed, created_at, due_at, attempts, urgent FROM notice
WHERE medium = $1 AND urgent = $2 AND due_at <= $3 ORDER BY due_at, seq LIMIT $4

-- name: hold_notices
UPDATE notice SET due_at = $1 WHERE id = ANY($2::text[])

-- name: paced_until
SELECT until FROM notice_pace WHERE medium = $1

-- name: book_pace
INSERT INTO notice_pace (medium, until) VALUES ($1, $2 + $3::bigint)
ON CONFLICT (medium) DO UPDATE SET until = greatest(notice_pace.until, $2) + $3::bigint
RETURNING until - $3::bigint

-- name: delay_notice
UPDATE notice SET attempts = attempts + 1, due_at = $1 WHERE id = $2

-- name: drop_notice
DELETE FROM notice WHERE id = $1
