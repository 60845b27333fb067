"""Connectors to back-end payment systems."""
