"""All cryptography of the platform, and the only importer of cryptography libraries; every choice is an allow-list."""
