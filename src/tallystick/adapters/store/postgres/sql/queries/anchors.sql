-- name: add_anchor
INSERT INTO anchor (id, uri, bundle, lists, fingerprint, subject, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING

-- name: anchors
SELECT id, uri, bundle, lists, fingerprint, subject, created_at FROM anchor ORDER BY seq

-- name: remove_anchor
DELETE FROM anchor WHERE id = $1

-- name: deny
INSERT INTO denied_certificate (fingerprint, since) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: undeny
DELETE FROM denied_certificate WHERE fingerprint = $1

-- name: denied
SELECT fingerprint, since FROM denied_certificate
