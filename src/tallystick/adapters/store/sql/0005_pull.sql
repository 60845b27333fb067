-- Deliveries that back ends fetch by themselves.

CREATE TABLE pull (
  seq INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  back_end TEXT NOT NULL,
  visible_until INTEGER NOT NULL,
  state TEXT NOT NULL,
  body BLOB,
  verdict TEXT,
  code TEXT,
  approval TEXT,
  due_at INTEGER
) STRICT;
CREATE INDEX pull_waiting ON pull (back_end, seq) WHERE state = 'waiting';
CREATE INDEX pull_cancel_asked ON pull (back_end, due_at) WHERE state = 'cancel_asked';

CREATE TABLE poll (
  back_end TEXT PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
