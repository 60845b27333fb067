-- What merchants attach to their payments, the signed receipts of parts, and the refunds asked for. No part's content.
CREATE TABLE attachment (
  payment_id TEXT PRIMARY KEY REFERENCES payment (id),
  metadata TEXT NOT NULL,
  return_url TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE receipt (
  seq INTEGER PRIMARY KEY,
  part_id TEXT NOT NULL UNIQUE REFERENCES part (id),
  payment_id TEXT NOT NULL REFERENCES payment (id),
  token TEXT NOT NULL
) STRICT;
CREATE INDEX receipt_payment ON receipt (payment_id);

CREATE TABLE refund (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  payment_id TEXT NOT NULL REFERENCES payment (id),
  part_id TEXT NOT NULL,
  receipt TEXT NOT NULL,
  amount INTEGER NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX refund_payment ON refund (payment_id);

CREATE INDEX payment_owner ON payment (owner, seq) WHERE owner IS NOT NULL;
