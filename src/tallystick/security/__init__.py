"""Stage 2: the security service. MAC, freshness, replay, envelope, and typed self-masking values."""
