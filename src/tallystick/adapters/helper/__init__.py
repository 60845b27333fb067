"""Helper processes of our own: what the serving process must not hold or wait for is done in them."""
