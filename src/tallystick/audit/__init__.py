"""The audit chain: what was done, by whom, in the transaction that did it."""
