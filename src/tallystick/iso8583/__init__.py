"""ISO 8583 codec over a well-kept library: no sockets, prints masked."""
