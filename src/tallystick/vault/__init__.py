"""Stage 5: users, their stored credentials, and dynamic numbers."""
