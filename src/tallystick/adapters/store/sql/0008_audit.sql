-- The audit chain and its signed checkpoints. `body` is the JSON that was hashed, byte for byte (audit/chain.py).
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  body TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE TABLE audit_checkpoint (
  seq INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,
  at INTEGER NOT NULL,
  signature BLOB NOT NULL
) STRICT;

-- Against slips, not against whoever owns the file: that one is found out by the chain and its checkpoints.
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'the audit chain only grows'); END;
CREATE TRIGGER audit_never_shrinks BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'the audit chain only grows'); END;
CREATE TRIGGER audit_checkpoint_never_changes BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT raise(ABORT, 'checkpoints stay'); END;
CREATE TRIGGER audit_checkpoint_never_goes BEFORE DELETE ON audit_checkpoint
BEGIN SELECT raise(ABORT, 'checkpoints stay'); END;
