-- API keys of merchants and operators. No key is here, only its keyed digest; mac covers the row but for used_at.
CREATE TABLE api_key (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  holder TEXT NOT NULL,
  role TEXT NOT NULL,
  scopes TEXT NOT NULL,
  live INTEGER NOT NULL,
  digest BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER,
  mac BLOB NOT NULL,
  used_at INTEGER
) STRICT;
