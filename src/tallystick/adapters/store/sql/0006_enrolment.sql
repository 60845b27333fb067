-- Invitations to ask for a certificate, and the request made with each. No token is here, only its keyed digest.
CREATE TABLE enrolment (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  uri TEXT NOT NULL,
  hosts TEXT NOT NULL,
  digest BLOB NOT NULL,
  state TEXT NOT NULL,
  wrong INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  csr BLOB,
  key TEXT,
  chain BLOB
) STRICT;
CREATE INDEX enrolment_expiry ON enrolment (expires_at);
