"""Stage 4: which back end. Facts only, never a secret."""
