-- name: limit_rules
SELECT record FROM limit_rules WHERE id = 1

-- name: put_limit_rules
INSERT INTO limit_rules (id, record) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET record = excluded.record

-- name: add_tally
INSERT INTO tally (kind, subject, span, ends_at, count) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (subject, kind, span) DO UPDATE SET count = tally.count + excluded.count
RETURNING count

-- name: add_tallies
-- In the order of the key: two nodes that add to the same counts wait for each other, and never both ways.
INSERT INTO tally (subject, kind, span, ends_at, count)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS each (subject, kind, span)
ORDER BY subject, kind, span
ON CONFLICT (subject, kind, span) DO UPDATE SET count = tally.count + excluded.count
RETURNING subject, kind, span, count

-- name: tallies
SELECT kind, subject, span, ends_at, count FROM tally WHERE ends_at > $1

-- name: purge_tallies
DELETE FROM tally WHERE (subject, kind, span) IN
  (SELECT subject, kind, span FROM tally WHERE ends_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
