-- Links to payers' pages and the sessions started with them. No link's secret is here, only the keys derived from it,
-- sealed; of a browser only keyed digests.
CREATE TABLE capability (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  payment_id TEXT NOT NULL REFERENCES payment (id),
  kind TEXT NOT NULL,
  sealed_key BLOB NOT NULL,
  issued_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  session TEXT UNIQUE,
  session_key BLOB,
  device BLOB,
  network BLOB,
  started_at INTEGER,
  until INTEGER
) STRICT;
CREATE INDEX capability_payment ON capability (payment_id);
CREATE INDEX capability_expiry ON capability (expires_at);
