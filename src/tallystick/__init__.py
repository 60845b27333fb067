"""Tallystick: a payment credential arrives in parts, over different channels, and is joined once."""
