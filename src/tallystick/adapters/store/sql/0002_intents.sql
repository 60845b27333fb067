-- Inquiries and reversals beside authorisations, and what they need while an outcome is unknown.

ALTER TABLE intent ADD COLUMN kind TEXT NOT NULL DEFAULT 'authorisation';
ALTER TABLE intent ADD COLUMN about INTEGER;
ALTER TABLE intent ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intent ADD COLUMN due_at INTEGER;
ALTER TABLE intent ADD COLUMN epoch TEXT;
ALTER TABLE intent ADD COLUMN account BLOB;
CREATE INDEX intent_due ON intent (due_at) WHERE state = 'sending' AND kind <> 'authorisation';
CREATE INDEX intent_unknown ON intent (seq) WHERE state = 'unknown';

-- The states a restart, the sweep or a person looks for, longest unchanged first.
DROP INDEX payment_moving;
CREATE INDEX payment_moving ON payment (state, updated_at)
  WHERE state = 'joined' OR state = 'delivering' OR state = 'unknown' OR state = 'inquiry' OR state = 'manual';
