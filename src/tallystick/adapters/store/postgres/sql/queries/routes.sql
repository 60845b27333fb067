-- name: present_routes
SELECT version, v.body, s.body FROM route_version AS v JOIN issuer_set AS s ON s.id = v.issuer_set
ORDER BY version DESC LIMIT 1

-- name: routes_at
SELECT version, v.body, s.body FROM route_version AS v JOIN issuer_set AS s ON s.id = v.issuer_set WHERE version = $1

-- name: proposed_routes
SELECT base, c.body, s.body FROM route_change AS c JOIN issuer_set AS s ON s.id = c.issuer_set WHERE c.id = $1

-- name: back_end_statuses
SELECT institution, status FROM back_end_status

-- name: put_status
INSERT INTO back_end_status (institution, status) VALUES ($1, $2)
ON CONFLICT (institution) DO UPDATE SET status = excluded.status

-- name: issuer_set
SELECT id FROM issuer_set WHERE body = $1 ORDER BY id LIMIT 1

-- name: add_issuer_set
INSERT INTO issuer_set (body) VALUES ($1) RETURNING id

-- Two writers cannot make the same version, and none leaves one out.
-- name: add_route_version
INSERT INTO route_version (version, at, author, approver, note, digest, body, issuer_set)
SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE $1 = (SELECT coalesce(max(version), 0) + 1 FROM route_version)
ON CONFLICT DO NOTHING

-- name: route_versions
SELECT version, at, author, approver, note, digest FROM route_version ORDER BY version DESC LIMIT $1

-- name: outdate_changes
UPDATE route_change SET state = 'stale' WHERE state = 'proposed' AND base < $1

-- name: add_change
INSERT INTO route_change (id, base, at, author, note, digest, state, decided_by, decided_at, body, issuer_set)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING

-- name: route_change (locked)
SELECT id, base, at, author, note, digest, state, decided_by, decided_at FROM route_change WHERE id = $1

-- name: route_changes
SELECT id, base, at, author, note, digest, state, decided_by, decided_at FROM route_change ORDER BY seq DESC LIMIT $1

-- name: decide_change
UPDATE route_change SET state = $1, decided_by = $2, decided_at = $3 WHERE id = $4 AND state = 'proposed'

-- name: connector_settings
SELECT sealed FROM connector WHERE institution = $1

-- name: put_connector_settings
INSERT INTO connector (institution, sealed) VALUES ($1, $2)
ON CONFLICT (institution) DO UPDATE SET sealed = excluded.sealed
