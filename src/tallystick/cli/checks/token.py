"""The hardware token that key files are under, where there is one."""

import contextlib
from typing import Final

from tallystick.bootstrap.wrapping import open_token
from tallystick.cli.checks.model import Check, Scene, Weight
from tallystick.errors import Misconfigured


async def token_key(scene: Scene) -> str:
    """The token answers, and its key was made in it and never outside (PCI DSS 3.6.1.2)."""
    settings = scene.settings().keys
    if settings.provider != "pkcs11":
        return "no token is in use"
    with contextlib.closing(open_token(settings)) as token:
        found = token.describe(settings.key)
    if not found.made_here:
        raise Misconfigured(f"the token's key {found.label} came from outside: it may be known elsewhere")
    return f"the token's key {found.label} has the check value {found.check}"


CHECKS: Final = (
    Check(
        "token key",
        Weight.UNSAFE,
        "Make a key in the token and go over to it: tallystick hsm create-key, then keys protect --with pkcs11.",
        token_key,
    ),
)
