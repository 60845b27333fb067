-- name: events_after
SELECT seq, payment_id, state, at, first FROM event WHERE seq > $1 ORDER BY seq LIMIT $2

-- name: events_of
SELECT seq, payment_id, state, at, first FROM event WHERE owner = $1 AND seq > $2 ORDER BY seq LIMIT $3

-- name: announced (locked)
SELECT seq FROM announced WHERE one = 1

-- name: note_announced
UPDATE announced SET seq = $1 WHERE one = 1

-- name: purge_events
DELETE FROM event WHERE at < $1 AND seq IN (
  SELECT seq FROM event WHERE seq < (SELECT seq FROM announced WHERE one = 1) ORDER BY seq LIMIT $2
)
