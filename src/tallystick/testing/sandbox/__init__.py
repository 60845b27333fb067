"""Sandbox back ends: each checks what a real one would check, and fails on request by magic values."""
