-- name: add_pull
INSERT INTO pull (key, back_end, visible_until, state, body, verdict, code, approval, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING

-- name: pull (locked)
SELECT key, back_end, visible_until, state, body, verdict, code, approval, due_at FROM pull WHERE key = $1

-- name: replace_pull
UPDATE pull SET state = $1, body = $2, verdict = $3, code = $4, approval = $5, due_at = $6 WHERE key = $7 AND state = $8

-- name: next_reversal
SELECT key, back_end, visible_until, state, body, verdict, code, approval, due_at FROM pull
WHERE state = 'cancel_asked' AND back_end = $1 AND due_at <= $2 ORDER BY due_at, seq LIMIT 1

-- name: next_waiting
SELECT key, back_end, visible_until, state, body, verdict, code, approval, due_at FROM pull
WHERE state = 'waiting' AND back_end = $1 AND visible_until > $2 ORDER BY seq LIMIT 1

-- name: note_poll
INSERT INTO poll (back_end, at) VALUES ($1, $2) ON CONFLICT (back_end) DO UPDATE SET at = excluded.at

-- name: polled_at
SELECT at FROM poll WHERE back_end = $1
