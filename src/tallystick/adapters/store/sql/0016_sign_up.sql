-- Sign-ups that wait for their second half: all of them is sealed under an epoch key, which ends soon.
CREATE TABLE sign_up (
  id TEXT PRIMARY KEY,
  epoch TEXT NOT NULL,
  sealed BLOB NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_up_expiry ON sign_up (expires_at);
