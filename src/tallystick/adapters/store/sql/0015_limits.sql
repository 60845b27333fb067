-- Limits as an operator set them (one row), and how often things were counted in windows of time. subject is a keyed
-- digest or a part of one.
CREATE TABLE limit_rules (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  record BLOB NOT NULL
) STRICT;
CREATE TABLE tally (
  kind TEXT NOT NULL,
  subject BLOB NOT NULL,
  window INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (kind, subject, window)
) STRICT, WITHOUT ROWID;
CREATE INDEX tally_end ON tally (ends_at);
