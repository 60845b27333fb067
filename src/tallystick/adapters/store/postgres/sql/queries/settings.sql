-- name: settings_version
SELECT version FROM settings_version WHERE one = 1

-- name: move_settings_version
UPDATE settings_version SET version = version + 1 WHERE one = 1

-- name: move_settings_version_from
UPDATE settings_version SET version = version + 1 WHERE one = 1 AND version = $1

-- name: database_time
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
