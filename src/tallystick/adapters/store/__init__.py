"""Stores: one family of ports, one contract suite."""
