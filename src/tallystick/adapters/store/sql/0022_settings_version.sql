-- A number that each change of a row that processes keep in memory moves, in the same transaction and whoever makes it (a process
-- of the release before, too): while it stays, what is kept is not old. The tables are those that `sqlite_book.Cache` is read from.
CREATE TABLE settings_version (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO settings_version (one, version) VALUES (1, 1);

CREATE TRIGGER channel_added AFTER INSERT ON channel
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER channel_changed AFTER UPDATE ON channel
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER channel_removed AFTER DELETE ON channel
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;

CREATE TRIGGER pin_key_added AFTER INSERT ON pin_key
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER pin_key_changed AFTER UPDATE ON pin_key
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER pin_key_removed AFTER DELETE ON pin_key
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;

CREATE TRIGGER connector_added AFTER INSERT ON connector
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER connector_changed AFTER UPDATE ON connector
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER connector_removed AFTER DELETE ON connector
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;

CREATE TRIGGER route_version_added AFTER INSERT ON route_version
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER route_version_changed AFTER UPDATE ON route_version
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER route_version_removed AFTER DELETE ON route_version
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;

CREATE TRIGGER issuer_set_added AFTER INSERT ON issuer_set
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER issuer_set_changed AFTER UPDATE ON issuer_set
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER issuer_set_removed AFTER DELETE ON issuer_set
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;

CREATE TRIGGER back_end_status_added AFTER INSERT ON back_end_status
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER back_end_status_changed AFTER UPDATE ON back_end_status
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
CREATE TRIGGER back_end_status_removed AFTER DELETE ON back_end_status
BEGIN UPDATE settings_version SET version = version + 1 WHERE one = 1; END;
