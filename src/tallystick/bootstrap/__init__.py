"""Wire a platform: the only package that knows both the stages and their adapters."""
