"""Commands that speak to a platform as a channel or merchant, by its profile."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from tallystick.cli import profiles
from tallystick.cli.output import Failure
from tallystick.errors import Misconfigured
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.settings import load_profile

PROFILE_REMEDY: Final = "Correct the file named, or make a new profile: tallystick channel add --profile-out."

_T = TypeVar("_T")

profile_option = click.option(
    "--profile",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="A directory made by `channel add --profile-out`, or a profile file.",
)


def with_client(profile: Path, call: Callable[[TallystickClient], Awaitable[_T]]) -> _T:
    """Do one call as the profile's sender; raises the errors of `sdk.errors`, and Failure for an unfit profile."""
    try:
        loaded = load_profile(profile / profiles.FILE_NAME if profile.is_dir() else profile)
    except Misconfigured as error:
        raise Failure.of(error, PROFILE_REMEDY) from error

    async def run() -> _T:
        async with TallystickClient.connect(loaded) as client:
            return await call(client)

    return asyncio.run(run())
