-- What those who wait are told: the log of events, the endpoints of channels, the webhooks on their way.

-- Written with the payment itself. `seq` never comes twice: the last row is never purged.
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  payment_id TEXT NOT NULL,
  state TEXT NOT NULL,
  at INTEGER NOT NULL,
  first INTEGER NOT NULL
) STRICT;

CREATE TABLE announced (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seq INTEGER NOT NULL
) STRICT;
INSERT INTO announced (one, seq) VALUES (1, 0);

CREATE TABLE webhook_endpoint (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  channel_id TEXT NOT NULL REFERENCES channel (id),
  url TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT
) STRICT;

CREATE TABLE webhook (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  seq INTEGER NOT NULL,
  endpoint_id TEXT NOT NULL REFERENCES webhook_endpoint (id),
  subject TEXT NOT NULL,
  type TEXT NOT NULL,
  body BLOB NOT NULL,
  first_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  tries INTEGER NOT NULL,
  last TEXT,
  UNIQUE (seq, endpoint_id, subject)
) STRICT;
CREATE INDEX webhook_due ON webhook (endpoint_id, due_at) WHERE state = 'waiting';
CREATE INDEX webhook_dead ON webhook (n) WHERE state = 'dead';
