-- The routing table in all its versions, each kept whole, so that a payment's route can be explained and a change undone.
-- A back end's status is live state beside them. Issuer rules are many and change seldom: versions share their sets.

CREATE TABLE issuer_set (
  id INTEGER PRIMARY KEY,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE route_version (
  version INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  author TEXT NOT NULL,
  approver TEXT,
  note TEXT NOT NULL,
  digest TEXT NOT NULL,
  body TEXT NOT NULL,
  issuer_set INTEGER NOT NULL REFERENCES issuer_set (id)
) STRICT;

CREATE TABLE back_end_status (
  institution TEXT PRIMARY KEY,
  status TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE route_change (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  base INTEGER NOT NULL,
  at INTEGER NOT NULL,
  author TEXT NOT NULL,
  note TEXT NOT NULL,
  digest TEXT NOT NULL,
  state TEXT NOT NULL,
  decided_by TEXT,
  decided_at INTEGER,
  body TEXT NOT NULL,
  issuer_set INTEGER NOT NULL REFERENCES issuer_set (id)
) STRICT;
CREATE INDEX route_change_open ON route_change (base) WHERE state = 'proposed';

-- The table so far becomes the first version that is kept; prefixes become ranges. Its digest cannot be told in SQL.
INSERT INTO issuer_set (id, body)
  SELECT 1, (
    SELECT json_group_array(json_object(
      'low', json_extract(value, '$.prefix'),
      'high', json_extract(value, '$.prefix'),
      'schemes', json_extract(value, '$.schemes')
    ))
    FROM json_each(routing.issuer_rules)
  )
  FROM routing WHERE version > 0;
INSERT INTO back_end_status (institution, status) SELECT id, json_extract(body, '$.status') FROM back_end;
INSERT INTO route_version (version, at, author, note, digest, body, issuer_set)
  SELECT version, 0, 'migration', 'the table before its versions were kept', '', json_object(
    'back_ends', (SELECT json_group_array(json_remove(body, '$.status')) FROM (SELECT body FROM back_end ORDER BY id))
  ), 1
  FROM routing WHERE version > 0;
DROP TABLE back_end;
DROP TABLE routing;
