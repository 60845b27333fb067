"""The key boundary of PINs: a process of its own that holds PIN keys and translates PIN blocks.

It is software and **not a payment HSM**: it keeps clear PINs and PIN keys out of the process that serves, and no more.
"""
