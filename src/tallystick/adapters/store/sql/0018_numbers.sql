-- How far each payer's numbers at each institution are: `period` is that of the last one made, empty before the first.
-- Its index gives whose number is due without looking at the others.
CREATE TABLE numbered (
  institution TEXT NOT NULL,
  user_id TEXT NOT NULL,
  period TEXT NOT NULL,
  PRIMARY KEY (institution, user_id),
  FOREIGN KEY (institution, user_id) REFERENCES credential (institution, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX numbered_due ON numbered (institution, period, user_id);
INSERT INTO numbered (institution, user_id, period)
  SELECT c.institution, c.user_id, coalesce(max(m.period), '')
  FROM credential AS c LEFT JOIN number_made AS m ON m.institution = c.institution AND m.user_id = c.user_id
  GROUP BY c.institution, c.user_id;

-- The last step of an authenticator app that was used, for each payer who has one.
CREATE TABLE code_used (
  user_id TEXT PRIMARY KEY,
  step INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO code_used (user_id, step)
  SELECT user_id, max(CAST(period AS INTEGER)) FROM number_made WHERE institution = 'app' GROUP BY user_id;
DROP TABLE number_made;

-- Notices are taken for one medium at a time, and each medium's provider is booked ahead by all processes together.
-- An urgent one, such as a code, goes before all that are not.
ALTER TABLE notice ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0;
DROP INDEX notice_due;
CREATE INDEX notice_due ON notice (medium, urgent, due_at);
CREATE INDEX notice_urgent ON notice (created_at) WHERE urgent = 1;
CREATE TABLE notice_pace (
  medium TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
