"""Who may run commands: registered persons, two roles, and keys that do not all end at once."""

from typing import Final

from tallystick.channels import access, operators
from tallystick.channels.model import Role
from tallystick.cli.checks.model import Check, Scene, Weight
from tallystick.crypto.ca import DAY_MS
from tallystick.errors import Misconfigured

KEY_DAYS_MIN: Final = 14  # days before the last key of a role ends that this is told


async def registered(scene: Scene) -> str:
    """Commands want the key of a registered person; an operator and an approver have one (PCI DSS 7.2, 8.2)."""
    async with scene.desk() as desk:
        keys = await desk.store.read(operators.registered)
    soon = scene.now() + KEY_DAYS_MIN * DAY_MS
    if not keys:
        raise Misconfigured("no operator is registered: whoever runs a command is believed")
    for role in (Role.OPERATOR, Role.APPROVER):
        current = [key for key in keys if key.role is role and access.is_current(key, scene.now())]
        if not current:
            raise Misconfigured(f"no {role.value} has a current key")
        if all(key.expires_at < soon for key in current):
            raise Misconfigured(f"the last key of the role {role.value} ends within {KEY_DAYS_MIN} days")
    return f"{len({key.holder for key in keys})} persons"


CHECKS: Final = (
    Check(
        "operators",
        Weight.UNSAFE,
        "Register each person, and have keys renewed in time: tallystick operator add, then rotate.",
        registered,
    ),
)
