-- Proposals that wait for approval, and what became of the others. record is the whole of one as JSON, its MAC within.
CREATE TABLE proposal (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  record BLOB NOT NULL,
  mac BLOB NOT NULL
) STRICT;
