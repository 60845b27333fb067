-- PIN keys of channels (wrapped: only the PIN process opens them), how far each device counted, and the numbers that
-- stand for a card number in a PIN block.
CREATE TABLE pin_key (
  seq INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  channel_id TEXT NOT NULL,
  scheme TEXT NOT NULL,
  key_block TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  retired_at INTEGER
) STRICT;
CREATE INDEX pin_key_channel ON pin_key (channel_id);
CREATE TABLE pin_counter (
  key_name TEXT NOT NULL,
  device TEXT NOT NULL,
  counter INTEGER NOT NULL,
  PRIMARY KEY (key_name, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE pin_token (
  token TEXT PRIMARY KEY,
  channel_id TEXT NOT NULL,
  issued_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  part_id TEXT,
  payment_id TEXT,
  record BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX pin_token_expiry ON pin_token (expires_at);
