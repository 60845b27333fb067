-- Which later scripts this database has seen, and whether they only add (pre) or take away as well (post): so that a
-- process of the release before knows whether it may still use it.
CREATE TABLE schema_migration (
  number INTEGER PRIMARY KEY,
  phase TEXT NOT NULL
) STRICT;
