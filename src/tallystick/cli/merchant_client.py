"""Commands that speak to a platform as a merchant, with an API key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from tallystick.cli.inputs import file_path, read_password
from tallystick.cli.output import Failure
from tallystick.errors import Misconfigured
from tallystick.sdk.merchant import Merchant

DEFAULT_URL: Final = "https://localhost:8445"
KEY_REMEDY: Final = "Give --key-file, --url and --ca; an operator makes a key: tallystick apikey add."

_F = TypeVar("_F", bound=Callable[..., Any])


def merchant_options(*, required: bool = True) -> Callable[[_F], _F]:
    """Return a decorator that adds the options by which a command finds the merchants' API."""
    options = (
        click.option(
            "--ca",
            type=file_path,
            required=required,
            envvar="TALLYSTICK_API_CA",
            show_envvar=True,
            help="The authorities that the platform's certificate is of, PEM.",
        ),
        click.option(
            "--url",
            default=DEFAULT_URL,
            show_default=True,
            envvar="TALLYSTICK_API_URL",
            show_envvar=True,
            help="The merchants' listener.",
        ),
        click.option(
            "--key-file",
            type=file_path,
            required=required,
            envvar="TALLYSTICK_API_KEY_FILE",
            show_envvar=True,
            help="A file, mode 0600, with the API key.",
        ),
    )

    def add(command: _F) -> _F:
        for option in options:
            command = option(command)
        return command

    return add


def connect(key_file: Path, url: str, ca: Path) -> Merchant:
    """Make a client; raises Failure for files that cannot be used."""
    try:
        return Merchant.connect(url, read_password(key_file, "API key"), ca=ca)
    except Misconfigured as error:
        raise Failure.of(error, KEY_REMEDY) from error
