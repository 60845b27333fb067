-- How far everything sealed was sealed anew after a rotation, and the key of a channel that is valid beside its new one.
CREATE TABLE rewrap (
  kind TEXT PRIMARY KEY,
  target TEXT NOT NULL,
  after TEXT NOT NULL,
  looked INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  damaged INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  finished_at INTEGER
) STRICT, WITHOUT ROWID;

ALTER TABLE channel ADD COLUMN earlier_key BLOB;
ALTER TABLE channel ADD COLUMN earlier_until INTEGER;
ALTER TABLE channel ADD COLUMN key_since INTEGER;
