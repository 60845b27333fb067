-- Lists of an owner's payments and events, and counts of what waits, cost what they show and not what the store holds.
ALTER TABLE event ADD COLUMN owner TEXT;
UPDATE event SET owner = (SELECT owner FROM payment WHERE payment.id = payment_id);
CREATE INDEX event_owner ON event (owner) WHERE owner IS NOT NULL;

DROP INDEX payment_owner;
CREATE INDEX payment_owner ON payment (owner, opened_at) WHERE owner IS NOT NULL;
CREATE INDEX payment_owner_waiting ON payment (owner, opened_at) WHERE owner IS NOT NULL AND fate IS NULL;
-- Not the state that most payments end in: payment_owner finds those soon enough, and they pay nothing for this.
CREATE INDEX payment_owner_ended ON payment (owner, state, opened_at)
  WHERE owner IS NOT NULL
    AND state IN ('declined', 'reversed', 'refused', 'undelivered', 'cancelled', 'expired');

CREATE INDEX notice_created ON notice (created_at);
CREATE INDEX webhook_waiting ON webhook (state, first_at) WHERE state = 'waiting';
