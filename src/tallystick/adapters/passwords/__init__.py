"""Password processes: Argon2id outside the process that serves (docs/decisions/0028-passwords.md)."""
