"""Measurements: `python -m bench.<name>` prints figures and writes bench/results/<name>.json."""
