-- Which key versions the rows of each kind name, and the rows themselves of the kinds that are sealed anew. The first five
-- bytes of a value name its version (crypto/versioned.py); a count names the value's place among those of its row.

-- name: kept_channel (locked)
SELECT id, sealed_key, earlier_key FROM channel WHERE id > $1 ORDER BY id LIMIT $2

-- name: put_kept_channel
UPDATE channel SET sealed_key = $1, earlier_key = $2 WHERE id = $3

-- name: count_channel
SELECT 0::bigint, substr(sealed_key, 1, 5), count(*) FROM channel GROUP BY 2
UNION ALL SELECT 1::bigint, substr(earlier_key, 1, 5), count(*) FROM channel WHERE earlier_key IS NOT NULL GROUP BY 2

-- name: kept_connector (locked)
SELECT institution, sealed FROM connector WHERE institution > $1 ORDER BY institution LIMIT $2

-- name: put_kept_connector
UPDATE connector SET sealed = $1 WHERE institution = $2

-- name: count_connector
SELECT 0::bigint, substr(sealed, 1, 5), count(*) FROM connector GROUP BY 2

-- name: kept_webhook_endpoint (locked)
SELECT id, sealed FROM webhook_endpoint WHERE id > $1 ORDER BY id LIMIT $2

-- name: put_kept_webhook_endpoint
UPDATE webhook_endpoint SET sealed = $1 WHERE id = $2

-- name: count_webhook_endpoint
SELECT 0::bigint, substr(sealed, 1, 5), count(*) FROM webhook_endpoint GROUP BY 2

-- name: kept_payer (locked)
SELECT id, verifier, wrapped_key, sealed_contact, name_digest FROM payer WHERE id > $1 ORDER BY id LIMIT $2

-- name: put_kept_payer
UPDATE payer SET verifier = $1, wrapped_key = $2, sealed_contact = $3, name_digest = $4 WHERE id = $5

-- name: count_payer
SELECT 0::bigint, substr(verifier, 1, 5), count(*) FROM payer GROUP BY 2
UNION ALL SELECT 1::bigint, substr(wrapped_key, 1, 5), count(*) FROM payer GROUP BY 2
UNION ALL SELECT 2::bigint, substr(sealed_contact, 1, 5), count(*) FROM payer GROUP BY 2
UNION ALL SELECT 3::bigint, substr(name_digest, 1, 5), count(*) FROM payer GROUP BY 2

-- name: count_notice
SELECT 0::bigint, substr(sealed, 1, 5), count(*) FROM notice GROUP BY 2

-- name: count_pull_delivery
SELECT 0::bigint, substr(body, 1, 5), count(*) FROM pull WHERE body IS NOT NULL GROUP BY 2

-- name: count_waiting_payment
SELECT 0::bigint, substr(element_digest, 1, 5), count(*) FROM payment WHERE fate IS NULL GROUP BY 2

-- name: count_created_order
SELECT 0::bigint, substr(order_mac, 1, 5), count(*) FROM payment WHERE order_mac IS NOT NULL AND state IN ('open', 'half', 'joined') GROUP BY 2

-- name: count_issued_element
SELECT 0::bigint, substr(digest, 1, 5), count(*) FROM claim GROUP BY 2

-- name: count_enrolment
SELECT 0::bigint, substr(digest, 1, 5), count(*) FROM enrolment GROUP BY 2

-- name: count_page_link
SELECT 0::bigint, substr(sealed_key, 1, 5), count(*) FROM capability GROUP BY 2
UNION ALL SELECT 1::bigint, substr(session_key, 1, 5), count(*) FROM capability WHERE session_key IS NOT NULL GROUP BY 2

-- name: count_api_key
SELECT 0::bigint, substr(digest, 1, 5), count(*) FROM api_key WHERE revoked_at IS NULL AND expires_at > $1 GROUP BY 2
UNION ALL SELECT 1::bigint, substr(mac, 1, 5), count(*) FROM api_key WHERE revoked_at IS NULL AND expires_at > $1 GROUP BY 2

-- name: count_proposal
SELECT 0::bigint, substr(mac, 1, 5), count(*) FROM proposal WHERE convert_from(record, 'UTF8')::json ->> 'state' = $1
  AND (convert_from(record, 'UTF8')::json ->> 'at')::bigint > $2 GROUP BY 2

-- name: count_rate_limits
SELECT convert_from(record, 'UTF8')::json ->> 'mac', count(*) FROM limit_rules GROUP BY 1

-- name: count_kept_answer
SELECT substr(fingerprint, 1, greatest(position('\x2e'::bytea IN fingerprint), 1) - 1), count(*)
FROM answer WHERE until > $1 GROUP BY 1 ORDER BY 1

-- name: rewrap
SELECT target, after, looked, changed, damaged, started_at, finished_at FROM rewrap WHERE kind = $1

-- name: note_rewrap
INSERT INTO rewrap (kind, target, after, looked, changed, damaged, started_at, finished_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (kind) DO UPDATE SET target = excluded.target, after = excluded.after, looked = excluded.looked,
  changed = excluded.changed, damaged = excluded.damaged, started_at = excluded.started_at,
  finished_at = excluded.finished_at
