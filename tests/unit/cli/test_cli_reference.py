"""docs/reference/cli.md against the real --help."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tallystick.cli.main import cli

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
WIDTH = 100


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


COMMANDS = dict(commands(cli, "tallystick"))


def documented() -> dict[str, str]:
    found = re.findall(
        r"^## ([^\n]*)\n\n```text\n(.*?)\n```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return dict(found)


def real_help(path: str) -> str:
    result = CliRunner().invoke(
        cli, [*path.split()[1:], "--help"], prog_name="tallystick", terminal_width=WIDTH, max_content_width=WIDTH
    )
    assert 0 == result.exit_code
    return result.stdout


def test_the_reference_names_every_command_and_no_other() -> None:
    assert list(COMMANDS) == list(documented())


@pytest.mark.parametrize("path", COMMANDS)
def test_the_reference_says_what_the_help_says(path: str) -> None:
    """When this fails: python tools/cli_reference.py."""
    assert real_help(path).rstrip("\n") == documented()[path]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_help_has_an_example_that_names_a_command_of_its_own(path: str) -> None:
    _, _, examples = real_help(path).partition("Examples:")
    group = path if path != "tallystick" else "tallystick "
    plain = re.sub(r" --data \S+", "", examples)
    assert group in plain


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_every_command_answers_in_json(path: str) -> None:
    assert "--json" in real_help(path)


@pytest.mark.parametrize("path", [path for path in COMMANDS if path != "tallystick demo"])
def test_no_short_help_is_cut(path: str) -> None:
    command = COMMANDS[path]
    assert not command.get_short_help_str(WIDTH).endswith("...")


@pytest.mark.parametrize("path", COMMANDS)
def test_no_option_takes_a_password_or_a_field_by_value(path: str) -> None:
    secret = {"password", "pan", "pin", "pin_block", "secret", "account", "expiry", "mac_key", "token"}
    assert set() == secret & {parameter.name for parameter in COMMANDS[path].params}
