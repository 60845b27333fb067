"""Adapters: each implements a port of one stage."""
