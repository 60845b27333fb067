-- name: events_after
SELECT seq, payment_id, state, at, first FROM event WHERE seq > $1 ORDER BY seq LIMIT $2

-- name: events_of
SELECT e.seq, e.payment_id, e.state, e.at, e.first
FROM event AS e JOIN payment AS p ON p.id = e.payment_id
WHERE e.seq > $2 AND p.owner = $1 ORDER BY e.seq LIMIT $3

-- name: announced (locked)
SELECT seq FROM announced WHERE one = 1

-- name: note_announced
UPDATE announced SET seq = $1 WHERE one = 1

-- name: purge_events
DELETE FROM event WHERE at < $1 AND seq IN (
  SELECT seq FROM event WHERE seq < (SELECT seq FROM announced WHERE one = 1) ORDER BY seq LIMIT $2
)
