"""Which tables of a store do not grow with payments and payers."""

from typing import Final

SMALL: Final = frozenset(
    {
        "anchor",
        "announced",
        "api_key",
        "back_end_status",
        "channel",
        "chore",
        "connector",
        "denied_certificate",
        "enrolment",
        "issuer_set",
        "limit_rules",
        "node",
        "pin_key",
        "poll",
        "proposal",
        "rewrap",
        "route_change",
        "route_version",
        "schema_migration",
        "settings_version",
        "stan",
        "webhook_endpoint",
    }
)
"""Tables that grow by what operators do, not by payments or payers."""
