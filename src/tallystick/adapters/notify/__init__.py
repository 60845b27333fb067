"""Carriers of notices: SMTP and SMS."""
