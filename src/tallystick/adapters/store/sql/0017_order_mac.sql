-- The MAC of a created payment's order. One that was created before this and waits is refused: it lives a day at most.
ALTER TABLE payment ADD COLUMN order_mac BLOB;
