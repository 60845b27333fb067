-- name: moving_counts
SELECT state, count(*) FROM payment WHERE state IN ('joined', 'delivering', 'unknown', 'inquiry', 'manual') GROUP BY state

-- name: notices_waiting
SELECT count(*), min(created_at) FROM notice

-- name: urgent_notices_waiting
SELECT count(*), min(created_at) FROM notice WHERE urgent

-- name: webhooks_waiting
SELECT count(*), min(first_at) FROM webhook WHERE state = 'waiting'

-- name: webhooks_dead
SELECT count(*) FROM webhook WHERE state = 'dead'

-- name: endings_after
SELECT e.seq, e.state, p.back_end FROM event AS e JOIN payment AS p ON p.id = e.payment_id
WHERE e.seq > $1 ORDER BY e.seq LIMIT $2
