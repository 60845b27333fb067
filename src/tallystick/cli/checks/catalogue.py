"""Every check in the order in which it is made and told."""

from typing import Final

from tallystick.cli.checks import (
    certificates,
    clock,
    files,
    institutions,
    keys,
    machine,
    nodes,
    people,
    records,
    settings,
    store,
    token,
)

CHECKS: Final = (
    settings.READABLE,
    *files.CHECKS,
    *keys.CHECKS,
    *token.CHECKS,
    *certificates.CHECKS,
    *store.CHECKS,
    *clock.CHECKS,
    *settings.CHECKS,
    *people.CHECKS,
    *institutions.CHECKS,
    *records.CHECKS,
    *nodes.CHECKS,
    *machine.CHECKS,
    certificates.LISTENER,
)
