"""Write docs/reference/cli.md from the real --help of every command: python tools/cli_reference.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from tallystick.cli.main import cli

TARGET: Final = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"
WIDTH: Final = 100  # columns
HEAD: Final = """\
# Command line

Every command's own `--help`, written by `python tools/cli_reference.py`; a test compares the two.

- Exit codes: 0 done, 1 refused or failed (the message names the remedy), 2 wrong usage.
- `--json` answers with one JSON document on standard output; errors become `{"error": {"code", "detail", "remedy"}}` on
  standard error. Times in JSON are milliseconds since 1970.
- Secrets (passwords, card numbers, field values, keys) are read from hidden prompts, standard input or files of mode
  0600, never from the command line, and are never printed.
- `NO_COLOR` is respected. `TALLYSTICK_DATA` names the data directory where `--data` does not.
"""


def reference() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(_section(context) for context in _contexts(cli, None, "tallystick"))])


def _section(context: click.Context) -> str:
    return f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"


def _contexts(command: click.Command, parent: click.Context | None, name: str) -> Iterator[click.Context]:
    context = click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from _contexts(found, context, below)


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
