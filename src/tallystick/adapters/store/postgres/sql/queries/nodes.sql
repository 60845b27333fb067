-- name: add_node
INSERT INTO node (id, kind, name, place, release, started_at, lease_until) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING

-- name: renew_node
UPDATE node SET lease_until = $1 WHERE id = $2

-- name: nodes
SELECT id, kind, name, place, release, started_at, lease_until FROM node ORDER BY started_at, id

-- name: drop_node
DELETE FROM node WHERE id = $1 AND lease_until = $2

-- name: hold_chore
INSERT INTO chore (name, node) SELECT $1, id FROM node WHERE id = $2
ON CONFLICT (name) DO NOTHING

-- name: chore_holder
SELECT node FROM chore WHERE name = $1
