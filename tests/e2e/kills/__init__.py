"""Kill real processes of a platform under load, again and again, and judge what became of every payment.

`make kill CYCLES=200` runs any number of cycles; `tests/e2e/test_kill.py` runs a few in `make test`.
"""
