-- The processes that run the platform, which of them sends what, and who does what only one may do.

CREATE TABLE node (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  place TEXT NOT NULL,
  release TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  lease_until INTEGER NOT NULL
) STRICT;

CREATE TABLE chore (
  name TEXT PRIMARY KEY,
  node TEXT NOT NULL REFERENCES node (id) ON DELETE CASCADE
) STRICT;

ALTER TABLE intent ADD COLUMN node TEXT;
