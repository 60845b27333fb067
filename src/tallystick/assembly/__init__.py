"""Stage 3: payment information processing. Parts are filed, compared and joined exactly once."""
