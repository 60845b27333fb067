-- The whole platform on one machine. Times are milliseconds since 1970; sets, tuples and orders are JSON; every secret
-- arrives sealed. A state rule that two writers could break stands here or in the WHERE of the statement that writes.

CREATE TABLE channel (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  fields TEXT NOT NULL,
  proves_payer INTEGER NOT NULL,
  algorithm TEXT NOT NULL,
  sealed_key BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE nonce (
  sender TEXT NOT NULL,
  nonce TEXT NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (sender, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX nonce_until ON nonce (until);

CREATE TABLE answer (
  sender TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  body BLOB NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (sender, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_until ON answer (until);

CREATE TABLE payment (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  policy TEXT NOT NULL,
  element_kind TEXT NOT NULL,
  element_digest BLOB NOT NULL,
  element_institution TEXT,
  claimed INTEGER NOT NULL,
  opened_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  fate TEXT,
  contested INTEGER NOT NULL,
  owner TEXT,
  user_id TEXT,
  ordered TEXT,
  allowed TEXT NOT NULL,
  back_end TEXT,
  response_code TEXT,
  reason TEXT,
  updated_at INTEGER NOT NULL
) STRICT;
-- At most one payment without a fate waits under an element and policy.
CREATE UNIQUE INDEX payment_waiting ON payment (element_digest, policy) WHERE fate IS NULL;
CREATE INDEX payment_expiry ON payment (expires_at) WHERE fate IS NULL;
-- The states a restart looks for; the others would cost every payment four index writes.
CREATE INDEX payment_moving ON payment (state)
  WHERE state = 'joined' OR state = 'delivering' OR state = 'unknown';

CREATE TABLE part (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  payment_id TEXT NOT NULL REFERENCES payment (id),
  channel_id TEXT NOT NULL,
  certificate TEXT NOT NULL,
  fields TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  rival INTEGER NOT NULL,
  epoch TEXT NOT NULL,
  sealed BLOB
) STRICT;
CREATE INDEX part_payment ON part (payment_id);

CREATE TABLE claim (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  digest BLOB NOT NULL,
  element_institution TEXT,
  institution TEXT,
  payment_id TEXT,
  user_id TEXT,
  valid_from INTEGER NOT NULL,
  valid_until INTEGER NOT NULL
) STRICT;
CREATE INDEX claim_digest ON claim (digest);
CREATE INDEX claim_until ON claim (valid_until);
CREATE INDEX claim_user ON claim (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE routing (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  version INTEGER NOT NULL,
  issuer_rules TEXT NOT NULL
) STRICT;
INSERT INTO routing (one, version, issuer_rules) VALUES (1, 0, '[]');

CREATE TABLE back_end (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE connector (
  institution TEXT PRIMARY KEY,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE payer (
  id TEXT PRIMARY KEY,
  name_digest BLOB NOT NULL UNIQUE,
  salt BLOB NOT NULL,
  kdf TEXT NOT NULL,
  verifier BLOB NOT NULL,
  wrapped_key BLOB NOT NULL,
  sealed_contact BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE password_try (
  user_id TEXT PRIMARY KEY,
  began_at INTEGER NOT NULL,
  tries INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE credential (
  institution TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES payer (id),
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (institution, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE number_made (
  seq INTEGER PRIMARY KEY,
  institution TEXT NOT NULL,
  user_id TEXT NOT NULL,
  period TEXT NOT NULL,
  UNIQUE (institution, user_id, period)
) STRICT;

CREATE TABLE notice (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  medium TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL
) STRICT;
CREATE INDEX notice_due ON notice (due_at);

CREATE TABLE stan (
  back_end TEXT NOT NULL,
  day TEXT NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (back_end, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE intent (
  seq INTEGER PRIMARY KEY,
  payment_id TEXT NOT NULL REFERENCES payment (id),
  n INTEGER NOT NULL,
  back_end TEXT NOT NULL,
  stan TEXT NOT NULL,
  rrn TEXT NOT NULL,
  key TEXT NOT NULL,
  at INTEGER NOT NULL,
  table_version INTEGER NOT NULL,
  digest BLOB NOT NULL,
  state TEXT NOT NULL,
  code TEXT,
  settled_at INTEGER,
  UNIQUE (payment_id, n)
) STRICT;
CREATE INDEX intent_sending ON intent (seq) WHERE state = 'sending';
