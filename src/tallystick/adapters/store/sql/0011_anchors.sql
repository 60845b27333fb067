-- Outside authorities, each for one identity, and certificates that the operator denied. All of it is public.
CREATE TABLE anchor (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  uri TEXT NOT NULL,
  bundle BLOB NOT NULL,
  lists TEXT NOT NULL,
  fingerprint TEXT,
  subject TEXT,
  created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE denied_certificate (
  fingerprint TEXT PRIMARY KEY,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
