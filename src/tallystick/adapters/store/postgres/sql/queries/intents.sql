-- name: begin_stans
INSERT INTO stan (back_end, day, last) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING

-- name: last_stan (locked)
SELECT last FROM stan WHERE back_end = $1 AND day = $2

-- name: move_stan
UPDATE stan SET last = $1 WHERE back_end = $2 AND day = $3

-- name: add_intent
INSERT INTO intent (payment_id, n, back_end, stan, rrn, key, at, table_version, digest, state, code, settled_at, kind, about,
  tries, due_at, epoch, account, node)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)

-- name: settle_intent
UPDATE intent SET state = $1, code = $2, settled_at = $3,
  epoch = CASE WHEN $1 = 'unknown' THEN epoch END, account = CASE WHEN $1 = 'unknown' THEN account END
WHERE payment_id = $4 AND n = $5 AND state = $6

-- name: schedule_intent
UPDATE intent SET tries = $1, due_at = $2
WHERE payment_id = $3 AND n = $4 AND tries = $5 AND state = 'sending' AND kind <> 'authorisation'

-- name: intents
SELECT payment_id, n, back_end, stan, rrn, key, at, table_version, digest, state, code, settled_at, kind, about, tries,
  due_at, epoch, account, node
FROM intent WHERE payment_id = $1 ORDER BY n

-- name: lost_intents
SELECT payment_id, n, back_end, stan, rrn, key, at, table_version, digest, state, code, settled_at, kind, about, tries,
  due_at, epoch, account, node
FROM intent WHERE state = 'sending' AND kind = 'authorisation'
  AND (at <= $1 OR (node IS NOT NULL AND NOT EXISTS (SELECT 1 FROM node WHERE node.id = intent.node)))
ORDER BY seq LIMIT $2

-- name: due_intents
SELECT payment_id, n, back_end, stan, rrn, key, at, table_version, digest, state, code, settled_at, kind, about, tries,
  due_at, epoch, account, node
FROM intent WHERE state = 'sending' AND kind <> 'authorisation' AND due_at <= $1 ORDER BY due_at, seq LIMIT $2

-- name: unsettled_intents
SELECT (SELECT count(*) FROM intent WHERE state = 'sending' AND back_end = $1)
  + (SELECT count(*) FROM intent WHERE state = 'unknown' AND back_end = $1)

-- name: accounts_kept
SELECT epoch FROM intent WHERE state = 'sending' AND account IS NOT NULL
UNION SELECT epoch FROM intent WHERE state = 'unknown' AND account IS NOT NULL
