-- name: limit_rules
SELECT record FROM limit_rules WHERE id = 1

-- name: put_limit_rules
INSERT INTO limit_rules (id, record) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET record = excluded.record

-- name: add_tally
INSERT INTO tally (kind, subject, span, ends_at, count) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (subject, kind, span) DO UPDATE SET count = tally.count + excluded.count
RETURNING count

-- name: tallies
SELECT kind, subject, span, ends_at, count FROM tally WHERE ends_at > $1

-- name: purge_tallies
DELETE FROM tally WHERE (subject, kind, span) IN
  (SELECT subject, kind, span FROM tally WHERE ends_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
